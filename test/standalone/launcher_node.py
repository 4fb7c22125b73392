"""A node for the launcher's tests: publishes a counter, and can misbehave as its parameters say."""

import os
import signal
import threading
import time

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from std_msgs.msg import String


class LauncherNode(Node):
    def __init__(self) -> None:
        super().__init__("launcher_node")
        self.behave = self.declare_parameter("behave", "well").value
        self.burn_s = self.declare_parameter("burn_s", 0.0).value
        self.publisher = self.create_publisher(String, "beat", 10)
        self.create_timer(0.05, self.beat)
        if self.behave == "slow":
            time.sleep(4)
        self.beats = 0

    def beat(self) -> None:
        if self.beats == 0:
            self.get_logger().info(f"started, threads {os.environ.get('OMP_NUM_THREADS')}")
        self.beats += 1
        end = time.process_time() + self.burn_s
        self.burn_s = 0.0
        while time.process_time() < end:
            pass
        self.publisher.publish(String(data=f"{self.get_name()} {os.getpid()}"))
        while self.behave == "loop" and self.beats == 3:
            pass
        if self.behave == "deadlock" and self.beats == 3:
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()
        if self.behave == "crash":
            raise RuntimeError("as told")
        if self.behave == "finish":
            raise KeyboardInterrupt


def main() -> None:
    rclpy.init()
    node = LauncherNode()
    if node.behave == "ignore":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("deaf", flush=True)
        time.sleep(60)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    print("clean end", flush=True)


if __name__ == "__main__":
    main()
