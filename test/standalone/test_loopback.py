"""What a process listens on: nothing beyond loopback unless that is asked for."""

import socket
import sys
from typing import Any

import pytest

pytest.importorskip("cyclonedds", reason="cyclonedds is not installed")
if not hasattr(socket, "SO_BINDTODEVICE") or not sys.platform.startswith("linux"):
    pytest.skip("the system can't keep a socket to an interface", allow_module_level=True)

from test_dds import result

from dualpose_ros.standalone.loopback import loopback_alone

NODE = """
import json, os, socket
from pathlib import Path
from dualpose_ros import standalone
standalone.install()
import rclpy
from rclpy.node import Node

rclpy.init(args=[])
node = Node("listener")
node.create_subscription(__import__("std_msgs.msg").msg.String, "a", print, 10)
found = []
for entry in Path("/proc/self/fd").iterdir():
    try:
        item = socket.socket(fileno=os.dup(int(entry.name)))
    except OSError:
        continue
    if item.family in (socket.AF_INET, socket.AF_INET6):
        listens = item.type == socket.SOCK_DGRAM or item.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        device = item.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).strip(b"\\0").decode()
        found.append([item.getsockname()[0], device, bool(listens)])
print(json.dumps(found))
"""


def listening(children: Any, environment: dict[str, str]) -> list[tuple[str, str]]:
    sockets = result(children(["-c", NODE], environment))
    assert sockets
    return [(address, device) for address, device, listens in sockets if listens]


def test_nothing_listens_beyond_loopback(children: Any, domain_environment: dict[str, str]) -> None:
    found = listening(children, domain_environment)
    assert any(address == "0.0.0.0" for address, _ in found), "Cyclone's, which would be heard of by all"
    assert all(address.startswith("127.") or device == "lo" for address, device in found), found


def test_other_machines_are_heard_where_that_is_asked_for(children: Any, domain_environment: dict[str, str]) -> None:
    found = listening(children, {**domain_environment, "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"})
    assert any(address == "0.0.0.0" and device == "" for address, device in found), found


def test_sockets_that_were_there_stay_as_they_are() -> None:
    def device(item: socket.socket) -> bytes:
        return item.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).strip(b"\0")

    with socket.socket(type=socket.SOCK_DGRAM) as before, socket.socket(type=socket.SOCK_DGRAM) as own:
        before.bind(("0.0.0.0", 0))
        with loopback_alone():
            late = socket.socket(type=socket.SOCK_DGRAM)
            late.bind(("0.0.0.0", 0))
            own.bind(("127.0.0.1", 0))
        with late:
            assert (device(before), device(own), device(late)) == (b"", b"", b"lo")
