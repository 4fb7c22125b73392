"""Leeds Sports Pose and its extended training set as labelled images.

A folder holds `images/im0001.jpg` and so on, and `joints.mat`: `joints` of shape (3, 14, N), or (14, 3, N) in the
extended set, whose rows are x, y and a flag; Johnson and Everingham, BMVC 2010 and CVPR 2011. In the first set the
flag says that a joint is hidden, in the extended one that it is labelled. One person an image has labels;
the number in an image's name says which.

The set's neck lies 4 per cent of a person's size from both our thorax and our neck (measured), so it is unknown;
its head top is ours.
"""

import re
from pathlib import Path

import numpy as np

from dualpose_ros.arrays import Floats, UInt8s
from dualpose_ros.datasets.apart import read_matlab
from dualpose_ros.datasets.coco import (
    ImportOptions,
    Photograph,
    make_people,
    of_known_sources,
    read_photograph,
    split_of,
)
from dualpose_ros.datasets.joint_names import to_inner
from dualpose_ros.datasets.keypoint_file import CocoError
from dualpose_ros.datasets.labels import HIDDEN, UNKNOWN, VISIBLE, Origin

LSP_JOINTS = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist",
    "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top",
)  # fmt: skip
_NAME = re.compile(r"im([0-9]{1,9})\.jpg")
MARGIN = 0.12
"""A person's box is that of the joints, grown by this share of its longer side: they lie inside the body."""

MOST_OUTSIDE = 0.25
"""Share of the labelled joints that may lie outside the pictures."""


def read_lsp(root: Path, options: ImportOptions | None = None) -> list[Photograph]:
    """All pictures of a folder, one labelled person each; CocoError names what is missing or wrong."""
    options = options or ImportOptions()
    path = options.annotations or root / "joints.mat"
    joints, states = _read_joints(path)
    files = _pictures(options.images or root / "images", len(joints), path)
    name = root.name
    origin = Origin(name, float(options.weights.get(name, 1.0)), float(options.stretches.get(name, 1.0)), False)
    rows = zip(files, joints, states, strict=True)
    photographs = [_photograph(file, place, state, origin) for file, place, state in rows]
    sizes = np.array([(photograph.width, photograph.height) for photograph in photographs]).reshape(-1, 1, 2)
    outside = np.any((joints < -1) | (joints > sizes), axis=2)[states != UNKNOWN]
    if outside.sum() > MOST_OUTSIDE * outside.size:
        raise CocoError(
            f"{path}: {outside.sum()} of {outside.size} joints lie outside their pictures; those of "
            f"{files[0].parent} may have been made smaller or be others"
        )
    return of_known_sources(photographs, options)


def _pictures(folder: Path, count: int, path: Path) -> list[Path]:
    """Files of pictures 1 to `count`, by the numbers in their names; CocoError where one lacks or is too many."""
    found: dict[int, Path] = {}
    for file in sorted(folder.glob("im*.jpg")):
        name = _NAME.fullmatch(file.name)
        if name is None or not 1 <= int(name[1]) <= count or int(name[1]) in found:
            also = found.get(int(name[1])) if name else None
            why = f"has the number of {also.name}" if also else f"is none of im1.jpg to im{count}.jpg"
            raise CocoError(f"{path} has joints of {count} pictures, but {file} {why}")
        found[int(name[1])] = file
    lacking = [number for number in range(1, count + 1) if number not in found]
    if lacking:
        raise CocoError(
            f"{path} has joints of {count} pictures, but {folder} holds {len(found)} im*.jpg: number {lacking[0]} lacks"
        )
    return [found[number] for number in range(1, count + 1)]


def _photograph(file: Path, joints: Floats, state: UInt8s, origin: Origin) -> Photograph:
    pixels = read_photograph(file)
    size = (pixels.shape[1], pixels.shape[0])
    known = joints[state != UNKNOWN]
    low, high = (known.min(axis=0), known.max(axis=0)) if len(known) else (np.zeros(2), np.array(size, np.float64))
    margin = MARGIN * float((high - low).max())
    box = np.concatenate([low - margin, high + margin])[None]
    inner, seen = to_inner(LSP_JOINTS, joints[None], state[None])
    people = make_people(box, inner, seen, np.zeros(1, bool), size)
    return Photograph(file, *size, split_of(file.name), people, origin)


def _read_joints(path: Path) -> tuple[Floats, UInt8s]:
    """Joints (N, 14, 2) counted from 0, and their visibility (N, 14)."""
    if not path.is_file():
        raise CocoError(f"{path} is missing: an LSP folder holds joints.mat and images/")
    try:
        values = np.asarray(read_matlab(path)["joints"], np.float64)
    except Exception as error:
        raise CocoError(f"{path} is no MATLAB file with 'joints': {type(error).__name__} {error}") from error
    if values.ndim != 3 or sorted(values.shape[:2]) != [3, len(LSP_JOINTS)]:
        raise CocoError(f"{path}: joints has shape {values.shape}, not (3, 14, N) or (14, 3, N)")
    extended = values.shape[0] == len(LSP_JOINTS)
    rows = values.transpose(2, 0, 1) if extended else values.transpose(2, 1, 0)
    flag = rows[..., 2] > 0
    state = np.where(flag, VISIBLE, UNKNOWN) if extended else np.where(flag, HIDDEN, VISIBLE)
    # Some tools write NaN where nothing is labelled.
    is_place = np.isfinite(rows).all(axis=2)
    places = np.where(is_place[..., None], rows[..., :2], 0.0)
    # MATLAB's first pixel is 1.
    return places - 1.0, np.where(is_place, state, UNKNOWN).astype(np.uint8)
