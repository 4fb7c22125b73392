"""The graph for hours, with faults: gaps in its output, ids kept, memory, threads and files over time, frames lost."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from dualpose_ros.arrays import Floats
from dualpose_ros.lab.benchmarks.faults import (
    CAMERA_OFF,
    KILL,
    RESETS,
    SIZE,
    STARVE,
    STOP,
    CameraFaults,
    Fault,
    fault_at,
    plan,
    rests,
)
from dualpose_ros.lab.benchmarks.stages import demo_clip
from dualpose_ros.lab.evaluation.report import Outcome, Rows, evaluation
from dualpose_ros.metrics.goals import Goal, judged
from dualpose_ros.runs.live import default_params
from dualpose_ros.runs.refinement_settings import REFINEMENT
from dualpose_ros.runs.session import (
    BOTTOM_UP,
    DETECTION,
    FUSION,
    IMPORT_AHEAD,
    TOP_DOWN,
    VISUALIZATION,
    claimed_domain,
)
from dualpose_ros.standalone.launcher import Launcher, NodeSpec

NODES = (DETECTION, TOP_DOWN, BOTTOM_UP, FUSION, REFINEMENT, VISUALIZATION)
_CLIP_FRAMES = 100
_SAMPLE_S = 2.0
_SETTLE_S = 600.0
_MOST_FOLLOWING = 0.9
_SAME_PERSON_M, _LONGEST_STEP_S = 0.5, 1.0

Samples = dict[tuple[str, int], list[tuple[float, float, int, int]]]
"""Of each node and process: time in s, memory in MB (`anonymous_mb`), threads and open files."""


@dataclass
class Record:
    """What was seen of a run: outputs (time, stamp, ids, roots), frames sent, samples, how many processes ran."""

    outputs: list[tuple[float, int, list[int], Floats]] = field(default_factory=list)
    sent: set[int] = field(default_factory=set)
    samples: Samples = field(default_factory=dict)
    processes: list[int] = field(default_factory=list)


@evaluation("soak")
def bench_soak(minutes: float, faults: bool, seed: int = 0, rate_hz: float = 10.0) -> Outcome:
    """Run the graph on the demo's clip, played to and fro, and measure how it holds out; its log goes to stderr."""
    seconds = 60 * minutes
    planned = plan(seconds, seed) if faults else rests(seconds)
    record = Record()
    with claimed_domain(None) as domain:
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        specs = [NodeSpec(name, f"dualpose_ros.nodes.{name}") for name in NODES]
        with Launcher(specs, params_file=default_params(), import_ahead=IMPORT_AHEAD) as launcher:
            _drive(launcher, seconds, planned, record, rate_hz)
            usage = {row.name: row for row in launcher.usage()}
    return _outcome(record, planned, seconds, {name: row.restarts for name, row in usage.items()})


