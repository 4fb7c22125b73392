"""The arguments of a launch file: said once, and read strictly, before anything is started."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from launch.actions import DeclareLaunchArgument
from launch.launch_context import LaunchContext
from launch.substitutions import LaunchConfiguration

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True)
class Argument:
    """One argument: `name:=value` of `ros2 launch`. The type of `default` is its own; `choices` are of texts."""

    name: str
    default: str | bool | float
    text: str
    choices: tuple[str, ...] = ()

    def parse(self, given: str) -> str | bool | float:
        """The value that a text means. RuntimeError names the argument, what was given and what may be."""
        word = given.strip().lower()
        if isinstance(self.default, bool):
            if word not in (*_TRUE, *_FALSE):
                raise RuntimeError(f"{self.name}:={given} is neither true nor false")
            return word in _TRUE
        if isinstance(self.default, float):
            try:
                return float(word)
            except ValueError:
                raise RuntimeError(f"{self.name}:={given} is no number") from None
        if self.choices and word not in self.choices:
            raise RuntimeError(f"{self.name}:={given} is none of {', '.join(self.choices)}")
        return word if self.choices else given


def declare(arguments: Sequence[Argument]) -> list[DeclareLaunchArgument]:
    """What makes `ros2 launch --show-args` list them."""
    return [
        DeclareLaunchArgument(
            argument.name,
            default_value=_text(argument.default),
            description=argument.text + (f" ({', '.join(argument.choices)})" if argument.choices else ""),
        )
        for argument in arguments
    ]


def _text(default: str | bool | float) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


def read(arguments: Sequence[Argument], context: LaunchContext) -> dict[str, Any]:
    """The values, each of its argument's type. RuntimeError for the first that is wrong."""
    return {
        argument.name: argument.parse(LaunchConfiguration(argument.name).perform(context)) for argument in arguments
    }
