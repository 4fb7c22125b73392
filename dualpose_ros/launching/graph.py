"""The graph as launch actions: its nodes, a camera of ours, and what shows the people."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch.actions import LogInfo
from launch.logging import get_logger
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from dualpose_ros.launching.arguments import PUSHED, Argument
from dualpose_ros.launching.ground import calibrated_ground
from dualpose_ros.launching.parameter_file import VALUES, parameter_file, written_file
from dualpose_ros.launching.supervision import supervised
from dualpose_ros.paths import PACKAGE
from dualpose_ros.standalone.arguments import LOG_LEVELS, misspelt_sections, parameter_of, read_parameter_file
from dualpose_ros.standalone.process import RestartPolicy
from dualpose_ros.standalone.run_node import END_WITH_PARENT

NODES = (
    "detection_node", "top_down_node", "bottom_up_node", "fusion_node", "refinement_node", "visualization_node"
)  # fmt: skip
BESIDE = ("humans_node", "view_node")
COMPOSED = "composed_graph"
TAKES_IMAGES = ("detection_node", "top_down_node", "bottom_up_node", "visualization_node", "view_node")
SHOWN = ("markers", "overlay")
TRANSPORTS = ("raw", "compressed")


def share() -> Path:
    """The installed package's data: config, demo, launch."""
    return Path(get_package_share_directory(PACKAGE))


def common_arguments(rviz: bool) -> tuple[Argument, ...]:
    """Arguments of every launch file; `rviz` is the default of the one that starts it."""
    return (
        Argument("params_file", str(share() / "config" / "pipeline.yaml"), "parameters of every node"),
        Argument("namespace", "", "namespace of the nodes and of their topics"),
        Argument("use_sim_time", False, "take the time from /clock"),
        Argument("image_transport", "raw", "how images come: compressed ones from IMAGE_TOPIC/compressed", TRANSPORTS),
        Argument("composed", False, "all nodes but the camera's in one process, which hand each other arrays"),
        Argument("respawn", True, "start a node that died again, five times in a row at most"),
        Argument(
            "ground_frame", "", "frame whose x-y plane is the ground that people stand on (base_footprint, map, ...)"
        ),
        Argument("target_frame", "", "publish humans/poses3d_in_frame too, in this frame (base_link, map, ...)"),
        Argument("bodies", False, "publish people as frames body_p<id> and, with hri_msgs, as REP-155's topics"),
        Argument("view", False, "show people, image and latencies live in a browser, where rerun-sdk is installed"),
        Argument("rviz", rviz, "start RViz, where it is installed"),
        Argument("rviz_config", str(share() / "config" / "rviz" / "pipeline.rviz"), "RViz's layout"),
        Argument("log_level", "info", "of every node", tuple(LOG_LEVELS)),
    )


