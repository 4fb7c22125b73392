"""How a node's process ends: by signals at any moment, twice too, and where it can't start."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dualpose_ros.standalone.run_node import END_WITH_PARENT
from support.child_environment import make_environment
from support.data import ROOT

pytest.importorskip("cyclonedds")


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """The executable of `ros2 run` with its arguments, and variables of its environment."""
    env = {**make_environment(), **environment}
    return subprocess.Popen([sys.executable, *arguments], env=env, text=True, stderr=subprocess.PIPE)


def end(process: subprocess.Popen[str], *signals: int) -> tuple[int, str]:
    """Exit code and what the process said, after signals 50 ms apart."""
    for number in signals:
        process.send_signal(number)
        time.sleep(0.05)
    try:
        said = process.communicate(timeout=20)[1]
    finally:
        process.kill()
    return process.returncode, said


@pytest.mark.parametrize("signals", [(signal.SIGINT,) * 2, (signal.SIGTERM,), (signal.SIGINT, signal.SIGTERM)])
def test_a_running_node_ends_cleanly(signals: tuple[int, ...]) -> None:
    process = start(str(ROOT / "scripts" / "refinement_node"))
    assert process.stderr is not None
    line: Any = ""
    while "ready" not in line:
        line = process.stderr.readline()
        assert line, "the node ended early"
    code, said = end(process, *signals)
    assert (code, "Traceback" in said) == (0, False), said


def handles_signals(process: subprocess.Popen[str]) -> bool:
    """Whether the process has a handler of SIGTERM, which Python has none of by itself."""
    text = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    caught = next(line.split()[1] for line in text.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc to see handlers in")
@pytest.mark.parametrize("wait_s", [0.0, 0.6])
def test_a_node_that_starts_ends_cleanly(wait_s: float) -> None:
    """A signal in the midst of imports or of the node's making."""
    process = start(str(ROOT / "scripts" / "refinement_node"))
    while not handles_signals(process):
        time.sleep(0.01)
    time.sleep(wait_s)
    code, said = end(process, signal.SIGINT, signal.SIGINT)
    assert (code, "Traceback" in said) == (0, False), said


@pytest.mark.parametrize(
    "name", sorted({path.name for path in (ROOT / "scripts").iterdir()} - {"dualpose", "check_gpu"})
)
def test_a_signal_while_the_executable_imports_ends_it_cleanly(tmp_path: Path, name: str) -> None:
    slow = tmp_path / "dualpose_ros" / "standalone"
    slow.mkdir(parents=True)
    for package in (slow, slow.parent):
        (package / "__init__.py").touch()
    (slow / "run_node.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(1)")
    script = Path(shutil.copy(ROOT / "scripts" / name, tmp_path))
    code, said = end(start(str(script)))
    assert (code, said) == (0, "")


def test_a_missing_library_is_bad_input(tmp_path: Path) -> None:
    """It would be as missing the next time: exit code 2, with one line."""
    (tmp_path / "needy.py").write_text("import no_such_library\n", encoding="utf-8")
    code, said = end(
        start("-m", "dualpose_ros.standalone.run_node", "needy", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    )
    assert code == 2 and "no_such_library" in said and "Traceback" not in said


def test_a_topic_name_that_ros_refuses_is_bad_input() -> None:
    remap = ("--ros-args", "-r", "camera_info:=no-name")
    code, said = end(start(str(ROOT / "scripts" / "refinement_node"), *remap))
    assert code == 2 and "no-name" in said and "Traceback" not in said


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells a process that its parent has ended")
def test_a_node_of_a_launch_file_ends_with_its_launch() -> None:
    """`ros2 launch` leaves its nodes running where it is ended by SIGTERM or killed."""
    node = [sys.executable, str(ROOT / "scripts" / "refinement_node")]
    launch = f"import subprocess; subprocess.Popen({node!r}).wait()"
    parent = start("-c", launch, **{END_WITH_PARENT: "1"})
    assert parent.stderr is not None
    line: Any = ""
    while "ready" not in line:
        line = parent.stderr.readline()
        assert line, "the node ended early"
    parent.kill()
    # The node holds the other end of the pipe for as long as it lives.
    assert "Traceback" not in parent.communicate(timeout=15)[1]
