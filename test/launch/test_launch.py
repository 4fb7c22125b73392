"""The launch files, run with stand-ins for ROS 2's launch: what they start, start again, and leave behind."""

import ast
import importlib
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

from dualpose_ros.nodes.camera_node import CameraNodeConfig
from dualpose_ros.nodes.humans.humans_node import HumansNodeConfig
from dualpose_ros.runs.parameter_lists import NODES as PARAMETERS
from dualpose_ros.settings import all_settings, with_values
from support import launch_files
from support.data import ROOT
from support.launch_files import (
    LAUNCH_FILES,
    NODES,
    actions_of,
    arguments_of,
    describe,
    given_to,
    nodes_of,
)  # fmt: skip

PYTHON_KEYS = {"yaml": "python3-yaml"}


def test_pipeline_launch(launch_stub: None) -> None:
    description = describe("pipeline.launch.py")
    context = arguments_of(description)
    assert set(context) == {
        "params_file", "namespace", "image_topic", "camera_info_topic", "use_sim_time", "image_transport",
        "composed", "respawn", "ground_frame", "target_frame", "bodies", "view", "rviz", "rviz_config", "fixed_frame",
        "log_level",
    }  # fmt: skip
    assert Path(context["params_file"]).is_file() and context["rviz"] == "false"
    assert "rviz2" not in nodes_of(actions_of(description, context))
    context |= {"namespace": "/robot1/", "image_topic": "/cam/rgb", "camera_info_topic": "/cam/info",
                "use_sim_time": "yes", "log_level": "debug", "rviz": "on"}  # fmt: skip
    actions = actions_of(description, context)
    nodes = nodes_of(actions)
    assert set(nodes) == {*NODES, "rviz2"}
    for name in NODES:
        node = nodes[name]
        assert dict(node["remappings"]) == {"image_raw": "/cam/rgb", "camera_info": "/cam/info"}
        assert node["arguments"] == ["--ros-args", "--log-level", "debug"]
        assert node["name"] == name and node["namespace"] == "/robot1" and "respawn" not in node
        path = node["parameters"][0]
        assert given_to(node) == {"use_sim_time": True}
        written = yaml.safe_load(Path(path).read_text())
        assert written[f"/robot1/{name}"] == yaml.safe_load(Path(context["params_file"]).read_text())[name]
    rviz = nodes["rviz2"]
    assert Path(rviz["arguments"][1]).is_file() and rviz["arguments"][2:] == ["-f", "camera_link"]
    shown = yaml.safe_load(Path(rviz["arguments"][1]).read_text())["Visualization Manager"]
    assert shown["Global Options"]["Fixed Frame"] == "camera_link"
    topics = {display["Topic"]["Value"] for display in shown["Displays"] if "Topic" in display}
    assert dict(rviz["remappings"]) == {topic: topic[1:] for topic in topics}, "RViz shows what is in its namespace"
    assert rviz["namespace"] == "/robot1" and rviz["parameters"] == [{"use_sim_time": True}]


def test_a_composed_launch_is_one_process_whose_nodes_keep_their_names(launch_stub: None) -> None:
    description = describe("pipeline.launch.py")
    given = {"composed": "true", "image_topic": "/cam/rgb", "namespace": "robot1"}
    nodes = nodes_of(actions_of(description, arguments_of(description) | given))
    assert set(nodes) == {"composed_graph"}
    process = nodes["composed_graph"]
    assert process["name"] is None and process["namespace"] == "/robot1"
    assert dict(process["remappings"])["image_raw"] == "/cam/rgb"
    assert tuple(process["arguments"][:-3]) == NODES
    given |= {"view": "true", "bodies": "true", "ground_frame": "map"}
    process = nodes_of(actions_of(description, arguments_of(description) | given))["composed_graph"]
    assert tuple(process["arguments"][:-3]) == (*NODES, "humans_node", "view_node")
    assert told_in(process, "refinement_node", "robot1") == {"ground_frame": "map"}
    assert told_in(process, "humans_node", "robot1") == {"body_frames": True, "rep155": "auto"}
    assert told_in(process, "fusion_node", "robot1") == {}


