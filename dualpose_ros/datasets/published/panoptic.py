"""CMU Panoptic: a folder a video, with `calibration_NAME.json`, `hdPose3d_stage1_coco19/body3DScene_N.json`, `hdImgs`.

Joo et al., "Panoptic Studio", PAMI 2017. A frame's file has bodies with an id and joints19: x, y, z in centimetres in
the world and a confidence, joint by joint; a calibration's cameras K, distCoef, and R, t from world to camera.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.camera import Camera, CameraError, camera_from_matrix, project
from dualpose_ros.datasets.published.truth import (
    DatasetError,
    TruthFrame,
    TruthSequence,
    field_of,
    finite,
    list_of,
    numbers,
    read_json,
    true_people,
    whole_of,
)

JOINTS = (
    "thorax", "nose", "pelvis", "left_shoulder", "left_elbow", "left_wrist", "left_hip", "left_knee", "left_ankle",
    "right_shoulder", "right_elbow", "right_wrist", "right_hip", "right_knee", "right_ankle",
    "left_eye", "left_ear", "right_eye", "right_ear",
)  # fmt: skip
CAMERAS = ("00_16", "00_30")
FPS = 29.97
_FOLDER = "hdPose3d_stage1_coco19"
_LEAST_CONFIDENCE = 0.0


def open_panoptic(root: Path, cameras: tuple[str, ...] = CAMERAS) -> list[TruthSequence]:
    """The videos below a folder from some HD cameras; DatasetError names what is missing."""
    folders = sorted(path.parent for path in root.glob(f"*/{_FOLDER}"))
    if not folders:
        raise DatasetError(f"{root} has no folder with {_FOLDER}: this is no CMU Panoptic")
    return [
        TruthSequence(f"{folder.name}/{camera}", JOINTS, partial(_frames, folder, camera), group=_activity(folder.name))
        for folder in folders for camera in cameras
    ]  # fmt: skip


def _activity(name: str) -> str:
    return name.split("_")[-1].rstrip("0123456789") or name


def _frames(folder: Path, name: str) -> Iterator[TruthFrame]:
    camera, rotation, translation = _camera(folder / f"calibration_{folder.name}.json", name)
    files = sorted((folder / _FOLDER).glob("body3DScene_*.json"))
    if not files:
        raise DatasetError(f"{folder / _FOLDER} holds no body3DScene_N.json")
    for path in files:
        number = path.stem.split("_")[-1]
        if not number.isdecimal():
            raise DatasetError(f"{path}: its name has no number of a frame")
        index, bodies = int(number), list_of(read_json(path), "bodies", path)
        ids = [whole_of(body, "id", path) for body in bodies]
        flat = [finite(numbers(field_of(body, "joints19", path), (4 * len(JOINTS),), f"{path}: joints19"),
                       f"{path}: joints19") for body in bodies]  # fmt: skip
        table = np.array(flat).reshape(len(bodies), len(JOINTS), 4)
        joints = 0.01 * table[..., :3] @ rotation.T + 0.01 * translation
        joints[table[..., 3] <= _LEAST_CONFIDENCE] = np.nan
        pixels = project(camera, joints) if len(bodies) else np.zeros((0, len(JOINTS), 2))
        people = true_people(np.array(ids), joints, pixels, str(path))
        picture = folder / "hdImgs" / name / f"{name}_{index:08d}.jpg"
        yield TruthFrame(index, index / FPS, picture, camera, people)


def _finite(value: Any, size: int, where: str) -> Floats:
    return finite(numbers(value, (size,), where), where)


def _camera(path: Path, name: str) -> tuple[Camera, Floats, Floats]:
    """A camera of a calibration, and the rotation (3, 3) and translation (3,) in cm from the world to it."""
    cameras = list_of(read_json(path), "cameras", path)
    entry: Any = next((c for c in cameras if isinstance(c, dict) and c.get("name") == name), None)
    if entry is None:
        raise DatasetError(f"{path} has no camera '{name}'")
    k, distortion, rotation, translation = (
        _finite(np.ravel(np.asarray(field_of(entry, part, path), object)), size, f"{path}: {name}.{part}")
        for part, size in (("K", 9), ("distCoef", 5), ("R", 9), ("t", 3))
    )
    width, height = _finite(field_of(entry, "resolution", path), 2, f"{path}: {name}.resolution")
    try:
        return camera_from_matrix(int(width), int(height), k, distortion), rotation.reshape(3, 3), translation
    except CameraError as error:
        raise DatasetError(f"{path}: {name}: {error}") from None
