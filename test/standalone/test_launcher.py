"""The launcher: separate processes, restarts, limits, clean stops, what the nodes cost."""

import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("cyclonedds", reason="cyclonedds is not installed")

from dualpose_ros.standalone.errors import StandaloneError
from dualpose_ros.standalone.launcher import Launcher, NodeSpec
from dualpose_ros.standalone.process import BAD_INPUT, NodeProcess, RestartPolicy

HERE = Path(__file__).resolve().parent
QUICK = RestartPolicy(limit=2, first_pause_s=0.1, longest_pause_s=0.2)


def spec(name: Any, **parameters: Any) -> Any:
    return NodeSpec(name, "launcher_node", parameters)


def wait_for(launcher: Any, condition: Any, limit_s: Any = 20.0) -> Any:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        states = {state.name: state for state in launcher.poll()}
        if condition(states):
            return states
        time.sleep(0.05)
    raise AssertionError(f"not within {limit_s} s: {states}")


@pytest.fixture
def launch(domain_environment: Any) -> Iterator[Any]:
    """Start a launcher on the given nodes; its output is `launcher.text`."""
    launchers = []

    def start(*specs: Any, **options: Any) -> Any:
        output = io.StringIO()
        options = {"restart": QUICK, **options}
        launcher: Any = Launcher(specs, environment=domain_environment, output=output, **options)
        launcher.text = output.getvalue
        launchers.append(launcher)
        launcher.start()
        return launcher

    yield start
    for launcher in launchers:
        launcher.stop()


def beats(launcher: Any, environment: Any, name: Any, seconds: Any = 10.0) -> Any:
    """The process id in the next beat of a node, as a process of its own hears it."""
    code = (
        "from dualpose_ros import standalone; standalone.install()\n"
        "import rclpy, sys, time\nfrom std_msgs.msg import String\nfrom rclpy.node import Node\n"
        "rclpy.init(); node = Node('ear'); heard = []\n"
        "node.create_subscription(String, 'beat', lambda m: heard.append(m.data), 10)\n"
        f"end = time.monotonic() + {seconds}\n"
        f"while time.monotonic() < end and not any(h.startswith({name!r} + ' ') for h in heard):\n"
        "    rclpy.spin_once(node, timeout_sec=0.1)\n"
        f"print([h.split()[1] for h in heard if h.startswith({name!r} + ' ')][0])\n"
        "node.destroy_node(); rclpy.shutdown()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("how", ["deadlock", "loop"])
def test_a_node_that_hangs_is_killed_and_started_again(launch: Any, how: str) -> None:
    launcher = launch(spec("well"), spec("hung", behave=how), restart=RestartPolicy(hung_s=1.0))
    states = wait_for(launcher, lambda states: states["hung"].restarts)
    text = launcher.text()
    assert text.count("[hung] hung: it served nothing for ") == 1 and "s and was killed; restarted in 0.1 s" in text
    assert states["well"].restarts == 0


def test_a_node_that_takes_long_to_start_does_not_hang(launch: Any) -> None:
    launcher = launch(spec("one", behave="slow"), restart=RestartPolicy(hung_s=1.0))
    wait_for(launcher, lambda states: "started" in launcher.text())
    assert launcher.states()[0].restarts == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what threads wait for")
def test_who_is_stopped_or_waits_for_a_processor_is_not_silent() -> None:
    ours, theirs = socket.socketpair()
    code = "import os, sys, time\nos.write(0, b'.')\nsys.stdin.readline()\nwhile True:\n    pass"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=theirs.fileno())
    theirs.close()
    process = NodeProcess(child, ours)

    def silent_s(seconds: float) -> float:
        before, end = process.silent_s, time.monotonic() + seconds
        while time.monotonic() < end:
            process.sample()
            time.sleep(0.02)
        return process.silent_s - before

    try:
        ours.setblocking(True)
        assert ours.recv(1, socket.MSG_PEEK) == b"."
        silent_s(0.1)
        assert silent_s(0.5) > 0.4
        os.kill(child.pid, signal.SIGSTOP)
        silent_s(0.1)
        assert silent_s(0.5) == 0
        os.kill(child.pid, signal.SIGCONT)
        ours.send(b"\n")
        silent_s(0.2)
        cpu_s, share = process.cpu_s, silent_s(0.5)
        assert share == pytest.approx(process.cpu_s - cpu_s, abs=0.03) and share > 0
    finally:
        child.kill()
        child.wait()
        ours.close()


