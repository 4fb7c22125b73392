"""Refinement as one object: each frame's integrated poses in, refined ones out, vanished people for a while too."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dualpose_ros.camera import Camera, Ground, project
from dualpose_ros.people import Pose3D, TrackingState
from dualpose_ros.refinement.config import RefinementConfig
from dualpose_ros.refinement.ground.standing import GroundFound, Standing
from dualpose_ros.refinement.limbs import scores_of_limbs
from dualpose_ros.refinement.track import Refined, TrackSmoother, add_frames, publish
from dualpose_ros.refinement.window import frames_of

REMEMBERED_S = 60.0
"""How long a track's bone lengths are kept after it vanished: one that comes back is the same person."""


COASTING_POWER = 3
"""The power of the time left that says how likely somebody who vanished is still where they are predicted: on rendered
videos half of them after a tenth of a second, a fourteenth after three."""


@dataclass(frozen=True)
class RefinedFrame:
    """A frame and its own people: those of its poses in their order, then confirmed ones who vanished, COASTING.

    camera: None where the frame was given without, whose poses went through as they were.
    """

    stamp_ns: int
    camera: Camera | None
    persons: tuple[Pose3D, ...]


@dataclass
class _Track:
    """One track as frames come in: its smoother, its last pose, and when that was."""

    smoother: TrackSmoother
    last: Pose3D
    stamp_ns: int


@dataclass(frozen=True)
class _Waiting:
    """A frame that is still to be given, its people with their smoothers; None for those that go through."""

    stamp_ns: int
    camera: Camera | None
    persons: tuple[tuple[Pose3D, TrackSmoother | None], ...]


