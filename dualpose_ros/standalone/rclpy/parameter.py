"""rclpy.parameter: typed values, and those that a node declared: from outside, in their ranges, with callbacks."""

from __future__ import annotations

import array
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any

from dualpose_ros.standalone.arguments import Override, in_force
from dualpose_ros.standalone.messages import Message, message_class
from dualpose_ros.standalone.rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterAlreadyDeclaredException,
    ParameterNotDeclaredException,
    ParameterUninitializedException,
)

_SCALARS: tuple[tuple[type, int], ...] = ((bool, 1), (int, 2), (float, 3), (str, 4))
_ARRAYS: tuple[tuple[type, int], ...] = ((bytes, 5), (bool, 6), (int, 7), (float, 8), (str, 9))
_FIELDS = {
    1: "bool_value",
    2: "integer_value",
    3: "double_value",
    4: "string_value",
    5: "byte_array_value",
    6: "bool_array_value",
    7: "integer_array_value",
    8: "double_array_value",
    9: "string_array_value",
}


class Parameter:
    """A name, a type and a value of that type."""

    class Type(IntEnum):
        """The types that a parameter may have."""

        NOT_SET = 0
        BOOL = 1
        INTEGER = 2
        DOUBLE = 3
        STRING = 4
        BYTE_ARRAY = 5
        BOOL_ARRAY = 6
        INTEGER_ARRAY = 7
        DOUBLE_ARRAY = 8
        STRING_ARRAY = 9

        @classmethod
        def from_parameter_value(cls, parameter_value: Any) -> Parameter.Type:
            """The type of a Python value. TypeError where no parameter can hold it."""
            if parameter_value is None:
                return cls.NOT_SET
            for kind, number in _SCALARS:
                if isinstance(parameter_value, kind):
                    return cls(number)
            if isinstance(parameter_value, list | tuple | array.array):
                for kind, number in _ARRAYS:
                    if all(isinstance(item, kind) for item in parameter_value):
                        return cls(number)
                raise TypeError("The given value is not a list of one of the allowed types")
            raise TypeError(f"The given value is not one of the allowed types: {parameter_value!r}")

        def check(self, parameter_value: Any) -> bool:
            """Whether a value is of this type; an empty list is of every array type."""
            if isinstance(parameter_value, list | tuple | array.array) and not len(parameter_value):
                return self >= Parameter.Type.BYTE_ARRAY
            return Parameter.Type.from_parameter_value(parameter_value) == self

    def __init__(self, name: str, type_: Parameter.Type | None = None, value: Any = None) -> None:
        """Make a parameter; without a type, it is the value's. ValueError where value and type disagree."""
        kind = Parameter.Type.from_parameter_value(value) if type_ is None else Parameter.Type(type_)
        if not kind.check(value):
            raise ValueError(f"Type '{kind}' and value '{value}' do not agree")
        self._name, self._type, self._value = name, kind, value

    @property
    def name(self) -> str:
        """The name, parts joined by points."""
        return self._name

    @property
    def type_(self) -> Parameter.Type:
        """The type."""
        return self._type

    @property
    def value(self) -> Any:
        """The value; None where it is not set."""
        return self._value

    def get_parameter_value(self) -> Message:
        """The value as rcl_interfaces/ParameterValue."""
        message = message_class("rcl_interfaces/msg/ParameterValue")(type=int(self._type))
        if self._type != Parameter.Type.NOT_SET:
            setattr(message, _FIELDS[self._type], self._value)
        return message

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parameter) and (self._name, self._type, self._value) == (
            other._name,
            other._type,
            other._value,
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Parameter(name={self._name!r}, type_={self._type.name}, value={self._value!r})"


class ParameterStore:
    """What one node declared; overrides are the values that files and the command line give it."""

    def __init__(self, node: str, overrides: Sequence[Override]) -> None:
        self._node = node
        self._overrides = in_force(overrides, node)
        self._parameters: dict[str, Parameter] = {}
        self._descriptors: dict[str, Any] = {}
        self._types: dict[str, Parameter.Type] = {}
        self.callbacks: list[Callable[[list[Parameter]], Any]] = []

    def declare(self, name: str, value: Any, descriptor: Any, ignore_override: bool) -> Parameter:
        """Declare a parameter; `value` is its default, or a Parameter.Type for one without.

        Errors: those of rclpy: declared twice, wrong type, out of range, refused by the node.
        """
        if name in self._descriptors:
            raise ParameterAlreadyDeclaredException(name)
        descriptor = descriptor or message_class("rcl_interfaces/msg/ParameterDescriptor")()
        kind = value if isinstance(value, Parameter.Type) else Parameter.Type.from_parameter_value(value)
        default = None if isinstance(value, Parameter.Type) else value
        override = None if ignore_override else self._overrides.get(name)
        parameter = Parameter(name, value=default if override is None else override.value)
        if kind != Parameter.Type.NOT_SET and parameter.value is not None and not descriptor.dynamic_typing:
            if not kind.check(parameter.value):
                where = f" (value from {override.origin})" if override else ""
                raise InvalidParameterTypeException(parameter, f"{kind.name}{where}")
            parameter = Parameter(name, kind, parameter.value)
        reason = _range_error(parameter, descriptor) or self._refusal([parameter])
        if reason:
            raise InvalidParameterValueException(name, parameter.value, reason)
        self._descriptors[name], self._types[name], self._parameters[name] = descriptor, kind, parameter
        return parameter

    def has(self, name: str) -> bool:
        """Whether the parameter is declared."""
        return name in self._parameters

    def get(self, name: str) -> Parameter:
        """A declared parameter. Errors: not declared; declared by type alone and not set."""
        if name not in self._parameters:
            raise ParameterNotDeclaredException(name)
        parameter = self._parameters[name]
        if parameter.type_ == Parameter.Type.NOT_SET and self._types[name] != Parameter.Type.NOT_SET:
            raise ParameterUninitializedException(name)
        return parameter

    def set(self, parameter: Parameter) -> Message:
        """Change a declared parameter; the SetParametersResult says whether and why not."""
        if parameter.name not in self._parameters:
            raise ParameterNotDeclaredException(parameter.name)
        descriptor, kind = self._descriptors[parameter.name], self._types[parameter.name]
        wrong_type = kind not in (parameter.type_, Parameter.Type.NOT_SET) and not descriptor.dynamic_typing
        reason = (
            f"Parameter {parameter.name} is read-only"
            if descriptor.read_only
            else f"Wrong parameter type, expected '{kind.name}' got '{parameter.type_.name}'"
            if wrong_type
            else _range_error(parameter, descriptor) or self._refusal([parameter])
        )
        if not reason:
            self._parameters[parameter.name] = parameter
        return message_class("rcl_interfaces/msg/SetParametersResult")(successful=not reason, reason=reason)

    def _refusal(self, parameters: list[Parameter]) -> str:
        for callback in self.callbacks:
            result = callback(parameters)
            if not result.successful:
                return result.reason or "refused by the node"
        return ""


def _range_error(parameter: Parameter, descriptor: Any) -> str:
    """Why a value is outside of its descriptor's range, or an empty string."""
    kind = parameter.type_
    ranges = {Parameter.Type.INTEGER: descriptor.integer_range, Parameter.Type.DOUBLE: descriptor.floating_point_range}
    for limits in ranges.get(kind, ()):
        value, low, high, step = parameter.value, limits.from_value, limits.to_value, limits.step
        if not low <= value <= high:
            return f"{value} is not in the range {low}..{high}"
        if step and abs((value - low) / step - round((value - low) / step)) > 1e-8 and value != high:
            return f"{value} is not a valid step of {step} from {low}"
    return ""