def test_killed_node_returns_and_others_live_on(launch: Any, domain_environment: Any) -> None:
    launcher = launch(spec("alpha"), spec("beta"))
    first = wait_for(launcher, lambda states: launcher.text().count("started") == 2)
    assert len({state.pid for state in first.values()}) == 2
    assert beats(launcher, domain_environment, "alpha") == first["alpha"].pid
    os.kill(first["alpha"].pid, signal.SIGKILL)
    wait_for(launcher, lambda states: launcher.text().count("started") == 3)
    after = wait_for(launcher, lambda states: states["alpha"].restarts == 1 and states["alpha"].pid is not None)
    assert after["alpha"].pid != first["alpha"].pid and after["alpha"].status == "running"
    assert (after["beta"].pid, after["beta"].restarts) == (first["beta"].pid, 0)
    assert beats(launcher, domain_environment, "alpha") == after["alpha"].pid
    assert "[alpha] died of SIGKILL; restarted in 0.1 s" in launcher.text()
    usage = {row.name: row for row in launcher.usage()}
    assert usage["alpha"].pids == (first["alpha"].pid, after["alpha"].pid) and usage["alpha"].pid == after["alpha"].pid
    launcher.stop()
    assert {state.status for state in launcher.states()} == {"finished"}
    assert not any(psutil.pid_exists(pid) for row in usage.values() for pid in row.pids)
    assert launcher.text().count("clean end") == 2


def test_every_line_bears_the_name(launch: Any) -> None:
    launcher = launch(spec("a"), spec("longer"))
    wait_for(launcher, lambda states: launcher.text().count("started") == 2)
    launcher.stop()
    lines = launcher.text().splitlines()
    assert lines and all(line.startswith(("[a]      ", "[longer] ")) for line in lines)
    assert any(line.startswith("[a]      [INFO]") and "threads 1" in line for line in lines)


def test_what_a_node_does_is_read_some_times_a_second_however_often_the_launcher_is_polled(
    launch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = launch(spec("a"), spec("b"))
    wait_for(launcher, lambda states: launcher.text().count("started") == 2)
    looked: list[float] = []
    monkeypatch.setattr(NodeProcess, "goes_on", lambda self: looked.append(time.monotonic()))
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        launcher.poll()
        time.sleep(0.01)
    assert 2 <= len(looked) <= 2 * 6


def test_crashing_node_is_given_up_after_the_limit(launch: Any) -> None:
    launcher = launch(spec("good"), spec("bad", behave="crash"))
    states = wait_for(launcher, lambda states: states["bad"].status == "failed")
    assert (states["bad"].restarts, states["bad"].returncode, states["bad"].pid) == (2, 1, None)
    assert states["good"].status == "running"
    assert launcher.text().count("RuntimeError: as told") == 3
    assert "not restarted" in launcher.text()


def test_finished_node_is_not_restarted(launch: Any) -> None:
    launcher = launch(spec("once", behave="finish"))
    states = wait_for(launcher, lambda states: states["once"].status == "finished")
    assert (states["once"].restarts, states["once"].returncode) == (0, 0)


def test_deaf_node_is_killed_by_the_deadline(launch: Any) -> None:
    launcher = launch(spec("deaf", behave="ignore"), stop_deadlines_s=(0.3, 0.3))
    states = wait_for(launcher, lambda states: "deaf\n" in launcher.text())
    start = time.monotonic()
    launcher.stop()
    assert time.monotonic() - start < 3
    assert not psutil.pid_exists(states["deaf"].pid)
    assert launcher.states()[0].returncode == -signal.SIGKILL


def test_bad_input_fails_at_once(launch: Any, tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text("bad:\n  ros__parameters: {behave: 3}\n", encoding="utf-8")
    launcher = launch(spec("bad"), params_file=path)
    states = wait_for(launcher, lambda states: states["bad"].status == "failed")
    assert (states["bad"].returncode, states["bad"].restarts) == (2, 0)
    wait_for(launcher, lambda states: "behave" in launcher.text())
    assert "Traceback" not in launcher.text()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (NodeSpec("n", "launcher_node", {"behave": 3}), "behave"),
        (NodeSpec("n", "launcher_node", {}, {"beat": "no good"}), "no good"),
    ],
)
def test_bad_parameter_or_remap_is_one_line(launch: Any, bad: Any, said: Any) -> None:
    launcher = launch(bad)
    states = wait_for(launcher, lambda states: states["n"].status == "failed")
    assert states["n"].returncode == 2
    # A run looks for a node's last words as soon as it has failed.
    assert said in launcher.text() and "Traceback" not in launcher.text()


def test_missing_module_is_a_failure(launch: Any) -> None:
    launcher = launch(NodeSpec("n", "no_such_module_here"))
    wait_for(launcher, lambda states: states["n"].status == "failed")
    assert "no_such_module_here" in launcher.text()


def test_usage_counts_processor_time_and_memory(launch: Any) -> None:
    launcher = launch(spec("worker", burn_s=1.5), spec("idle"))
    wait_for(launcher, lambda states: launcher.text().count("started") == 2)

    def lead() -> Any:
        costs = {row.name: row.cpu_s for row in launcher.usage()}
        return costs["worker"] - costs["idle"]

    wait_for(launcher, lambda states: lead() > 1.0)
    running = {row.name: row for row in launcher.usage()}
    launcher.stop()
    rows = {row.name: row for row in launcher.usage()}
    assert rows["worker"].cpu_s >= running["worker"].cpu_s
    assert rows["worker"].cpu_s > rows["idle"].cpu_s + 0.8
    assert all(20 < row.max_rss_mb < 500 for row in rows.values())


