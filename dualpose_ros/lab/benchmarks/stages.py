"""What each step of one frame costs, from the camera's image to the markers, as `dualpose bench stages` reports it.

All runs in one thread, through the same stages and messages as the nodes.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import trim_mean

import dualpose_ros.bottom_up.stage as bottom_up_stage
import dualpose_ros.detection.stage as detection_stage
import dualpose_ros.fusion.stage as fusion_stage
import dualpose_ros.top_down.estimator as estimator
import dualpose_ros.top_down.lifting.lifter as lifting
from dualpose_ros.arrays import Floats, RgbImage
from dualpose_ros.bottom_up.stage import BottomUpConfig, BottomUpStage
from dualpose_ros.camera import Camera
from dualpose_ros.datasets.clip import ClipTruth, load_clip_truth
from dualpose_ros.detection.stage import DetectionConfig, DetectionStage
from dualpose_ros.drawing import draw_skeletons
from dualpose_ros.errors import InputError
from dualpose_ros.fusion.stage import FusionConfig, FusionStage
from dualpose_ros.inference.load import EngineConfig
from dualpose_ros.lab.benchmarks.crowd import MOST, crowd_frames
from dualpose_ros.lab.benchmarks.messages import Wire
from dualpose_ros.lab.benchmarks.stopwatch import Stopwatch, machine
from dualpose_ros.lab.evaluation.report import Outcome, Rows, evaluation
from dualpose_ros.metrics.goals import Goal, judged
from dualpose_ros.paths import share_dir
from dualpose_ros.refinement.stage import RefinementStage
from dualpose_ros.top_down.stage import TopDownConfig, TopDownStage

WARM_UP = 20
"""Frames before those that count: until then tracks and windows fill."""

CROWDS = (1, 2, 4, 8, 16)
MOST_MS_A_PERSON = 4.0
_PERIOD_NS = 100_000_000
_NETWORK = "network"


@dataclass(frozen=True)
class Budget:
    """What a number of frames have cost: milliseconds of the processor and of the clock by step (F,), steps named
    `node: step`, the mean number of people that came out, and the milliseconds of the reference."""

    cpu_ms: dict[str, Floats]
    wall_ms: dict[str, Floats]
    people: float = 0.0
    reference_ms: float = 1.0

    def total_ms(self, networks: bool = True, node: str = "") -> float:
        """Milliseconds of the processor a frame, of one node or all, with or without the networks.

        Means, as not every frame has all steps (`detect_every`), of the middle 90 % of frames.
        """
        chosen = [
            ms for step, ms in self.cpu_ms.items() if step.startswith(node) and (networks or _NETWORK not in step)
        ]
        return float(trim_mean(np.sum(chosen, axis=0), 0.05)) if chosen else 0.0

    def nodes(self) -> list[str]:
        """The nodes in the order of their work."""
        return list(dict.fromkeys(step.partition(":")[0] for step in self.cpu_ms))


@evaluation("stages")
def bench_stages(repeats: int, threads: int) -> Outcome:
    """Milliseconds of each step on frames of the demo's clip, its four people in them."""
    where = machine()
    frames, truth = demo_clip(repeats + WARM_UP)
    budget = measure(frames, truth.camera, threads)
    where[0]["reference_ms"] = round(budget.reference_ms, 2)
    tables = {"steps": step_rows(budget), "nodes": node_rows(budget), "machine": where}
    return tables, judged([total_goal(budget)])


