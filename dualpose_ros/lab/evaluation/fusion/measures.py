"""Both branches and what is made of them, on recorded videos: how good, how natural together, how well matched.

N people, K joints of `skeleton.H36M17`; metres in the camera frame.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from dualpose_ros.arrays import Floats, Indices
from dualpose_ros.datasets.labels import People
from dualpose_ros.datasets.recordings import Recordings
from dualpose_ros.fusion.integrate import Integrator
from dualpose_ros.fusion.matching import match_poses
from dualpose_ros.fusion.pairs import Pairs, branch_poses
from dualpose_ros.fusion.stage import FusionConfig, FusionStage
from dualpose_ros.lab.evaluation.people import FrameScores, people_figures, root_average_precision, score_frame
from dualpose_ros.lab.synthetic.motion.contact import penetration
from dualpose_ros.metrics.pairs import FramePairs
from dualpose_ros.people import Persons, Pose3D, Source, TrackingState
from dualpose_ros.skeleton import H36M17, K

COLUMNS = ("ap_root_25", "auc_rel", "pck_rel", "pck_abs")
"""Those of the paper's Tables 3 to 5, in per cent; PCK at 150 mm."""

NEIGHBOURS_M, OVERLAP_M, STEP_M = 2.0, 0.05, 0.4
"""Two people nearer than the first are a pair. It is impossible where they overlap by more than the second, and
implausible besides where their lowest joints differ in height by more than the third."""


@dataclass(frozen=True)
class RecordedFrame:
    """One frame of a recording: its sequence, stamp, the direction of gravity (3,), the truth, both branches' poses
    and which true person (or -1) each of them is."""

    sequence: int
    stamp_ns: int
    down: Floats
    people: People
    top_down: Persons
    bottom_up: Persons
    true_top_down: Indices
    true_bottom_up: Indices


Fuse = Callable[[RecordedFrame], Sequence[Pose3D]]
"""People of one frame after the other; a frame of a new sequence comes with an earlier stamp."""


def recorded_frames(recordings: Recordings) -> Iterator[RecordedFrame]:
    """The frames in their order."""
    frames, truth = recordings.frames, recordings.truth
    for frame in range(len(frames.stamp_s)):
        rows = np.flatnonzero(truth.frame == frame)
        people = People(
            truth.person[rows], truth.boxes_px[rows], truth.joints_px[rows], truth.visibility[rows],
            truth.joints_cam[rows], truth.visible_fraction[rows],
        )  # fmt: skip
        parts = []
        for branch, source in ((recordings.top_down, Source.TOP_DOWN), (recordings.bottom_up, Source.BOTTOM_UP)):
            own = np.flatnonzero(branch.frame == frame)
            owner = np.array([np.flatnonzero(rows == t)[0] if t >= 0 else -1 for t in branch.truth[own]], dtype=np.intp)
            seen = Persons.seen(branch.poses[own], branch.keypoints_px[own], source, branch.track[own])
            parts.append((seen, owner))
        (top_down, one), (bottom_up, other) = parts
        sequence, stamp_ns = int(frames.sequence[frame]), round(float(frames.stamp_s[frame]) * 1e9)
        down = frames.down[frame].astype(np.float64)
        yield RecordedFrame(sequence, stamp_ns, down, people, top_down, bottom_up, one, other)


def pose_row(name: str, frames: Sequence[RecordedFrame], fuse: Fuse) -> dict[str, Any]:
    """COLUMNS and the share of people found, over all people who are asked for."""
    scores = [score_frame(frame.people, fuse(frame)) for frame in frames]
    return {"row": name, **pose_figures(scores)}


def pose_figures(scores: Sequence[FrameScores]) -> dict[str, Any]:
    """COLUMNS and the share of people found, in per cent, over all who are asked for; None where there is nobody."""
    chosen = [frame.counted for frame in scores]
    figures = people_figures(scores, chosen)
    areas = np.concatenate([frame.auc_rel[frame.counted] for frame in scores] or [np.zeros(0)])
    average = root_average_precision(scores)
    return {
        "people": figures["people"],
        "ap_root_25": 100 * average if np.isfinite(average) else None,
        "auc_rel": 100 * float(areas.mean()) if len(areas) else None,
        "pck_rel": figures["pck150_rel"],
        "pck_abs": figures["pck150_abs"],
        "found": figures["recall"],
        "root_depth_pct": figures["root_depth_pct"],
    }


