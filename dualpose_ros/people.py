"""The frozen records that stages exchange: people as arrays with a row for each, and what one of them is.

N people, K joints of `skeleton.H36M17`, pixels of the processed image, metres in the camera's
optical frame. A box is (x0, y0, x1, y1) in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from dualpose_ros.arrays import AnyArray, AnyFloats, AnyInts, Floats, Indices, Ints, Mask, Rows, rows_of
from dualpose_ros.skeleton import H36M17, K

SEEN = 0.5
"""Score of a joint from which it is seen; below, it is more likely somewhere else on the image: a guess."""


class TrackingState(IntEnum):
    """Life of a track; the values are those of PersonPose3D.msg."""

    TENTATIVE = 0
    CONFIRMED = 1
    COASTING = 2


class Source(IntEnum):
    """Which branch a pose came from; the values are those of PersonPose3D.msg."""

    TOP_DOWN = 0
    BOTTOM_UP = 1
    FUSED = 2


@dataclass(frozen=True)
class Track:
    """One tracked person in one frame: box_px (4,), predicted where the state is COASTING."""

    track_id: int
    state: TrackingState
    box_px: AnyFloats
    score: float


@dataclass(frozen=True)
class Pose2D:
    """2D joints of one person: joints_px (K, 2) in image pixels, scores (K,) in 0..1 (0 = not found)."""

    joints_px: AnyFloats
    scores: AnyFloats


@dataclass(frozen=True)
class Pose3D:
    """One person's 3D pose in one frame.

    joints_cam (K, 3) and joint_stddev (K,) in metres, joint_scores (K,) in 0..1: about the chance that a joint is where
    keypoints_px (K, 2) have it, within a tenth of the person's size, and 0 outside the image; root_velocity (3,) in
    m/s. height_m: how tall the person stands, with its deviation; 0 where that is not known.
    """

    track_id: int
    state: TrackingState
    source: Source
    score: float
    box_px: AnyFloats
    joints_cam: AnyFloats
    joint_scores: AnyFloats
    joint_stddev: AnyFloats
    keypoints_px: AnyFloats
    root_velocity: AnyFloats = field(default_factory=lambda: np.zeros(3))
    height_m: float = 0.0
    height_stddev_m: float = 0.0


@dataclass(frozen=True, eq=False)
class Poses(Rows):
    """What an estimator says of N people: joints_cam (N, K, 3) and joint_stddev (N, K) in metres, joint_scores (N, K)
    and scores (N,) in 0..1."""

    joints_cam: Floats = field(metadata=rows_of(K, 3))
    joint_scores: Floats = field(metadata=rows_of(K))
    joint_stddev: Floats = field(metadata=rows_of(K))
    scores: Floats = field(metadata=rows_of())

    @property
    def roots(self) -> Floats:
        """The roots in the camera frame: (N, 3)."""
        return self.joints_cam[:, H36M17.root]

    @property
    def joints_rel(self) -> Floats:
        """The joints from the root, along camera axes: (N, K, 3)."""
        return self.joints_cam - self.joints_cam[:, H36M17.root, None]


@dataclass(frozen=True, eq=False)
class Persons(Poses, Sequence[Pose3D]):
    """The people of one frame as they are published; one of them, or all in turn, as `Pose3D`.

    track_ids, states and sources (N,), boxes_px (N, 4), keypoints_px (N, K, 2), root_velocities (N, 3) in m/s.
    """

    track_ids: Ints = field(metadata=rows_of(dtype=np.int64))
    states: Ints = field(metadata=rows_of(dtype=np.int64))
    sources: Ints = field(metadata=rows_of(dtype=np.int64))
    boxes_px: Floats = field(metadata=rows_of(4))
    keypoints_px: Floats = field(metadata=rows_of(K, 2))
    root_velocities: Floats = field(metadata=rows_of(3))

    @classmethod
    def of(cls, poses: Iterable[Pose3D]) -> Persons:
        """The people given one by one."""
        if isinstance(poses, Persons):
            return poses
        listed = list(poses)

        def column(name: str, *row: int, dtype: type = np.float64) -> AnyArray:
            return np.array([getattr(pose, name) for pose in listed], dtype=dtype).reshape(-1, *row)

        return cls(
            joints_cam=column("joints_cam", K, 3),
            joint_scores=column("joint_scores", K),
            joint_stddev=column("joint_stddev", K),
            scores=column("score"),
            track_ids=column("track_id", dtype=np.int64),
            states=column("state", dtype=np.int64),
            sources=column("source", dtype=np.int64),
            boxes_px=column("box_px", 4),
            keypoints_px=column("keypoints_px", K, 2),
            root_velocities=column("root_velocity", 3),
        )

    @classmethod
    def seen(cls, poses: Poses, keypoints_px: AnyFloats, source: Source, track_ids: AnyInts) -> Persons:
        """Confirmed people of unknown velocity, in the boxes around the joints found; keypoints_px (N, K, 2)."""
        scores, keypoints = (np.asarray(part, dtype=np.float64) for part in (poses.joint_scores, keypoints_px))
        found = (scores > 0) | ~(scores > 0).any(axis=1, keepdims=True)
        low = np.where(found[..., None], keypoints, np.inf).min(axis=1)
        high = np.where(found[..., None], keypoints, -np.inf).max(axis=1)
        count = len(poses)
        return cls(
            joints_cam=np.asarray(poses.joints_cam, dtype=np.float64),
            joint_scores=scores,
            joint_stddev=np.asarray(poses.joint_stddev, dtype=np.float64),
            scores=np.asarray(poses.scores, dtype=np.float64),
            track_ids=np.asarray(track_ids, dtype=np.int64),
            states=np.full(count, TrackingState.CONFIRMED),
            sources=np.full(count, source),
            # Edges of boxes count from the image's corner, half a pixel before the first pixel's centre.
            boxes_px=np.concatenate([low, high], axis=1) + 0.5,
            keypoints_px=keypoints,
            root_velocities=np.zeros((count, 3)),
        )

    @overload
    def __getitem__(self, index: int) -> Pose3D: ...

    @overload
    def __getitem__(self, index: slice | Mask | Indices | Ints | list[int]) -> Persons: ...

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, (int, np.integer)):
            return super().__getitem__(index)
        return Pose3D(
            track_id=int(self.track_ids[index]),
            state=TrackingState(self.states[index]),
            source=Source(self.sources[index]),
            score=float(self.scores[index]),
            box_px=self.boxes_px[index],
            joints_cam=self.joints_cam[index],
            joint_scores=self.joint_scores[index],
            joint_stddev=self.joint_stddev[index],
            keypoints_px=self.keypoints_px[index],
            root_velocity=self.root_velocities[index],
        )

    def __iter__(self) -> Iterator[Pose3D]:
        return (self[n] for n in range(len(self)))


def low_passed_velocity(velocity: Floats, moved_m: AnyFloats, elapsed_s: float, time_constant_s: float) -> Floats:
    """Velocity (3,) in m/s after a move (3,) in metres, by differences in a first-order low pass.

    velocity: (3,), before; moved_m: (3,), since then; elapsed_s, time_constant_s: of the move and of the low pass.
    """
    share = 1 - np.exp(-elapsed_s / time_constant_s)
    return np.asarray(velocity + share * (moved_m / elapsed_s - velocity))


def box_area(boxes_px: AnyFloats) -> Floats:
    """Area (...,) of boxes (..., 4); zero for empty ones."""
    boxes = np.asarray(boxes_px, dtype=np.float64)
    size = np.clip(boxes[..., 2:] - boxes[..., :2], 0, None)
    return size[..., 0] * size[..., 1]


def _box_overlap(a_px: AnyFloats, b_px: AnyFloats) -> Floats:
    """Area that every box of a (N, 4) has in common with every box of b (M, 4): (N, M), in square pixels."""
    a = np.asarray(a_px, dtype=np.float64).reshape(-1, 1, 4)
    b = np.asarray(b_px, dtype=np.float64).reshape(1, -1, 4)
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    return box_area(np.concatenate([low, high], axis=-1))


def box_iou(a_px: AnyFloats, b_px: AnyFloats) -> Floats:
    """Intersection over union of every box of a (N, 4) with every box of b (M, 4): (N, M)."""
    overlap = _box_overlap(a_px, b_px)
    areas = (box_area(np.asarray(boxes, dtype=np.float64).reshape(-1, 4)) for boxes in (a_px, b_px))
    union = np.add.outer(*areas) - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)


def share_inside(a_px: AnyFloats, b_px: AnyFloats) -> Floats:
    """Share (N, M) of every box of a (N, 4) that lies in every box of b (M, 4)."""
    area = box_area(np.asarray(a_px, dtype=np.float64).reshape(-1, 1, 4))
    return _box_overlap(a_px, b_px) / np.maximum(area, 1e-9)


def oks(
    a_px: AnyFloats, b_px: AnyFloats, area_px: float | AnyFloats, sigmas: npt.ArrayLike, weights: AnyFloats
) -> Floats:
    """Object keypoint similarity: COCO's exp(-d^2 / (2 area (2 sigma)^2)), in the weighted mean over joints.

    a_px, b_px: joints (..., K, 2); area_px: the person's area (...,) in square pixels; sigmas: (K,), each joint's
    fall-off; weights: (..., K), visibility or confidence.
    Returns (...,) in 0..1; 0 where all weights are.
    """
    sigma = np.asarray(sigmas, dtype=np.float64)
    a, b = np.asarray(a_px, dtype=np.float64), np.asarray(b_px, dtype=np.float64)
    scale = 2 * np.maximum(np.asarray(area_px, dtype=np.float64)[..., None], 1e-9) * (2 * sigma) ** 2
    # A sum over two numbers takes NumPy several times as long as the sum of two arrays.
    across, down = a[..., 0] - b[..., 0], a[..., 1] - b[..., 1]
    similarity = np.exp((across * across + down * down) / -scale)
    weights = np.asarray(weights, dtype=np.float64)
    total = np.sum(weights, axis=-1)
    weighted = np.sum(weights * similarity, axis=-1)
    return np.divide(weighted, total, out=np.zeros_like(weighted), where=total > 0)
