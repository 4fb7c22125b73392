"""Refinement as one object: each frame's integrated poses in, refined ones out, vanished people for a while too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dualpose_ros.camera import Camera, project
from dualpose_ros.people import Pose3D, TrackingState
from dualpose_ros.refinement.config import RefinementConfig
from dualpose_ros.refinement.track import Refined, TrackSmoother
from dualpose_ros.refinement.window import frame_of

REMEMBERED_S = 60.0
"""How long a track's bone lengths are kept after it vanished: one that comes back is the same person."""


@dataclass
class _Track:
    """One track: its smoother, its last pose as it came in, and those whose refined ones are still to come."""

    smoother: TrackSmoother
    last: Pose3D
    stamp_ns: int
    waiting: list[Pose3D]


class RefinementStage:
    """Configured once; `process` is called for each frame, in the order of their stamps."""

    def __init__(self, config: RefinementConfig | None = None) -> None:
        self.config = config if config is not None else RefinementConfig()
        self._tracks: dict[int, _Track] = {}
        self._stamp_ns: int | None = None
        self._first_ns = 0

    def reset(self) -> None:
        """Forget all tracks."""
        self._tracks.clear()
        self._stamp_ns = None

    def process(self, stamp_ns: int, camera: Camera, persons: Sequence[Pose3D]) -> tuple[Pose3D, ...]:
        """Refined poses of those seen, in their order, then of confirmed tracks that vanished, COASTING.

        People without a track (id -1), and a second pose of the same track, are passed through. Time that goes
        backwards (a bag played again) starts all anew. With a lag, poses are those of earlier frames of their
        tracks, the first one until there are enough. ValueError for joints of another shape than (K, 3).
        """
        if not self.config.enabled:
            return tuple(persons)
        if self._stamp_ns is not None and stamp_ns < self._stamp_ns:
            self.reset()
        if self._stamp_ns is None:
            self._first_ns = stamp_ns
        self._stamp_ns = stamp_ns
        seen: set[int] = set()
        refined = []
        for person in persons:
            if person.track_id < 0 or person.track_id in seen:
                refined.append(person)
                continue
            seen.add(person.track_id)
            refined.append(self._refine(stamp_ns, camera, person))
        return (*refined, *self._coast(stamp_ns, camera, seen))

    def _refine(self, stamp_ns: int, camera: Camera, person: Pose3D) -> Pose3D:
        c = self.config
        track = self._tracks.get(person.track_id)
        if track is None:
            track = self._tracks[person.track_id] = _Track(TrackSmoother(c), person, stamp_ns, [])
        track.last, track.stamp_ns = person, stamp_ns
        track.waiting = [*track.waiting, person][-(c.lag_frames + 1) :]
        result = track.smoother.add(frame_of((stamp_ns - self._first_ns) * 1e-9, camera, person))
        return _refined_pose(track.waiting[0], result)

    def _coast(self, stamp_ns: int, camera: Camera, seen: set[int]) -> list[Pose3D]:
        """Confirmed tracks not seen now, predicted unless gone for too long; tentative ones are dropped."""
        coasting = []
        for track_id in [i for i in self._tracks if i not in seen]:
            track = self._tracks[track_id]
            gone = (stamp_ns - track.stamp_ns) * 1e-9
            if track.last.state == TrackingState.TENTATIVE or gone > REMEMBERED_S:
                del self._tracks[track_id]
                continue
            if gone > self.config.max_coast_s:
                track.smoother.restart()
                track.waiting = []
                continue
            predicted = track.smoother.predict((stamp_ns - self._first_ns) * 1e-9)
            pose = _refined_pose(track.last, predicted)
            share = 1 - gone / max(self.config.max_coast_s, 1e-9)
            coasting.append(_coasting_pose(pose, camera, max(share, 0.0)))
        return coasting


def _refined_pose(person: Pose3D, refined: Refined) -> Pose3D:
    return replace(person, joints_cam=refined.joints, joint_stddev=refined.stddev, root_velocity=refined.root_velocity)


def _coasting_pose(pose: Pose3D, camera: Camera, share: float) -> Pose3D:
    """The pose as one that was not seen in this frame: no joint has a score, 2D joints and box go with it."""
    pixels = project(camera, pose.joints_cam)
    pixels = np.where(np.isfinite(pixels), pixels, pose.keypoints_px)
    moved = np.median(pixels - pose.keypoints_px, axis=0)
    return replace(
        pose,
        state=TrackingState.COASTING,
        score=pose.score * share,
        box_px=pose.box_px + np.tile(moved, 2),
        joint_scores=np.zeros_like(pose.joint_scores),
        keypoints_px=pixels,
    )
