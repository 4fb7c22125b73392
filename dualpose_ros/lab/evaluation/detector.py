"""Detection on labelled frames, as `dualpose eval detector` reports it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.progress import track

from dualpose_ros.datasets.cache import choose_images
from dualpose_ros.detection.stage import DetectionConfig, create_detector
from dualpose_ros.lab.evaluation.report import Outcome, evaluation
from dualpose_ros.metrics.detection import TrueBoxes, evaluate_detections

MIN_VISIBLE = 0.15
"""People of whom less is in view are neither asked for nor counted as wrong."""


@evaluation("detector")
def evaluate_detector(data: Path, spec: str, count: int, seed: int) -> Outcome:
    """Average precision (IoU 0.5), recall and precision on up to `count` frames, chosen by `seed`.

    Errors: CacheError for a folder without shards, DetectionError for an unusable detector.
    """
    config = DetectionConfig(detector=spec)
    detect = create_detector(config)
    images, chosen = choose_images(data, count, np.random.default_rng(seed))
    truth, found = [], []
    for index in track(chosen, description="frames", transient=True):
        sample = images[index]
        ignored = np.asarray(sample.people.visible_fraction < MIN_VISIBLE)
        truth.append(TrueBoxes(sample.people.boxes_px.astype(np.float64), ignored))
        found.append(detect(sample.image))
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
    }
    return {"detection": [row]}, []
