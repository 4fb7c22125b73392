"""Times the stages of the pipeline on the frames of a clip, as `dualpose bench pipeline` reports it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dualpose_ros.arrays import Floats, RgbImage
from dualpose_ros.bottom_up.stage import BottomUpConfig, BottomUpStage
from dualpose_ros.camera import camera_from_hfov
from dualpose_ros.detection.stage import DetectionConfig, DetectionStage
from dualpose_ros.drawing import draw_skeletons
from dualpose_ros.errors import InputError
from dualpose_ros.fusion.stage import FusionConfig, FusionStage
from dualpose_ros.grouping import HEATMAP_STRIDE
from dualpose_ros.inference.load import EngineConfig, load_engine
from dualpose_ros.lab.evaluation.report import Outcome, evaluation
from dualpose_ros.lab.timing import WARM_UP, timed
from dualpose_ros.letterbox import fit_long_side
from dualpose_ros.paths import share_dir
from dualpose_ros.people import TrackingState
from dualpose_ros.refinement.stage import RefinementStage
from dualpose_ros.runs.live import ASSUMED_HFOV_DEG
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.estimator import patch_size
from dualpose_ros.top_down.floor import FloorScale
from dualpose_ros.top_down.stage import TopDownConfig, TopDownStage
from dualpose_ros.weights import weights_path

PATCHES = (1, 2, 4)
CROWD = 12
"""People of whom the floor is timed, all seen for as long as it remembers."""
REFERENCE = "detector network alone"


@evaluation("pipeline")
def bench_pipeline(source: str | None, repeats: int, threads: int) -> Outcome:
    """Milliseconds of stages and networks, and their ratios to the detector's network on the same frames."""
    frames = read_frames(source or str(share_dir() / "demo" / "clip.mp4"), repeats + WARM_UP)
    jobs = _Jobs(frames[0], threads)
    times: dict[str, list[float]] = {}
    for index, frame in enumerate(frames):
        for name, seconds in jobs.measure(frame, index):
            if index >= WARM_UP:
                times.setdefault(name, []).append(seconds)
    reference = np.array(times[REFERENCE])
    rows = [_row(name, np.array(values), reference) for name, values in times.items()]
    people = [{"frames": len(jobs.people), "people": round(float(np.mean(jobs.people[WARM_UP:])), 2)}]
    return {"times": rows, "input": people}, []


def read_frames(source: str, count: int) -> list[RgbImage]:
    """Consecutive frames of a video or folder; InputError if it has too few."""
    from dualpose_ros.sources.frames import open_source

    video = open_source(source)
    frames: list[RgbImage] = []
    while len(frames) < count and (frame := video.read()) is not None:
        frames.append(frame)
    video.close()
    if len(frames) < count:
        raise InputError(f"{source} has {len(frames)} frames; {count} are needed, or fewer --repeats")
    return frames


def _row(name: str, seconds: Floats, reference: Floats) -> dict[str, Any]:
    low, median, high = np.percentile(1000 * seconds, [25, 50, 75])
    ratio_low, ratio, ratio_high = np.percentile(seconds / reference, [25, 50, 75])
    return {
        "what": name,
        "ms": round(float(median), 3),
        "ms_quartiles": f"{low:.3g}..{high:.3g}",
        "ratio": round(float(ratio), 3),
        "ratio_quartiles": f"{ratio_low:.3g}..{ratio_high:.3g}",
    }


class _Jobs:
    """Stages and bare networks, ready to be timed one after the other on a frame."""

    def __init__(self, frame: RgbImage, threads: int) -> None:
        height, width = frame.shape[:2]
        engine = EngineConfig(threads=threads)
        config = DetectionConfig(engine=engine)
        self._camera = camera_from_hfov(width, height, math.radians(ASSUMED_HFOV_DEG))
        self._detection = DetectionStage(config)
        self._top_down = TopDownStage(TopDownConfig(engine=engine))
        self._detector = load_engine(weights_path("detector"), threads=threads)
        self._patches = load_engine(weights_path("top_down"), threads=threads)
        self._bottom_up = BottomUpStage(BottomUpConfig(engine=engine))
        self._fusion = FusionStage(FusionConfig(engine=engine))
        self._refinement = RefinementStage()
        self._whole = load_engine(weights_path("bottom_up"), threads=threads)
        scale = config.input_long_side_px / max(height, width)
        shape = (max(32, math.ceil(height * scale / 32) * 32), max(32, math.ceil(width * scale / 32) * 32), 3)
        side = patch_size(self._patches)
        rng = np.random.default_rng(0)
        self._image = rng.integers(0, 256, (1, *shape), dtype=np.uint8)
        self._patch = rng.integers(0, 256, (max(PATCHES), side, side, 3), dtype=np.uint8)
        box = fit_long_side(width, height, self._bottom_up.config.input_long_side_px)
        cells = (box.height // HEATMAP_STRIDE, box.width // HEATMAP_STRIDE)
        self._frame = rng.integers(0, 256, (1, box.height, box.width, 3), dtype=np.uint8)
        self._guidance = rng.integers(0, 256, (1, H36M17.num_joints, *cells), dtype=np.uint8)
        self._floor = FloorScale()
        self._homes = rng.uniform([-3, 1.2, 3], [3, 1.2, 9], (CROWD, 3))
        self._sights = 0
        for _ in range(round(self._floor.config.memory_s / self._floor.config.sight_interval_s)):
            self._floor.add(*self._crowd())
        self.people: list[int] = []

    def _crowd(self) -> tuple[int, dict[int, Floats]]:
        """The next time at which sights count, and where each foot of the crowd is seen then."""
        self._sights += 1
        rng = np.random.default_rng(self._sights)
        feet = self._homes * rng.normal(1, 0.05, (CROWD, 1))
        return round(self._sights * self._floor.config.sight_interval_s * 1e9), dict(enumerate(feet))

    def measure(self, frame: RgbImage, index: int) -> list[tuple[str, float]]:
        """(name, seconds) of everything on one frame."""
        stamp_ns = index * 50_000_000
        times = [(REFERENCE, timed(lambda: self._detector.run({"image": self._image}))[0])]
        for count in PATCHES:
            patches = self._patch[:count]
            seconds, _ = timed(lambda patches=patches: self._patches.run({"patches": patches}))  # type: ignore[misc]
            times.append((f"top-down network alone, {count} patch{'es' if count > 1 else ''}", seconds))
        guided = {"image": self._frame, "guidance": self._guidance}
        times.append(("bottom-up network alone", timed(lambda: self._whole.run(guided))[0]))
        seconds, tracks = timed(lambda: self._detection.process(frame, stamp_ns))
        times.append(("detection stage", seconds))
        seconds, result = timed(lambda: self._top_down.process(frame, stamp_ns, self._camera, tracks))
        times.append(("top-down stage", seconds))
        crowd = self._crowd()
        times.append((f"floor, {CROWD} people", timed(lambda: self._floor.add(*crowd))[0]))
        maps = result.heatmaps
        seconds, whole = timed(lambda: self._bottom_up.process(frame, stamp_ns, self._camera, maps))
        times.append(("bottom-up stage", seconds))
        persons = result.persons
        seconds, fused = timed(lambda: self._fusion.process(stamp_ns, persons, whole.persons))
        times.append(("fusion stage", seconds))
        seconds, _ = timed(lambda: self._refinement.process(stamp_ns, self._camera, fused.persons))
        times.append(("refinement stage", seconds))
        times.append(("drawing the overlay", timed(lambda: draw_skeletons(frame, persons))[0]))
        self.people.append(sum(track.state is not TrackingState.TENTATIVE for track in tracks))
        return times
