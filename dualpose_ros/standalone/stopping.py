"""Signals as a wish to stop: of a command for a while, of a node from its first line to its last, with a real rclpy and
with ours."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from dualpose_ros.errors import Stopped

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a command in good order: Ctrl-C, `kill`, a terminal that is closed."""

STOPPED = "stopped by a signal"
_SIGNALS = STOP_SIGNALS[:2]
_told = threading.Event()


@contextmanager
def stop_signals(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Have STOP_SIGNALS call `handler` for a while, but SIGHUP where `nohup` has it ignored.

    Does nothing outside the main thread, which alone can have handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    taken = [n for n in STOP_SIGNALS if n != signal.SIGHUP or before[n] != signal.SIG_IGN]
    for number in taken:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])


def take_over() -> None:
    """Take note of both signals and do nothing else; before rclpy.init, whose own handlers call these and then wake
    its executors.

    Without it Python raises KeyboardInterrupt wherever it happens to be: in an import, in a callback, and with the
    second SIGINT (a terminal's Ctrl-C reaches a node by itself and by its launcher) while the node is destroyed.
    """
    _handle(_note)


def leave_at_once() -> None:
    """End the process at either signal, with exit code 0: while it imports, for nothing is there to be closed."""
    _handle(lambda number, frame: os._exit(0))


def leave_command(number: int, frame: FrameType | None) -> None:
    """Handler that ends a command while it imports: nothing is there to be closed, and an exception would surface
    wherever an import happens to be, or in none that shows it."""
    os.write(2, f"dualpose: {STOPPED}\n".encode())
    os._exit(Stopped.exit_code)


def told() -> bool:
    """Whether somebody asked the process to stop."""
    return _told.is_set()


def ignore() -> None:
    """Let no signal disturb the rest of the process's end: as the interpreter goes, one would kill it."""
    _handle(signal.SIG_IGN)


def _note(number: int, frame: FrameType | None) -> None:
    _told.set()


def _handle(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            signal.signal(number, handler)
