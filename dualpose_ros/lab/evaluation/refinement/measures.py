"""Refinement measured: Table 6 of the paper on single people with known errors, videos before and after, honesty.

T frames, S of them those in which the person was found, K joints of `skeleton.H36M17`; metres, seconds, camera frame.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dualpose_ros.arrays import Floats, Indices, Rows, rows_of
from dualpose_ros.camera import Camera, Ground, pixels_to_rays, project
from dualpose_ros.lab.evaluation.fusion.measures import RecordedFrame, pose_row
from dualpose_ros.lab.evaluation.people import asked_for, match_people
from dualpose_ros.lab.evaluation.refinement.published_solver import (
    ONE_STAGE,
    TWO_STAGES,
    Sequence3D,
    Stage,
    optimise,
    trajectory_matrix,
)
from dualpose_ros.metrics import poses as metrics
from dualpose_ros.metrics.steadiness import acceleration_errors, bone_squares, mean_of
from dualpose_ros.people import Pose3D, TrackingState
from dualpose_ros.refinement.config import RefinementConfig
from dualpose_ros.refinement.stage import RefinedFrame, RefinementStage
from dualpose_ros.refinement.window import split_stddev
from dualpose_ros.skeleton import BODY, H36M17, K

COLUMNS = ("mpjpe_mm", "mpjpe_abs_mm", "accel_m_s2", "bone_mm")
"""Mean distance of joints but the root, about the root, and of all in the camera's frame; mean difference of
accelerations; root mean square deviation of bones' lengths from their means over a track."""

BASELINE, TWO_STAGE, OURS = "baseline", "+ two-stage optimization", "ours"
LAG_FRAMES = 3
AVERAGED, KNOWN_DISTANCE = "root distance off by its track's mean", "root distance known"

Stages = tuple[Stage, ...]


def at_rate(stages: Sequence[Stage], rate: float) -> Stages:
    """The same stages at another rate of Adam's."""
    return tuple(replace(stage, rate=rate) for stage in stages)


RATE = 1e-4
"""Of Adam's, which the paper does not give: true 2D joints make two stages gain, as they do there, not so at 1e-3."""

REFERENCE_ROWS: Mapping[str, Stages] = {
    "+ reprojection": at_rate([Stage(trajectory=0.0, reprojection=1.0, bones=0.0)], RATE),
    "+ trajectory": at_rate([Stage(reprojection=1.0, bones=0.0)], RATE),
    "+ bone length": at_rate([Stage(reprojection=1.0)], RATE),
    "+ one-stage optimization": at_rate(ONE_STAGE, RATE),
    TWO_STAGE: at_rate(TWO_STAGES, RATE),
}
"""Rows of Table 6. The paper does not say how its terms add up before they have coefficients: here with 1 each."""


@dataclass(frozen=True)
class Movement:
    """One person before a moving camera: stamps_ns (T,), joints_cam (T, K, 3), the truth, and what a branch says of
    each frame, None where it does not find the person."""

    camera: Camera
    stamps_ns: tuple[int, ...]
    joints_cam: Floats
    poses: tuple[Pose3D | None, ...]

    @property
    def seen(self) -> Indices:
        """The frames (S,) in which the person was found."""
        return np.flatnonzero([pose is not None for pose in self.poses])

    @property
    def times(self) -> Floats:
        """Seconds (T,) since the first frame."""
        return np.array([stamp - self.stamps_ns[0] for stamp in self.stamps_ns]) * 1e-9

    def said(self) -> list[Pose3D]:
        """The poses (S,) that there are."""
        return [pose for pose in self.poses if pose is not None]

    def with_true_2d(self) -> Movement:
        """The same with 2D joints where they are, and sure of them: the paper's Table 6, w. GT."""
        pixels = project(self.camera, self.joints_cam)
        poses = (
            None if pose is None else replace(pose, keypoints_px=pixels[t], joint_scores=np.ones(K))
            for t, pose in enumerate(self.poses)
        )
        return replace(self, poses=tuple(poses))


@dataclass(frozen=True)
class Series:
    """One person's track: times (T,), estimated joints and true ones (T, K, 3)."""

    times: Floats
    joints: Floats
    truth: Floats