def _drive(launcher: Launcher, seconds: float, planned: list[Fault], record: Record, rate_hz: float) -> None:
    """Send frames and faults until the time is over, and take down what comes."""
    # Here, not at the top: importing a node puts rclpy, or what stands for it, in place.
    from dualpose_ros.lab.benchmarks.soak_node import SoakNode
    from dualpose_ros.nodes.recorder import spinning

    frames, truth = demo_clip(_CLIP_FRAMES)
    order = [*range(_CLIP_FRAMES), *range(_CLIP_FRAMES - 2, 0, -1)]
    camera, disorder = truth.camera, CameraFaults()
    half = camera.resized(camera.width // 2, camera.height // 2)
    with spinning(lambda: SoakNode(record.outputs)) as (node, serve):
        _wait(launcher, node, serve)
        machine, next_sample, number = _Machine(launcher), 0.0, 0
        started = node.started = time.monotonic()
        while (now := time.monotonic() - started) < seconds:
            launcher.poll()
            fault = fault_at(planned, now)
            machine.apply(fault)
            if now >= next_sample:
                _sample(launcher, now, record)
                next_sample = now + _SAMPLE_S
            due = number / rate_hz
            if now < due:
                serve(min(due - now, 0.05))
                continue
            kind = fault.kind if fault else None
            for which, stamp_ns in disorder.send(number, time.time_ns(), kind):
                image = frames[order[which % len(order)]]
                small = kind == SIZE
                node.send(image[::2, ::2] if small else image, half if small else camera, stamp_ns)
                record.sent.add(stamp_ns)
            number = max(number + 1, int(now * rate_hz))
        machine.apply(None)
        serve(1.0)
        _sample(launcher, seconds, record)


def _wait(launcher: Launcher, node: Any, serve: Callable[[float], None]) -> None:
    """Until every node takes part."""
    deadline = time.monotonic() + 120
    while not node.is_ready() and time.monotonic() < deadline:
        launcher.poll()
        serve(0.1)


class _Machine:
    """Faults of processes and processors, each done once and ended in time."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._on: Fault | None = None
        self._stopped: int | None = None
        self._burners: list[subprocess.Popen[bytes]] = []

    def apply(self, fault: Fault | None) -> None:
        """Begin a fault that is new, and end the one that is over."""
        if fault is self._on:
            return
        self._end()
        self._on = fault
        if fault is None:
            return
        running = [state.pid for state in self._launcher.states() if state.pid is not None]
        pid = running[fault.target % len(running)] if running else None
        if fault.kind == KILL and pid is not None:
            os.kill(pid, signal.SIGKILL)
        elif fault.kind == STOP and pid is not None:
            os.kill(pid, signal.SIGSTOP)
            self._stopped = pid
        elif fault.kind == STARVE:
            command = [sys.executable, "-c", "while True: pass"]
            self._burners = [subprocess.Popen(command) for _ in range(2 * (os.cpu_count() or 1))]

    def _end(self) -> None:
        if self._stopped is not None and psutil.pid_exists(self._stopped):
            os.kill(self._stopped, signal.SIGCONT)
        self._stopped = None
        for burner in self._burners:
            burner.kill()
            burner.wait()
        self._burners = []


def _sample(launcher: Launcher, now: float, record: Record) -> None:
    for state in launcher.states():
        if state.pid is None:
            continue
        try:
            process = psutil.Process(state.pid)
            row = (now, anonymous_mb(state.pid), process.num_threads(), process.num_fds())
        except (psutil.Error, OSError):
            continue
        record.samples.setdefault((state.name, state.pid), []).append(row)
    record.processes.append(len(psutil.Process().children(recursive=True)))


def anonymous_mb(pid: int) -> float:
    """Memory that is no file's: pages of libraries come and go as the system likes, and are shared."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 1024


def _outcome(record: Record, planned: list[Fault], seconds: float, restarts: dict[str, int]) -> tuple[Any, Any]:
    gaps = gaps_of([at for at, *_ in record.outputs], planned, seconds)
    rows: Rows = [
        {"fault": kind, "times": len(found), "median_gap_s": round(float(np.median(found)), 2),
         "longest_gap_s": round(max(found), 2)}
        for kind, found in gaps.items()
    ]  # fmt: skip
    kept, changed = ids_kept(record.outputs, planned)
    answered = {stamp for _, stamp, *_ in record.outputs}
    settle_s = min(_SETTLE_S, seconds / 6)
    memory, growth = memory_of(record.samples, planned, settle_s)
    more_threads, more_files = more_than_before(record.samples, settle_s)
    more_processes = record.processes[-1] - record.processes[0] if record.processes else None
    share = 1 - changed / max(kept + changed, 1)
    summary: Rows = [
        {"minutes": round(seconds / 60, 1), "faults": len(planned), "frames_sent": len(record.sent),
         "frames_answered": len(answered & record.sent), "restarts": sum(restarts.values()),
         "ids_kept": kept, "ids_changed": changed, "memory_mb_h": growth and round(growth.mb_h, 2),
         "standard_error": growth and round(growth.error_mb_h, 2)}
    ]  # fmt: skip
    longest = max((max(found) for kind, found in gaps.items() if kind != CAMERA_OFF), default=None)
    goals = [
        Goal("longest gap but while the camera is off, s", longest, most=2.0),
        Goal("memory, MB/h, with twice its standard error", None if growth is None else growth.most_mb_h, most=1.0),
        Goal("processes more than at the start", more_processes, most=0.0),
        Goal("threads more than at the start", more_threads, most=0.0),
        Goal("open files more than at the start", more_files, most=0.0),
        Goal("share of ids kept", share if kept else None, least=0.99),
    ]
    return {"gaps": rows, "memory": memory, "soak": summary}, judged(goals)


def gaps_of(times_s: list[float], planned: list[Fault], seconds: float) -> dict[str, list[float]]:
    """The longest gap between outputs during and after each fault, until the next, by its kind; "none" without."""
    edges = [0.0, *(fault.start_s for fault in planned), seconds]
    kinds = ["none", *(fault.kind for fault in planned)]
    found: dict[str, list[float]] = {}
    # What comes before the first output is the start.
    all_times = np.array(times_s or [0.0])
    for kind, low, high in zip(kinds, edges[:-1], edges[1:], strict=True):
        inside = all_times[(all_times >= low) & (all_times < high)]
        before = all_times[all_times < low]
        points = np.concatenate([before[-1:], inside, [high] if len(before) and not len(inside) else []])
        if len(points) > 1:
            found.setdefault(kind, []).append(float(np.diff(points).max()))
    return found


def ids_kept(outputs: list[tuple[float, int, list[int], Floats]], planned: list[Fault]) -> tuple[int, int]:
    """How often somebody seen twice in a row, at the same place, had the same id, and another: where nothing that may
    change ids lay between or shortly before."""
    kept = changed = 0
    for (at, _, ids, roots), (then, _, ids_then, roots_then) in zip(outputs[1:], outputs[:-1], strict=True):
        hindered = any(
            fault.kind in RESETS and fault.start_s - 0.5 <= at and then <= fault.end_s + 4.0 for fault in planned
        )
        if hindered or at - then > _LONGEST_STEP_S or not ids or not ids_then:
            continue
        distance = np.linalg.norm(roots[:, None] - roots_then[None], axis=-1)
        for row, column in enumerate(distance.argmin(axis=1)):
            # Two people beside each other can't be told apart by place.
            if distance[row, column] < _SAME_PERSON_M and (distance[row] < 2 * _SAME_PERSON_M).sum() == 1:
                kept += ids[row] == ids_then[column]
                changed += ids[row] != ids_then[column]
    return kept, changed


@dataclass(frozen=True)
class Growth:
    """Megabytes an hour, and the standard error."""

    mb_h: float
    error_mb_h: float

    @property
    def most_mb_h(self) -> float:
        """What it is at most, by twice its error."""
        return self.mb_h + 2 * self.error_mb_h


def growth_of(runs: Sequence[Floats]) -> Growth | None:
    """One line's slope through readings (time in s, MB) of a node's processes, each about its own mean, so that one
    that was seen for long counts for more; None for fewer than two readings more than that takes.

    Where errors follow each other, the standard error is as much larger (a process of first order).
    """
    runs = [run for run in runs if len(run) > 1]
    free = sum(map(len, runs)) - len(runs) - 1
    if free < 2:
        return None
    about = [run - run.mean(axis=0) for run in runs]
    times, sizes = np.concatenate(about).T
    slope = times @ sizes / (times @ times)
    errors = [run[:, 1] - slope * run[:, 0] for run in about]
    squares = sum(float(run @ run) for run in errors)
    follows = sum(float(run[1:] @ run[:-1]) for run in errors) / squares if squares else 0.0
    follows = min(max(follows, 0.0), _MOST_FOLLOWING)
    error = np.sqrt(squares / free / (times @ times) * (1 + follows) / (1 - follows))
    return Growth(float(3600 * slope), float(3600 * error))


def memory_of(samples: Samples, planned: Sequence[Fault], settle_s: float) -> tuple[Rows, Growth | None]:
    """Of each node: minutes and readings after `settle_s`, memory then and at the end (MB, of the longest), slope and
    its standard error; and the growth of all together, None where one's is not known.

    Memory is read at the end of each time with the camera off, when no node has anything to do and all have given back
    what is free: in work it goes up and down by the images that happen to be held. Of each process what comes
    `settle_s` after its start counts.
    """
    rows: Rows = []
    found: list[Growth | None] = []
    settled = _settled(samples, settle_s)
    for node in dict.fromkeys(name for name, _ in samples):
        runs = [_at_rest(run, planned) for (name, _), run in settled.items() if name == node]
        growth = growth_of(runs)
        found.append(growth)
        if growth is None:
            continue
        longest = max(runs, key=len)
        minutes = sum(run[-1, 0] - run[0, 0] for run in runs if len(run)) / 60
        rows.append({"node": node, "settled_minutes": round(minutes, 1), "readings": sum(map(len, runs)),
                     "first_mb": round(longest[0, 1], 1), "last_mb": round(longest[-1, 1], 1),
                     "mb_h": round(growth.mb_h, 2), "standard_error": round(growth.error_mb_h, 2)})  # fmt: skip
    known = [growth for growth in found if growth is not None]
    if not known or len(known) < len(found):
        return rows, None
    return rows, Growth(sum(one.mb_h for one in known), float(np.linalg.norm([one.error_mb_h for one in known])))


def more_than_before(samples: Samples, settle_s: float) -> tuple[float | None, float | None]:
    """How many threads and files the worst process has gained `settle_s` after its start."""
    runs = list(_settled(samples, settle_s).values())
    if not runs:
        return None, None
    threads, files = (float(max(run[-1, column] - run[0, column] for run in runs)) for column in (2, 3))
    return threads, files


def _settled(samples: Samples, settle_s: float) -> dict[tuple[str, int], Floats]:
    data = {key: np.array([row for row in rows if row[0] >= rows[0][0] + settle_s]) for key, rows in samples.items()}
    return {key: rows for key, rows in data.items() if len(rows) >= 10}


def _at_rest(run: Floats, planned: Sequence[Fault]) -> Floats:
    """Time and memory (n, 2) of the last sample in each time with the camera off."""
    ends = [fault.end_s for fault in planned if fault.kind == CAMERA_OFF]
    inside = [run[(run[:, 0] >= end - 2 * _SAMPLE_S) & (run[:, 0] < end)] for end in ends]
    return np.array([rows[-1, :2] for rows in inside if len(rows)]).reshape(-1, 2)
