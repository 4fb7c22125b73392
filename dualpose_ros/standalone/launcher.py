"""Start the nodes as processes of their own, restart those that die, stop them all; with no ROS 2 installed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from dualpose_ros.standalone.arguments import misspelt_sections, read_parameter_file, value_text
from dualpose_ros.standalone.errors import StandaloneError
from dualpose_ros.standalone.forking import ForkedProcess, ForkServer
from dualpose_ros.standalone.process import BAD_INPUT, NodeProcess, NodeUsage, RestartPolicy
from dualpose_ros.standalone.run_node import EXIT_WITH_STDIN, THREAD_VARIABLES
from dualpose_ros.standalone.stopping import stop_signals

_COLOURS = (36, 32, 35, 34, 33, 96, 92, 95, 94, 93)
_SAMPLE_S, _LOOK_S = 1.0, 0.2
_LAST_WORDS_S = 0.5
"""Longest wait for what a node said as it ended: a process that it left behind may hold its output open."""


@dataclass(frozen=True)
class NodeSpec:
    """One process: its name, the module whose `main` runs it, and what its command line says beside the file.

    It runs the node of its name, or those of `nodes`, whose parameters are then named `node:name`.
    """

    name: str
    module: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    remappings: Mapping[str, str] = field(default_factory=dict)
    arguments: Sequence[str] = ()
    nodes: Sequence[str] = ()


@dataclass(frozen=True)
class NodeState:
    """How a node is now: `status` is running, waiting (to be restarted), finished (exit code 0) or failed."""

    name: str
    status: str
    pid: int | None
    restarts: int
    returncode: int | None


@dataclass
class _Entry:
    """What the launcher remembers of one node."""

    spec: NodeSpec
    prefix: str
    process: NodeProcess | None = None
    status: str = "waiting"
    pids: list[int] = field(default_factory=list)
    deaths: int = 0
    restarts: int = 0
    returncode: int | None = None
    not_before: float = 0.0
    cpu_s: float = 0.0
    max_rss_mb: float = 0.0
    hung_s: float = 0.0
    asked_with: socket.socket | None = None
    reader: threading.Thread | None = None


def check_sections(params_file: Path, specs: Sequence[NodeSpec], namespace: str = "") -> None:
    """Refuse a file that names a node wrongly, or elsewhere than where it will be: ROS would drop its parameters
    silently."""
    names = [name for spec in specs for name in spec.nodes or (spec.name,)]
    overrides = read_parameter_file(params_file)
    for section, node in misspelt_sections(overrides, names).items():
        raise StandaloneError(f"parameter file {params_file}: section {section!r} is no node's: did you mean {node}?")
    for name in names:
        full = f"/{namespace.strip('/')}/{name}".replace("//", "/")
        meant = [item for item in overrides if item.node_pattern.endswith(f"/{name}")]
        if meant and not any(item.matches(full) for item in meant):
            raise StandaloneError(
                f"parameter file {params_file}: section {meant[0].node_pattern!r} does not hold for {full!r}; "
                f"name it '/**/{name}' to serve every namespace"
            )


class Launcher:
    """Runs nodes side by side. `poll` must be called now and then: it restarts the dead and measures the living."""

    def __init__(
        self,
        specs: Sequence[NodeSpec],
        *,
        params_file: Path | None = None,
        namespace: str = "",
        log_level: str = "info",
        threads: int = 1,
        environment: Mapping[str, str] | None = None,
        restart: RestartPolicy | None = None,
        output: IO[str] | None = None,
        stop_deadlines_s: tuple[float, float] = (4.0, 2.0),
        import_ahead: Sequence[str] = (),
    ) -> None:
        """Prepare; nothing runs before start().

        threads is the number that each node's numerical libraries may use; stop_deadlines_s are the seconds from
        SIGINT to SIGTERM and from there to SIGKILL; import_ahead are modules that nodes will need beside their own.
        Errors: StandaloneError for two nodes of one name, a wrong parameter file, or one whose section for a node does
        not hold in the namespace.
        """
        names = [spec.name for spec in specs]
        if len(set(names)) != len(names):
            raise StandaloneError(f"two nodes have the same name: {', '.join(sorted(names))}")
        if params_file is not None:
            check_sections(params_file, specs, namespace)
        self._params_file = params_file
        self._namespace = namespace
        self._log_level = log_level
        self._restart = restart or RestartPolicy()
        self._output = output or sys.stderr
        self._deadlines = stop_deadlines_s
        self._lock = threading.Lock()
        self._readers: list[threading.Thread] = []
        self._environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads)), **(environment or {})}
        # Python buffers what a node prints to a pipe; its lines should come out as they are written.
        self._environment |= {EXIT_WITH_STDIN: "1", "PYTHONUNBUFFERED": "1"}
        self._next_sample = self._next_look = 0.0
        self._modules = list(dict.fromkeys([spec.module for spec in specs] + list(import_ahead)))
        self._forks: ForkServer | None = None
        self._can_fork = True
        self._entries = [_Entry(spec, self._prefix(spec.name, names, index)) for index, spec in enumerate(specs)]

    def __enter__(self) -> Launcher:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start every node that does not run."""
        for entry in self._entries:
            if entry.process is None and entry.asked_with is None:
                self._spawn(entry)

    def poll(self) -> tuple[NodeState, ...]:
        """Restart what died and is due, measure what runs, and tell how each node is."""
        now = time.monotonic()
        measures = now >= self._next_sample
        if measures:
            self._next_sample = now + _SAMPLE_S
        looks = now >= self._next_look
        if looks:
            self._next_look = now + _LOOK_S
        if self._forks is not None:
            self._take_in(self._forks.take())
        for entry in self._entries:
            if entry.process is not None:
                if measures:
                    entry.process.sample()
                code = entry.process.poll()
                if code is not None:
                    self._on_exit(entry, code, now)
                elif looks and entry.process.goes_on():
                    self._say(entry, "was stopped by a signal; told to go on")
                elif 0 < self._restart.hung_s < entry.process.silent_s and not entry.hung_s:
                    entry.hung_s = entry.process.silent_s
                    entry.process.signal(signal.SIGKILL)
            elif entry.status == "waiting" and entry.pids and now >= entry.not_before:
                entry.restarts += 1
                self._spawn(entry)
        return self.states()

    def states(self) -> tuple[NodeState, ...]:
        """How each node was at the last poll."""
        return tuple(
            NodeState(
                entry.spec.name,
                entry.status,
                entry.process.pid if entry.process else None,
                entry.restarts,
                entry.returncode,
            )
            for entry in self._entries
        )

    def usage(self) -> tuple[NodeUsage, ...]:
        """What each node has cost so far, over all of its processes."""
        rows = []
        for entry in self._entries:
            cpu_s, rss_mb = entry.cpu_s, entry.max_rss_mb
            if entry.process is not None:
                entry.process.sample()
                cpu_s, rss_mb = cpu_s + entry.process.cpu_s, max(rss_mb, entry.process.max_rss_mb)
            rows.append(NodeUsage(entry.spec.name, tuple(entry.pids), entry.restarts, cpu_s, rss_mb))
        return tuple(rows)

    def run(self, until: Callable[[], bool] = lambda: False, interval_s: float = 0.1) -> int:
        """Start, poll until `until()`, SIGINT, SIGTERM or SIGHUP, or until no node is left, then stop.

        The exit code: 0, or that of the first node that failed for good.
        """
        told = threading.Event()
        failed = 0
        with stop_signals(lambda number, frame: told.set()):
            try:
                self.start()
                while not told.is_set() and not failed and not until():
                    states = self.poll()
                    failed = next((state.returncode or 1 for state in states if state.status == "failed"), 0)
                    if all(state.status == "finished" for state in states):
                        break
                    told.wait(interval_s)
            finally:
                self.stop()
        return failed if failed in (0, BAD_INPUT) else 1

    def stop(self) -> None:
        """Stop all: SIGINT first, SIGTERM and SIGKILL for those that miss the deadlines."""
        if self._forks is not None:
            forks, self._forks, self._can_fork = self._forks, None, False
            self._take_in(forks.close())
            self._can_fork = True
        running = [entry for entry in self._entries if entry.process is not None]
        for number, patience_s in zip(
            (signal.SIGINT, signal.SIGTERM, signal.SIGKILL), (*self._deadlines, 5.0), strict=True
        ):
            for entry in running:
                if entry.process is not None:
                    entry.process.signal(number)
            deadline = time.monotonic() + patience_s
            while any(entry.process for entry in running) and time.monotonic() < deadline:
                self._reap(running)
                time.sleep(0.02)
        for reader in self._readers:
            # A process that a node left behind may hold the pipe open; don't wait for it.
            reader.join(timeout=1.0)
        for entry in self._entries:
            if entry.status in ("running", "waiting"):
                entry.status = "finished"

    def _reap(self, entries: Sequence[_Entry]) -> None:
        for entry in entries:
            if entry.process is not None:
                entry.process.sample()
                code = entry.process.poll()
                if code is not None:
                    self._account(entry, code)

    def _on_exit(self, entry: _Entry, code: int, now: float) -> None:
        """Decide what becomes of a node whose process ended by itself."""
        ran_s = entry.process.age_s() if entry.process else 0.0
        self._account(entry, code)
        if entry.reader is not None:
            entry.reader.join(timeout=_LAST_WORDS_S)
        if code == 0:
            entry.status = "finished"
            return
        entry.deaths, pause_s = self._restart.after_death(code, ran_s, entry.deaths)
        how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        if entry.hung_s:
            how, entry.hung_s = f"hung: it served nothing for {entry.hung_s:.0f} s and was killed", 0.0
        if pause_s is None:
            entry.status = "failed"
            tried = "" if code == BAD_INPUT else f" after {self._restart.limit} restarts"
            self._say(entry, f"{how}{tried}; not restarted")
            return
        entry.status, entry.not_before = "waiting", now + pause_s
        self._say(entry, f"{how}; restarted in {pause_s:g} s")

    def _account(self, entry: _Entry, code: int) -> None:
        """Add the ended process to the node's costs."""
        if entry.process is not None:
            entry.cpu_s += entry.process.cpu_s
            entry.max_rss_mb = max(entry.max_rss_mb, entry.process.max_rss_mb)
        entry.process, entry.returncode = None, code

    def _spawn(self, entry: _Entry) -> None:
        """Start a node, by a fork where that can be had; `poll` then takes it in."""
        entry.status = "running"
        command = self.command(entry.spec)
        if self._can_fork and self._forks is None:
            try:
                self._forks = ForkServer(self._modules, self._environment)
                names = [other.spec.name for other in self._entries]
                self._read(self._prefix("imports", names, len(names)), self._forks.output)
            except OSError:
                self._can_fork = False
        ours, theirs = socket.socketpair()
        with theirs:
            if self._forks is not None and self._forks.ask(self._entries.index(entry), command[3:], theirs):
                entry.asked_with = ours
                return
            process = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )
        self._has_begun(entry, process, ours)

    def _take_in(self, born: Mapping[int, ForkedProcess | None]) -> None:
        """Take in nodes that were asked for; start those that could not be forked, if any shall still start."""
        for number, process in born.items():
            entry = self._entries[number]
            stdin, entry.asked_with = entry.asked_with, None
            if process is not None and stdin is not None:
                self._has_begun(entry, process, stdin)
            elif stdin is not None:
                stdin.close()
        if self._can_fork and None in born.values():
            self._can_fork = False
            if self._forks is not None:
                self._take_in(self._forks.close())
                self._forks = None
            for number in (number for number, process in born.items() if process is None):
                self._spawn(self._entries[number])

    def _has_begun(self, entry: _Entry, process: subprocess.Popen[bytes] | ForkedProcess, stdin: socket.socket) -> None:
        entry.process = NodeProcess(process, stdin)
        entry.pids.append(process.pid)
        entry.reader = self._read(entry.prefix, process.stdout)

    def _read(self, prefix: str, stream: IO[bytes] | None) -> threading.Thread:
        self._readers = [reader for reader in self._readers if reader.is_alive()]
        reader = threading.Thread(target=self._forward, args=(prefix, stream), daemon=True)
        self._readers.append(reader)
        reader.start()
        return reader

    def command(self, spec: NodeSpec) -> list[str]:
        """The command line of a node."""
        ros = ["--log-level", self._log_level]
        if not spec.nodes:
            ros += ["-r", f"__node:={spec.name}"]
        if self._namespace:
            ros += ["-r", f"__ns:={self._namespace}"]
        if self._params_file is not None:
            ros += ["--params-file", str(self._params_file)]
        for source, target in spec.remappings.items():
            ros += ["-r", f"{source}:={target}"]
        for name, value in spec.parameters.items():
            ros += ["-p", f"{name}:={value_text(value)}"]
        runner = [sys.executable, "-m", "dualpose_ros.standalone.run_node", spec.module]
        return [*runner, *spec.nodes, *spec.arguments, "--ros-args", *ros]

    def _prefix(self, name: str, names: Sequence[str], index: int) -> str:
        text = f"[{name}]".ljust(max(map(len, names)) + 2)
        return f"\033[{_COLOURS[index % len(_COLOURS)]}m{text}\033[0m" if self._output.isatty() else text

    def _say(self, entry: _Entry, text: str) -> None:
        self._write(f"{entry.prefix} {text}\n")

    def _forward(self, prefix: str, stream: IO[bytes] | None) -> None:
        """Copy a node's lines to the output, each with the node's name."""
        if stream is not None:
            with stream:
                for line in stream:
                    self._write(f"{prefix} {line.decode(errors='replace').rstrip()}\n")

    def _write(self, text: str) -> None:
        with self._lock:
            self._output.write(text)
            self._output.flush()