@dataclass(frozen=True)
class Graph:
    """What the nodes of one graph have in common; `namespace`: all of it, without outer slashes; `composed`: in one
    process."""

    namespace: str
    params_file: str
    use_sim_time: bool
    respawn: bool
    log_level: str
    composed: bool = False
    image_transport: str = "raw"

    def node(
        self, name: str, parameters: Mapping[str, Any] | None = None, remappings: Sequence[tuple[str, str]] = ()
    ) -> list[Any]:
        """A node of ours; its parameters go before those of the file."""
        # Typed, or launch reads the text "0" for a number.
        values = {
            key: ParameterValue(value, value_type=type(value))
            for key, value in self._given(name, parameters or {}).items()
        }
        return self._process(name, name, values, remappings)

    def composed_node(
        self, parameters: Mapping[str, Mapping[str, Any]], remappings: Sequence[tuple[str, str]]
    ) -> list[Any]:
        """One process of several nodes, by the parameters of each."""
        # Each under its full name: launch itself would write them under `/**`, over which a file's own sections go.
        prefix = f"/{self.namespace}".rstrip("/")
        given = {name: self._given(name, own) for name, own in parameters.items()}
        content = {f"{prefix}/{name}": {VALUES: values} for name, values in given.items() if values}
        # It keeps the nodes' own names.
        return self._process(COMPOSED, None, content and written_file(content), remappings, tuple(parameters))

    def said(self, node: str, name: str, default: Any) -> Any:
        """What the parameter file says of a node's parameter."""
        return parameter_of(Path(self.params_file), f"{self.namespace}/{node}".lstrip("/"), name, default)

    def _given(self, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        # False is the default, and would go over the parameter file's and over `SetParameter` of a launch file.
        given = {**({"use_sim_time": True} if self.use_sim_time else {}), **parameters}
        if name in TAKES_IMAGES and self.image_transport != "raw":
            given["image_transport"] = self.image_transport
        return given

    def _process(
        self, executable: str, name: str | None, parameters: Any, remappings: Sequence[tuple[str, str]],
        names: Sequence[str] = (),
    ) -> list[Any]:  # fmt: skip
        def make() -> Node:
            return Node(
                package=PACKAGE,
                executable=executable,
                name=name,
                namespace=f"/{self.namespace}",
                parameters=[self.params_file, *([parameters] if parameters else [])],
                remappings=list(remappings),
                arguments=[*names, "--ros-args", "--log-level", self.log_level],
                output="screen",
                additional_env={END_WITH_PARENT: "1"},
            )

        return supervised(make, executable, RestartPolicy() if self.respawn else RestartPolicy(limit=0))


def graph_of(values: Mapping[str, Any]) -> Graph:
    """The graph that the common arguments describe. RuntimeError for a bad file."""
    namespace = "/".join(part for name in (PUSHED, "namespace") for part in values[name].split("/") if part)
    params_file = parameter_file(values["params_file"], namespace)
    overrides = read_parameter_file(Path(values["params_file"]))
    for section, node in misspelt_sections(overrides, (*NODES, *BESIDE)).items():
        get_logger("launch.user").warning(
            f"{values['params_file']}: section {section} is no node's of this package; did you mean {node}?"
        )
    settings = (values[name] for name in ("use_sim_time", "respawn", "log_level", "composed", "image_transport"))
    return Graph(namespace, params_file, *settings)


def extras(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Parameters of the nodes that are asked for beside the graph: people in the robot's frames, the live view."""
    found: dict[str, dict[str, Any]] = {}
    if values["target_frame"] or values["bodies"]:
        found["humans_node"] = {"body_frames": values["bodies"], "rep155": "auto" if values["bodies"] else "never"}
        found["humans_node"] |= {"target_frame": values["target_frame"]} if values["target_frame"] else {}
    if values.get("view"):
        found["view_node"] = {"ground_frame": values["ground_frame"]} if values["ground_frame"] else {}
    return found


def pipeline(
    graph: Graph,
    values: Mapping[str, Any],
    image_topic: str = "image_raw",
    camera_info_topic: str = "camera_info",
    track_id_offset: int = 0,
    is_film: bool = False,
    ground: Mapping[str, float] | None = None,
) -> list[Any]:
    """The nodes from the camera's images to /humans/poses3d, and those that take people on from there.

    is_film: all starts anew where it cuts to another shot, unless the parameter file says otherwise. ground: parameters
    `ground.*` of those that know it, where it is not asked for by TF.
    """
    inputs = [("image_raw", image_topic), ("camera_info", camera_info_topic)]
    given = {"ground_frame": values["ground_frame"], "track_id_offset": track_id_offset}
    parameters: dict[str, dict[str, Any]] = {name: {} for name in NODES} | extras(values)
    parameters["refinement_node"] = {name: value for name, value in given.items() if value}
    for name in {"refinement_node", "view_node"} & parameters.keys():
        parameters[name] |= {} if values["ground_frame"] else ground or {}
    if is_film and graph.said("detection_node", "cuts", "auto") == "auto":
        parameters["detection_node"] = {"cuts": "always"}
    if graph.composed:
        return graph.composed_node(parameters, inputs)
    return [action for name, own in parameters.items() for action in graph.node(name, own, inputs)]


ID_BLOCK = 10_000
"""How far apart the ids of two cameras' people begin; those of one graph stay below for hours."""


def cameras_of(values: Mapping[str, Any]) -> list[str]:
    """The cameras' names: each is the namespace of its graph. RuntimeError where they can't be."""
    names = [name.strip().strip("/") for name in values["cameras"].split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise RuntimeError(f"cameras:={values['cameras']} must be different names with commas between: front,rear")
    return names


def camera_frames(namespace: str) -> tuple[str, str]:
    """The camera's body and optical frame: TF is one tree for all namespaces, so their names hold it."""
    prefix = f"{namespace}/".lstrip("/")
    return f"{prefix}camera_link", f"{prefix}camera_optical_frame"


def camera(graph: Graph, parameters: Mapping[str, Any]) -> list[Any]:
    """The camera node, and where its optical frame is in its body frame (x forward): RViz then shows people upright."""
    body, optical = camera_frames(graph.namespace)
    actions = graph.node("camera_node", {"frame_id": optical, **parameters})
    if not is_installed("tf2_ros"):
        return [*actions, LogInfo(msg=f"tf2_ros is not installed: no transform from {body} to {optical}")]
    transform = Node(
        package="tf2_ros",
        executable="static_transform_publisher",
        namespace=f"/{graph.namespace}",
        arguments=["--frame-id", body, "--child-frame-id", optical,
                   "--roll", str(-math.pi / 2), "--pitch", "0", "--yaw", str(-math.pi / 2)],
    )  # fmt: skip
    return [*actions, transform]


def rviz(graph: Graph, layout: str, fixed_frame: str) -> list[Any]:
    """RViz on the graph's output, or a line that says what it lacks."""
    if not is_installed("rviz2"):
        return [LogInfo(msg="rviz2 is not installed: the graph runs without it (rviz:=false says nothing)")]
    return [
        Node(
            package="rviz2",
            executable="rviz2",
            name="rviz2",
            namespace=f"/{graph.namespace}",
            arguments=["-d", layout, "-f", fixed_frame],
            parameters=[{"use_sim_time": True}] if graph.use_sim_time else [],
            remappings=[(f"/humans/{name}", f"humans/{name}") for name in SHOWN],
        )
    ]


def is_installed(package: str) -> bool:
    """Whether the ament index has a package. Asked before anything runs: where launch fails with nodes on their way,
    it forgets them and they run on."""
    try:
        get_package_share_directory(package)
    except LookupError:
        return False
    return True


def demo_camera(graph: Graph, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, float]]:
    """The camera node's parameters for a source, and the ground that its calibration says: the demo's clip brings its
    calibration, without the ground, any other has to say its own, here or in the parameter file.

    RuntimeError where neither or both of calibration and hfov_deg are given, or the ground is said wrongly.
    """
    demo = share() / "demo"
    source, calibration, hfov_deg = values["source"], values["calibration"], values["hfov_deg"]
    if source and not calibration and not hfov_deg:
        calibration = graph.said("camera_node", "calibration", "")
        hfov_deg = graph.said("camera_node", "hfov_deg", 0.0)
    ground = calibrated_ground(calibration) if calibration else {}
    if not source and not calibration and not hfov_deg:
        source, calibration = str(demo / "clip.mp4"), str(demo / "camera.yaml")
    source = source or str(demo / "clip.mp4")
    if bool(calibration) == bool(hfov_deg):
        wrong = "both are given" if calibration else "without one the camera is unknown"
        raise RuntimeError(f"give calibration:=FILE or hfov_deg:=DEGREES with source:={source}: {wrong}")
    # One process has one subscription for all of its nodes.
    parameters = {"source": source, "loop": values["loop"], "wait_for_subscribers": 1 if values["composed"] else 3}
    # Both, or that of the parameter file would stand beside the other one.
    return {**parameters, "calibration": calibration, "hfov_deg": hfov_deg}, ground
