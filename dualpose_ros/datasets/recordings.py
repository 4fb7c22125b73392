"""What both branches made of synthetic videos, with the truth: to train and to measure what comes after them.

F frames, N true people in them, M estimated ones, K joints of `skeleton.H36M17`; metres in the camera frame.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from dualpose_ros.arrays import AnyArray, Rows
from dualpose_ros.camera import Camera
from dualpose_ros.people import Poses
from dualpose_ros.skeleton import H36M17

K = H36M17.num_joints


class RecordingError(ValueError):
    """A folder or file of recordings that can't be used; the message names it."""


@dataclass(frozen=True, eq=False)
class Frames(Rows):
    """sequence (F,) int; stamp_s (F,); camera (F, 6): fx, fy, cx, cy, width, height; down (F, 3) the direction of
    gravity; level (F,): whether of a sequence of walking people before a level camera."""

    sequence: AnyArray
    stamp_s: AnyArray
    camera: AnyArray
    down: AnyArray
    level: AnyArray


@dataclass(frozen=True, eq=False)
class Truth(Rows):
    """frame (N,) index into the frames; person (N,) number within the sequence; action (N,) its name;
    joints_cam (N, K, 3); joints_px (N, K, 2); visibility (N, K) as in `labels`; visible_fraction (N,);
    boxes_px (N, 4)."""

    frame: AnyArray
    person: AnyArray
    action: AnyArray
    joints_cam: AnyArray
    joints_px: AnyArray
    visibility: AnyArray
    visible_fraction: AnyArray
    boxes_px: AnyArray


@dataclass(frozen=True, eq=False)
class Estimates(Rows):
    """One branch. frame (M,); track (M,) or -1; truth (M,) index into the true people, by similarity on the image, or
    -1; joints_cam (M, K, 3); joint_scores and joint_stddev (M, K); score (M,); keypoints_px (M, K, 2)."""

    frame: AnyArray
    track: AnyArray
    truth: AnyArray
    joints_cam: AnyArray
    joint_scores: AnyArray
    joint_stddev: AnyArray
    score: AnyArray
    keypoints_px: AnyArray

    @property
    def poses(self) -> Poses:
        """What the branch says of the people."""
        return Poses(self.joints_cam, self.joint_scores, self.joint_stddev, self.score)


@dataclass(frozen=True)
class Recordings:
    """Frames, the true people in them and what each branch made of them."""

    frames: Frames
    truth: Truth
    top_down: Estimates
    bottom_up: Estimates


_SHAPES: dict[str, dict[str, tuple[type, tuple[int, ...]]]] = {
    "frames": {"sequence": (np.int32, ()), "stamp_s": (np.float64, ()), "camera": (np.float32, (6,)),
               "down": (np.float32, (3,)), "level": (np.bool_, ())},
    "truth": {"frame": (np.int32, ()), "person": (np.int32, ()), "action": (np.str_, ()),
              "joints_cam": (np.float32, (K, 3)), "joints_px": (np.float32, (K, 2)), "visibility": (np.uint8, (K,)),
              "visible_fraction": (np.float32, ()), "boxes_px": (np.float32, (4,))},
    "estimates": {"frame": (np.int32, ()), "track": (np.int32, ()), "truth": (np.int32, ()),
                  "joints_cam": (np.float32, (K, 3)), "joint_scores": (np.float32, (K,)),
                  "joint_stddev": (np.float32, (K,)), "score": (np.float32, ()), "keypoints_px": (np.float32, (K, 2))},
}  # fmt: skip
PARTS = {"frames": (Frames, "frames"), "truth": (Truth, "truth"), "top_down": (Estimates, "estimates"),
          "bottom_up": (Estimates, "estimates")}  # fmt: skip
"""The record and the columns of each part of a recording."""
_UNREADABLE = (OSError, EOFError, LookupError, ValueError, TypeError, AttributeError, BadZipFile, zlib.error)
"""What NumPy raises of a file that is damaged or another."""


def collected(part: str, rows: list[dict[str, object]]) -> Any:
    """Rows of one part (`frames`, `truth`, `top_down`, `bottom_up`), a value for each of its columns, as its record."""
    kind, shapes = PARTS[part][0], _SHAPES[PARTS[part][1]]
    columns: dict[str, AnyArray] = {
        name: np.array([row[name] for row in rows], dtype=dtype).reshape(-1, *shape)
        for name, (dtype, shape) in shapes.items()
    }
    return kind(**columns)


def joined(recordings: Iterable[Recordings]) -> Recordings:
    """Recordings end to end, with indices and the numbers of sequences going on."""
    parts: dict[str, list[dict[str, AnyArray]]] = {name: [] for name in PARTS}
    frames = people = sequences = 0
    for recording in recordings:
        for name in PARTS:
            part = getattr(recording, name)
            columns: dict[str, Any] = {field.name: getattr(part, field.name) for field in fields(part)}
            if name == "frames":
                columns["sequence"] = columns["sequence"] + sequences
            else:
                columns["frame"] = columns["frame"] + frames
            if "truth" in columns:
                columns["truth"] = np.where(columns["truth"] >= 0, columns["truth"] + people, -1)
            parts[name].append(columns)
        frames += len(recording.frames.stamp_s)
        people += len(recording.truth.frame)
        sequences += int(recording.frames.sequence.max(initial=-1)) + 1
    if not frames:
        raise RecordingError("there are no recordings to join")
    return Recordings(
        *(
            kind(**{name: np.concatenate([part[name] for part in parts[key]]) for name in _SHAPES[shape]})
            for key, (kind, shape) in PARTS.items()
        )
    )


def save_recordings(path: Path, recordings: Recordings) -> None:
    """Write an .npz file, whole or not at all."""
    arrays = {
        f"{name}.{field.name}": getattr(getattr(recordings, name), field.name)
        for name, (kind, _) in PARTS.items()
        for field in fields(kind)
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}_", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, **arrays)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load_recordings(folder: Path) -> Recordings:
    """All recordings_*.npz of a folder and those in it, joined; RecordingError names what is missing or damaged."""
    paths = sorted(folder.rglob("recordings_*.npz"))
    if not paths:
        raise RecordingError(f"{folder} holds no recordings_*.npz; `dualpose synth recordings` makes them")
    return joined(_load(path) for path in paths)


def _load(path: Path) -> Recordings:
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        for name, (_, columns) in PARTS.items():
            count = len(arrays[f"{name}.{next(iter(_SHAPES[columns]))}"])
            for column, (dtype, sizes) in _SHAPES[columns].items():
                held = arrays[f"{name}.{column}"]
                if held.dtype.kind != np.dtype(dtype).kind:
                    raise RecordingError(f"{path}: {name}.{column} holds {held.dtype}, not {np.dtype(dtype)}")
                shape = held.shape
                if shape != (count, *sizes):
                    raise RecordingError(f"{path}: {name}.{column} has the shape {shape}, not {(count, *sizes)}")
        return Recordings(
            *(
                kind(**{column: arrays[f"{name}.{column}"] for column in _SHAPES[shape]})
                for name, (kind, shape) in PARTS.items()
            )
        )
    except RecordingError:
        raise
    except _UNREADABLE as error:
        raise RecordingError(f"{path} holds no recordings: {error}") from error


def camera_of(recordings: Recordings, frame: int) -> Camera:
    """The camera of a frame."""
    fx, fy, cx, cy, width, height = (float(value) for value in recordings.frames.camera[frame])
    return Camera(int(width), int(height), fx, fy, cx, cy)
