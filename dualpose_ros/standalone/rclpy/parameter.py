"""rclpy.parameter: typed parameter values."""

from __future__ import annotations

import array
from enum import IntEnum
from typing import Any

from dualpose_ros.standalone.messages import Message, message_class

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