def series_figures(series: Sequence[Series]) -> dict[str, float | None]:
    """COLUMNS over all frames of tracks; None where there is nothing to measure.

    Accelerations are of three estimates in a row within `steadiness.LONGEST_TRIPLE_S`, whose times may be irregular.
    """
    relative, absolute, accelerations, squares = [], [], [], []
    for one in series:
        if not len(one.times):
            continue
        root = H36M17.root
        rel, true_rel = (joints - joints[:, root : root + 1] for joints in (one.joints, one.truth))
        relative.append(metrics.mpjpe(rel[:, BODY], true_rel[:, BODY]))
        absolute.append(metrics.mpjpe(one.joints, one.truth))
        accelerations.append(acceleration_errors(one.joints, one.truth, one.times))
        squares.append(bone_squares(one.joints))
    bones = mean_of(squares)
    deviation = bones and 1e3 * float(np.sqrt(bones))
    found = (mean_of(relative, 1e3), mean_of(absolute, 1e3), mean_of(accelerations), deviation)
    return dict(zip(COLUMNS, found, strict=True))


def sequence_of(cameras: Sequence[Camera], times: Floats, poses: Sequence[Pose3D]) -> Sequence3D:
    """What the reference solver is given of poses (S,) before cameras (S,) at times (S,)."""
    return Sequence3D(
        np.array([pose.joints_cam for pose in poses]),
        np.array([pixels_to_rays(own, pose.keypoints_px) for own, pose in zip(cameras, poses, strict=True)]),
        np.array([pose.joint_scores for pose in poses]),
        trajectory_matrix(times),
    )


def by_reference(movement: Movement, stages: Sequence[Stage]) -> Floats:
    """Joints (S, K, 3) after the published optimisation of all frames at once, those not seen left out."""
    said = movement.said()
    return optimise(sequence_of([movement.camera] * len(said), movement.times[movement.seen], said), stages)[0]


@dataclass(frozen=True)
class Streamed:
    """The live stage's answers: joints (S, K, 3) and stddev (S, K) of frames in which the person was found, NaN where
    none came (the last ones with a lag), and the joints (T - S, K, 3) that it predicted for the others, NaN if none."""

    joints: Floats
    stddev: Floats
    lost: Floats


def by_stage(movement: Movement, config: RefinementConfig) -> Streamed:
    """Run the stage of the live node over a movement, frame by frame."""
    stage = RefinementStage(config)
    joints, stddev = np.full((len(movement.poses), K, 3), np.nan), np.full((len(movement.poses), K), np.nan)
    place = {stamp_ns: at for at, stamp_ns in enumerate(movement.stamps_ns)}
    for stamp_ns, pose in zip(movement.stamps_ns, movement.poses, strict=True):
        for frame in stage.process(stamp_ns, movement.camera, () if pose is None else (pose,)):
            for person in frame.persons:
                joints[place[frame.stamp_ns]], stddev[place[frame.stamp_ns]] = person.joints_cam, person.joint_stddev
    lost = [at for at, pose in enumerate(movement.poses) if pose is None]
    return Streamed(joints[movement.seen], stddev[movement.seen], joints[lost])


@dataclass(frozen=True)
class Answer:
    """What every row makes of one movement: `joints` by row (S, K, 3), and those of the live stage in full."""

    joints: dict[str, Floats]
    streamed: dict[str, Streamed]


def answer_all(
    movement: Movement, config: RefinementConfig, reference: Mapping[str, Stages] = REFERENCE_ROWS
) -> Answer:
    """The baseline, the reference's rows, and the live stage with the lag of `config` and LAG_FRAMES late."""
    joints = {BASELINE: np.array([pose.joints_cam for pose in movement.said()])}
    joints |= {name: by_reference(movement, stages) for name, stages in reference.items()}
    lagging = replace(config, lag_frames=LAG_FRAMES)
    streamed = {OURS: by_stage(movement, config), lagging_name(): by_stage(movement, lagging)}
    return Answer({**joints, **{name: one.joints for name, one in streamed.items()}}, streamed)


def lagging_name() -> str:
    """The row of the live stage with a lag."""
    return f"{OURS}, {LAG_FRAMES} frames late"