@evaluation("people")
def bench_people(repeats: int, threads: int) -> Outcome:
    """Milliseconds of a frame against the number of people in it, and the straight line through them."""
    where = machine()
    frames, truth = demo_clip(repeats + WARM_UP)
    rows: Rows = []
    for people in CROWDS:
        budget = measure(list(crowd_frames(frames, truth, people)), truth.camera, threads, every_frame=True)
        rest, whole = budget.total_ms(networks=False), budget.total_ms()
        nodes = {node: round(budget.total_ms(networks=False, node=node), 2) for node in budget.nodes()}
        rows.append({"people": people, "found": round(budget.people, 1), "cpu_ms": round(whole, 1),
                     "without_networks_ms": round(rest, 2), "reference_ms": round(budget.reference_ms, 2),
                     **nodes})  # fmt: skip
    found, cost = (np.array([row[name] for row in rows], dtype=float) for name in ("found", "without_networks_ms"))
    slope, start = np.polyfit(found, cost, 1)
    worst = float(np.max(np.abs(slope * found + start - cost)))
    line = {
        "ms_a_person": round(float(slope), 3),
        "ms_a_frame": round(float(start), 2),
        "farthest_off_ms": round(worst, 2),
    }
    goals = [Goal("ms a person without networks", float(slope), most=MOST_MS_A_PERSON)]
    goals.append(Goal("farthest from the line, ms", worst, most=0.1 * float(cost[-1])))
    return {"people": rows, "line": [line], "machine": where}, judged(goals)


def total_goal(budget: Budget) -> Goal:
    """What all of a frame may cost."""
    return Goal("CPU ms a frame", budget.total_ms(), most=90.0)


def demo_clip(count: int) -> tuple[list[RgbImage], ClipTruth]:
    """The first frames of the demo's clip, and its truth; InputError if there are fewer."""
    from dualpose_ros.sources.frames import open_source

    folder = share_dir() / "demo"
    video = open_source(str(folder / "clip.mp4"))
    frames: list[RgbImage] = []
    while len(frames) < count and (frame := video.read()) is not None:
        frames.append(frame)
    video.close()
    if len(frames) < count:
        raise InputError(f"the demo's clip has {len(frames)} frames; {count} are needed: give fewer --repeats")
    return frames, load_clip_truth(folder / "truth.npz")


