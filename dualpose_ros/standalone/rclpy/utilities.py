"""rclpy.utilities: the default context and the command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dualpose_ros.standalone import arguments
from dualpose_ros.standalone.rclpy.context import Context

_default = Context()


def get_default_context() -> Context:
    """The context that is used where none is named."""
    return _default


def ok(*, context: Context | None = None) -> bool:
    """Whether a context runs."""
    return (context or _default).ok()


def shutdown(*, context: Context | None = None) -> None:
    """Stop a context. RuntimeError where it does not run."""
    (context or _default).shutdown()


def try_shutdown(*, context: Context | None = None) -> None:
    """Stop a context, if it runs."""
    (context or _default).try_shutdown()


def remove_ros_args(args: Sequence[str] | None = None) -> list[str]:
    """The command line (sys.argv where None) without its ROS arguments."""
    return list(arguments.parse(sys.argv if args is None else args).others)
