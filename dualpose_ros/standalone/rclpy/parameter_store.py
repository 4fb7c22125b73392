"""A node's declared parameters: values from outside, types, ranges, read-only ones, callbacks."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any

from dualpose_ros.standalone.arguments import Override
from dualpose_ros.standalone.messages import Message, message_class
from dualpose_ros.standalone.rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterAlreadyDeclaredException,
    ParameterImmutableException,
    ParameterNotDeclaredException,
    ParameterUninitializedException,
    UnknownParameterError,
)
from dualpose_ros.standalone.rclpy.parameter import Parameter


class ParameterStore:
    """What one node declared; overrides are the values that files and the command line give it."""

    def __init__(self, node: str, overrides: Sequence[Override]) -> None:
        self._node = node
        # ROS 2's order: `/**` first, more exact sections over it, the command line last; later lines win.
        rank = {"/**": 0, "**": 2}
        self._overrides = {
            item.name: item
            for item in sorted(
                (item for item in overrides if item.matches(node)), key=lambda item: rank.get(item.node_pattern, 1)
            )
        }
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

    def declare_overrides(self) -> None:
        """Declare every parameter that a value was given for."""
        for name, item in self._overrides.items():
            self.declare(name, item.value, None, ignore_override=True)

    def undeclare(self, name: str) -> None:
        """Forget a parameter. Errors: not declared; read-only."""
        if name not in self._descriptors:
            raise ParameterNotDeclaredException(name)
        if self._descriptors[name].read_only:
            raise ParameterImmutableException(name)
        tables: tuple[dict[str, Any], ...] = (self._descriptors, self._types, self._parameters)
        for table in tables:
            table.pop(name)

    def names(self, prefix: str) -> list[str]:
        """The declared names that start with `prefix`."""
        return [name for name in self._parameters if name.startswith(prefix)]

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

    def check_unknown(self) -> None:
        """UnknownParameterError where a value was given, for this node by name, that it does not declare."""
        unknown = [
            item for name, item in self._overrides.items() if name not in self._descriptors and not item.is_for_all
        ]
        if not unknown:
            return
        parts = []
        for item in unknown:
            close = difflib.get_close_matches(item.name, self._parameters, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            parts.append(f"{item.name!r} in {item.origin}{hint}")
        raise UnknownParameterError(f"node {self._node} has no parameter {', '.join(parts)}")


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
