"""The installed lifting and integration network adapted to a user's own video (paper, section 3.4, Eqs. 10 to 12)."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dualpose_ros.datasets.recordings import (
    RecordingError,
    Recordings,
    joined,
    load_recordings,
    save_recordings,
    with_frames,
)
from dualpose_ros.inference.engine import Engine
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.evaluation.fusion.measures import COLUMNS, figures_without_one, gain_error, pose_figures
from dualpose_ros.lab.evaluation.people import score_frame
from dualpose_ros.lab.experiments.semi_supervised.data import VALIDATION_ONE_IN
from dualpose_ros.lab.experiments.semi_supervised.evaluation import fused, ray_of, relifted
from dualpose_ros.lab.experiments.semi_supervised.footage import read_footage
from dualpose_ros.lab.experiments.semi_supervised.run import NETWORKS, Beginning, train_both
from dualpose_ros.lab.training.loop.task import TrainingError
from dualpose_ros.lab.training.loop.trainer import TrainResult
from dualpose_ros.paths import write_whole
from dualpose_ros.people import SEEN
from dualpose_ros.weights import weights_path

ROW = "mp"
"""What of Eq. 11 acts unless another row of Table 4 is asked for: turned views alone, which gained most here."""

MEASURED = 3
"""Of each VALIDATION_ONE_IN labelled sequences the one to measure by; the last chooses the best state."""

INSTALLED = "installed"
ADAPTED = {"adapted lifting": ("lifting",), "adapted lifting and fusion": NETWORKS}
"""Which networks take the place of installed ones, by what the tables call it. The integration network learnt behind
the adapted lifting network."""


@dataclass(frozen=True)
class Footage:
    """What to adapt to: `source` and `calibration` as of `footage.read_footage`; labelled: folder of recordings to go
    on learning from; held_out: folder of others to measure by, None for one in eight of the labelled ones, which are
    then not learnt from."""

    source: Path
    calibration: Path | None
    labelled: Path
    held_out: Path | None = None


@dataclass(frozen=True)
class Adapted:
    """By network, its ONNX file and what its run came to; tables: held-out figures, and 2D distances on the video."""

    files: dict[str, Path]
    results: dict[str, TrainResult]
    tables: dict[str, list[dict[str, Any]]]


def adapt(
    footage: Footage,
    out: Path,
    content: dict[str, dict[str, Any]],
    row: str = ROW,
    resume: bool = False,
    **changed: Any,
) -> Adapted:
    """Train on from the installed networks on labelled recordings and a video, and measure both on held-out labels.

    The best of ADAPTED is left in `out`, as lifting.onnx and perhaps fusion.onnx, beside measured.json. content,
    resume and changed as of `run.train_row`.

    TrainingError where each of ADAPTED is worse, with the figures; or as of `run.train_both`; InputError, CameraError,
    SourceError as of `footage.read_footage`.
    """
    labelled = _labelled(footage.labelled)
    held_out, labelled = _held_out(footage, labelled)
    both = out / "recordings" / "recordings_00000.npz"
    if not (resume and both.is_file()):
        save_recordings(both, joined([labelled, read_footage(footage.source, footage.calibration)]))
    installed = {network: weights_path(network) for network in NETWORKS}
    gcn = weights_path("gcn")
    begins = Beginning(installed, installed, gcn)
    candidates = {network: out / network / f"{network}.onnx" for network in NETWORKS}
    told = f"the installed network, adapted to {footage.source.name} with {footage.labelled.name}"
    try:
        trained = train_both(row, both.parent, candidates, content, begins, resume, **changed, trained_on=told)
        tables = measure(held_out, load_recordings(both.parent), installed, candidates, load_engine(gcn))
        write_whole(out / "measured.json", json.dumps(tables, indent=1))
        files = {network: out / f"{network}.onnx" for network in ADAPTED[best_of(tables["held out"])]}
        for network, file in files.items():
            os.replace(candidates[network], file)
    finally:
        for file in candidates.values():
            file.unlink(missing_ok=True)
    return Adapted(files, trained.results, tables)


def measure(
    held_out: Recordings, video: Recordings, installed: Mapping[str, Path], adapted: Mapping[str, Path], gcn: Engine
) -> dict[str, list[dict[str, Any]]]:
    """Networks on labelled recordings, with the gain in the mean of COLUMNS and its standard error over the sequences,
    and on the video without labels.

    The latter can only say how near the lifted joints come to the ones found on the image.
    """
    own, other = ({network: load_engine(files[network]) for network in NETWORKS} for files in (installed, adapted))
    networks = {INSTALLED: own, **{name: {**own, **{n: other[n] for n in those}} for name, those in ADAPTED.items()}}
    every = np.ones(len(held_out.frames), dtype=bool)
    rows, without_one = [], {}
    for name, engines in networks.items():
        frames, fuse = fused(held_out, (engines["lifting"], engines["fusion"]), every, gcn)
        scores = [score_frame(frame.people, fuse(frame)) for frame in frames]
        rows.append({"networks": name, **pose_figures(scores)})
        without_one[name] = figures_without_one(frames, scores)
        if name != INSTALLED:
            rows[-1]["gain"] = gain_of(rows[-1], rows[0])
            rows[-1]["gain_error"] = gain_error(without_one[name], without_one[INSTALLED], COLUMNS)
    seen = [
        {"networks": name, "off_image_pct": off_image_pct(relifted(video, engines["lifting"], gcn))}
        for name, engines in ((INSTALLED, own), ("adapted lifting", other))
    ]
    return {"held out": rows, "video": seen}


def off_image_pct(recordings: Recordings) -> float | None:
    """Median distance of lifted joints from where they were well seen, of who is not labelled, in per cent of the
    person's size on the image."""
    estimates = recordings.top_down
    rows = np.flatnonzero(~recordings.frames.level[estimates.frame])
    rays, scores = ray_of(recordings, estimates)[rows], estimates.joint_scores[rows]
    joints = estimates.joints_cam[rows].astype(np.float64)
    size = np.ptp(rays, axis=1).max(axis=1, initial=1e-6)
    off = np.linalg.norm(joints[..., :2] / np.maximum(joints[..., 2:], 0.2) - rays, axis=2) / size[:, None]
    known = scores >= SEEN
    return 100 * float(np.median(off[known])) if known.any() else None


