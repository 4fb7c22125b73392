"""rclpy.utilities: the default context."""

from dualpose_ros.standalone.rclpy.context import Context

_default = Context()


def get_default_context() -> Context:
    """The context that is used where none is named."""
    return _default


def ok(*, context: Context | None = None) -> bool:
    """Whether a context runs."""
    return (context or _default).ok()


def try_shutdown(*, context: Context | None = None) -> None:
    """Stop a context, if it runs."""
    (context or _default).try_shutdown()
