"""Declared parameters: values from outside, types, ranges, read-only ones, unknown ones."""

from pathlib import Path
from typing import Any

import pytest

from dualpose_ros.standalone.arguments import parse
from dualpose_ros.standalone.messages import message_class
from dualpose_ros.standalone.rclpy import exceptions
from dualpose_ros.standalone.rclpy.parameter import Parameter, ParameterStore

Descriptor = message_class("rcl_interfaces/msg/ParameterDescriptor")
Result = message_class("rcl_interfaces/msg/SetParametersResult")


def store(*values: Any, node: Any = "/camera_node", file: Any = None) -> Any:
    arguments = ["--ros-args", *(["--params-file", str(file)] if file else [])]
    for value in values:
        arguments += ["-p", value]
    return ParameterStore(node, parse(arguments).overrides)


@pytest.fixture
def file(tmp_path: Path) -> Any:
    path = tmp_path / "pipeline.yaml"
    path.write_text(
        "/**:\n  ros__parameters: {shared: 1, foreign: 3}\n"
        "camera_node:\n  ros__parameters: {shared: 2, rate: 5.0, raet: 1.0}\n"
        "detection_node:\n  ros__parameters: {threshold: 0.5}\n",
        encoding="utf-8",
    )
    return path


def test_default_then_file_then_command_line(file: Any) -> None:
    assert store().declare("rate", 1.0, None, False).value == 1.0
    assert store(file=file).declare("rate", 1.0, None, False).value == 5.0
    assert store("rate:=7.0", file=file).declare("rate", 1.0, None, False).value == 7.0
    assert store("rate:=7.0").declare("rate", 1.0, None, True).value == 1.0
    assert store(file=file).declare("shared", 0, None, False).value == 2
    assert store(file=file, node="/other").declare("shared", 0, None, False).value == 1


def test_values_for_one_node_by_prefix() -> None:
    assert store("camera_node:rate:=2.0").declare("rate", 1.0, None, False).value == 2.0
    assert store("detection_node:rate:=2.0").declare("rate", 1.0, None, False).value == 1.0


@pytest.mark.parametrize(
    ("default", "given"), [(1.0, "1"), (1, "1.0"), ("a", "1"), (True, "1"), (["a"], "[1]"), (1, "a"), ([1.0], "[1, 2]")]
)
def test_wrong_type_is_refused(default: Any, given: Any) -> None:
    parameters = store(f"x:={given}")
    with pytest.raises(exceptions.InvalidParameterTypeException, match=r"'x'.*command line"):
        parameters.declare("x", default, None, False)


def test_mixed_list_is_refused() -> None:
    with pytest.raises(TypeError, match="list"):
        store("x:=[1, a]").declare("x", [1], None, False)


def test_undeclared_twice_and_without_value() -> None:
    parameters = store()
    with pytest.raises(exceptions.ParameterNotDeclaredException, match="rate"):
        parameters.get("rate")
    parameters.declare("rate", Parameter.Type.DOUBLE, None, False)
    with pytest.raises(exceptions.ParameterUninitializedException, match="rate"):
        parameters.get("rate")
    with pytest.raises(exceptions.ParameterAlreadyDeclaredException, match="rate"):
        parameters.declare("rate", 1.0, None, False)
    parameters.declare("anything", None, None, False)
    assert parameters.get("anything").value is None


def test_ranges() -> None:
    number = Descriptor(
        floating_point_range=[
            message_class("rcl_interfaces/msg/FloatingPointRange")(from_value=0.0, to_value=1.0, step=0.25)
        ]
    )
    whole = Descriptor(
        integer_range=[message_class("rcl_interfaces/msg/IntegerRange")(from_value=1, to_value=9, step=2)]
    )
    parameters = store("bad:=1.5", "steps:=0.3")
    assert parameters.declare("x", 0.5, number, False).value == 0.5
    for name in ("bad", "steps"):
        with pytest.raises(exceptions.InvalidParameterValueException, match=name):
            parameters.declare(name, 0.5, number, False)
    assert parameters.declare("n", 3, whole, False).value == 3
    assert not parameters.set(Parameter("n", value=4)).successful
    assert not parameters.set(Parameter("n", value=11)).successful
    assert parameters.set(Parameter("n", value=9)).successful
    assert parameters.get("n").value == 9


def test_setting() -> None:
    parameters = store()
    parameters.declare("fixed", 1, Descriptor(read_only=True), False)
    parameters.declare("free", 1, Descriptor(dynamic_typing=True), False)
    parameters.declare("n", 1, None, False)
    assert "read-only" in parameters.set(Parameter("fixed", value=2)).reason
    assert "type" in parameters.set(Parameter("n", value="a")).reason
    assert parameters.set(Parameter("free", value="a")).successful
    asked = []

    def refuse(changed: Any) -> Any:
        asked.append(changed)
        return Result(successful=False, reason="no")

    parameters.callbacks.append(refuse)
    assert parameters.set(Parameter("n", value=5)).reason == "no"
    assert (asked[0][0].value, parameters.get("n").value) == (5, 1)
    with pytest.raises(exceptions.ParameterNotDeclaredException):
        parameters.set(Parameter("nothing", value=1))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "BOOL"),
        (1, "INTEGER"),
        (1.0, "DOUBLE"),
        ("a", "STRING"),
        ([True], "BOOL_ARRAY"),
        ([1, 2], "INTEGER_ARRAY"),
        ((1.0,), "DOUBLE_ARRAY"),
        (["a"], "STRING_ARRAY"),
        (None, "NOT_SET"),
    ],
)
def test_types_of_values(value: Any, kind: Any) -> None:
    parameter = Parameter("p", value=value)
    assert parameter.type_.name == kind
    message: Any = parameter.get_parameter_value()
    assert message.type == int(parameter.type_)


def test_type_and_value_must_agree() -> None:
    with pytest.raises(ValueError, match="do not agree"):
        Parameter("p", Parameter.Type.INTEGER, 1.0)
    with pytest.raises(TypeError, match="allowed types"):
        Parameter("p", value={"a": 1})
