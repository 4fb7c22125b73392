"""A composed graph of two nodes with a driver outside, for test_composed.py; prints what came out as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from live_nodes import CAMERA, header, person

from dualpose_ros.nodes.base import RELIABLE
from dualpose_ros.nodes.convert import camera_to_info, poses_to_message, stamp_to_ns

import rclpy  # isort: skip
from diagnostic_msgs.msg import DiagnosticArray  # isort: skip
from rclpy.node import Node  # isort: skip
from sensor_msgs.msg import CameraInfo  # isort: skip
from visualization_msgs.msg import MarkerArray  # isort: skip

from dualpose_ros.msg import MultiPersonPose3D  # isort: skip


def main() -> None:
    command = [sys.executable, "-m", "dualpose_ros.standalone.run_node", "dualpose_ros.nodes.composed.graph"]
    graph = subprocess.Popen([*command, "refinement_node", "visualization_node"], stderr=subprocess.PIPE, text=True)
    rclpy.init(args=[])
    node, poses, markers = Node("driver"), list[int](), list[Any]()

    def on_poses(message: Any) -> None:
        number = stamp_to_ns(message.header.stamp) // 10_000_000 - 10_000
        if number not in poses:
            poses.append(number)

    node.create_subscription(MultiPersonPose3D, "/humans/poses3d", on_poses, RELIABLE)
    node.create_subscription(MarkerArray, "/humans/markers", markers.append, RELIABLE)
    names = set[str]()

    def on_diagnostics(message: Any) -> None:
        names.update(status.name.partition(":")[0] for status in message.status)

    node.create_subscription(DiagnosticArray, "/diagnostics", on_diagnostics, 10)
    fused = node.create_publisher(MultiPersonPose3D, "/dualpose/fused/poses3d", RELIABLE)
    infos = node.create_publisher(CameraInfo, "/camera_info", RELIABLE)

    def serve(seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            rclpy.spin_once(node, timeout_sec=left)

    def ready() -> bool:
        return all(one.get_subscription_count() for one in (fused, infos))

    deadline = time.monotonic() + 30
    while not ready() and time.monotonic() < deadline:
        serve(0.05)
    for number in (1, 2, 3, 4):
        stamped = header(number)
        infos.publish(camera_to_info(CAMERA, stamped))
        message = poses_to_message([person(3)], stamped, (64, 48))
        if number == 3:
            message.persons[0].joints[0].x = float("nan")
        fused.publish(message)
        until = time.monotonic() + 5
        while number != 3 and number not in poses and time.monotonic() < until:
            serve(0.02)
        serve(0.1)
    threads = len(os.listdir(f"/proc/{graph.pid}/task")) if Path("/proc").is_dir() else 4
    until = time.monotonic() + 5
    while len(names) < 2 and time.monotonic() < until:
        serve(0.1)
    graph.terminate()
    code = graph.wait(20)
    node.destroy_node()
    rclpy.try_shutdown()
    print(
        json.dumps({"poses": poses, "markers": len(markers), "threads": threads, "exit": code, "nodes": sorted(names)})
    )


if __name__ == "__main__":
    main()
