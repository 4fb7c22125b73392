"""The arguments of a launch file: said once, and read strictly, before anything is started."""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any

from launch.actions import DeclareLaunchArgument
from launch.launch_context import LaunchContext
from launch.logging import get_logger
from launch.substitutions import LaunchConfiguration

from dualpose_ros.paths import PACKAGE

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
PUSHED = "ros_namespace"
_OF_LAUNCH = (PUSHED, "launch-prefix", "launch-prefix-filter", "emulate_tty", "sigterm_timeout", "sigkill_timeout")


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


def read(arguments: Sequence[Argument], context: LaunchContext, launch_file: str) -> dict[str, Any]:
    """The values, each of its argument's type, and the namespace that a launch file which includes ours has pushed
    (PUSHED). RuntimeError for the first that is wrong or that `launch_file` lacks.

    Where another launch file includes ours, its own arguments are among those that are given: one that is all but
    the name of one of ours is warned of alone.
    """
    names = [argument.name for argument in arguments]
    if _is_started(Path(launch_file), sys.argv):
        for name in _unknown((word.partition(":=")[0] for word in context.argv), names):
            nearest = get_close_matches(name, names)
            what = f"did you mean {' or '.join(nearest)}?" if nearest else f"it has {', '.join(sorted(names))}"
            raise RuntimeError(f"{name}:= is no argument of {Path(launch_file).name}: {what}")
    for name in _unknown(context.launch_configurations, names):
        for near in get_close_matches(name, names, n=1, cutoff=0.8):
            get_logger("launch.user").warning(f"{Path(launch_file).name} has {near} and takes no notice of {name}")
    values = {
        argument.name: argument.parse(LaunchConfiguration(argument.name).perform(context)) for argument in arguments
    }
    return {**values, PUSHED: context.launch_configurations.get(PUSHED, "")}


def _unknown(given: Iterable[str], names: Sequence[str]) -> list[str]:
    return [name for name in given if name not in (*names, *_OF_LAUNCH)]


def _is_started(launch_file: Path, command: Sequence[str]) -> bool:
    """Whether `ros2 launch` was given this very file, by its package or by its path."""
    return (PACKAGE, launch_file.name) in pairwise(command) or any(
        word.endswith(launch_file.name) and os.path.isfile(word) and launch_file.samefile(word) for word in command
    )
