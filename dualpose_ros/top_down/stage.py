"""The top-down branch as one object: an image with tracked people in, their 3D poses and heatmaps out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from dualpose_ros.arrays import Floats, RgbImage
from dualpose_ros.camera import Camera, check_image
from dualpose_ros.grouping import GroupingConfig
from dualpose_ros.heatmap import Heatmaps
from dualpose_ros.inference.engine import Engine
from dualpose_ros.inference.load import load_engine
from dualpose_ros.people import Persons, Pose2D, Pose3D, Source, Track, TrackingState
from dualpose_ros.top_down.decode import DecodeConfig
from dualpose_ros.top_down.estimator import PoseEstimator
from dualpose_ros.top_down.floor import FloorScale, lower_foot, scaled
from dualpose_ros.top_down.identities import PoseIdentities
from dualpose_ros.top_down.lifting import LiftedPose, Lifter
from dualpose_ros.top_down.merge import MergeConfig, suppressed_scores
from dualpose_ros.weights import network_file


@dataclass(frozen=True)
class TopDownConfig:
    """Settings of the top-down branch.

    weights, gcn_weights, lifting_weights: shipped names or ONNX files, gcn_weights empty to lift joints as they were
    found; backend, threads: of the engines;
    max_people: patches a frame, the best tracks first; enlarge: side of a patch over its box; flip_test: average
    with mirrored patches, for twice the time of the network; peak_score,
    seed_score, tag_limit, min_joints: see `DecodeConfig` and `GroupingConfig`; same_oks: see `MergeConfig`;
    min_score: people with a lower mean joint score, less their likeness to better ones, are not published (see
    `merge.suppressed_scores`); keep_weight: see `MergeConfig`; heatmap_cells: longer side of the combined
    heatmaps; floor: learn people's sizes from the floor that they share, see `floor`; velocity_seconds: time
    constant of the root's velocity. ValueError names a value out of range.
    """

    weights: str = "top_down"
    gcn_weights: str = "gcn"
    lifting_weights: str = "lifting"
    backend: str = "onnxruntime"
    threads: int = 1
    max_people: int = 12
    enlarge: float = 1.25
    flip_test: bool = False
    peak_score: float = 0.1
    seed_score: float = 0.25
    tag_limit: float = 1.0
    min_joints: int = 3
    same_oks: float = 0.6
    min_score: float = 0.4
    keep_weight: float = 1.5
    heatmap_cells: int = 160
    floor: bool = True
    velocity_seconds: float = 0.3

    def __post_init__(self) -> None:
        for name in ("max_people", "threads", "heatmap_cells", "min_joints"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        for name in ("peak_score", "seed_score", "same_oks", "min_score"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie in 0..1")
        for name in ("tag_limit", "velocity_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be positive")
        if not 0 <= self.keep_weight <= 10:
            raise ValueError(f"keep_weight is {self.keep_weight}; it must lie in 0..10")
        if not 1 <= self.enlarge <= 4:
            raise ValueError(f"enlarge is {self.enlarge}; it must lie in 1..4")


@dataclass(frozen=True)
class TopDownResult:
    """persons: those found in this frame; heatmaps: the maximum over all patches, in image coordinates."""

    persons: Persons
    heatmaps: Heatmaps


class PoseLifter(Protocol):
    """What turns tracks' 2D poses into root-relative 3D and root depth; keeps their history."""

    def update(
        self, stamp_ns: int, camera: Camera, poses: Sequence[tuple[int, Pose2D]], /
    ) -> Mapping[int, LiftedPose]: ...


class RootVelocities:
    """Smoothed velocity of each track's root: differences in a first-order low pass."""

    def __init__(self, seconds: float, forget_seconds: float = 1.0) -> None:
        self.seconds, self.forget_ns = seconds, int(forget_seconds * 1e9)
        self._last: dict[int, tuple[int, Floats, Floats]] = {}

    def update(self, track_id: int, stamp_ns: int, root: Floats) -> Floats:
        """Velocity (3,) in m/s after the root was seen at `root` (3,); zero at first sight or after a gap."""
        last = self._last.get(track_id)
        velocity = np.zeros(3)
        if last is not None and 0 < stamp_ns - last[0] <= self.forget_ns:
            elapsed = (stamp_ns - last[0]) * 1e-9
            share = 1 - np.exp(-elapsed / self.seconds)
            velocity = last[2] + share * ((root - last[1]) / elapsed - last[2])
        self._last[track_id] = (stamp_ns, root, velocity)
        return velocity

    def forget(self, stamp_ns: int) -> None:
        """Drop tracks not seen for a while, and all if time went backwards."""
        self._last = {k: v for k, v in self._last.items() if 0 <= stamp_ns - v[0] <= self.forget_ns}


