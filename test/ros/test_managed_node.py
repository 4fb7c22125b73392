"""A node under a real ROS 2, by its command line: states, parameters that change, and signals."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("launch_testing", reason="no ROS 2 is sourced")
if shutil.which("ros2") is None:
    pytest.skip("no ROS 2 is sourced: its ros2 is needed", allow_module_level=True)

NODE = "/refinement_node"
# A parameter under /** that is another package's, and one of rclpy's own, are none of the node's business.
SHARED = "/**:\n  ros__parameters: {robot_name: spot, start_type_description_service: true}\n"
ENVIRONMENT = {**os.environ, "ROS_DOMAIN_ID": str(1 + os.getpid() % 100), "PYTHONUNBUFFERED": "1"}


def ros2(*words: str) -> str:
    """What a `ros2` command says."""
    done = subprocess.run(
        ["ros2", *words, "--no-daemon", "--spin-time", "5"], env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )
    return done.stdout + done.stderr


@pytest.fixture
def node(tmp_path: Any) -> Iterator[subprocess.Popen[str]]:
    """The refinement node, which needs no network, waiting to be configured."""
    shared = tmp_path / "shared.yaml"
    shared.write_text(SHARED)
    words = ["-p", "autostart:=false", "--params-file", str(shared)]
    process = subprocess.Popen(
        ["ros2", "run", "dualpose_ros", NODE[1:], "--ros-args", *words],
        env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    said: Any = ""
    while "waits to be configured" not in said:
        said = process.stderr.readline()
        assert said, "the node ended early"
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_states_and_parameters(node: Any) -> None:
    assert "unconfigured" in ros2("lifecycle", "get", NODE)
    for transition, state in (("configure", "inactive"), ("activate", "active"), ("deactivate", "inactive"),
                              ("activate", "active")):  # fmt: skip
        assert "successful" in ros2("lifecycle", "set", NODE, transition)
        assert state in ros2("lifecycle", "get", NODE)
    assert "successful" in ros2("param", "set", NODE, "max_coast_s", "1.5")
    assert "1.5" in ros2("param", "get", NODE, "max_coast_s")
    assert "successful" not in ros2("param", "set", NODE, "max_coast_s", "50.0")
    assert "successful" not in ros2("param", "set", NODE, "window_frames", "8"), "it is read-only"
    described = ros2("param", "describe", NODE, "max_coast_s")
    assert "predicted" in described and "Max value: 5" in described


def test_two_signals_end_it_cleanly(node: Any) -> None:
    for _ in range(2):
        os.killpg(node.pid, signal.SIGINT)
    _, said = node.communicate(timeout=20)
    assert "Traceback" not in said, said
