"""What both branches made of synthetic videos, with the truth: to train and to measure what comes after them.

F frames, N true people in them, M estimated ones, K joints of `skeleton.H36M17`; metres in the camera frame.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from dualpose_ros.arrays import DAMAGED, AnyArray, Mask, Rows, rows_of
from dualpose_ros.camera import Camera
from dualpose_ros.paths import written_whole
from dualpose_ros.people import Poses
from dualpose_ros.skeleton import K


class RecordingError(ValueError):
    """A folder or file of recordings that can't be used; the message names it."""


@dataclass(frozen=True, eq=False)
class Frames(Rows):
    """sequence (F,) int; stamp_s (F,); camera (F, 6): fx, fy, cx, cy, width, height; down (F, 3) the direction of
    gravity; level (F,): whether of a sequence of walking people before a level camera."""

    sequence: AnyArray = field(metadata=rows_of(dtype=np.int32))
    stamp_s: AnyArray = field(metadata=rows_of())
    camera: AnyArray = field(metadata=rows_of(6, dtype=np.float32))
    down: AnyArray = field(metadata=rows_of(3, dtype=np.float32))
    level: AnyArray = field(metadata=rows_of(dtype=np.bool_))


@dataclass(frozen=True, eq=False)
class Truth(Rows):
    """frame (N,) index into the frames; person (N,) number within the sequence; action (N,) its name;
    joints_cam (N, K, 3); joints_px (N, K, 2); visibility (N, K) as in `labels`; visible_fraction (N,);
    boxes_px (N, 4)."""

    frame: AnyArray = field(metadata=rows_of(dtype=np.int32))
    person: AnyArray = field(metadata=rows_of(dtype=np.int32))
    action: AnyArray = field(metadata=rows_of(dtype=np.str_))
    joints_cam: AnyArray = field(metadata=rows_of(K, 3, dtype=np.float32))
    joints_px: AnyArray = field(metadata=rows_of(K, 2, dtype=np.float32))
    visibility: AnyArray = field(metadata=rows_of(K, dtype=np.uint8))
    visible_fraction: AnyArray = field(metadata=rows_of(dtype=np.float32))
    boxes_px: AnyArray = field(metadata=rows_of(4, dtype=np.float32))


@dataclass(frozen=True, eq=False)
class Estimates(Rows):
    """One branch. frame (M,); track (M,) or -1; truth (M,) index into the true people, by similarity on the image, or
    -1; joints_cam (M, K, 3); joint_scores and joint_stddev (M, K); score (M,); keypoints_px (M, K, 2)."""

    frame: AnyArray = field(metadata=rows_of(dtype=np.int32))
    track: AnyArray = field(metadata=rows_of(dtype=np.int32))
    truth: AnyArray = field(metadata=rows_of(dtype=np.int32))
    joints_cam: AnyArray = field(metadata=rows_of(K, 3, dtype=np.float32))
    joint_scores: AnyArray = field(metadata=rows_of(K, dtype=np.float32))
    joint_stddev: AnyArray = field(metadata=rows_of(K, dtype=np.float32))
    score: AnyArray = field(metadata=rows_of(dtype=np.float32))
    keypoints_px: AnyArray = field(metadata=rows_of(K, 2, dtype=np.float32))

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


PARTS: dict[str, type[Any]] = {"frames": Frames, "truth": Truth, "top_down": Estimates, "bottom_up": Estimates}
"""The record of each part of a recording."""


def collected(part: str, rows: list[dict[str, object]]) -> Any:
    """Rows of one part (`frames`, `truth`, `top_down`, `bottom_up`), a value for each of its columns, as its record."""
    columns: dict[str, AnyArray] = {
        item.name: np.array([row[item.name] for row in rows], dtype=item.metadata["dtype"])
        .reshape(-1, *item.metadata["shape"])
        for item in fields(PARTS[part])
    }  # fmt: skip
    return PARTS[part](**columns)


def joined(recordings: Iterable[Recordings]) -> Recordings:
    """Recordings end to end, with indices and the numbers of sequences going on."""
    parts: dict[str, list[Any]] = {name: [] for name in PARTS}
    frames = people = sequences = 0
    for recording in recordings:
        parts["frames"].append(replace(recording.frames, sequence=recording.frames.sequence + sequences))
        parts["truth"].append(replace(recording.truth, frame=recording.truth.frame + frames))
        for name in ("top_down", "bottom_up"):
            part = getattr(recording, name)
            truth = np.where(part.truth >= 0, part.truth + people, -1)
            parts[name].append(replace(part, frame=part.frame + frames, truth=truth))
        frames += len(recording.frames)
        people += len(recording.truth)
        sequences += int(recording.frames.sequence.max(initial=-1)) + 1
    if not frames:
        raise RecordingError("there are no recordings to join")
    return Recordings(*(kind.concatenate(parts[name]) for name, kind in PARTS.items()))


def with_frames(recordings: Recordings, chosen: Mask) -> Recordings:
    """Some of the frames (F,), with who is in them; sequences keep their numbers."""
    place = np.cumsum(chosen) - 1
    kept = {name: chosen[getattr(recordings, name).frame] for name in ("truth", "top_down", "bottom_up")}
    people = np.append(np.where(kept["truth"], np.cumsum(kept["truth"]) - 1, -1), -1)
    parts = {}
    for name, those in kept.items():
        part = getattr(recordings, name)[np.flatnonzero(those)]
        parts[name] = replace(part, frame=place[part.frame].astype(np.int32))
    for name in ("top_down", "bottom_up"):
        parts[name] = replace(parts[name], truth=people[parts[name].truth].astype(np.int32))
    return Recordings(recordings.frames[np.flatnonzero(chosen)], **parts)


def save_recordings(path: Path, recordings: Recordings) -> None:
    """Write an .npz file, whole or not at all."""
    arrays = {
        f"{name}.{item.name}": getattr(getattr(recordings, name), item.name)
        for name, kind in PARTS.items()
        for item in fields(kind)
    }
    with written_whole(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


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
        parts = []
        for name, kind in PARTS.items():
            count = len(arrays[f"{name}.{fields(kind)[0].name}"])
            columns = {item.name: arrays[f"{name}.{item.name}"] for item in fields(kind)}
            for item in fields(kind):
                held, dtype, shape = columns[item.name], item.metadata["dtype"], (count, *item.metadata["shape"])
                if held.dtype.kind != np.dtype(dtype).kind:
                    raise RecordingError(f"{path}: {name}.{item.name} holds {held.dtype}, not {np.dtype(dtype)}")
                if held.shape != shape:
                    raise RecordingError(f"{path}: {name}.{item.name} has the shape {held.shape}, not {shape}")
            parts.append(kind(**columns))
        return Recordings(*parts)
    except RecordingError:
        raise
    except DAMAGED as error:
        raise RecordingError(f"{path} holds no recordings: {error}") from error


def camera_of(recordings: Recordings, frame: int) -> Camera:
    """The camera of a frame."""
    fx, fy, cx, cy, width, height = (float(value) for value in recordings.frames.camera[frame])
    return Camera(int(width), int(height), fx, fy, cx, cy)
