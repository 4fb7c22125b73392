"""2D joints on labelled frames, as `dualpose eval joints` reports them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from dualpose_ros.evaluation.joint_errors import error_figures, measure_joint_errors, save_joint_errors
from dualpose_ros.inference.engine import load_engine
from dualpose_ros.synthetic.cache import choose_images
from dualpose_ros.top_down.estimator import PoseEstimator
from dualpose_ros.weights import weights_path


def evaluate_joints(data: Path, weights: Path | None, count: int, seed: int, save: Path | None) -> dict[str, Any]:
    """Errors of the top-down network on up to `count` frames, chosen by `seed`; all of them into `save` if given.

    Errors: CacheError for a folder without shards, EngineError for an unusable network.
    """
    started = time.monotonic()
    estimator = PoseEstimator(load_engine(weights if weights is not None else weights_path("top_down")))
    rng = np.random.default_rng(seed)
    images, chosen = choose_images(data, count, rng)
    frames = (images[index] for index in track(chosen, description="frames", transient=True))
    errors = measure_joint_errors(frames, estimator, rng)
    if save is not None:
        save_joint_errors(save, errors)
    row = {"images": len(chosen), **error_figures(errors)}
    return {"what": "joints", "seconds": round(time.monotonic() - started, 2), "tables": {"joints": [row]}, "goals": []}
