"""What one message field accepts, holds and puts on the wire, by the rules of ROS 2's generated Python classes.

A wrong value fails at the assignment, with AssertionError, as with ROS 2: a node that works here works there.
"""

from __future__ import annotations

import array
import math
from collections import UserList
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

_INTEGERS = {
    "int8": "b",
    "uint8": "B",
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "char": "B",
}
_FLOATS = {"float32": "f", "float64": "d"}
_TYPECODES = _INTEGERS | _FLOATS
_FLOAT32_MAX = 3.402823466e38
_CLASSES: dict[str, type] = {"bool": bool, "string": str, "float64": float}
"""Scalars that any value of a class is."""


@dataclass(frozen=True)
class Codec:
    """One field: its default, the check on assignment, and the conversions to and from rosbags' CDR values.

    holds, where there is one, says whether `accept` takes a value as it is. to_wire and from_wire are None where the
    held value is already what rosbags expects.
    """

    ros_type: str
    default: Callable[[], Any]
    accept: Callable[[str, Any], Any]
    to_wire: Callable[[Any], Any] | None = None
    from_wire: Callable[[Any], Any] | None = None
    holds: Callable[[Any], bool] | None = None


def integer_range(base: str) -> tuple[int, int]:
    """The smallest and largest value of a ROS integer type."""
    info = np.iinfo(np.dtype(_INTEGERS[base]))
    return int(info.min), int(info.max)


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence | Set | UserList) and not isinstance(value, str)


def _require(condition: bool, name: str, expected: str, value: Any) -> None:
    if not condition:
        raise AssertionError(f"field {name!r} must be {expected}, not {type(value).__name__} {str(value)[:60]!r}")


def _scalar_check(base: str) -> Callable[[Any], bool]:
    if base in _CLASSES:
        cls = _CLASSES[base]
        return lambda value: isinstance(value, cls)
    if base == "byte":
        return lambda value: isinstance(value, bytes | bytearray) and len(value) == 1
    if base == "float32":
        return lambda value: (
            isinstance(value, float) and (-_FLOAT32_MAX <= value <= _FLOAT32_MAX or not math.isfinite(value))
        )
    low, high = integer_range(base)
    return lambda value: isinstance(value, int) and low <= value <= high


_EXPECTED = {
    "bool": "a bool",
    "byte": "bytes of length 1",
    "string": "a str",
    "float32": "a float in float32's range",
    "float64": "a float",
}


def _expected(base: str) -> str:
    if base in _EXPECTED:
        return _EXPECTED[base]
    low, high = integer_range(base)
    return f"an int in {low}..{high}"


def _accepts(cls: type | None, check: Callable[[Any], bool], expected: str) -> Callable[[str, Any], Any]:
    def checked(name: str, value: Any) -> Any:
        if not check(value):
            _require(False, name, expected, value)
        return value

    def of_class(name: str, value: Any) -> Any:
        if not isinstance(value, cls):  # type: ignore[arg-type]
            _require(False, name, expected, value)
        return value

    # Most fields of most messages are of a class: one call less.
    return checked if cls is None else of_class


def scalar(base: str, default: Any = None) -> Codec:
    """The codec of one number, bool, byte or string."""
    if base not in _EXPECTED and base not in _INTEGERS:
        raise AssertionError(f"ROS type {base!r} is not supported without ROS 2")
    check, expected = _scalar_check(base), _expected(base)
    zero: Any = {"bool": False, "byte": b"\0", "string": ""}.get(base, 0.0 if base in _FLOATS else 0)
    start = zero if default is None else default
    accept = _accepts(_CLASSES.get(base), check, expected)
    if base == "byte":
        # rosbags reads and writes this type as signed.
        return Codec(
            base, lambda: start, accept, lambda value: (value[0] ^ 128) - 128, lambda value: bytes((value & 255,))
        )
    return Codec(base, lambda: start, accept, holds=check)


def nested(ros_type: str, cls: type) -> Codec:
    """The codec of a message inside a message."""

    def holds(value: Any) -> bool:
        return isinstance(value, cls)

    def accept(name: str, value: Any) -> Any:
        if not isinstance(value, cls):
            _require(False, name, f"a {ros_type}", value)
        return value

    return Codec(ros_type, cls, accept, holds=holds)


def number_sequence(base: str, bound: int) -> Codec:
    """The codec of a variable-length sequence of numbers: held as array.array, as ROS 2 does."""
    typecode, check = _TYPECODES[base], _scalar_check(base)
    dtype = np.dtype(typecode)
    expected = f"array.array({typecode!r}) or a list of {base}" + (f", at most {bound} long" if bound else "")

    def accept(name: str, value: Any) -> array.array[Any]:
        if isinstance(value, array.array):
            _require(value.typecode == typecode and (not bound or len(value) <= bound), name, expected, value)
            return value
        _require(_is_sequence(value) and (not bound or len(value) <= bound), name, expected, value)
        if not isinstance(value, bytes | bytearray):
            _require(all(map(check, value)), name, expected, value)
        return array.array(typecode, value)

    def from_wire(value: np.ndarray) -> array.array[Any]:
        held = array.array(typecode)
        held.frombytes(np.ascontiguousarray(value).data.cast("B"))
        return held

    return Codec(
        f"sequence<{base}>",
        lambda: array.array(typecode),
        accept,
        lambda value: np.frombuffer(value, dtype) if len(value) else np.empty(0, dtype),
        from_wire,
    )


def number_array(base: str, length: int) -> Codec:
    """The codec of a fixed-length array of numbers: held as a NumPy array, as ROS 2 does."""
    dtype, check = np.dtype(_TYPECODES[base]), _scalar_check(base)
    expected = f"an ndarray of {dtype} or a list of {base}, {length} long"

    def accept(name: str, value: Any) -> np.ndarray:
        if isinstance(value, np.ndarray):
            _require(value.dtype == dtype and value.size == length, name, expected, value)
            return value
        _require(_is_sequence(value) and len(value) == length and all(map(check, value)), name, expected, value)
        return np.array(list(value), dtype)

    return Codec(
        f"{base}[{length}]",
        lambda: np.zeros(length, dtype),
        accept,
        lambda value: np.ascontiguousarray(value).reshape(length),
        lambda value: value.astype(dtype),
    )


def list_of(item: Codec, length: int, fixed: bool) -> Codec:
    """The codec of a list of strings, bools, bytes or messages; length 0 is unbounded."""

    def accept(name: str, value: Any) -> Any:
        size_ok = _is_sequence(value) and (len(value) == length if fixed else not length or len(value) <= length)
        _require(size_ok, name, f"a sequence of {item.ros_type}" + (f", {length} long" if length else ""), value)
        if item.holds is None or not all(map(item.holds, value)):
            for index, element in enumerate(value):
                item.accept(f"{name}[{index}]", element)
        return value

    def default() -> list[Any]:
        return [item.default() for _ in range(length)] if fixed else []

    suffix = f"{item.ros_type}[{length}]" if fixed else f"sequence<{item.ros_type}>"
    if item.ros_type == "bool":
        return Codec(suffix, default, accept, lambda value: np.array(list(value), np.bool_), np.ndarray.tolist)
    if item.ros_type == "byte":
        return Codec(
            suffix,
            default,
            accept,
            lambda value: np.frombuffer(b"".join(value), np.int8),
            lambda value: [bytes((int(element) & 255,)) for element in value],
        )
    return Codec(suffix, default, accept)
