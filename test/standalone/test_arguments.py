"""The ROS command line and parameter files."""

from pathlib import Path
from typing import Any

import pytest

from dualpose_ros.standalone.arguments import (
    Override,
    Remap,
    expand_topic,
    parameter_of,
    parse,
    parse_value,
    read_parameter_file,
    remap_topic,
    value_text,
)
from dualpose_ros.standalone.errors import StandaloneError

FILE = """
/**:
  ros__parameters:
    threads: 2
camera_node:
  ros__parameters:
    rate: 1e-3
    tracker:
      max_age: 5
      names: [a, b]
/robot:
  top_down_node:
    ros__parameters: {scale: 1.5}
"""


def write(tmp_path: Path, text: Any) -> Any:
    path = tmp_path / "pipeline.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_ros_arguments_are_split_from_the_rest() -> None:
    parsed = parse(
        [
            "prog",
            "--own",
            "1",
            "--ros-args",
            "-r",
            "a:=/b",
            "--remap",
            "n:__node:=m",
            "-p",
            "x:=[1, 2]",
            "--log-level",
            "warn",
            "--log-level",
            "n:=debug",
            "--",
            "rest",
        ]
    )
    assert parsed.others == ("prog", "--own", "1", "rest")
    assert parsed.remaps == (Remap(None, "a", "/b"), Remap("n", "__node", "m"))
    assert [(item.name, item.value) for item in parsed.overrides] == [("x", [1, 2])]
    assert parsed.log_levels == ((None, 30), ("n", 10))
    assert parsed.named("__node", "n") == "m"
    assert parsed.named("__node", "other") is None
    assert parsed.named("__ns", "n") is None


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("image_raw:=/cam", Remap(None, "image_raw", "/cam")),
        ("/image_raw:=cam", Remap(None, "/image_raw", "cam")),
        ("~/debug:=~/other", Remap(None, "~/debug", "~/other")),
        ("rostopic://image_raw:=/cam", Remap(None, "image_raw", "/cam", "rostopic")),
        ("rostopic:///image_raw:=/cam", Remap(None, "/image_raw", "/cam", "rostopic")),
        ("rosservice://reset:=/all/reset", Remap(None, "reset", "/all/reset", "rosservice")),
        ("viewer:rostopic://image_raw:=/cam", Remap("viewer", "image_raw", "/cam", "rostopic")),
        ("viewer:image_raw:=/cam", Remap("viewer", "image_raw", "/cam")),
        ("rostopic:image_raw:=/cam", Remap("rostopic", "image_raw", "/cam")),
        ("{node}/image:=/cam", Remap(None, "{node}/image", "/cam")),
        ("viewer:__ns:=/robot", Remap("viewer", "__ns", "/robot")),
        ("__name:=viewer", Remap(None, "__node", "viewer")),
    ],
)
def test_remap_rules(rule: str, expected: Remap) -> None:
    assert parse(["--ros-args", "-r", rule]).remaps == (expected,)


@pytest.mark.parametrize(
    "rule", ["a:=", ":=b", "a", "a=b", "ros://a:=b", "rosparam://a:=b", "1node:a:=b", "x:y:a:=b", "a b:=c", ":a:=b"]
)
def test_a_rule_that_rcl_would_not_read_is_refused(rule: str) -> None:
    with pytest.raises(StandaloneError, match="remap rule"):
        parse(["--ros-args", "-r", rule])


@pytest.mark.parametrize(
    ("rule", "topics"),
    [
        ("rostopic://image_raw:=/cam", {"image_raw": "/cam", "/robot/image_raw": "/cam", "/image_raw": "/image_raw"}),
        ("rosservice://image_raw:=/cam", {"image_raw": "/robot/image_raw"}),
        ("viewer:rostopic://image_raw:=/cam", {"image_raw": "/cam"}),
        ("other:rostopic://image_raw:=/cam", {"image_raw": "/robot/image_raw"}),
        ("/image_raw:=bar", {"/image_raw": "/robot/bar", "image_raw": "/robot/image_raw"}),
        ("~/debug:=/debug", {"~/debug": "/debug", "/robot/viewer/debug": "/debug", "debug": "/robot/debug"}),
        ("{ns}/{node}/debug:=~/other", {"~/debug": "/robot/viewer/other"}),
    ],
)
def test_what_a_rule_does(rule: str, topics: dict[str, str]) -> None:
    remaps = parse(["--ros-args", "-r", rule]).remaps
    assert {name: remap_topic(name, "/robot", "viewer", remaps) for name in topics} == topics


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-r"], "'-r' lacks its value"),
        (["-r", "a=b"], "remap rule 'a=b'"),
        (["-p", ":=b"], "parameter ':=b'"),
        (["-p", "a:=[1"], "not valid YAML"),
        (["-p", "a:={b: 1}"], "mapping"),
        (["--log-level", "loud"], "'loud'"),
        (["--params", "x"], "unknown ROS argument '--params'"),
        (["--params-file", "/nowhere/x.yaml"], "/nowhere/x.yaml"),
    ],
)
def test_wrong_argument_is_named(arguments: Any, message: Any) -> None:
    with pytest.raises(StandaloneError) as caught:
        parse(["--ros-args", *arguments])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1.0", 1.0),
        ("1e-3", 0.001),
        ("-2E+2", -200.0),
        ("true", True),
        ("a", "a"),
        ("'1'", "1"),
        ("[1.0, 2e3]", [1.0, 2000.0]),
        ("1e", "1e"),
        ("''", ""),
    ],
)
def test_values_have_the_types_that_ros_gives_them(text: Any, value: Any) -> None:
    found = parse_value(text, "x")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "value",
    ["film 😀.mp4", "caf\udce9", "😀\udce9😀", r"a\ud83d\ude00", "1", "1e3", "a: b #c\nü", True, 1e-5, ["1", "2"]],
)
def test_a_value_comes_back_from_a_command_line_as_it_was(value: Any) -> None:
    back = parse_value(value_text(value), "")
    assert back == value and type(back) is type(value)


