"""The exceptions of rclpy that nodes may meet."""

from typing import Any


class NotInitializedException(Exception):
    """rclpy.init() has not been called."""


class InvalidHandle(RuntimeError):
    """Something that was destroyed is used."""


class NameValidationException(Exception):
    """A name that ROS 2 refuses."""

    def __init__(self, name_type: str, name: str, error_msg: str, invalid_index: int) -> None:
        super().__init__(f"Invalid {name_type}: {error_msg}:\n  '{name}'\n   {' ' * invalid_index}^")


class InvalidTopicNameException(NameValidationException):
    """A topic name that ROS 2 refuses."""

    def __init__(self, name: str, error_msg: str, invalid_index: int) -> None:
        super().__init__("topic name", name, error_msg, invalid_index)


class ParameterException(Exception):
    """Base of the parameter errors; `parameters` are the names."""

    def __init__(self, error_msg: str, parameters: Any, *args: Any) -> None:
        super().__init__(error_msg, parameters, *args)
        self._error_msg = error_msg
        self._parameters = parameters

    def __str__(self) -> str:
        return f"{self._error_msg}: {self._parameters}"


class ParameterNotDeclaredException(ParameterException):
    """A parameter was asked for or set before it was declared."""

    def __init__(self, parameters: Any, *args: Any) -> None:
        super().__init__("Invalid access to undeclared parameter(s)", parameters, *args)


class ParameterAlreadyDeclaredException(ParameterException):
    """A parameter was declared twice."""

    def __init__(self, parameters: Any, *args: Any) -> None:
        super().__init__("Parameter(s) already declared", parameters, *args)


class ParameterUninitializedException(ParameterException):
    """A parameter declared by type alone was read before it was given a value."""

    def __init__(self, parameter_name: str, *args: Any) -> None:
        super().__init__("Parameter is not initialized", parameter_name, *args)


class InvalidParameterTypeException(ParameterException):
    """A value of another type than the parameter was declared with."""

    def __init__(self, parameter: Any, expected_type: Any) -> None:
        super().__init__(
            f"Trying to set parameter '{parameter.name}' to '{parameter.value}' of type '{parameter.type_.name}', "
            f"expecting type '{expected_type}'",
            parameter.name,
        )


class InvalidParameterValueException(ParameterException):
    """A value outside of the declared range, or one that the node refused."""

    def __init__(self, parameter: str, value: Any, reason: str = "") -> None:
        super().__init__(f"Invalid parameter value ({value}) for parameter. Reason: '{reason}'", parameter)
