"""Frames a second of the whole graph against the number of cores: run on those there are, by a model on more.

The model knows what the steps cost a processed frame and a camera image, and that a node works on one frame at a time.
"""

import contextlib
import itertools
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console

from dualpose_ros.inference.cpu import usual_threads
from dualpose_ros.lab.benchmarks.stages import WARM_UP, Budget, demo_clip, measure
from dualpose_ros.lab.benchmarks.stopwatch import machine
from dualpose_ros.lab.evaluation.report import Outcome, Rows, evaluation
from dualpose_ros.metrics.goals import Goal, judged
from dualpose_ros.paths import share_dir
from dualpose_ros.recording.recording import Recording
from dualpose_ros.runs.live import LiveOptions, run_live
from dualpose_ros.standalone.launcher import NodeState

MODEL_CORES = (1, 2, 4, 8, 16)
_PLAYBACK_RATE = 3.0
"""The clip of 20 frames/s is played so fast that the camera does not set the rate."""

_TAKE_ALL_IMAGES = ("camera", "detection")

_SETTLED = 5
"""Frames until the nodes run as they go on."""

_GOAL_CORES, _GOAL_FPS = 16, 60.0


@dataclass(frozen=True)
class Load:
    """Processor milliseconds of a node: a processed frame's, of which are the networks', and a camera image's."""

    frame_ms: float
    network_ms: float
    image_ms: float


def loads_of(budget: Budget) -> dict[str, Load]:
    """What each node costs. The detection node takes all of the camera's images, others those that are worked on."""
    loads = {}
    for node in budget.nodes():
        steps = {step: float(np.mean(ms)) for step, ms in budget.cpu_ms.items() if step.startswith(f"{node}:")}
        image = sum(ms for step, ms in steps.items() if ": image " in step) if node in _TAKE_ALL_IMAGES else 0.0
        network = sum(ms for step, ms in steps.items() if "network" in step)
        loads[node] = Load(sum(steps.values()) - image, network, image)
    return loads


def model_fps(
    loads: dict[str, Load], cores: int, camera_hz: float, threads: int = 1, thread_gain: float = 1.0
) -> tuple[float, str]:
    """Frames a second, and what sets them.

    loads: of the nodes; cores: to share; camera_hz: images a second; threads: of each network; thread_gain: by what a
    doubling of threads divides the networks' time.
    """
    faster = thread_gain ** np.log2(threads)
    bounds = {"camera rate": camera_hz}
    free_ms = 1000 * cores - camera_hz * sum(load.image_ms for load in loads.values())
    bounds["cores"] = free_ms / sum(load.frame_ms for load in loads.values())
    for node, load in loads.items():
        own = load.frame_ms - load.network_ms + load.network_ms / faster
        bounds[node] = (1000 - camera_hz * load.image_ms) / max(own, 1e-9)
    limit = min(bounds, key=lambda name: bounds[name])
    return max(bounds[limit], 0.0), limit


@evaluation("pipeline")
def bench_pipeline(repeats: int, composed: bool) -> Outcome:
    """Frames a second and latency on 1, 2, ... cores of this machine beside the model's, and the model's on more.

    The demo's clip, as separate processes or `composed` in one.
    """
    where = machine()
    frames, truth = demo_clip(repeats + WARM_UP)
    budget, two = measure(frames, truth.camera), measure(frames[: WARM_UP + 10], truth.camera, threads=2)
    gain = min(max(_networks_ms(budget) / _networks_ms(two), 1.0), 2.0)
    loads, camera_hz = loads_of(budget), truth.fps * _PLAYBACK_RATE
    rows: Rows = []
    available = sorted(os.sched_getaffinity(0))
    for cores in MODEL_CORES:
        threads = usual_threads(cores)
        fps, limit = model_fps(loads, cores, camera_hz, threads, gain)
        row = {"cores": cores, "threads": threads, "model_fps": round(fps, 1), "set_by": limit}
        row |= dict.fromkeys(("fps", "p50_ms", "p95_ms", "node_cpu_ms_a_frame"))
        if cores <= len(available):
            with on_cores(set(available[:cores])):
                row |= run_once(composed)
        rows.append(row)
    nodes = [{"node": node, **{name: round(ms, 2) for name, ms in vars(load).items()}} for node, load in loads.items()]
    rates = [row["model_fps"] for row in rows]
    falls = max((before - after for before, after in itertools.pairwise(rates)), default=0.0)
    goals = [Goal("fps lost by more cores (model)", max(falls, 0.0), most=0.0)]
    goals.append(Goal(f"fps on {_GOAL_CORES} cores (model)", rates[MODEL_CORES.index(_GOAL_CORES)], least=_GOAL_FPS))
    measured = {row["cores"]: row for row in rows if row["fps"] is not None}
    if 2 in measured:
        goals.append(Goal("fps on 2 cores", measured[2]["fps"], least=20.0))
        goals.append(Goal("p50 latency on 2 cores, ms", measured[2]["p50_ms"], most=120.0))
    threads_row = [{"gain_of_two": round(gain, 2)}]
    return {"cores": rows, "nodes": nodes, "threads": threads_row, "machine": where}, judged(goals)


def _networks_ms(budget: Budget) -> float:
    """Milliseconds by the clock that the networks of a frame take."""
    return sum(float(np.median(ms)) for step, ms in budget.wall_ms.items() if "network" in step)


@contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """Let this process, and those that it starts meanwhile, run on these cores alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass
class Spent:
    """What the nodes' processes have spent between the graph's first poses and its last.

    A start takes them seconds, of which the modules that separate nodes share are on nobody's account, and a run of
    the clip has some fifty frames.
    """

    first: tuple[int, float] | None = None
    last: tuple[int, float] = (0, 0.0)
    _by_process: dict[int | None, float] = field(default_factory=dict)

    def look(self, recording: Recording, states: Sequence[NodeState]) -> None:
        """Take note of frames and seconds of the processor, where there is a new frame."""
        poses = recording.num_poses
        if poses <= self.last[0]:
            return
        for state in (state for state in states if state.pid is not None):
            with contextlib.suppress(psutil.Error):
                times = psutil.Process(state.pid).cpu_times()
                self._by_process[state.pid] = times.user + times.system
        # Those that have ended, as the camera's does before the last poses, count on.
        self.last = (poses, sum(self._by_process.values()))
        if self.first is None and poses >= _SETTLED:
            self.first = self.last

    def ms_a_frame(self) -> float | None:
        """Milliseconds of the processor a frame that was published; None of too short a run."""
        if self.first is None or self.last[0] == self.first[0]:
            return None
        return round(1000 * (self.last[1] - self.first[1]) / (self.last[0] - self.first[0]), 1)


def run_once(composed: bool) -> dict[str, float | None]:
    """One run of the graph on the demo's clip: rate, latency, and what all nodes' processors took a frame."""
    folder, spent = share_dir() / "demo", Spent()
    with tempfile.TemporaryDirectory() as out:
        options = LiveOptions(
            source=str(folder / "clip.mp4"), out=Path(out), calibration=folder / "camera.yaml", rate=_PLAYBACK_RATE,
            overlay=False, composed=composed,
        )  # fmt: skip
        result = run_live(options, Console(quiet=True), spent.look)
        result.recording.frames.discard()
    times = result.recording.times
    latency = times.latency_ms()
    return {"fps": round(times.fps(), 2), "p50_ms": latency["p50"], "p95_ms": latency["p95"],
            "node_cpu_ms_a_frame": spent.ms_a_frame()}  # fmt: skip