def test_the_clock_is_left_to_files_and_launch_files_that_say_it(launch_stub: None) -> None:
    """A default of false went over `use_sim_time: true` of a parameter file, and over SetParameter."""
    description = describe("pipeline.launch.py")
    for given, told in (({}, {}), ({"use_sim_time": "true"}, {"use_sim_time": True})):
        nodes = nodes_of(actions_of(description, arguments_of(description) | given | {"rviz": "true"}))
        assert all(given_to(nodes[name]) == told for name in NODES)
        assert nodes["rviz2"]["parameters"] == ([told] if told else [])
        context = arguments_of(description) | given | {"composed": "true"}
        process = nodes_of(actions_of(description, context))["composed_graph"]
        assert all(told_in(process, name) == told for name in NODES)


def told_in(process: dict[str, Any], node: str, namespace: str = "") -> dict[str, Any]:
    """What the launch file tells a node of a composed graph, by ROS 2's rule that the last section of a file that
    matches a node holds: under its full name, for under `/**` a file that begins so would go over it."""
    written = yaml.safe_load(Path(process["parameters"][1]).read_text()) if len(process["parameters"]) > 1 else {}
    values: dict[str, Any] = written.get(f"/{namespace}/{node}".replace("//", "/"), {}).get("ros__parameters", {})
    return values


@pytest.mark.parametrize(("name", "full"), [("", "/fleet"), ("robot1", "/fleet/robot1")])
def test_a_namespace_that_an_including_launch_file_pushes_counts(
    launch_stub: None, caplog: pytest.LogCaptureFixture, name: str, full: str
) -> None:
    """PushRosNamespace: before, no node read the parameter file, and a composed graph not even its arguments."""
    description = describe("demo.launch.py")
    context = arguments_of(description) | {"namespace": name, "ros_namespace": "/fleet", "ground_frame": "map"}
    nodes = nodes_of(actions_of(description, context))
    assert {node["namespace"] for node in nodes.values()} == {full}, "absolute, or it would be pushed once more"
    assert f"{full}/fusion_node" in yaml.safe_load(Path(nodes["fusion_node"]["parameters"][0]).read_text())
    frame = given_to(nodes["camera_node"])["frame_id"]
    assert frame == f"{full[1:]}/camera_optical_frame"
    process = nodes_of(actions_of(description, context | {"composed": "true"}))["composed_graph"]
    assert told_in(process, "refinement_node", full[1:])["ground_frame"] == "map"
    assert not caplog.messages


def test_the_live_view_is_started_on_the_graphs_topics_and_ground(launch_stub: None) -> None:
    description = describe("pipeline.launch.py")
    given = {"view": "true", "image_topic": "/cam/rgb", "ground_frame": "map", "image_transport": "compressed"}
    node = nodes_of(actions_of(description, arguments_of(description) | given))["view_node"]
    assert dict(node["remappings"])["image_raw"] == "/cam/rgb"
    values = given_to(node)
    assert values == {"ground_frame": "map", "image_transport": "compressed"}
    known = {item.name for group in PARAMETERS["view_node"] for item in all_settings(group)}
    assert values.keys() <= known
    assert "view" not in arguments_of(describe("cameras.launch.py"))


