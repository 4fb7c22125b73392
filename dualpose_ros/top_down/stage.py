"""The top-down branch as one object: an image with tracked people in, their 3D poses and heatmaps out."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from dualpose_ros.arrays import Floats, RgbImage
from dualpose_ros.camera import Camera, check_image, in_view
from dualpose_ros.heatmap import Heatmaps
from dualpose_ros.inference.engine import Engine
from dualpose_ros.inference.load import EngineConfig
from dualpose_ros.people import Persons, Pose2D, Pose3D, Source, Track, TrackingState, low_passed_velocity
from dualpose_ros.settings import Settings, setting, share
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.decode import DecodeConfig
from dualpose_ros.top_down.estimator import FLIP_MOST_MS, FLIP_UP_TO, PatchMaps, PoseEstimator
from dualpose_ros.top_down.floor import FloorConfig, FloorScale, lower_foot, scaled
from dualpose_ros.top_down.identities import FIRST_STRANGER, MIN_COMMON_JOINTS, PoseIdentities
from dualpose_ros.top_down.lifting.lifter import LiftedPose, Lifter
from dualpose_ros.top_down.merge import BEST_JOINTS, MergeConfig, suppressed_scores
from dualpose_ros.top_down.patch import ENLARGE
from dualpose_ros.top_down.published import SPECS, load_top_down
from dualpose_ros.top_down.sway import Sway

_ABSURD = 100.0
"""A box so many image sides away, or as large, is a mistake of whoever sent it."""


@dataclass(frozen=True)
class TopDownConfig(Settings):
    """Settings of the top-down branch."""

    weights: str = setting(
        "top_down", f"network of heatmaps and tags of a patch: a shipped one's name, an ONNX file, or {SPECS}"
    )
    gcn_weights: str = setting("gcn", "network that completes 2D joints that were not found; empty: they stay missing")
    lifting_weights: str = setting(
        "lifting", "network from 2D joints over time to root-relative 3D joints and the root's depth"
    )
    engine: EngineConfig = setting(EngineConfig(), "what runs the networks")
    max_people: int = setting(12, "patches a frame, the best tracks first", least=1, most=1000, live=True)
    patch_scale: float = setting(ENLARGE, "side of a patch over that of its box", least=1, most=4)
    flip_test: bool = setting(
        False, "average with mirrored patches whatever their number: a little better, twice the network's time"
    )
    flip_test_people: int = setting(
        FLIP_UP_TO,
        "do so in frames of no more patches than this, where the network is the package's own; 0: never",
        least=0,
        most=1000,
    )
    flip_test_most_ms: float = setting(
        FLIP_MOST_MS,
        "not where the network would take more of a processor's time for them, by the least that a patch has taken",
        unit="ms",
        above=0,
        most=10_000,
    )
    decode: DecodeConfig = setting(DecodeConfig(), "people from the maps of a patch")
    merge: MergeConfig = setting(MergeConfig(), "people of overlapping patches into one pose a track")
    min_score: float = setting(
        0.6,
        f"people are not published of whom this is lower: the mean score of the {BEST_JOINTS} best joints, with what "
        "detection_gain adds, less their likeness to better ones",
        least=0,
        most=2,
        live=True,
    )
    detection_gain: float = setting(
        0.5, "how much counts for min_score by what a detection's score differs from 0.5", least=0, most=2, live=True
    )
    others_min_score: float = share(
        1.0,
        "mean joint score from which people of patches whom no track owns go out too, as tentative ones; 1: nobody",
        live=True,
    )
    heatmap_long_side_cells: int = setting(
        160, "longer side of the combined heatmaps", unit="cells", least=1, most=4096
    )
    floor: FloorConfig = setting(FloorConfig(), "sizes and distances of people from where their feet are")
    velocity_time_constant_s: float = setting(0.3, "time constant of the root's velocity", unit="s", above=0, most=60)


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
        """Velocity (3,) of a root in m/s; zero at first sight or after a gap.

        track_id: whose it is; stamp_ns: when; root: (3,) in metres, where.
        """
        last = self._last.get(track_id)
        velocity = np.zeros(3)
        if last is not None and 0 < stamp_ns - last[0] <= self.forget_ns:
            velocity = low_passed_velocity(last[2], root - last[1], (stamp_ns - last[0]) * 1e-9, self.seconds)
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
        engine = engine if engine is not None else load_top_down(c.weights, c.engine)
        self._lifter: PoseLifter = lifter if lifter is not None else _load_lifter(c)
        self._estimator = PoseEstimator(
            engine, c.patch_scale, c.decode, c.merge, flip_test=c.flip_test, flip_up_to=c.flip_test_people,
            flip_most_ms=c.flip_test_most_ms,
        )  # fmt: skip
        self._unknown_counts = min(c.max_people, self._estimator.batch)
        # Joints that a network doesn't know say nothing about who is there.
        self._known_share = self._estimator.known_joints / H36M17.num_joints
        self._velocities = RootVelocities(c.velocity_time_constant_s)
        self._strange_ids = itertools.count(FIRST_STRANGER)
        self._identities = PoseIdentities(new_ids=self._strange_ids)
        self._floor, self._sway = FloorScale(c.floor), Sway()

    def warm_up(self) -> bool:
        """Run the network on one more number of patches that it may be given at once; False once it knows them all.

        What memory it will ever take it takes then, and no frame is late for a number that is new: OpenVINO prepares
        each number, and keeps that.
        """
        if self._unknown_counts == 0:
            return False
        box = np.array([0.0, 0, 8, 8])
        self._estimator.maps(np.zeros((8, 8, 3), np.uint8), np.tile(box, (self._unknown_counts, 1)))
        self._unknown_counts -= 1
        return True

    def process(
        self,
        image: RgbImage,
        stamp_ns: int,
        camera: Camera,
        tracks: Sequence[Track],
        when_seen: Callable[[Heatmaps], None] = lambda heatmaps: None,
    ) -> TopDownResult:
        """3D poses of the tracked people in an image, and the combined heatmaps.

        A track whose patch shows nobody of its own, or whose box is not a box, is left out.

        image: RGB (H, W, 3) uint8; stamp_ns: of the image; camera: of the image; tracks: the people, with their boxes;
        when_seen: called with the heatmaps, which are there long before the poses.
        ValueError if the image is not uint8 RGB or not of the camera's size.
        """
        check_image(image, camera)
        tracks = _most_important([t for t in tracks if _is_usable(t, max(image.shape))], self.config.max_people)
        previous = self._identities.begin(stamp_ns, [t.track_id for t in tracks])
        boxes = np.array([t.box_px for t in tracks], dtype=np.float64).reshape(-1, 4)
        size, longest = (image.shape[0], image.shape[1]), self.config.heatmap_long_side_cells
        combined: list[Heatmaps] = []

        def combine(maps: PatchMaps) -> None:
            combined.append(maps.combined(size, longest))
            when_seen(combined[0])

        found = self._estimator(image, boxes, previous, combine)
        posed = [(track, pose) for track, pose in zip(tracks, found.poses, strict=True) if pose is not None]
        if self.config.others_min_score < 1:
            posed += self._strangers(found.others(), camera)
        seniority = self._identities.seniority([(track.track_id, pose) for track, pose in posed])
        bonus = np.array([self._bonus(track) for track, _ in posed])
        worth = suppressed_scores([pose for _, pose in posed], seniority, bonus)
        seen = [pair for pair, score in zip(posed, worth, strict=True) if score >= self.config.min_score]
        ids = self._identities.assign(stamp_ns, [(track.track_id, pose) for track, pose in seen])
        seen = [(replace(track, track_id=i), pose) for (track, pose), i in zip(seen, ids, strict=True)]
        lifted = dict(self._lifter.update(stamp_ns, camera, [(track.track_id, pose) for track, pose in seen]))
        if self.config.floor.enabled:
            if self._sway.is_due(stamp_ns):
                turn = self._sway.update(stamp_ns, image, camera, boxes, self._floor.horizon)
                feet = {track.track_id: lower_foot(pose, lifted.get(track.track_id), camera) for track, pose in seen}
                self._floor.add(stamp_ns, {i: turn @ foot for i, foot in feet.items() if foot is not None})
            lifted = {i: scaled(pose, self._floor.scale(i), self._floor.config) for i, pose in lifted.items()}
        self._velocities.forget(stamp_ns)
        persons = []
        for track, pose in seen:
            if track.track_id in lifted:
                person = self._person(stamp_ns, camera, track, pose, lifted[track.track_id])
                if person is not None:
                    persons.append(person)
        return TopDownResult(Persons.of(persons), combined[0])

    def _bonus(self, track: Track) -> float:
        """What a track's detection adds to its joints' score; a coasting one's was of an earlier frame."""
        if track.state == TrackingState.COASTING:
            return 0.0
        # Another detector's score may be anything.
        return self.config.detection_gain * (float(np.clip(np.nan_to_num(track.score, nan=0.5), 0.0, 1.0)) - 0.5)

    def _strangers(self, others: Sequence[Pose2D], camera: Camera) -> list[tuple[Track, Pose2D]]:
        """People whom no track owns, of whom enough is in view, as tracks without a past."""
        found = []
        for pose in others:
            seen = (pose.scores > 0) & in_view(camera, pose.joints_px)
            score = float(np.where(seen, pose.scores, 0.0).mean())
            if score / self._known_share >= self.config.others_min_score and seen.sum() >= MIN_COMMON_JOINTS:
                box = np.concatenate([pose.joints_px[seen].min(axis=0), pose.joints_px[seen].max(axis=0)])
                found.append((Track(next(self._strange_ids), TrackingState.TENTATIVE, box, score), pose))
        return found

    def _person(self, stamp_ns: int, camera: Camera, track: Track, pose: Pose2D, lifted: LiftedPose) -> Pose3D | None:
        """The track's message-ready pose; None where the lifting networks gave nothing usable."""
        joints_cam = np.asarray(lifted.joints_cam, dtype=np.float64)
        if not np.isfinite(joints_cam).all() or lifted.root_depth <= 0:
            return None
        root = np.asarray(lifted.root_cam, dtype=np.float64)
        return Pose3D(
            track_id=track.track_id,
            # The track's box may be predicted; the person was found in this frame.
            state=TrackingState.CONFIRMED if track.state == TrackingState.COASTING else TrackingState(track.state),
            source=Source.TOP_DOWN,
            score=float(np.clip(pose.scores.mean() / self._known_share, 0, 1)),
            box_px=track.box_px,
            joints_cam=joints_cam,
            # Patches reach beyond the image, where nobody sees anything.
            joint_scores=np.where(in_view(camera, pose.joints_px), np.clip(pose.scores, 0, 1), 0.0),
            joint_stddev=absolute_stddev(lifted),
            keypoints_px=pose.joints_px,
            root_velocity=self._velocities.update(track.track_id, stamp_ns, root),
        )


