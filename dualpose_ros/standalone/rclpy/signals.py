"""rclpy.signals: SIGINT and SIGTERM end the default context."""

import signal
import threading
from enum import IntEnum
from types import FrameType
from typing import Any

from dualpose_ros.standalone.rclpy.utilities import get_default_context


class SignalHandlerOptions(IntEnum):
    """Which signals rclpy.init takes over."""

    NO = 0
    SIGINT = 1
    SIGTERM = 2
    ALL = 3


_previous: dict[int, Any] = {}


def _handle(number: int, frame: FrameType | None) -> None:
    context = get_default_context()
    if context.ok():
        context.stop()
    previous = _previous.get(number)
    if callable(previous):
        previous(number, frame)


def install_signal_handlers(options: SignalHandlerOptions = SignalHandlerOptions.ALL) -> None:
    """Take over the signals: they end spin with ExternalShutdownException, after what handled them before: Python's
    own handler of SIGINT raises KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        return
    for name in ("SIGINT", "SIGTERM"):
        number = getattr(signal, name)
        if options & SignalHandlerOptions[name] and number not in _previous:
            _previous[number] = signal.signal(number, _handle)


def uninstall_signal_handlers() -> None:
    """Give the signals back to what handled them before."""
    if threading.current_thread() is not threading.main_thread():
        return
    while _previous:
        number, handler = _previous.popitem()
        signal.signal(number, handler if handler is not None else signal.SIG_DFL)