@pytest.mark.parametrize("name", [path.name for path in LAUNCH_FILES])
def test_the_graph_runs_where_rviz_and_tf2_are_missing(
    launch_stub: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(launch_files, "INSTALLED", {"dualpose_ros"})
    description = describe(name)
    actions = actions_of(description, arguments_of(description) | {"rviz": "true"})
    assert set(NODES) <= set(nodes_of(actions)) and not {"rviz2", "static_transform_publisher"} & set(nodes_of(actions))
    told = any("rviz2 is not installed" in action.options["msg"] for action in actions if action.kind == "LogInfo")
    assert told or name == "cameras.launch.py"


def test_launch_leaves_no_file_behind(launch_stub: None, monkeypatch: pytest.MonkeyPatch) -> None:
    description, at_end = describe("pipeline.launch.py"), list[Any]()
    monkeypatch.setattr("atexit.register", lambda call, **options: at_end.append((call, options)))
    context = arguments_of(description)
    assert nodes_of(actions_of(description, context))["top_down_node"]["parameters"][0] == context["params_file"]
    assert not at_end
    files, composed = set[Path](), {"composed": "true", "use_sim_time": "true"}
    for name, given in (("top_down_node", {"namespace": "a"}), ("composed_graph", composed)):
        parameters = nodes_of(actions_of(description, context | given))[name]["parameters"]
        files |= {Path(file) for file in parameters if isinstance(file, str)} - {Path(context["params_file"])}
    assert len(files) == 2 and all(file.is_file() for file in files)
    for call, options in 2 * at_end:
        call(**options)
    assert not any(file.exists() for file in files)


def test_parameter_files_in_a_namespace(launch_stub: None, tmp_path: Path) -> None:
    module = importlib.import_module("dualpose_ros.launching.parameter_file")
    (tmp_path / "list.yaml").write_text("[1]")
    with pytest.raises(RuntimeError, match="no node names"):
        module.parameter_file(str(tmp_path / "list.yaml"), "")
    said = {"/**": {}, "a": {"ros__parameters": {"n": 1}}, "/b": {}}
    assert module.in_namespace(said, "") == {"/**": {}, "/a": said["a"], "/b": {}}


def test_names_that_are_in_the_namespace_already_stay(launch_stub: None, tmp_path: Path) -> None:
    """As `ros2 param dump` writes them, and where each of several cameras has a section of its own."""
    module = importlib.import_module("dualpose_ros.launching.parameter_file")
    own = {"ros__parameters": {"max_coast_s": 0.7, "ground": {"camera_height_m": 1.2}}}
    for written in ({"/robot1/front/a": own}, {"robot1": {"front": {"a": own}}}, {"/robot1": {"/front/a": own}}):
        assert module.in_namespace(written, "robot1/front/") == {"/robot1/front/a": own}
        assert module.in_namespace(written, "robot1/rear") == {"/robot1/rear/robot1/front/a": own}
    both = {"/front/a": own, "a": {"ros__parameters": {"max_coast_s": 0.1, "ground": {"camera_roll_rad": 0.2}}}}
    (values,) = module.in_namespace(both, "front")["/front/a"].values()
    assert values == {"max_coast_s": 0.7, "ground": {"camera_height_m": 1.2, "camera_roll_rad": 0.2}}
    assert list(module.in_namespace({"z": own, "/**": own}, "n")) == ["/n/z", "/**"], "the later one holds"


def test_a_parameter_file_that_names_a_node_wrongly_is_told_of(
    launch_stub: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    description = describe("pipeline.launch.py")
    own = tmp_path / "own.yaml"
    own.write_text("detecton_node: {ros__parameters: {a: 1}}\nusb_camera_node: {ros__parameters: {a: 1}}\n")
    actions_of(description, arguments_of(description) | {"params_file": str(own)})
    (said,) = caplog.messages
    assert "section /detecton_node is no node's of this package; did you mean detection_node?" in said
    own.write_text("fusion_node: {ros__parameters: {a: 1}}\nfusion_node: {ros__parameters: {b: 1}}\n")
    with pytest.raises(RuntimeError, match=r"own\.yaml cannot be read: 'fusion_node' is there twice.*line 2"):
        actions_of(description, arguments_of(description) | {"params_file": str(own)})


@pytest.mark.parametrize(("namespace", "prefix"), [("", ""), ("/robot1/", "robot1/")])
def test_demo_launch(launch_stub: None, namespace: str, prefix: str, tmp_path: Path) -> None:
    description = describe("demo.launch.py")
    own = tmp_path / "own.yaml"
    own.write_text("camera_node:\n  ros__parameters: {fps: 5.0, calibration: own_camera.yaml}\n")
    context = arguments_of(description) | {"source": "0", "hfov_deg": "60", "namespace": namespace}
    context |= {"params_file": str(own), "use_sim_time": "true", "log_level": "warn"}
    nodes = nodes_of(actions_of(description, context))
    path, values = nodes["camera_node"]["parameters"][0], given_to(nodes["camera_node"])
    assert yaml.safe_load(Path(path).read_text()).keys() == {f"/{prefix}camera_node" if prefix else "camera_node"}
    assert values.pop("use_sim_time") is True
    config = {item.name: item.value for item in all_settings(with_values(CameraNodeConfig(), values))}
    assert values.items() <= config.items()
    assert values["source"] == "0" and values["frame_id"] == f"{prefix}camera_optical_frame"
    assert values["hfov_deg"] == 60.0 and values["calibration"] == ""
    by_file = given_to(nodes_of(actions_of(description, context | {"hfov_deg": "0.0"}))["camera_node"])
    assert (by_file["calibration"], by_file["hfov_deg"]) == ("own_camera.yaml", 0.0)
    transform = nodes.pop("static_transform_publisher")["arguments"]
    assert transform[:4] == ["--frame-id", f"{prefix}camera_link", "--child-frame-id", values["frame_id"]]
    assert nodes.pop("rviz2")["arguments"][3] == transform[1]
    assert set(nodes) == {"camera_node", *NODES}
    for node in nodes.values():
        assert node["namespace"] == "/" + prefix.strip("/") and node["arguments"][-1] == "warn"
        assert node["parameters"][0] == path and given_to(node)["use_sim_time"] is True


def test_compressed_images_are_asked_for_by_those_that_take_images(launch_stub: None) -> None:
    description = describe("pipeline.launch.py")
    context = arguments_of(description) | {"image_transport": "compressed"}
    composed = nodes_of(actions_of(description, context | {"composed": "true"}))["composed_graph"]
    for name, node in nodes_of(actions_of(description, context)).items():
        asked = given_to(node).get("image_transport")
        assert told_in(composed, name).get("image_transport") == asked
        has = any(item.name == "image_transport" for group in PARAMETERS[name] for item in all_settings(group))
        assert asked == ("compressed" if has else None), name


def test_the_ground_is_given_to_the_node_that_knows_it(launch_stub: None) -> None:
    description = describe("pipeline.launch.py")
    context = arguments_of(description) | {"ground_frame": "base_footprint"}
    nodes = nodes_of(actions_of(description, context))
    told = {name: given_to(node).get("ground_frame") for name, node in nodes.items()}
    assert told == {name: "base_footprint" if name == "refinement_node" else None for name in NODES}


def test_several_cameras_have_namespaces_and_ids_of_their_own(launch_stub: None) -> None:
    description = describe("cameras.launch.py")
    context = arguments_of(description) | {"namespace": "robot1", "cameras": "front, /rear/", "bodies": "true"}
    nodes = [action.options for action in actions_of(description, context) if action.kind == "Node"]
    assert len(nodes) == 2 * (len(NODES) + 1)
    assert {node["namespace"] for node in nodes} == {"/robot1/front", "/robot1/rear"}
    offsets = {
        (node["namespace"], given_to(node).get("track_id_offset"))
        for node in nodes if node["executable"] == "refinement_node"
    }  # fmt: skip
    assert offsets == {("/robot1/front", None), ("/robot1/rear", 10_000)}
    files = {node["namespace"]: node["parameters"][0] for node in nodes}
    assert all(f"{space}/fusion_node" in yaml.safe_load(Path(path).read_text()) for space, path in files.items())
    for wrong in ("", "front,front"):
        with pytest.raises(RuntimeError, match="cameras"):
            actions_of(description, context | {"cameras": wrong})


@pytest.mark.parametrize(
    ("given", "parameters"),
    [({}, None), ({"target_frame": "map"}, {"body_frames": False, "rep155": "never", "target_frame": "map"}),
     ({"bodies": "true"}, {"body_frames": True, "rep155": "auto"})],
)  # fmt: skip
def test_people_in_the_robots_frames_where_that_is_asked_for(
    launch_stub: None, given: dict[str, str], parameters: dict[str, Any] | None
) -> None:
    description = describe("pipeline.launch.py")
    context = arguments_of(description) | {"camera_info_topic": "/cam/info"} | given
    node = nodes_of(actions_of(description, context)).get("humans_node")
    assert (node is None) == (parameters is None)
    if node is not None:
        values = given_to(node)
        assert values == parameters
        assert ("camera_info", "/cam/info") in node["remappings"]
        assert with_values(HumansNodeConfig(), values)


@pytest.mark.parametrize(("composed", "subscribers"), [("false", 3), ("true", 1)])
def test_the_demos_camera_waits_for_those_who_take_images(launch_stub: None, composed: str, subscribers: int) -> None:
    """A composed graph has one subscription for all of its nodes; a camera that waited for three would never start."""
    description = describe("demo.launch.py")
    nodes = nodes_of(actions_of(description, arguments_of(description) | {"composed": composed}))
    assert given_to(nodes["camera_node"])["wait_for_subscribers"] == subscribers


@pytest.mark.parametrize(
    ("source", "said", "told"),
    [
        ("film.mp4", "auto", "always"), ("folder", None, "always"), ("film.mp4", "never", None), ("0", "auto", None),
        ("/dev/video0", None, None), ("rtsp://camera/1", "auto", None), ("", "auto", "always"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("composed", ["false", "true"])
def test_a_film_is_started_anew_where_it_cuts(
    launch_stub: None, source: str, said: str | None, told: str | None, composed: str, tmp_path: Path
) -> None:
    description = describe("demo.launch.py")
    own = tmp_path / "own.yaml"
    for name in ("detection_node", "/robot/detection_node"):
        own.write_text(name + ": {ros__parameters: {" + (f"cuts: {said}" if said else "") + "}}\n")
        context = arguments_of(description) | {"params_file": str(own), "composed": composed, "namespace": "robot"}
        context |= {"source": source, "hfov_deg": "60"} if source else {}
        nodes = nodes_of(actions_of(description, context))
        if composed == "true":
            values = told_in(nodes["composed_graph"], "detection_node", "robot")
        else:
            values = given_to(nodes["detection_node"])
        assert values.get("cuts") == told


def test_demo_launch_without_arguments_shows_the_demo(launch_stub: None) -> None:
    description = describe("demo.launch.py")
    values = given_to(nodes_of(actions_of(description, arguments_of(description)))["camera_node"])
    assert Path(values["source"]).is_file() and Path(values["calibration"]).is_file() and not values["hfov_deg"]


def test_what_the_launch_files_start_and_import_is_declared(launch_stub: None) -> None:
    """package.xml names every package of a node that is started, and of a module that is imported."""
    needed = set()
    for path in (*LAUNCH_FILES, *sorted((ROOT / "dualpose_ros" / "launching").glob("*.py"))):
        if path in LAUNCH_FILES:
            description = describe(path.name)
            actions = actions_of(description, arguments_of(description) | {"rviz": "true"})
        needed |= {action.options["package"] for action in actions if action.kind == "Node"}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                needed |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                needed.add((node.module or "").partition(".")[0])
    needed = {PYTHON_KEYS.get(name, name) for name in needed - sys.stdlib_module_names - {"dualpose_ros"}}
    assert {"rviz2", "launch_ros", "python3-yaml"} <= needed
    declared = {element.text for element in ET.parse(ROOT / "package.xml").getroot() if element.tag.endswith("depend")}
    assert needed <= declared, f"package.xml lacks {sorted(needed - declared)}"


GROUND = "%YAML:1.0\nM: !!opencv-matrix\n  rows: 3\ncamera_height_m: 1.5  # m\ncamera_pitch_deg: -10\n"


@pytest.mark.parametrize("composed", ["false", "true"])
def test_people_stand_on_the_ground_that_a_calibration_says(launch_stub: None, composed: str, tmp_path: Path) -> None:
    """As in `dualpose run`: before, the same file gave other distances by ROS 2, without a word."""
    description, file = describe("demo.launch.py"), tmp_path / "camera.yaml"

    def told(**given: str) -> dict[str, Any]:
        context = arguments_of(description) | {"source": "0", "composed": composed} | given
        nodes = nodes_of(actions_of(description, context))
        if composed == "true":
            return told_in(nodes["composed_graph"], "refinement_node")
        return given_to(nodes["refinement_node"])

    file.write_text(GROUND)
    known = {"ground.camera_height_m": 1.5, "ground.camera_pitch_rad": pytest.approx(-0.17453, abs=1e-5)}
    for name in (str(file), f"{file}:cam1"):
        assert told(calibration=name) == known
    assert known.keys() <= {item.name for group in PARAMETERS["refinement_node"] for item in all_settings(group)}
    assert told(calibration=str(file), ground_frame="map") == {"ground_frame": "map"}
    for given in ({"hfov_deg": "60"}, {"source": ""}, {"calibration": str(tmp_path / "none.yaml")}):
        assert told(**given) == {}
    for text, why in (("camera_pitch_rad: 1", "camera_pitch_rad"), ("camera_roll_deg: 1", "camera_height_m only"),
                      ("camera_height_m: high", "camera_height_m: high")):  # fmt: skip
        file.write_text(text)
        with pytest.raises(RuntimeError, match=why):
            told(calibration=str(file))
