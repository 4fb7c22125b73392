"""Detection on labelled frames and on photographs, as `dualpose eval detector` reports it."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from dualpose_ros.arrays import AnyFloats, Mask, RgbImage
from dualpose_ros.datasets.cache import choose_images
from dualpose_ros.datasets.coco import load, read_coco
from dualpose_ros.datasets.labels import LabelledImage
from dualpose_ros.detection.detections import Detections
from dualpose_ros.detection.stage import DetectionConfig, create_detector
from dualpose_ros.drawing import write_picture
from dualpose_ros.lab.evaluation.report import Outcome, evaluation
from dualpose_ros.metrics.detection import TrueBoxes, evaluate_detections

_PICTURES = 40
MIN_VISIBLE = 0.15
"""People of whom less is in view are neither asked for nor counted as wrong."""


MIN_SIDE_PX = 32.0
"""In photographs: people whose longer side is shorter are neither asked for nor counted as wrong."""


@evaluation("detector")
def evaluate_detector(data: Path, spec: str, count: int, seed: int) -> Outcome:
    """Average precision (IoU 0.5), recall and precision on up to `count` frames, chosen by `seed`.

    Errors: CacheError for a folder without shards, DetectionError for an unusable detector.
    """
    images, chosen = choose_images(data, count, np.random.default_rng(seed))
    samples = (images[index] for index in track(chosen, description="frames", transient=True))
    return _measure(((s, np.asarray(s.people.visible_fraction < MIN_VISIBLE)) for s in samples), spec, None)


@evaluation("detector")
def evaluate_detector_photographs(root: Path, spec: str, count: int, out: Path | None = None) -> Outcome:
    """The same on photographs of a COCO folder, the first `count`, with pictures of what was found into `out`.

    Crowds and people under MIN_SIDE_PX are neither asked for nor counted as wrong. CocoError for an unusable folder,
    DetectionError for an unusable detector.
    """
    photographs = read_coco(root)[:count]

    def samples() -> Iterator[tuple[LabelledImage, Mask]]:
        for photograph in track(photographs, description="photographs", transient=True):
            sample = load(photograph)
            boxes = sample.people.boxes_px
            small = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0.0) < MIN_SIDE_PX
            yield sample, np.asarray(small | (sample.people.visible_fraction <= 0))

    return _measure(samples(), spec, out)


def _measure(samples: Iterable[tuple[LabelledImage, Mask]], spec: str, out: Path | None) -> Outcome:
    """The table of a detector on images, each with whom to leave out; overlays of the first ones into `out`."""
    config = DetectionConfig(detector=spec)
    detect = create_detector(config)
    truth, found = [], []
    for sample, ignored in samples:
        truth.append(TrueBoxes(sample.people.boxes_px.astype(np.float64), ignored))
        found.append(detect(sample.image))
        if out is not None and len(found) <= _PICTURES:
            _draw(out / f"detected_{len(found):03d}.jpg", sample, found[-1], config.tracker.new_track_score)
    figures = evaluate_detections(truth, found, score=config.tracker.new_track_score)
    row = {
        "detector": spec,
        "images": figures.images,
        "people": figures.people,
        "ap50": figures.ap,
        "recall": figures.recall,
        "precision": figures.precision,
        "at_score": figures.score,
        "max_recall": figures.max_recall,
        "recall_at_precision_90": figures.recall_sure,
    }
    return {"detection": [row]}, []


def _draw(path: Path, sample: LabelledImage, found: Detections, score: float) -> None:
    """A picture with labelled boxes in white, those found in green, in red below the live threshold."""
    picture = sample.image.copy()
    for box in sample.people.boxes_px:
        _rectangle(picture, box, (255, 255, 255))
    for box, value in zip(found.boxes_px, found.scores, strict=True):
        _rectangle(picture, box, (60, 220, 60) if value >= score else (200, 60, 60))
    write_picture(path, picture)


def _rectangle(picture: RgbImage, box: AnyFloats, colour: tuple[int, int, int]) -> None:
    x0, y0, x1, y1 = (round(float(v)) for v in box)
    cv2.rectangle(picture, (x0, y0), (x1, y1), colour, 1)
