"""MuPoTS-3D: twenty videos, TS1 to TS20, each a folder with `annot.mat`, `occlusion.mat` and img_NNNNNN.jpg.

Mehta et al., "Single-shot multi-person 3D pose estimation from monocular RGB", 3DV 2018. `annot.mat` holds a cell
(T, N) of structs with annot2 (2, 17) pixels, annot3 and univ_annot3 (3, 17) millimetres and isValidFrame.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from natsort import natsorted

from dualpose_ros.arrays import AnyArray, Floats
from dualpose_ros.camera import Camera
from dualpose_ros.datasets.apart import read_matlab
from dualpose_ros.datasets.published.truth import (
    DatasetError,
    TruthFrame,
    TruthSequence,
    finite,
    fitted_camera,
    numbers,
    true_people,
)
from dualpose_ros.sources.pictures import read_picture
from dualpose_ros.sources.source import SourceError

JOINTS = (
    "head_top", "thorax", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "pelvis", "spine", "neck",
)  # fmt: skip
"""Where the data set says neck and head, ours are thorax and neck."""

UNIVERSAL = "univ_annot3"
"""The joints of bodies brought to one height, which the official evaluation of relative poses takes."""

_INDOORS = 5


def open_mupots(root: Path, joints: str = "annot3") -> list[TruthSequence]:
    """The videos below a folder (MultiPersonTestSet); DatasetError names what is missing.

    root: with TS1, TS2 and so on, as many as there are; joints: `annot3`, where people are, or UNIVERSAL.
    """
    folders = [path.parent for path in natsorted(root.glob("TS*/annot.mat"), key=str)]
    if not folders:
        raise DatasetError(f"{root} has no TS1/annot.mat: MuPoTS-3D is its folder MultiPersonTestSet")
    return [TruthSequence(folder.name, JOINTS, partial(_frames, folder, joints)) for folder in folders]


def _frames(folder: Path, joints: str) -> Iterator[TruthFrame]:
    number = int("".join(c for c in folder.name if c.isdigit()) or 0)
    cells, hidden = _matrix(folder / "annot.mat", "annotations"), _matrix(folder / "occlusion.mat", "occlusion_labels")
    if cells.shape != hidden.shape:
        raise DatasetError(f"{folder}/occlusion.mat: occlusion_labels is {hidden.shape}, annotations {cells.shape}")
    frames = [[_person(cell, folder, i, k, joints) for k, cell in enumerate(row)] for i, row in enumerate(cells)]
    everybody = [person for row in frames for person in row if person is not None]
    camera = None
    if everybody:
        pixels, _, places = (np.stack(part) for part in zip(*everybody, strict=True))
        camera = fitted_camera(places, pixels, _size(folder, number), f"{folder}/annot.mat")
    for index, row in enumerate(frames):
        yield _frame(folder, index, row, hidden[index], camera, 30.0 if number <= _INDOORS else 60.0)


def _frame(folder: Path, index: int, row: list[Any], hidden: Any, camera: Camera | None, fps: float) -> TruthFrame:
    ids = [k for k, person in enumerate(row) if person is not None]
    blank = np.zeros((0, len(JOINTS)))
    where = f"{folder}/occlusion.mat: frame {index}"
    occluded = [numbers(np.ravel(hidden[k]), (len(JOINTS),), where) for k in ids]
    people = true_people(
        np.array(ids),
        np.stack([row[k][1] for k in ids]) if ids else np.zeros((*blank.shape, 3)),
        np.stack([row[k][0] for k in ids]) if ids else np.zeros((*blank.shape, 2)),
        f"{folder}/annot.mat: frame {index}",
        np.stack(occluded) == 0 if ids else blank.astype(bool),
    )
    return TruthFrame(index, index / fps, folder / f"img_{index:06d}.jpg", camera, people)


def _person(cell: Any, folder: Path, index: int, person: int, joints: str) -> tuple[Floats, Floats, Floats] | None:
    """Pixels (17, 2), joints as asked for and where they are (17, 3) in metres; None where not valid."""
    where = f"{folder}/annot.mat: annotations{{{index + 1},{person + 1}}}"
    parts = {}
    for name in ("isValidFrame", "annot2", "annot3", joints):
        if not isinstance(cell, np.ndarray) or cell.shape != (1, 1) or name not in (cell.dtype.names or ()):
            raise DatasetError(f"{where} has no '{name}'")
        parts[name] = cell[name][0, 0]
    if not np.any(parts["isValidFrame"]):
        return None
    pixels = finite(numbers(parts["annot2"], (2, len(JOINTS)), f"{where}.annot2"), f"{where}.annot2").T
    asked, places = (
        finite(numbers(parts[name], (3, len(JOINTS)), f"{where}.{name}"), f"{where}.{name}").T / 1000
        for name in (joints, "annot3")
    )
    return pixels, asked, places


def _matrix(path: Path, name: str) -> AnyArray:
    if not path.is_file():
        raise DatasetError(f"{path} is not there")
    try:
        content = read_matlab(path)
    except ValueError as error:
        raise DatasetError(f"{path} is no MATLAB file, or damaged: {error}") from None
    cells = content.get(name)
    if not isinstance(cells, np.ndarray) or cells.ndim != 2 or cells.dtype != object:
        raise DatasetError(f"{path} has no cell array '{name}'")
    return cells


def _size(folder: Path, number: int) -> tuple[int, int]:
    """Width and height of the pictures: the first one's where it is there, the published ones otherwise."""
    path = folder / "img_000000.jpg"
    if path.is_file():
        try:
            first = read_picture(path)
        except SourceError as error:
            raise DatasetError(str(error)) from None
        return first.shape[1], first.shape[0]
    return (2048, 2048) if number <= _INDOORS else (1920, 1080)