def measure(frames: Iterable[RgbImage], camera: Camera, threads: int = 1, every_frame: bool = False) -> Budget:
    """What frames cost after the first WARM_UP. every_frame: the detector looks at all of them."""
    graph, watch, found = Graph(camera, threads, 1 if every_frame else 0), Stopwatch(), []
    reference: list[float] = []
    with watch.watching(graph.places()):
        for index, frame in enumerate(frames):
            found.append(graph.run(watch, frame, index * (_PERIOD_NS if every_frame else _PERIOD_NS // 2)))
            watch.end_frame()
            reference.append(graph.reference_ms())
    counted = watch.frames[WARM_UP:]
    steps = list(dict.fromkeys(step for frame in counted for step in frame))
    cpu, wall = ({s: np.array([1000 * frame.get(s, (0.0, 0.0))[kind] for frame in counted]) for s in steps}
                 for kind in range(2))  # fmt: skip
    return Budget(cpu, wall, float(np.mean(found[WARM_UP:])), float(trim_mean(reference[WARM_UP:], 0.05)))


class Graph:
    """The stages of the whole graph and the messages between them, as the nodes have them."""

    def __init__(self, camera: Camera, threads: int, detect_every: int) -> None:
        engine = EngineConfig(threads=threads)
        self._camera, self._wire = camera, Wire(camera)
        self._detection = DetectionStage(DetectionConfig(engine=engine, detect_every=detect_every))
        self._top_down = TopDownStage(TopDownConfig(engine=engine))
        self._bottom_up = BottomUpStage(BottomUpConfig(engine=engine))
        self._fusion = FusionStage(FusionConfig(engine=engine))
        self._refinement = RefinementStage()
        self._reference = EngineConfig(threads=1).network("detector")
        self._noise = np.random.default_rng(0).integers(0, 256, (1, 288, 384, 3), dtype=np.uint8)

    def reference_ms(self) -> float:
        """Milliseconds of the processor that the detector's network takes now on a frame of noise.

        Other programs slow it as they slow the rest, so that ratios to it can be compared between runs and machines.
        """
        started = time.thread_time()
        self._reference.run({"image": self._noise})
        return 1000 * (time.thread_time() - started)

    def places(self) -> list[tuple[Any, str, str]]:
        """The functions that are steps of their own."""
        detector: Any = self._detection._detector
        lifter: Any = self._top_down._lifter
        integrator: Any = self._fusion._integrate
        return [
            (detector._engine, "run", "detection: network"),
            (detection_stage, "describe_people", "detection: colours"),
            (self._detection._tracker, "update", "detection: track"),
            (self._detection._tracker, "predict", "detection: track"),
            (self._top_down._estimator.engine, "run", "top-down: network"),
            (estimator, "extract_patches", "top-down: crop"),
            (estimator, "decode_patches", "top-down: group and read"),
            (estimator, "merge_patches", "top-down: merge"),
            (estimator, "combine_heatmaps", "top-down: combine heatmaps"),
            (lifting, "complete", "top-down: complete (GCN network)"),
            (lifter._engine, "run", "top-down: lift (TCN network)"),
            (lifting, "place_people", "top-down: place"),
            (self._top_down._floor, "add", "top-down: floor"),
            (self._top_down._sway, "update", "top-down: sway"),
            (self._bottom_up._engine, "run", "bottom-up: network"),
            (bottom_up_stage, "guidance_maps", "bottom-up: guidance"),
            (bottom_up_stage, "decode_frame", "bottom-up: group and read"),
            (bottom_up_stage, "place_people", "bottom-up: place"),
            (fusion_stage, "match_poses", "fusion: match"),
            (fusion_stage, "apart", "fusion: match"),
            (fusion_stage, "distinct", "fusion: match"),
            (integrator._engine, "run", "fusion: network"),
        ]

    def run(self, watch: Stopwatch, frame: RgbImage, stamp_ns: int) -> int:
        """One frame through everything; the number of people that came out."""
        call, wire, camera = watch.call, self._wire, self._camera
        images = wire.image(watch, frame)
        tracks = call("detection: rest", lambda: self._detection.process(images[0], stamp_ns))
        tracks = wire.tracks(watch, tracks)
        said = call("top-down: rest", lambda: self._top_down.process(images[1], stamp_ns, camera, tracks))
        own = wire.poses(watch, "top-down", "fusion", said.persons)
        heatmaps = wire.heatmaps(watch, said.heatmaps)
        whole = call("bottom-up: rest", lambda: self._bottom_up.process(images[2], stamp_ns, camera, heatmaps))
        other = wire.poses(watch, "bottom-up", "fusion", whole.persons)
        fused = call("fusion: rest", lambda: self._fusion.process(stamp_ns, own, other))
        persons = wire.poses(watch, "fusion", "refinement", fused.persons)
        refined = call("refinement: solve", lambda: self._refinement.process(stamp_ns, camera, persons))
        shown = wire.poses(watch, "refinement", "visualization", refined[-1].persons)
        wire.markers(watch, shown)
        call("overlay: draw", lambda: draw_skeletons(frame, shown))
        return len(shown)


def step_rows(budget: Budget) -> Rows:
    """A row for each step: mean and quartiles of its milliseconds, and its share of the whole."""
    whole = budget.total_ms()
    rows: Rows = []
    for step, ms in budget.cpu_ms.items():
        low, high = np.percentile(ms, [25, 75])
        mean, wall = float(trim_mean(ms, 0.05)), float(trim_mean(budget.wall_ms[step], 0.05))
        rows.append({"step": step, "cpu_ms": round(mean, 3), "quartiles": f"{low:.3g}..{high:.3g}",
                     "wall_ms": round(wall, 3), "ratio": round(mean / budget.reference_ms, 3),
                     "share": round(mean / max(whole, 1e-9), 3)})  # fmt: skip
    return rows


def node_rows(budget: Budget) -> Rows:
    """A row for each node, and one for all."""
    named: Sequence[tuple[str, str]] = [(node, node) for node in budget.nodes()] + [("all", "")]
    return [
        {"node": name, "cpu_ms": round(budget.total_ms(node=node), 2),
         "without_networks_ms": round(budget.total_ms(networks=False, node=node), 2),
         "ratio": round(budget.total_ms(node=node) / budget.reference_ms, 3)}
        for name, node in named
    ]  # fmt: skip


assert max(CROWDS) <= MOST
