"""Parameters out of dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from dualpose_ros.nodes.parameters import (
    ParameterError,
    build_config,
    check_known,
    coerce,
    parameter_fields,
    to_parameter,
)


@dataclass(frozen=True)
class Inner:
    """Inner settings."""

    gain: float = 0.5
    steps: int = 3

    def __post_init__(self) -> None:
        if self.gain < 0:
            raise ValueError("gain must not be negative")


@dataclass(frozen=True)
class Outer:
    """Outer settings."""

    name: str = field(default="x", metadata={"help": "what it is called"})
    flag: bool = False
    classes: tuple[str, ...] = ("person",)
    inner: Inner = field(default_factory=lambda: Inner(gain=0.9))


def test_fields_with_nested_ones() -> None:
    fields = {f.name: f for f in parameter_fields(Outer)}
    assert list(fields) == ["name", "flag", "classes", "inner.gain", "inner.steps"]
    assert fields["inner.gain"].default == 0.9
    assert fields["name"].help == "what it is called"
    assert fields["inner.steps"].help == "Inner settings."


def test_build_from_defaults_gives_the_default() -> None:
    values = {f.name: f.default for f in parameter_fields(Outer)}
    assert build_config(Outer, values) == Outer()
    assert build_config(Outer, {**values, "inner.steps": 8}).inner == Inner(0.9, 8)


def test_refused_values_name_the_group() -> None:
    values = {f.name: f.default for f in parameter_fields(Outer)}
    with pytest.raises(ParameterError, match="inner: gain must not be negative"):
        build_config(Outer, {**values, "inner.gain": -1.0})


@pytest.mark.parametrize(
    ("value", "hint", "result"),
    [(3, float, 3.0), (3.5, float, 3.5), (True, bool, True), (3, int, 3), ("a", str, "a"),
     (["a", "b"], tuple[str, ...], ("a", "b")), ([1, 2], tuple[float, ...], (1.0, 2.0)), ([], tuple[str, ...], ()),
     ([1, 2], tuple[int, int], (1, 2))],
)  # fmt: skip
def test_accepted(value: object, hint: object, result: object) -> None:
    coerced = coerce("p", value, hint)
    assert coerced == result and type(coerced) is type(result)


@pytest.mark.parametrize(
    ("value", "hint", "says"),
    [(3.5, int, "p is 3.5; a whole number"), ("3", int, "whole number"), (True, int, "whole number"),
     (True, float, "a number"), (1, bool, "true or false"), (5, str, "a text"), ("ab", tuple[str, ...], "a list"),
     ([1], tuple[str, ...], "a text"), ([1, 2, 3], tuple[int, int], "3 values; 2"), (None, float, "a number")],
)  # fmt: skip
def test_refused(value: object, hint: object, says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        coerce("p", value, hint)


def test_unknown_names() -> None:
    check_known(["a"], ["a", "b"])
    with pytest.raises(ParameterError, match="unknown parameter c; known are a, b"):
        check_known(["a", "c"], ["b", "a"])


def test_tuples_are_lists_for_ros() -> None:
    assert to_parameter(("a",)) == ["a"] and to_parameter(3) == 3
