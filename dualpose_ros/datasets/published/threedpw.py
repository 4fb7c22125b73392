"""3DPW: `sequenceFiles/SPLIT/NAME.pkl` beside `imageFiles/NAME/image_NNNNN.jpg`.

Von Marcard et al., "Recovering accurate 3D human pose in the wild", ECCV 2018. A file is a pickle of Python 2 with a
list entry for each person: jointPositions (T, 72), SMPL's joints in metres in the world, poses2d (T, 3, 18) with
confidences, campose_valid (T,); and for all, cam_poses (T, 4, 4) from world to camera, cam_intrinsics (3, 3).
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from dualpose_ros.camera import CameraError, camera_from_matrix, project
from dualpose_ros.datasets.published.pickles import read_arrays
from dualpose_ros.datasets.published.truth import (
    DatasetError,
    TruthFrame,
    TruthSequence,
    field_of,
    finite,
    list_of,
    numbers,
    true_people,
)

JOINTS = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "thorax", "left_collar", "right_collar", "neck", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
"""SMPL's joints; what it calls neck, head and spine2 are our thorax, neck and spine."""

FPS = 30.0


def open_3dpw(root: Path, split: str = "test") -> list[TruthSequence]:
    """The videos of a split; DatasetError names what is missing."""
    files = sorted((root / "sequenceFiles" / split).glob("*.pkl"))
    if not files:
        raise DatasetError(f"{root} has no sequenceFiles/{split}/*.pkl: this is no 3DPW")
    return [TruthSequence(path.stem, JOINTS, partial(_frames, path, root / "imageFiles" / path.stem)) for path in files]


def _frames(path: Path, pictures: Path) -> Iterator[TruthFrame]:
    content = read_arrays(path)
    names = ("jointPositions", "poses2d", "campose_valid")
    joints, flat, valid = (list_of(content, name, path) for name in names)
    if not len(joints) == len(flat) == len(valid):
        counts = ", ".join(f"{len(part)} {name}" for name, part in zip(names, (joints, flat, valid), strict=True))
        raise DatasetError(f"{path}: there are {counts}: one of each is needed for every person")
    count = np.shape(joints[0])[0] if joints and np.ndim(joints[0]) else 0
    worlds = numbers(field_of(content, "cam_poses", path), (count, 4, 4), f"{path}: cam_poses")
    finite(worlds, f"{path}: cam_poses")
    k = numbers(field_of(content, "cam_intrinsics", path), (3, 3), f"{path}: cam_intrinsics")
    # The two sizes of the data set's pictures, standing and lying.
    width, height = (1080, 1920) if k[0, 2] < k[1, 2] else (1920, 1080)
    try:
        camera = camera_from_matrix(width, height, k)
    except CameraError as error:
        raise DatasetError(f"{path}: cam_intrinsics: {error}") from None
    places = [numbers(p, (count, 3 * len(JOINTS)), f"{path}: jointPositions[{n}]").reshape(count, -1, 3)
              for n, p in enumerate(joints)]  # fmt: skip
    for n, person in enumerate(places):
        finite(person, f"{path}: jointPositions[{n}]")
    seen_2d = [numbers(p, (count, 3, -1), f"{path}: poses2d[{n}]")[:, 2] > 0 for n, p in enumerate(flat)]
    valid = [numbers(np.ravel(v), (count,), f"{path}: campose_valid[{n}]") > 0 for n, v in enumerate(valid)]
    for index in range(count):
        there = [n for n in range(len(places)) if valid[n][index]]
        world = np.stack([places[n][index] for n in there]) if there else np.zeros((0, len(JOINTS), 3))
        seen = [bool(seen_2d[n][index].any()) for n in there]
        cam = world @ worlds[index, :3, :3].T + worlds[index, :3, 3]
        visible = np.repeat(np.array(seen, dtype=bool)[:, None], len(JOINTS), axis=1)
        pixels = project(camera, cam) if len(there) else np.zeros((0, len(JOINTS), 2))
        people = true_people(np.array(there), cam, pixels, f"{path}: frame {index}", visible)
        yield TruthFrame(index, index / FPS, pictures / f"image_{index:05d}.jpg", camera, people)
