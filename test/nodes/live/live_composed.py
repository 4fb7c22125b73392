"""A composed graph of two nodes with a driver outside, for test_composed.py; prints what came out as JSON."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from live_nodes import CAMERA, header, person

from dualpose_ros.nodes.base import RELIABLE
from dualpose_ros.nodes.convert import camera_to_info, poses_to_message, stamp_to_ns

import rclpy  # isort: skip
from diagnostic_msgs.msg import DiagnosticArray  # isort: skip
from rclpy.node import Node  # isort: skip
from sensor_msgs.msg import CameraInfo  # isort: skip
from tf2_msgs.msg import TFMessage  # isort: skip
from visualization_msgs.msg import MarkerArray  # isort: skip

from dualpose_ros.msg import MultiPersonPose3D  # isort: skip


def main() -> None:
    command = [sys.executable, "-m", "dualpose_ros.standalone.run_node", "dualpose_ros.nodes.composed.graph"]
    nodes = ["refinement_node", "visualization_node", "humans_node"]
    graph = subprocess.Popen([*command, *nodes], stderr=subprocess.PIPE, text=True)
    rclpy.init(args=[])
    node, poses, markers = Node("driver"), list[int](), list[Any]()

    def on_poses(message: Any) -> None:
        number = stamp_to_ns(message.header.stamp) // 10_000_000 - 10_000
        if number not in poses:
            poses.append(number)

    node.create_subscription(MultiPersonPose3D, "/humans/poses3d", on_poses, RELIABLE)
    node.create_subscription(MarkerArray, "/humans/markers", markers.append, RELIABLE)
    names, frames = set[str](), set[str]()
    node.create_subscription(
        TFMessage, "/tf", lambda message: frames.update(item.child_frame_id for item in message.transforms), RELIABLE
    )

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

    joints = np.random.default_rng(0).normal((0, 0, 4), 0.5, (17, 3))
    deadline = time.monotonic() + 30
    while not ready() and time.monotonic() < deadline:
        serve(0.05)
    for number in (1, 2, 3, 4):
        stamped = header(number)
        infos.publish(camera_to_info(CAMERA, stamped))
        message = poses_to_message([replace(person(3), joints_cam=joints)], stamped, (64, 48))
        if number == 3:
            message.persons[0].joints[0].x = float("nan")
        fused.publish(message)
        until = time.monotonic() + 5
        while number != 3 and number not in poses and time.monotonic() < until:
            serve(0.02)
        serve(0.1)
    threads = len(os.listdir(f"/proc/{graph.pid}/task")) if Path("/proc").is_dir() else 4
    until = time.monotonic() + 5
    while len(names) < len(nodes) and time.monotonic() < until:
        serve(0.1)
    graph.terminate()
    code = graph.wait(20)
    node.destroy_node()
    rclpy.try_shutdown()
    print(
        json.dumps(
            {
                "poses": poses,
                "markers": len(markers),
                "threads": threads,
                "exit": code,
                "nodes": sorted(names),
                "frames": sorted(frames),
            }
        )
    )


if __name__ == "__main__":
    main()