def best_of(rows: list[dict[str, Any]]) -> str:
    """Which of ADAPTED has the largest mean of COLUMNS; TrainingError, with the figures, if none is as good as what is
    installed."""
    by_name = {row["networks"]: row for row in rows}
    gains = {name: gain_of(by_name[name], by_name[INSTALLED]) for name in ADAPTED}
    if None in gains.values():
        raise TrainingError("the held-out recordings show too few people to measure by: make more of them")
    best = max(gains, key=lambda name: gains[name] or 0)
    if (gains[best] or 0) < 0:
        one, other = by_name[INSTALLED], by_name[best]
        words = ", ".join(f"{column} {one[column]:.2f} -> {other[column]:.2f}" for column in COLUMNS)
        raise TrainingError(f"refused: on the held-out labels the adapted networks are worse ({words})")
    return best


def gain_of(row: Mapping[str, Any], before: Mapping[str, Any]) -> float | None:
    """By how much the mean of COLUMNS is larger than before; None where one was not measured."""
    pairs = [(row[column], before[column]) for column in COLUMNS]
    return None if None in (value for pair in pairs for value in pair) else float(np.mean([a - b for a, b in pairs]))


def _labelled(folder: Path) -> Recordings:
    """Labelled recordings, all of the labelled domain, whatever their camera."""
    recordings = _loaded(folder)
    frames = recordings.frames
    return replace(recordings, frames=replace(frames, level=np.ones(len(frames.level), dtype=bool)))


def _held_out(footage: Footage, labelled: Recordings) -> tuple[Recordings, Recordings]:
    """Recordings to measure by, and labelled ones to learn from, of which one in eight chooses the best state."""
    if footage.held_out is not None:
        return _loaded(footage.held_out), labelled
    apart = labelled.frames.sequence % VALIDATION_ONE_IN == MEASURED
    return with_frames(labelled, apart), with_frames(labelled, ~apart)


def _loaded(folder: Path) -> Recordings:
    try:
        return load_recordings(folder)
    except RecordingError as error:
        raise TrainingError(str(error)) from error
