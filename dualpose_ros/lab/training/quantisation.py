"""What the 2D networks are fed by their stages on pictures: inputs to calibrate 8-bit networks on."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from dualpose_ros.arrays import AnyArray, RgbImage
from dualpose_ros.bottom_up.stage import BottomUpConfig, BottomUpStage
from dualpose_ros.errors import InputError
from dualpose_ros.inference.engine import Arrays, Engine
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.training.bottom_up.guides import BranchGuide
from dualpose_ros.letterbox import fit_long_side
from dualpose_ros.sources.frames import open_source
from dualpose_ros.top_down.estimator import PoseEstimator
from dualpose_ros.top_down.stage import TopDownConfig

QUANTISED = ("top_down", "bottom_up")
"""Networks that are worth it: those of full convolutions over images; the detector's depthwise ones gain nothing."""


class _Recorder:
    """An engine that keeps what it was fed."""

    def __init__(self, engine: Engine) -> None:
        self.inputs, self.outputs, self.metadata = engine.inputs, engine.outputs, engine.metadata
        self._engine = engine
        self.fed: list[Arrays] = []

    def run(self, inputs: Mapping[str, AnyArray]) -> Arrays:
        self.fed.append({name: np.array(value) for name, value in inputs.items()})
        return self._engine.run(inputs)


def calibration_inputs(network: str, path: Path, sources: Sequence[Path], count: int) -> list[Arrays]:
    """What a network is fed by its stage on pictures, whose people the shipped networks before it find.

    network: one of `QUANTISED`; path: its file; sources: videos and folders of pictures; count: most pictures of each
    source, evenly over it.
    InputError if a source can't be read, or nothing in it makes work for the network.
    """
    recorder = _Recorder(load_engine(path))
    look = _looks(network, recorder)
    for source in sources:
        before = len(recorder.fed)
        for picture in _evenly(source, count):
            look(picture)
        if len(recorder.fed) == before:
            raise InputError(
                f"{source} shows nobody whom the detector finds: network {network} has nothing to do there"
            )
    return recorder.fed


def compare(original: Path, converted: Path, inputs: Sequence[Arrays]) -> dict[str, float]:
    """What another form of a network costs and gains: `speedup`, and each output's mean difference, on real inputs.

    Times are the process's own, one thread, the two by turns.
    """
    engines = (load_engine(original), load_engine(converted))
    times: list[tuple[float, ...]] = []
    differences: dict[str, list[float]] = {}
    for fed in inputs:
        answers, seconds = [], []
        for engine in engines:
            start = time.process_time()
            answers.append(engine.run(fed))
            seconds.append(time.process_time() - start)
        times.append(tuple(seconds))
        for name, value in answers[0].items():
            differences.setdefault(name, []).append(float(np.abs(value - answers[1][name]).mean()))
    before, after = np.median(np.array(times), axis=0)
    figures = {f"{name}_mean_difference": float(np.mean(values)) for name, values in differences.items()}
    return {"speedup": float(before / after), **figures}


def _looks(network: str, engine: Engine) -> Callable[[RgbImage], object]:
    """What a network's stage does with a picture."""
    guide = BranchGuide("top_down", "detector", TopDownConfig().heatmap_long_side_cells)
    if network == "top_down":
        estimator = PoseEstimator(engine, TopDownConfig().patch_scale)
        return lambda picture: estimator.maps(picture, guide.boxes(picture))
    stage = BottomUpStage(BottomUpConfig(), engine)

    def whole(picture: RgbImage) -> object:
        height, width = picture.shape[:2]
        box = fit_long_side(width, height, stage.config.input_long_side_px)
        return stage.maps(picture, box, guide.heatmaps(picture, guide.boxes(picture)))

    return whole


def _evenly(source: Path, count: int) -> Iterator[RgbImage]:
    """Pictures of a video or of a folder: at most `count`, with as many left out between any two."""
    pictures = open_source(str(source))
    step = max(1, (pictures.info.count or count) // count)
    for index in range(step * count):
        picture = pictures.read()
        if picture is None:
            break
        if index % step == 0:
            yield picture
    pictures.close()