class TopDownStage:
    """Configured once; `process` is called once a frame, in the order of their stamps."""

    def __init__(
        self, config: TopDownConfig | None = None, engine: Engine | None = None, lifter: PoseLifter | None = None
    ) -> None:
        """Load the networks that `config` names, unless they are given.

        WeightsError or EngineError says which can't be loaded and what to do.
        """
        self.config = c = config if config is not None else TopDownConfig()
        engine = engine if engine is not None else load_engine(network_file(c.weights), c.backend, c.threads)
        self._lifter: PoseLifter = lifter if lifter is not None else _load_lifter(c)
        grouping = GroupingConfig(tag_limit=c.tag_limit, seed_score=c.seed_score, min_joints=c.min_joints)
        merge = MergeConfig(same_oks=c.same_oks, keep_weight=c.keep_weight)
        decode = DecodeConfig(peak_score=c.peak_score, grouping=grouping)
        self._estimator = PoseEstimator(engine, c.enlarge, decode, merge, flip_test=c.flip_test)
        self._velocities = RootVelocities(c.velocity_seconds)
        self._identities = PoseIdentities()
        self._floor = FloorScale()

    def process(self, image: RgbImage, stamp_ns: int, camera: Camera, tracks: Sequence[Track]) -> TopDownResult:
        """3D poses of the tracked people in an RGB image (H, W, 3), and the combined heatmaps.

        A track whose patch shows nobody of its own, or whose box is not a box, is left out. ValueError if the
        image is not uint8 RGB or not of the camera's size.
        """
        check_image(image, camera)
        tracks = _most_important([t for t in tracks if _is_usable(t)], self.config.max_people)
        previous = self._identities.begin(stamp_ns, [t.track_id for t in tracks])
        boxes = np.array([t.box_px for t in tracks], dtype=np.float64).reshape(-1, 4)
        found = self._estimator(image, boxes, previous)
        posed = [(track, pose) for track, pose in zip(tracks, found.poses, strict=True) if pose is not None]
        seniority = self._identities.seniority([track.track_id for track, _ in posed])
        worth = suppressed_scores([pose for _, pose in posed], seniority)
        seen = [pair for pair, score in zip(posed, worth, strict=True) if score >= self.config.min_score]
        ids = self._identities.assign(stamp_ns, [(track.track_id, pose) for track, pose in seen])
        seen = [(replace(track, track_id=i), pose) for (track, pose), i in zip(seen, ids, strict=True)]
        lifted = dict(self._lifter.update(stamp_ns, camera, [(track.track_id, pose) for track, pose in seen]))
        if self.config.floor:
            feet = {track.track_id: lower_foot(pose, lifted.get(track.track_id), camera) for track, pose in seen}
            self._floor.add(stamp_ns, {i: foot for i, foot in feet.items() if foot is not None})
            lifted = {i: scaled(pose, self._floor.scale(i), self._floor.config) for i, pose in lifted.items()}
        self._velocities.forget(stamp_ns)
        persons = []
        for track, pose in seen:
            if track.track_id in lifted:
                person = self._person(stamp_ns, track, pose, lifted[track.track_id])
                if person is not None:
                    persons.append(person)
        size = (image.shape[0], image.shape[1])
        return TopDownResult(Persons.of(persons), found.maps.combined(size, self.config.heatmap_cells))

    def _person(self, stamp_ns: int, track: Track, pose: Pose2D, lifted: LiftedPose) -> Pose3D | None:
        """The track's message-ready pose; None where the lifting networks gave nothing usable."""
        joints_cam = np.asarray(lifted.joints_cam, dtype=np.float64)
        if not np.isfinite(joints_cam).all() or lifted.root_depth <= 0:
            return None
        root = np.asarray(lifted.root_cam, dtype=np.float64)
        return Pose3D(
            track_id=track.track_id,
            state=TrackingState(track.state),
            source=Source.TOP_DOWN,
            score=float(np.clip(pose.scores.mean(), 0, 1)),
            box_px=track.box_px,
            joints_cam=joints_cam,
            joint_scores=np.clip(pose.scores, 0, 1),
            joint_stddev=absolute_stddev(lifted),
            keypoints_px=pose.joints_px,
            root_velocity=self._velocities.update(track.track_id, stamp_ns, root),
        )


def absolute_stddev(lifted: LiftedPose) -> Floats:
    """Deviation (K,) in metres of joints in the camera frame: the relative one and the root's along its ray."""
    along_ray = lifted.root_depth_stddev * float(np.hypot(1.0, np.linalg.norm(lifted.root_ray)))
    return np.hypot(np.asarray(lifted.joint_stddev, dtype=np.float64), along_ray)


def _load_lifter(config: TopDownConfig) -> PoseLifter:
    lifting = load_engine(network_file(config.lifting_weights), config.backend, config.threads)
    gcn = load_engine(network_file(config.gcn_weights), config.backend, config.threads) if config.gcn_weights else None
    return Lifter(lifting, gcn)


def _is_usable(track: Track) -> bool:
    box = np.asarray(track.box_px, dtype=np.float64)
    return bool(box.shape == (4,) and np.isfinite(box).all() and (box[2:] > box[:2]).all())


def _most_important(tracks: Sequence[Track], limit: int) -> list[Track]:
    """At most `limit` tracks: confirmed ones first, then by score; in the order given."""
    if len(tracks) <= limit:
        return list(tracks)
    rank = {TrackingState.CONFIRMED: 0, TrackingState.COASTING: 1, TrackingState.TENTATIVE: 2}
    best = sorted(range(len(tracks)), key=lambda i: (rank[TrackingState(tracks[i].state)], -tracks[i].score))[:limit]
    return [tracks[i] for i in sorted(best)]
