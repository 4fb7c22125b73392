"""The part of rclpy that this package's nodes use, over Cyclone DDS; same names and signatures, far less of it."""

from collections.abc import Sequence

from dualpose_ros.standalone.rclpy.context import Context
from dualpose_ros.standalone.rclpy.executors import SingleThreadedExecutor
from dualpose_ros.standalone.rclpy.node import Node
from dualpose_ros.standalone.rclpy.signals import (
    SignalHandlerOptions,
    install_signal_handlers,
    uninstall_signal_handlers,
)
from dualpose_ros.standalone.rclpy.utilities import get_default_context, ok, try_shutdown

__all__ = ["init", "ok", "shutdown", "spin", "spin_once", "try_shutdown"]


def init(
    *,
    args: Sequence[str] | None = None,
    context: Context | None = None,
    domain_id: int | None = None,
    signal_handler_options: SignalHandlerOptions | None = None,
) -> None:
    """Start: read the command line (sys.argv where `args` is None), take over SIGINT and SIGTERM.

    Errors: StandaloneError says what is wrong with arguments, environment or installation.
    """
    default = context is None or context is get_default_context()
    (context or get_default_context()).init(args, domain_id=domain_id)
    if signal_handler_options is None:
        signal_handler_options = SignalHandlerOptions.ALL if default else SignalHandlerOptions.NO
    install_signal_handlers(signal_handler_options)


def shutdown(*, context: Context | None = None, uninstall_handlers: bool | None = None) -> None:
    """Stop; RuntimeError where nothing runs (see try_shutdown)."""
    (context or get_default_context()).shutdown()
    if uninstall_handlers or (uninstall_handlers is None and context in (None, get_default_context())):
        uninstall_signal_handlers()


def spin(node: Node, executor: SingleThreadedExecutor | None = None) -> None:
    """Run the node's callbacks until the context is shut down (ExternalShutdownException)."""
    executor = executor or _executor_of(node)
    try:
        executor.add_node(node)
        while executor.context.ok():
            executor.spin_once()
    finally:
        executor.remove_node(node)


def spin_once(node: Node, *, executor: SingleThreadedExecutor | None = None, timeout_sec: float | None = None) -> None:
    """Run one callback of the node; without a time limit (seconds) wait for it for ever."""
    executor = executor or _executor_of(node)
    try:
        executor.add_node(node)
        executor.spin_once(timeout_sec=timeout_sec)
    finally:
        executor.remove_node(node)


def _executor_of(node: Node) -> SingleThreadedExecutor:
    """The node's own executor, so that repeated spin_once calls keep its wait set and turns."""
    if node.own_executor is None:
        node.own_executor = SingleThreadedExecutor(context=node.context)
    executor: SingleThreadedExecutor = node.own_executor
    return executor