def figures_without_one(frames: Sequence[RecordedFrame], scores: Sequence[FrameScores]) -> list[dict[str, Any]]:
    """`pose_figures` of frames with one sequence after the other left out."""
    sequences = np.array([frame.sequence for frame in frames])
    return [
        pose_figures([score for score, other in zip(scores, sequences != sequence, strict=True) if other])
        for sequence in np.unique(sequences)
    ]


def gain_error(
    better: Sequence[Mapping[str, Any]], worse: Sequence[Mapping[str, Any]], columns: Sequence[str]
) -> float | None:
    """Standard error of a difference of the mean of `columns` (jackknife), from figures without one sequence each; None
    where one can't be measured."""
    pairs = [(a[column], b[column]) for a, b in zip(better, worse, strict=True) for column in columns]
    if len(better) < 2 or any(value is None for pair in pairs for value in pair):
        return None
    gains = np.array([a - b for a, b in pairs]).reshape(len(better), -1).mean(axis=1)
    return float(np.sqrt((len(gains) - 1) * gains.var()))


def staged(integrator: Integrator, config: FusionConfig | None = None) -> Fuse:
    """The live fusion stage over recorded frames, anew for each sequence."""
    state: dict[int, FusionStage] = {}

    def fuse(frame: RecordedFrame) -> Sequence[Pose3D]:
        if frame.sequence not in state:
            state.clear()
            state[frame.sequence] = FusionStage(config, integrator)
        return state[frame.sequence].process(frame.stamp_ns, frame.top_down, frame.bottom_up).persons

    return fuse


def remembered(frames: Sequence[RecordedFrame], fuse: Fuse) -> Fuse:
    """What `fuse` makes of the frames, worked out once, where more than one row is made of them."""
    people = {id(frame): fuse(frame) for frame in frames}
    return lambda frame: people[id(frame)]


def unmatched_pairs(integrator: Integrator) -> Fuse:
    """Fusion without matching (Table 3, w/o PM): the best person of the one branch with the best of the other."""

    def fuse(frame: RecordedFrame) -> list[Pose3D]:
        ranked = [sorted(poses, key=lambda pose: -pose.score) for poses in (frame.top_down, frame.bottom_up)]
        rows = np.arange(max(len(poses) for poses in ranked))
        out = integrator(Pairs(*(branch_poses(Persons.of(p), np.where(rows < len(p), rows, -1)) for p in ranked)))
        return [
            replace(
                pose,
                source=Source.FUSED,
                score=float(out.scores[i]),
                joints_cam=out.joints_cam[i],
                joint_scores=out.joint_scores[i],
                joint_stddev=out.joint_stddev[i],
            )
            for i, pose in enumerate([*ranked[0], *ranked[1][len(ranked[0]) :]])
        ]

    return fuse


def frame_pairs(frame: RecordedFrame) -> FramePairs:
    """What matching makes of a frame, and what would be right."""
    matches = match_poses(top_down=frame.top_down, bottom_up=frame.bottom_up)
    return FramePairs(matches.top_down, matches.bottom_up, frame.true_top_down, frame.true_bottom_up)


def neighbour_row(name: str, frames: Sequence[RecordedFrame], fuse: Fuse) -> dict[str, Any]:
    """How many pairs of people near each other overlap, or can't stand on one floor; shares in per cent."""
    pairs = overlapping = implausible = 0
    for frame in frames:
        joints = np.array([pose.joints_cam for pose in fuse(frame)]).reshape(-1, K, 3)
        for a, b in combinations(joints, 2):
            if np.linalg.norm(a[H36M17.root] - b[H36M17.root]) > NEIGHBOURS_M:
                continue
            overlaps = float(penetration(a, b)) > OVERLAP_M
            step = abs(float((a @ frame.down).max() - (b @ frame.down).max())) > STEP_M
            pairs, overlapping, implausible = pairs + 1, overlapping + overlaps, implausible + (overlaps or step)
    return {
        "row": name,
        "neighbours": pairs,
        "interpenetrating_pct": 100 * overlapping / pairs if pairs else None,
        "implausible_pct": 100 * implausible / pairs if pairs else None,
    }


def true_people(frame: RecordedFrame) -> list[Pose3D]:
    """The truth as people, for comparison."""
    ones, people = np.ones(K), frame.people
    return [
        Pose3D(
            track_id=int(people.ids[i]),
            state=TrackingState.CONFIRMED,
            source=Source.FUSED,
            score=1.0,
            box_px=people.boxes_px[i],
            joints_cam=people.joints_cam[i].astype(np.float64),
            joint_scores=ones,
            joint_stddev=ones,
            keypoints_px=people.joints_px[i],
        )
        for i in range(len(people))
    ]
