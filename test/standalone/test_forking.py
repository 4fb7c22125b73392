"""Nodes forked by a process that has imported what they need: whole processes of the launcher, or else begun anew."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("cyclonedds", reason="cyclonedds is not installed")

from dualpose_ros.standalone.launcher import Launcher, NodeSpec, NodeState
from dualpose_ros.standalone.process import RestartPolicy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nodes are forked on Linux alone")


@pytest.fixture
def launched(
    domain_environment: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., tuple[Launcher, io.StringIO]]]:
    launchers = []

    def start(*names: str, import_ahead: tuple[str, ...] = (), **parameters: Any) -> tuple[Launcher, io.StringIO]:
        path = os.pathsep.join([domain_environment["PYTHONPATH"], str(tmp_path)])
        output = io.StringIO()
        launcher = Launcher(
            [NodeSpec(name, "launcher_node", parameters) for name in names],
            environment={**domain_environment, "PYTHONPATH": path},
            restart=RestartPolicy(first_pause_s=0.1),
            output=output,
            import_ahead=import_ahead,
        )
        launchers.append(launcher)
        launcher.start()
        return launcher, output

    yield start
    for launcher in launchers:
        launcher.stop()


def wait(launcher: Launcher, until: Callable[[dict[str, NodeState]], bool]) -> dict[str, NodeState]:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        states = {state.name: state for state in launcher.poll()}
        if until(states):
            return states
        time.sleep(0.02)
    raise AssertionError(states)


def run(launcher: Launcher, output: io.StringIO, starts: int = 1) -> dict[str, NodeState]:
    return wait(launcher, lambda states: output.getvalue().count("started") == starts and
                all(state.pid for state in states.values()))  # fmt: skip


def parent_of(launcher: Launcher) -> psutil.Process | None:
    found = [child for child in psutil.Process().children() if "dualpose_ros.standalone.forking" in child.cmdline()]
    return found[0] if found else None


def test_a_forked_node_is_a_process_of_its_own_and_the_launchers(launched: Any) -> None:
    launcher, output = launched("one", "two")
    states = run(launcher, output, 2)
    parent = parent_of(launcher)
    assert parent is not None and parent.num_threads() == 1
    for state in states.values():
        node = psutil.Process(state.pid)
        assert node.ppid() == os.getpid() and os.getsid(node.pid) == node.pid == os.getpgid(node.pid)
        assert node.name() == "launcher_node"
        words = [word.strip() for word in node.cmdline()]
        assert words[1:4] == ["-m", "dualpose_ros.standalone.run_node", "launcher_node"]
        assert f"__node:={state.name}" in words
    launcher.stop()
    assert not parent.is_running() and not any(psutil.pid_exists(state.pid or 0) for state in states.values())


def test_a_killed_node_is_forked_again_at_once(launched: Any) -> None:
    launcher, output = launched("one")
    before = run(launcher, output)["one"]
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    after = run(launcher, output, 2)["one"]
    assert (after.restarts, after.pid != before.pid) == (1, True)
    usage = launcher.usage()[0]
    # What was imported ahead is not counted, and not done again.
    assert usage.cpu_s < 1.0 and usage.pids == (before.pid, after.pid)


def test_what_has_threads_is_not_forked(launched: Any, tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text(
        "import os, threading, time\n"
        "if 'forking' in open('/proc/self/cmdline').read():\n"
        "    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    launcher, output = launched("one", import_ahead=("busy",))
    state = run(launcher, output)["one"]
    assert psutil.Process(state.pid).name().startswith("python") and parent_of(launcher) is None


def test_nodes_start_though_their_parent_was_killed(launched: Any) -> None:
    launcher, output = launched("one")
    before = run(launcher, output)["one"]
    parent = parent_of(launcher)
    assert parent is not None
    parent.kill()
    parent.wait(5)
    assert before.pid is not None and psutil.pid_exists(before.pid)
    os.kill(before.pid, signal.SIGKILL)
    after = run(launcher, output, 2)["one"]
    assert after.restarts == 1 and psutil.Process(after.pid).name().startswith("python")


def test_a_stopped_node_is_told_to_go_on(launched: Any) -> None:
    launcher, output = launched("one")
    pid = run(launcher, output)["one"].pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    wait(launcher, lambda states: "was stopped by a signal; told to go on" in output.getvalue())
    assert psutil.Process(pid).status() != "stopped" and launcher.states()[0].restarts == 0


def test_what_nodes_import_has_no_thread(domain_environment: dict[str, str]) -> None:
    code = (
        "import os, sys\n"
        "from dualpose_ros.runs.session import IMPORT_AHEAD, GraphOptions, node_specs\n"
        "from dualpose_ros.standalone import forking\n"
        "from pathlib import Path\n"
        "specs = node_specs(GraphOptions(Path('x'), {}))\n"
        "forking._import_ahead([*(spec.module for spec in specs), *IMPORT_AHEAD])\n"
        "missing = {spec.module for spec in specs} - set(sys.modules)\n"
        "telling = [name for name in sys.modules if 'telemetry' in name and 'openvino' in name]\n"
        "print(len(os.listdir('/proc/self/task')), missing, telling, os.environ['ORT_DISABLE_TELEMETRY'],\n"
        "      'onnxruntime' in sys.modules, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=domain_environment, capture_output=True, text=True)
    assert done.stdout.split("\n")[0] == "1 set() [] 1 True False", done.stderr
