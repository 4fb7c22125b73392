"""JTA: videos of a computer game, `annotations/SPLIT/seq_N.json` beside `videos/SPLIT/seq_N.mp4`.

Fabbri et al., "Learning to detect and track visible and occluded body joints in a virtual world", ECCV 2018. A file is
a matrix of rows (frame from 1, person, joint 0..21, x, y in pixels, x, y, z in metres, occluded, self-occluded).
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from natsort import natsorted

from dualpose_ros.camera import Camera
from dualpose_ros.datasets.published.truth import (
    DatasetError,
    TruthFrame,
    TruthSequence,
    finite,
    numbers,
    read_json,
    true_people,
)

JOINTS = (
    "head_top", "head_centre", "thorax", "right_clavicle", "right_shoulder", "right_elbow", "right_wrist",
    "left_clavicle", "left_shoulder", "left_elbow", "left_wrist", "spine0", "spine1", "spine", "spine3", "pelvis",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
)  # fmt: skip
"""The data set's neck is our thorax, its spine2 our spine, its spine4 our pelvis."""

CAMERA = Camera(1920, 1080, 1158.0, 1158.0, 960.0, 540.0)
"""Of all videos, as published."""

FPS = 30.0


def open_jta(root: Path, split: str = "test") -> list[TruthSequence]:
    """The videos of a split; DatasetError names what is missing."""
    files = natsorted((root / "annotations" / split).glob("seq_*.json"), key=str)
    if not files:
        raise DatasetError(f"{root} has no annotations/{split}/seq_N.json: this is no JTA data set")
    return [
        TruthSequence(path.stem, JOINTS, partial(_frames, path), root / "videos" / split / f"{path.stem}.mp4", offset=1)
        for path in files
    ]


def _frames(path: Path) -> Iterator[TruthFrame]:
    table = finite(numbers(read_json(path), (-1, 10), str(path)), str(path))
    if (np.abs(table[:, :3]) >= 2**53).any() or (table[:, :3] % 1).any():
        raise DatasetError(f"{path}: a frame, person or joint is no whole number")
    table = table[np.argsort(table[:, 0], kind="stable")]
    starts = np.flatnonzero(np.diff(table[:, 0], prepend=-1))
    for rows in np.split(table, starts[1:]) if len(table) else []:
        index, where = int(rows[0, 0]), f"{path}: frame {int(rows[0, 0])}"
        joint = rows[:, 2].astype(np.intp)
        if (joint < 0).any() or (joint >= len(JOINTS)).any():
            raise DatasetError(f"{where} has joint {int(joint.max())}; there are 0 to {len(JOINTS) - 1}")
        ids, person = np.unique(rows[:, 1].astype(np.int64), return_inverse=True)
        if len(np.unique(person * len(JOINTS) + joint)) < len(rows):
            raise DatasetError(f"{where} has a joint of one person twice")
        places, pixels = np.full((len(ids), len(JOINTS), 3), np.nan), np.full((len(ids), len(JOINTS), 2), np.nan)
        seen = np.zeros((len(ids), len(JOINTS)), dtype=bool)
        places[person, joint], pixels[person, joint] = rows[:, 5:8], rows[:, 3:5]
        seen[person, joint] = (rows[:, 8] == 0) & (rows[:, 9] == 0)
        people = true_people(ids, places, pixels, where, seen)
        yield TruthFrame(index, (index - 1) / FPS, None, CAMERA, people)