class RefinementStage:
    """Configured once; `process` is called for each frame, in the order of their stamps.

    Every frame that comes in is given back once, in that order, `lag_frames` frames later.
    """

    def __init__(self, config: RefinementConfig | None = None) -> None:
        self.config = config if config is not None else RefinementConfig()
        self.reset()

    def reset(self) -> None:
        """Forget all tracks, and the frames that are still to be given."""
        self._tracks: dict[int, _Track] = {}
        self._standing = Standing(self.config.standing)
        self._waiting: deque[_Waiting] = deque()
        self._given: dict[int, _Track] = {}
        self._first_ns: int | None = None
        self._stamp_ns = 0

    @property
    def ground_found(self) -> GroundFound | None:
        """What people's feet say of the ground; None where none was said."""
        return self._standing.found

    def process(
        self, stamp_ns: int, camera: Camera | None, persons: Sequence[Pose3D], ground: Ground | None = None
    ) -> tuple[RefinedFrame, ...]:
        """Take in a frame; the frames that are due now, oldest first: without a lag, this one.

        People without a track (id -1), a second pose of the same track, and all of a frame without a camera go through
        as they are. Time that goes backwards (a bag played again) starts all anew, once the frames before are given.

        stamp_ns: of the frame; camera: of its image, None where it is not known; persons: the integrated poses; ground:
        where it is in this frame; that of the settings, if any, where it is None.
        ValueError for joints of another shape than (K, 3).
        """
        if not self.config.enabled:
            return (RefinedFrame(stamp_ns, camera, tuple(persons)),)
        before: tuple[RefinedFrame, ...] = ()
        if self._first_ns is not None and stamp_ns < self._stamp_ns:
            before = self.flush()
            self.reset()
        if self._first_ns is None:
            self._first_ns = stamp_ns
        self._stamp_ns = stamp_ns
        self._waiting.append(_Waiting(stamp_ns, camera, self._take_in(stamp_ns, camera, persons, ground)))
        due = len(self._waiting) > self.config.lag_frames
        return (*before, self._give()) if due else before

    def flush(self) -> tuple[RefinedFrame, ...]:
        """The frames that are still to be given, without later ones to come: the stream has ended, or rests."""
        return tuple(self._give() for _ in range(len(self._waiting)))

    def _seconds(self, stamp_ns: int) -> float:
        assert self._first_ns is not None
        return (stamp_ns - self._first_ns) * 1e-9

    def _take_in(
        self, stamp_ns: int, camera: Camera | None, persons: Sequence[Pose3D], ground: Ground | None
    ) -> tuple[tuple[Pose3D, TrackSmoother | None], ...]:
        if camera is None:
            return tuple((person, None) for person in persons)
        self._standing.begin(self._seconds(stamp_ns), ground or self.config.ground.ground())
        people, seen = tuple(persons), dict[int, Pose3D]()
        for person in people:
            if person.track_id >= 0:
                seen.setdefault(person.track_id, person)
        seconds = self._seconds(stamp_ns)
        frames = dict(zip(seen, frames_of(seconds, camera, list(seen.values())), strict=True))
        for track_id, frame in frames.items():
            track = self._tracks.get(track_id)
            smoother = track.smoother if track is not None else TrackSmoother(self.config)
            frames[track_id] = self._standing.see(track_id, frame, camera)
            smoother.correct(self._standing.correction(track_id))
            self._tracks[track_id] = _Track(smoother, seen[track_id], stamp_ns)
        add_frames([(self._tracks[track_id].smoother, frame) for track_id, frame in frames.items()])
        taken = tuple(
            (person, self._tracks[person.track_id].smoother if seen.get(person.track_id) is person else None)
            for person in people
        )
        for track_id in [i for i in self._tracks if i not in seen]:
            track = self._tracks[track_id]
            gone = (stamp_ns - track.stamp_ns) * 1e-9
            if track.last.state == TrackingState.TENTATIVE or gone > REMEMBERED_S:
                del self._tracks[track_id]
            elif gone > self.config.max_coast_s and len(track.smoother.window):
                # Frames of so long ago say nothing of those to come, but the person's bones stay.
                track.smoother = TrackSmoother(self.config, track.smoother.bones)
        self._standing.keep(self._tracks)
        return taken

    def _give(self) -> RefinedFrame:
        """The oldest of the frames that wait, its people as all frames up to now have them."""
        frame = self._waiting.popleft()
        if frame.camera is None:
            return RefinedFrame(frame.stamp_ns, None, tuple(person for person, _ in frame.persons))
        smoothers = [smoother for _, smoother in frame.persons if smoother is not None]
        published = iter(publish(smoothers))
        refined = [
            person if smoother is None else _refined_pose(person, next(published), frame.camera)
            for person, smoother in frame.persons
        ]
        seen = {person.track_id for person, smoother in frame.persons if smoother is not None}
        for person, smoother in frame.persons:
            if smoother is not None:
                self._given[person.track_id] = _Track(smoother, person, frame.stamp_ns)
        return RefinedFrame(frame.stamp_ns, frame.camera, (*refined, *self._coast(frame.stamp_ns, frame.camera, seen)))

    def _coast(self, stamp_ns: int, camera: Camera, seen: set[int]) -> list[Pose3D]:
        """Confirmed tracks of earlier frames not seen in this one, unless gone for too long."""
        coasting = []
        for track_id in [i for i in self._given if i not in seen]:
            track = self._given[track_id]
            gone = (stamp_ns - track.stamp_ns) * 1e-9
            if track.last.state == TrackingState.TENTATIVE or gone > self.config.max_coast_s:
                del self._given[track_id]
                continue
            pose = _refined_pose(track.last, track.smoother.predict(self._seconds(stamp_ns)), camera)
            share = 1 - gone / max(self.config.max_coast_s, 1e-9)
            coasting.append(_coasting_pose(pose, camera, max(share, 0.0)))
        return coasting


def _refined_pose(person: Pose3D, refined: Refined, camera: Camera) -> Pose3D:
    pose = replace(
        person,
        joints_cam=refined.joints,
        joint_stddev=refined.stddev,
        root_velocity=refined.root_velocity,
        height_m=refined.height_m,
        height_stddev_m=refined.height_stddev_m,
    )
    return replace(pose, joint_scores=scores_of_limbs(pose, camera))


def _coasting_pose(pose: Pose3D, camera: Camera, share: float) -> Pose3D:
    """The pose as one that was not seen in this frame: its scores fade to a share, 2D joints and box go with it."""
    pixels = project(camera, pose.joints_cam)
    pixels = np.where(np.isfinite(pixels), pixels, pose.keypoints_px)
    moved = np.median(pixels - pose.keypoints_px, axis=0)
    return replace(
        pose,
        state=TrackingState.COASTING,
        score=pose.score * share**COASTING_POWER,
        box_px=pose.box_px + np.tile(moved, 2),
        joint_scores=pose.joint_scores * share,
        keypoints_px=pixels,
    )