def table_6(movements: Sequence[Movement], answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """A row for each way, over the same frames in all: those in which the person was found and every row has an answer.

    Frames in which the person was lost are missing from what all rows are given, and from what is measured.
    """
    series = defaultdict(list)
    for movement, answer in zip(movements, answers, strict=True):
        times, truth = movement.times[movement.seen], movement.joints_cam[movement.seen]
        given = np.all([np.isfinite(joints).all(axis=(1, 2)) for joints in answer.joints.values()], axis=0)
        for name, joints in answer.joints.items():
            series[name].append(Series(times[given], joints[given], truth[given]))
    return [{"row": name, **series_figures(ones)} for name, ones in series.items()]


def distance_bounds(movements: Sequence[Movement]) -> list[dict[str, Any]]:
    """What is left of a pose's error where the root's distance errs by the track's mean, as if all of a track were
    averaged, and where it does not err at all: logarithms, by the truth."""
    series = defaultdict(list)
    for movement in movements:
        times, truth = movement.times[movement.seen], movement.joints_cam[movement.seen]
        said = np.array([pose.joints_cam for pose in movement.said()])
        distance, true = (np.linalg.norm(joints[:, H36M17.root], axis=-1) for joints in (said, truth))
        mean = float(np.log(distance / true).mean())
        for name, moved in ((BASELINE, distance), (AVERAGED, true * np.exp(mean)), (KNOWN_DISTANCE, true)):
            share = (moved / distance - 1)[:, None] * said[:, H36M17.root]
            series[name].append(Series(times, said + share[:, None], truth))
    return [{"row": name, **series_figures(ones)} for name, ones in series.items()]


def rate_rows(movements: Sequence[Movement], stages: Sequence[Stage], rates: Sequence[float]) -> list[dict[str, Any]]:
    """The published optimisation at other rates of Adam's, over all frames in which the person was found."""
    rows = []
    for rate in rates:
        series = [
            Series(one.times[one.seen], by_reference(one, at_rate(stages, rate)), one.joints_cam[one.seen])
            for one in movements
        ]
        rows.append({"row": f"{TWO_STAGE}, rate {rate:g}", **series_figures(series)})
    return rows


def lost_rows(movements: Sequence[Movement], answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Frames in which the person was lost, where the live stage predicted them: the last pose held, and predicted."""
    held, predicted, frames = [], [], 0
    for movement, answer in zip(movements, answers, strict=True):
        poses, lost = movement.poses, np.setdiff1d(np.arange(len(movement.poses)), movement.seen)
        frames += len(lost)
        for t, joints in zip(lost, answer.streamed[OURS].lost, strict=True):
            if np.isfinite(joints).all():
                last = next(pose for pose in reversed(poses[:t]) if pose is not None)
                held.append(metrics.mpjpe(last.joints_cam, movement.joints_cam[t]))
                predicted.append(metrics.mpjpe(joints, movement.joints_cam[t]))
    return [
        {"row": name, "lost": frames, "predicted": len(errors), "mpjpe_abs_mm": mean_of([np.array(errors)], 1e3)}
        for name, errors in (("last pose held", held), (OURS, predicted))
    ]


@dataclass(frozen=True, eq=False)
class Stated(Rows):
    """Joints (N, K, 3), their stated deviations stddev (N, K), and the true joints (N, K, 3)."""

    joints: Floats = field(metadata=rows_of(K, 3))
    stddev: Floats = field(metadata=rows_of(K))
    truth: Floats = field(metadata=rows_of(K, 3))


def calibration_row(name: str, stated: Stated) -> dict[str, Any]:
    """Shares of true joints within the ellipsoids that hold 68.3 and 95.4 % of a Gaussian, and of true roots within one
    and two deviations of their depth.

    An ellipsoid is as long along the ray to the root as stddev has it, and across as what is not the root's.
    """
    own, depth = split_stddev(stated.stddev)
    off, root = stated.truth - stated.joints, stated.joints[:, H36M17.root]
    along = np.einsum("nka,na->nk", off, root / np.linalg.norm(root, axis=-1, keepdims=True))
    across = np.maximum(np.sum(off**2, axis=-1) - along**2, 0.0)
    errors = np.sqrt(along**2 / (own**2 + depth[:, None] ** 2) + across / own**2)
    depths = np.abs(along[:, H36M17.root]) / depth
    shares = {
        prefix + f"within_{n}_sigma": float((values <= radius).mean()) if errors.size else None
        for prefix, values, axes in (("", errors, 3), ("depth_", depths, 1))
        for n, radius in enumerate(metrics.sigma_radii(axes), start=1)
    }
    return {"row": name, "joints": errors.size, **shares}


def stated_of_movements(movements: Sequence[Movement], answers: Sequence[Answer]) -> dict[str, Stated]:
    """What went in, and what the live stage says with and without a lag."""
    truth = np.concatenate([movement.joints_cam[movement.seen] for movement in movements])
    poses = [pose for movement in movements for pose in movement.said()]
    said = {BASELINE: Stated(np.array([p.joints_cam for p in poses]), np.array([p.joint_stddev for p in poses]), truth)}
    for name in (OURS, lagging_name()):
        joints, stddev = (
            np.concatenate([getattr(answer.streamed[name], part) for answer in answers])
            for part in ("joints", "stddev")
        )
        said[name] = Stated(joints, stddev, truth)[np.isfinite(stddev).all(axis=1)]
    return said


def refined_people(
    frames: Sequence[RecordedFrame], cameras: Sequence[Camera], people: Sequence[Sequence[Pose3D]],
    config: RefinementConfig | None = None, grounds: Sequence[Ground] | None = None,
) -> list[tuple[Pose3D, ...]]:  # fmt: skip
    """Recorded videos' fused people, frame by frame, through the stage of the live node, anew for each sequence.

    grounds: of each frame, where they are known.
    """
    stage, sequence = RefinementStage(config), -1
    given: list[RefinedFrame] = []
    known: Sequence[Ground | None] = grounds if grounds is not None else [None] * len(frames)
    for frame, camera, persons, ground in zip(frames, cameras, people, known, strict=True):
        if frame.sequence != sequence:
            sequence = frame.sequence
            given.extend(stage.flush())
            stage.reset()
        given.extend(stage.process(frame.stamp_ns, camera, persons, ground))
    return [frame.persons for frame in (*given, *stage.flush())]


@dataclass(frozen=True)
class Tracked:
    """Found people of videos who are asked for: their tracks, and what is said of them in all their frames."""

    series: list[Series]
    stated: Stated


def tracked(frames: Sequence[RecordedFrame], people: Sequence[Sequence[Pose3D]]) -> Tracked:
    """People matched to true ones by their 2D joints; predictions of those who vanished are left out."""
    tracks: dict[tuple[int, int, int], list[tuple[float, Pose3D, Floats]]] = defaultdict(list)
    for frame, persons in zip(frames, people, strict=True):
        seen = [person for person in persons if person.state is not TrackingState.COASTING]
        wanted = asked_for(frame.people)
        match = match_people(frame.people, np.array([p.keypoints_px for p in seen]).reshape(-1, K, 2))
        for person, index in zip(seen, match, strict=True):
            if index >= 0 and wanted[index]:
                key = (frame.sequence, int(frame.people.ids[index]), person.track_id)
                truth = frame.people.joints_cam[index].astype(np.float64)
                tracks[key].append((frame.stamp_ns * 1e-9, person, truth))
    series = [
        Series(np.array([t for t, *_ in track]), np.array([p.joints_cam for _, p, _ in track]),
               np.array([truth for *_, truth in track]))
        for track in tracks.values()
    ]  # fmt: skip
    stddev = np.array([person.joint_stddev for track in tracks.values() for _, person, _ in track]).reshape(-1, K)
    joints, truth = (np.concatenate([*of, np.zeros((0, K, 3))]) for of in
                     ([one.joints for one in series], [one.truth for one in series]))  # fmt: skip
    return Tracked(series, Stated(joints, stddev, truth))


def video_row(name: str, frames: Sequence[RecordedFrame], people: Sequence[Sequence[Pose3D]]) -> dict[str, Any]:
    """COLUMNS of the people found, in whichever track; then PCK, roots and shares of all who are asked for, of whom
    the predicted count as found."""
    answers = iter(people)
    shares = pose_row(name, frames, lambda frame: next(answers))
    return {"row": name, **series_figures(tracked(frames, people).series), **shares}
