"""UDP sockets that take nothing but what comes over the loopback interface, whatever address they are bound to."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

_OPEN_FILES = Path("/proc/self/fd")
_EVERY_ADDRESS = "0.0.0.0"


@contextlib.contextmanager
def loopback_alone() -> Iterator[None]:
    """Keep the UDP sockets that are bound to every address within the `with` to the loopback interface.

    Cyclone DDS binds what it receives with to every address, whichever interface its configuration names. Nothing is
    kept from other interfaces where the system has no SO_BINDTODEVICE for everybody (Linux has since 5.7).
    """
    before = _udp_sockets()
    yield
    for number, inode in _udp_sockets().items():
        if before.get(number) == inode:
            continue
        # Of a copy of the descriptor, which Python may close: the socket is the same.
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as item:
            if item.getsockname()[0] == _EVERY_ADDRESS:
                item.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")


def _udp_sockets() -> dict[int, str]:
    """The process's IPv4 UDP sockets: descriptors, and what names the socket for as long as it lives."""
    found = {}
    if hasattr(socket, "SO_BINDTODEVICE") and _OPEN_FILES.is_dir():
        for entry in _OPEN_FILES.iterdir():
            with contextlib.suppress(OSError, ValueError):
                name = os.readlink(entry)
                if name.startswith("socket:"):
                    with socket.socket(fileno=os.dup(int(entry.name))) as item:
                        if (item.family, item.type) == (socket.AF_INET, socket.SOCK_DGRAM):
                            found[int(entry.name)] = name
    return found