def test_parameter_file(tmp_path: Path) -> None:
    path = write(tmp_path, FILE)
    rows = {(item.node_pattern, item.name): item.value for item in read_parameter_file(path)}
    assert rows == {
        ("/**", "threads"): 2,
        ("/camera_node", "rate"): 0.001,
        ("/camera_node", "tracker.max_age"): 5,
        ("/camera_node", "tracker.names"): ["a", "b"],
        ("/robot/top_down_node", "scale"): 1.5,
    }
    assert all(item.origin == str(path) for item in read_parameter_file(path))


def test_of_sections_the_later_one_holds(tmp_path: Path) -> None:
    section = "{ros__parameters: {threads: 3}}"
    path = write(tmp_path, f"camera_node: {section}\n/**: {section.replace('3', '2')}\n")
    assert parameter_of(path, "camera_node", "threads", 1) == 2
    path = write(tmp_path, f"/**: {section.replace('3', '2')}\ncamera_node: {section}\n")
    assert parameter_of(path, "camera_node", "threads", 1) == 3
    assert parameter_of(path, "top_down_node", "threads", 1) == 2
    assert parameter_of(path, "top_down_node", "scale", 1) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not valid YAML"),
        ("- 1", "must map"),
        ("camera_node: 5", "'camera_node'"),
        ("camera_node:\n  ros__parameters: 5", "'camera_node'"),
        ("camera_node:\n  rate: 5", "'rate'"),
        ("camera_node:\n  ros__parameters:\n    rate:", "'rate'"),
        (
            "camera_node: {ros__parameters: {a: 1}}\ncamera_node: {ros__parameters: {b: 1}}",
            "'camera_node' is there twice",
        ),
        ("camera_node:\n  ros__parameters:\n    a: 1\n    b: 2\n    a: 3", "'a' is there twice"),
        ("a: {ros__parameters: {b.c: 1, b: {c: 2}}}", "'a' gives two values for 'b.c'"),
    ],
)
def test_wrong_parameter_file_is_refused_in_one_line(tmp_path: Path, text: Any, message: Any) -> None:
    path = write(tmp_path, text)
    with pytest.raises(StandaloneError) as caught:
        read_parameter_file(path)
    assert message in str(caught.value) and str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "node", "matches"),
    [
        ("/**", "/a", True),
        ("/**", "/x/y/a", True),
        ("/a", "/a", True),
        ("/a", "/x/a", False),
        ("/**/a", "/a", True),
        ("/**/a", "/x/y/a", True),
        ("/**/a", "/x/ab", False),
        ("/*/a", "/x/a", True),
        ("/*/a", "/a", False),
        ("/*/a", "/x/y/a", False),
        ("/x/a", "/x/a", True),
        ("**", "/x/a", True),
    ],
)
def test_node_patterns(pattern: Any, node: Any, matches: Any) -> None:
    assert Override(pattern, "p", 1, "f").matches(node) is matches


@pytest.mark.parametrize(
    ("name", "full"),
    [("a", "/robot/a"), ("a/b", "/robot/a/b"), ("/a", "/a"), ("~/a", "/robot/cam/a"), ("~", "/robot/cam")],
)
def test_expansion(name: Any, full: Any) -> None:
    assert expand_topic(name, "/robot", "cam") == full


@pytest.mark.parametrize("name", ["", "a b", "/1a", "a//b", "a/", "a__b", "é"])
def test_bad_topic_names(name: Any) -> None:
    with pytest.raises(StandaloneError, match="not valid"):
        expand_topic(name, "/", "n")


def test_remapping() -> None:
    rules = [
        Remap("other", "image", "/no"),
        Remap(None, "image", "/camera/image"),
        Remap(None, "image", "/late"),
        Remap(None, "~/debug", "debug"),
        Remap(None, "__ns", "/x"),
    ]
    assert remap_topic("image", "/robot", "cam", rules) == "/camera/image"
    assert remap_topic("/robot/image", "/robot", "cam", rules) == "/camera/image"
    assert remap_topic("/image", "/robot", "cam", rules) == "/image"
    assert remap_topic("~/debug", "/robot", "cam", rules) == "/robot/debug"
    assert remap_topic("image", "/", "other", rules) == "/no"
