"""What a published data set says of its videos, whatever its format, and the checks that all readers share.

N people, J joints as the data set has them, called as `skeleton.H36M17` calls those that it has too; metres in the
camera's optical frame, pixels with the first one's centre at 0.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dualpose_ros.arrays import AnyArray, AnyFloats, Floats, Ints, Mask, Rows, rows_of
from dualpose_ros.camera import Camera, CameraError


class DatasetError(ValueError):
    """A data set or predictions that can't be read; the message names the file and the field."""


@dataclass(frozen=True, eq=False)
class TruePeople(Rows):
    """The people of one frame: ids (N,), joints_cam (N, J, 3) and joints_px (N, J, 2), NaN where not known;
    visible (N, J): labelled and in sight; boxes_px (N, 4) as x0, y0, x1, y1; area_px (N,); crowd (N,)."""

    ids: Ints = field(metadata=rows_of(dtype=np.int64))
    joints_cam: Floats
    joints_px: Floats
    visible: Mask
    boxes_px: Floats = field(metadata=rows_of(4))
    area_px: Floats = field(metadata=rows_of())
    crowd: Mask = field(metadata=rows_of(dtype=np.bool_))


@dataclass(frozen=True)
class TruthFrame:
    """index: as the data set counts; picture: its file, None where it is frame `index` of the sequence's video."""

    index: int
    stamp_s: float
    picture: Path | None
    camera: Camera | None
    people: TruePeople


@dataclass(frozen=True)
class TruthSequence:
    """One video, or one picture where frames don't belong together. `frames` reads them in their order, from the
    files, each time that it is called. video: of all frames, where there are no pictures; offset: index of its first
    frame; group: what tables may put together (an action, a difficulty)."""

    name: str
    joint_names: tuple[str, ...]
    frames: Callable[[], Iterator[TruthFrame]]
    video: Path | None = None
    offset: int = 0
    group: str = ""


def true_people(
    ids: AnyArray, joints_cam: AnyFloats, joints_px: AnyFloats, where: str, visible: Mask | None = None
) -> TruePeople:
    """People whose boxes are those around their joints; DatasetError that begins with `where` for an id used twice."""
    ids = np.asarray(ids, dtype=np.int64).reshape(-1)
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise DatasetError(f"{where}: person {values[counts > 1][0]} is there twice")
    pixels = np.asarray(joints_px, dtype=np.float64)
    known = is_known(pixels)
    low = np.where(known[..., None], pixels, np.inf).min(axis=1)
    high = np.where(known[..., None], pixels, -np.inf).max(axis=1)
    boxes = np.concatenate([low, high], axis=1)
    boxes[~np.isfinite(boxes)] = 0.0
    return TruePeople(
        ids,
        np.asarray(joints_cam, dtype=np.float64),
        pixels,
        known if visible is None else np.asarray(visible, dtype=bool),
        boxes,
        (boxes[:, 2:] - boxes[:, :2]).prod(axis=1),
        np.zeros(len(ids), dtype=bool),
    )


def is_known(joints: AnyFloats) -> Mask:
    """Which of joints (..., D) have finite coordinates: (...,)."""
    return np.asarray(np.isfinite(joints).all(axis=-1), dtype=bool)


def numbers(value: Any, shape: tuple[int, ...], where: str) -> Floats:
    """An array of a shape, -1 for any size; DatasetError that begins with `where` otherwise."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise DatasetError(f"{where} holds something else than numbers of shape {shape}") from None
    if array.ndim != len(shape) or any(want not in (-1, got) for want, got in zip(shape, array.shape, strict=True)):
        wanted = ", ".join("any" if want == -1 else str(want) for want in shape)
        raise DatasetError(f"{where} has shape {array.shape} instead of ({wanted})")
    return array


def finite(array: Floats, where: str) -> Floats:
    """The array; DatasetError that begins with `where` if it holds NaN or infinity."""
    if not np.isfinite(array).all():
        first = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise DatasetError(f"{where} holds a number that is not finite, at {first}")
    return array


def read_json(path: Path) -> Any:
    """The content of a JSON file; DatasetError if it is missing, cut short or no JSON."""
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"{path} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise DatasetError(f"{path} is no JSON, or cut short: {error}") from None


def field_of(content: Any, name: str, path: Path) -> Any:
    """An entry of a mapping; DatasetError that names file and field where it is not there."""
    if not isinstance(content, dict) or name not in content:
        raise DatasetError(f"{path} has no '{name}'")
    return content[name]


def list_of(content: Any, name: str, path: Path) -> list[Any]:
    """An entry of a mapping that is a list; DatasetError that names file and field otherwise."""
    value = field_of(content, name, path)
    if not isinstance(value, list | tuple):
        raise DatasetError(f"{path}: '{name}' is no list")
    return list(value)


def whole_of(content: Any, name: str, path: Path) -> int:
    """An entry of a mapping that is a whole number; DatasetError that names file and field otherwise."""
    value = field_of(content, name, path)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53 or value % 1:
        raise DatasetError(f"{path}: '{name}' is {value!r}, no whole number")
    return int(value)


def fitted_camera(joints_cam: AnyFloats, joints_px: AnyFloats, size: tuple[int, int], where: str) -> Camera:
    """The pinhole camera of a (width, height) that projects joints (..., 3) to pixels (..., 2), in least squares.

    For data sets that publish both, but no intrinsics; lens distortion stays in the residuals.
    """
    points, pixels = np.asarray(joints_cam).reshape(-1, 3), np.asarray(joints_px).reshape(-1, 2)
    usable = np.isfinite(points).all(axis=1) & np.isfinite(pixels).all(axis=1) & (points[:, 2] > 0)
    if usable.sum() < 8:
        raise DatasetError(f"{where}: too few joints with both a place in 3D and a pixel to tell the camera")
    rays, pixels = points[usable, :2] / points[usable, 2:], pixels[usable]
    (fx, cx), (fy, cy) = (np.linalg.lstsq(np.stack([rays[:, a], np.ones(len(rays))], 1), pixels[:, a], rcond=None)[0]
                          for a in (0, 1))  # fmt: skip
    try:
        return Camera(*size, float(fx), float(fy), float(cx), float(cy))
    except CameraError as error:
        raise DatasetError(f"{where}: 2D and 3D joints don't belong together: {error}") from None
