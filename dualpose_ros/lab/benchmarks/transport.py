"""What messages cost on their way: between two processes over DDS, and handed over within one."""

import json
import os
import random
import subprocess
import sys
import time
from typing import Any

import numpy as np
from scipy.stats import trim_mean

from dualpose_ros.inference.cpu import keep_memory
from dualpose_ros.lab.benchmarks.stopwatch import machine
from dualpose_ros.lab.evaluation.report import Outcome, Rows, evaluation

_RATE_HZ, _WARM_UP = 40.0, 10
_MATCH_S = 15.0


@evaluation("transport")
def bench_transport(repeats: int) -> Outcome:
    """Milliseconds from sender to callback, and of both processors, for each kind of message."""
    rows: Rows = []
    where = machine()
    for kind in ("image", "heatmaps", "poses"):
        environment = {**os.environ, "ROS_DOMAIN_ID": str(random.SystemRandom().randint(1, 101))}
        command = [sys.executable, "-m", __name__, kind, str(repeats)]
        taker = subprocess.Popen([*command, "take"], env=environment, stdout=subprocess.PIPE, text=True)
        sender = subprocess.run([*command, "send"], env=environment, stdout=subprocess.PIPE, text=True, check=True)
        said, _ = taker.communicate(timeout=60)
        sent, took = json.loads(sender.stdout), json.loads(said)
        waits = 1000 * np.array(took["waits_s"])
        low, middle, high = np.percentile(waits, [25, 50, 75]) if len(waits) else (np.nan,) * 3
        rows.append({"message": kind, "bytes": sent["bytes"], "came": len(waits), "of": repeats,
                     "ms": round(float(middle), 2), "quartiles": f"{low:.2f}..{high:.2f}",
                     "sender_cpu_ms": round(sent["cpu_ms"], 2), "taker_cpu_ms": round(took["cpu_ms"], 2),
                     "within_a_process_ms": round(sent["local_ms"], 4)})  # fmt: skip
    return {"messages": rows, "machine": where}, []


def _message(kind: str, header: Any) -> Any:
    """A message as the graph has it: an image of 640 x 480, heatmaps of it, poses of four people."""
    from dualpose_ros.heatmap import Heatmaps, combined_grid
    from dualpose_ros.nodes import convert, image_codec
    from dualpose_ros.people import Pose3D, Source, TrackingState
    from dualpose_ros.skeleton import H36M17

    rng, joints = np.random.default_rng(0), H36M17.num_joints
    if kind == "image":
        return image_codec.encode_image(rng.integers(0, 256, (480, 640, 3), dtype=np.uint8), header)
    if kind == "heatmaps":
        (rows, columns), to_image = combined_grid((480, 640))
        data = rng.integers(0, 256, (joints, rows, columns), dtype=np.uint8)
        return convert.heatmaps_to_message(Heatmaps(H36M17.joint_names, data, to_image, 1 / 255), header)
    place = np.array([0.0, 0.0, 4.0])
    poses = [
        Pose3D(n, TrackingState.CONFIRMED, Source.FUSED, 0.9, np.array([1.0, 2.0, 30.0, 40.0]),
               rng.normal(size=(joints, 3)) + place, rng.random(joints), rng.random(joints), rng.random((joints, 2)))
        for n in range(4)
    ]  # fmt: skip
    return convert.poses_to_message(poses, header, (640, 480))


def _local_ms(message: Any, repeats: int) -> float:
    """Milliseconds of the processor to hand a message to a subscription of the same process, without waking it."""
    from dualpose_ros.nodes.composed.bus import Bus

    class Node:
        def create_guard_condition(self, callback: Any) -> Any:
            self.serve = callback
            return self

        def trigger(self) -> None:
            pass

    class Nobody:
        def get_subscription_count(self) -> int:
            return 0

    node, bus = Node(), Bus()
    bus.subscribe(node, type(message), "/x", lambda one: None, 5)
    publisher, took = bus.publisher("/x", Nobody()), []
    for _ in range(repeats):
        started = time.thread_time()
        publisher.publish(message)
        node.serve()
        took.append(1000 * (time.thread_time() - started))
    return float(trim_mean(took, 0.05))


def main(kind: str, count: str, role: str) -> None:
    """One of the two processes: send messages, or take them; prints what it measured as JSON."""
    import dualpose_ros.nodes  # noqa: F401  puts rclpy, or what stands for it, in place

    import rclpy  # isort: skip
    from rclpy.qos import QoSProfile  # isort: skip
    from std_msgs.msg import Header  # isort: skip

    keep_memory()  # as nodes do: the first touch of pages would be two thirds of what an image costs who takes it
    rclpy.init(args=[])
    node, repeats = rclpy.node.Node(f"bench_{role}"), int(count)
    message, waits, marks = _message(kind, Header(frame_id="camera")), list[float](), list[float]()
    deadline = time.monotonic() + _MATCH_S
    if role == "take":

        def receive(came: Any) -> None:
            stamp = came.header.stamp
            waits.append(time.time() - stamp.sec - stamp.nanosec * 1e-9)
            marks.append(time.process_time())

        node.create_subscription(type(message), "bench", receive, QoSProfile(depth=5))
        while len(waits) < repeats + _WARM_UP and time.monotonic() < deadline + (repeats + _WARM_UP) / _RATE_HZ:
            rclpy.spin_once(node, timeout_sec=0.5)
        counted = marks[_WARM_UP:] or [0.0]
        cpu_ms = 1000 * (counted[-1] - counted[0]) / max(len(counted) - 1, 1)
        print(json.dumps({"waits_s": waits[_WARM_UP:], "cpu_ms": cpu_ms}))
    else:
        publisher = node.create_publisher(type(message), "bench", QoSProfile(depth=5))
        while not publisher.get_subscription_count() and time.monotonic() < deadline:
            time.sleep(0.05)
        started = 0.0
        for n in range(repeats + _WARM_UP):
            started = time.process_time() if n == _WARM_UP else started
            now = time.time_ns()
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(now, 1_000_000_000)
            publisher.publish(message)
            time.sleep(1 / _RATE_HZ)
        cpu_ms, size = 1000 * (time.process_time() - started) / repeats, len(_bytes_of(message))
        print(json.dumps({"cpu_ms": cpu_ms, "bytes": size, "local_ms": _local_ms(message, repeats)}))
    node.destroy_node()
    rclpy.try_shutdown()


def _bytes_of(message: Any) -> bytes:
    import rclpy.serialization

    return bytes(rclpy.serialization.serialize_message(message))


if __name__ == "__main__":
    main(*sys.argv[1:])