def absolute_stddev(lifted: LiftedPose) -> Floats:
    """Deviation (K,) in metres of joints in the camera frame: the relative one and the root's along its ray."""
    along_ray = lifted.root_depth_stddev * float(np.hypot(1.0, np.linalg.norm(lifted.root_ray)))
    return np.hypot(np.asarray(lifted.joint_stddev, dtype=np.float64), along_ray)


def _load_lifter(config: TopDownConfig) -> PoseLifter:
    gcn = config.engine.network(config.gcn_weights) if config.gcn_weights else None
    return Lifter(config.engine.network(config.lifting_weights), gcn)


def _is_usable(track: Track, side_px: int) -> bool:
    """Whether a box has pixels, and a size and place that people in an image of this side may have."""
    box = np.asarray(track.box_px, dtype=np.float64)
    if box.shape != (4,) or not (np.abs(box) <= _ABSURD * side_px).all():
        return False
    return bool((box[2:] > box[:2]).all() and (box[2:] - box[:2]).max() >= 1)


def _most_important(tracks: Sequence[Track], limit: int) -> list[Track]:
    """At most `limit` tracks: confirmed ones first, then by score; in the order given."""
    if len(tracks) <= limit:
        return list(tracks)
    rank = {TrackingState.CONFIRMED: 0, TrackingState.COASTING: 1, TrackingState.TENTATIVE: 2}
    best = sorted(range(len(tracks)), key=lambda i: (rank[TrackingState(tracks[i].state)], -tracks[i].score))[:limit]
    return [tracks[i] for i in sorted(best)]
