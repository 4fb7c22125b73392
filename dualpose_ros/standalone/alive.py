"""Signs of life: a node tells the launcher, over the socket that is its standard input, that it serves."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator

_PERIOD_S = 0.5
# A callback that takes longer keeps all executors of the process from telling that they serve.
_LONG_S = 2.0

_launcher: socket.socket | None = None
_busy_since: dict[int, float] = {}
_next = 0.0


def begin() -> None:
    """Tell from now on; nobody where standard input is no socket."""
    global _launcher
    with contextlib.suppress(OSError):
        _launcher = socket.socket(fileno=os.dup(0))


def beat() -> None:
    """Tell that this thread's executor serves, unless another's is still in a callback from long ago."""
    global _next
    now = time.monotonic()
    if _launcher is None or now < _next or any(now - since > _LONG_S for since in list(_busy_since.values())):
        return
    _next = now + _PERIOD_S
    with contextlib.suppress(OSError):
        _launcher.send(b".", socket.MSG_DONTWAIT)


@contextlib.contextmanager
def working() -> Iterator[None]:
    """While this thread's executor is in a callback."""
    thread = threading.get_ident()
    _busy_since[thread] = time.monotonic()
    try:
        yield
    finally:
        _busy_since.pop(thread, None)