def test_node_parameters_remaps_and_namespace_reach_the_node(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("/**/cam:\n  ros__parameters: {z: 3}\n", encoding="utf-8")
    launcher = Launcher([], namespace="/robot", params_file=path, log_level="debug")
    command = launcher.command(NodeSpec("cam", "m", {"a": "1", "b": [1.0, 2.0], "c": True}, {"x": "/y"}, ("--own",)))
    assert command[1:4] == ["-m", "dualpose_ros.standalone.run_node", "m"]
    from dualpose_ros.standalone.arguments import parse

    parsed = parse(command[4:])
    assert parsed.others == ("--own",)
    assert {item.name: item.value for item in parsed.overrides} == {"z": 3, "a": "1", "b": [1.0, 2.0], "c": True}
    assert (parsed.named("__node", "z"), parsed.named("__ns", "z")) == ("cam", "/robot")
    assert [(rule.source, rule.target) for rule in parsed.remaps if rule.source == "x"] == [("x", "/y")]


RUNNER = """
import sys
from dualpose_ros.standalone.launcher import Launcher, NodeSpec
print("go", flush=True)
sys.exit(Launcher([NodeSpec("a", "launcher_node"), NodeSpec("b", "launcher_node")]).run())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_the_whole_graph(children: Any, domain_environment: Any, number: Any) -> None:
    process = children(["-c", RUNNER], domain_environment)
    nodes = _nodes_of(process)
    process.send_signal(number)
    _, err = process.communicate(timeout=15)
    assert process.returncode == 0, err
    assert err.count("clean end") == 2
    assert not any(psutil.pid_exists(pid) for pid in nodes)


def test_nodes_end_with_a_launcher_that_was_killed(children: Any, domain_environment: Any) -> None:
    process = children(["-c", RUNNER], domain_environment)
    nodes = _nodes_of(process)
    process.kill()
    end = time.monotonic() + 10
    while time.monotonic() < end and any(map(_runs, nodes)):
        time.sleep(0.05)
    assert not any(map(_runs, nodes))


def _runs(pid: int) -> bool:
    """Whether a process still runs; one that has ended may wait for init to take notice."""
    try:
        return psutil.Process(pid).status() != "zombie"
    except psutil.NoSuchProcess:
        return False


def _nodes_of(process: Any) -> Any:
    """The process ids of the two nodes, once both run."""
    seen = 0
    while seen < 2:
        line = process.stderr.readline()
        assert line, "the launcher ended early"
        seen += "started" in line
    return [child.pid for child in psutil.Process(process.pid).children()]


def test_run_returns_the_code_of_a_failed_node(domain_environment: Any) -> None:
    launcher = Launcher(
        [NodeSpec("n", "launcher_node", {"behave": 3})], environment=domain_environment, output=io.StringIO()
    )
    assert launcher.run() == 2
    launcher = Launcher(
        [spec("n", behave="crash")],
        environment=domain_environment,
        output=io.StringIO(),
        restart=RestartPolicy(limit=0),
    )
    assert launcher.run() == 1
    launcher = Launcher([spec("n", behave="finish")], environment=domain_environment, output=io.StringIO())
    assert launcher.run() == 0


def test_back_off_triples_up_to_a_longest_pause() -> None:
    policy = RestartPolicy(first_pause_s=0.5, longest_pause_s=3.0)
    assert [policy.pause(deaths) for deaths in range(1, 6)] == [0.5, 1.5, 3.0, 3.0, 3.0]


def test_who_is_started_again() -> None:
    policy = RestartPolicy(limit=2, first_pause_s=0.5, forgive_s=30)
    assert policy.after_death(1, 3.0, 0) == (1, 0.5)
    assert policy.after_death(-9, 3.0, 1) == (2, 1.5)
    assert policy.after_death(1, 3.0, 2) == (3, None)
    assert policy.after_death(1, 31.0, 2) == (1, 0.5), "what it did well counts"
    assert policy.after_death(BAD_INPUT, 31.0, 0) == (1, None)


def test_section_that_misses_the_namespace_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text("a:\n  ros__parameters: {behave: well}\n", encoding="utf-8")
    Launcher([spec("a"), spec("b")], params_file=path)
    with pytest.raises(StandaloneError, match=r"'/robot/a'.*'/\*\*/a'"):
        Launcher([spec("a")], params_file=path, namespace="robot")
    path.write_text("/**/a:\n  ros__parameters: {behave: well}\n", encoding="utf-8")
    Launcher([spec("a")], params_file=path, namespace="robot")


def test_two_nodes_of_one_name_are_refused() -> None:
    with pytest.raises(StandaloneError, match="same name"):
        Launcher([spec("a"), spec("a")])
