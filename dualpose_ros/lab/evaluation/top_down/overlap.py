"""People in front of each other: a network that sees all people of a patch against one that sees one.

N people, K joints of `skeleton.H36M17`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dualpose_ros.arrays import Floats, Mask
from dualpose_ros.camera import Camera
from dualpose_ros.datasets.labels import OUTSIDE, LabelledImage
from dualpose_ros.lab.evaluation.joints import jittered
from dualpose_ros.metrics.poses import joint_errors
from dualpose_ros.people import Pose2D
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.estimator import PoseEstimator
from dualpose_ros.top_down.lifting.lifter import Lifter

MIN_VISIBLE = 0.2
"""People of whom less is in view are not asked for."""

TORSO_SHARE = 0.2
PCK_M = 0.15
_BOX_JITTER = 0.03


@dataclass(frozen=True)
class OverlapScores:
    """Of each person asked for: share of joints within TORSO_SHARE of the torso in 2D (N,), within PCK_M in 3D,
    root-relative (N,), whether anything was found (N,), and how much of the person is in view (N,)."""

    pck_2d: Floats
    pck_rel: Floats
    found: Mask
    visible: Floats


def score_overlap(
    images: Iterable[LabelledImage], estimator: PoseEstimator, lifter: Lifter, seed: int
) -> OverlapScores:
    """Scores of a 2D network on images, each lifted as the first frame of a video; seed: of the boxes' errors."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[float, float, bool, float]] = []
    for image in images:
        people = image.people
        chosen = np.flatnonzero(people.visible_fraction >= MIN_VISIBLE)
        # Boxes of all people, as a detector gives them, whether they are scored or not.
        poses = estimator(image.image, jittered(people.boxes_px, _BOX_JITTER, rng)).poses
        lifted = _lift(lifter, image.camera, poses)
        for person in chosen.tolist():
            truth_px = people.joints_px[person].astype(np.float64)
            counted = people.visibility[person] != OUTSIDE
            pose = poses[person]
            near_2d = np.zeros(H36M17.num_joints, dtype=bool)
            near_3d = np.zeros(H36M17.num_joints, dtype=bool)
            if pose is not None:
                torso = np.linalg.norm(truth_px[H36M17.index("neck")] - truth_px[H36M17.root])
                off = np.linalg.norm(pose.joints_px - truth_px, axis=1)
                near_2d = (pose.scores > 0) & (off < TORSO_SHARE * torso)
            if person in lifted:
                truth = people.joints_cam[person].astype(np.float64)
                near_3d = joint_errors(lifted[person], truth - truth[H36M17.root]) < PCK_M
            limbs = np.arange(H36M17.num_joints) != H36M17.root
            rows.append(
                (
                    float(near_2d[counted].mean()) if counted.any() else 0.0,
                    float(near_3d[limbs].mean()),
                    pose is not None,
                    float(people.visible_fraction[person]),
                )
            )
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    return OverlapScores(table[:, 0], table[:, 1], table[:, 2].astype(bool), table[:, 3])


def _lift(lifter: Lifter, camera: Camera, poses: Sequence[Pose2D | None]) -> dict[int, Floats]:
    lifter.reset()
    found = [(person, pose) for person, pose in enumerate(poses) if pose is not None]
    return {person: lifted.joints_rel for person, lifted in lifter.update(0, camera, found).items()}


def overlap_row(name: str, scores: OverlapScores) -> dict[str, Any]:
    """A table's row, in per cent: everybody, and those of whom less than 60 % is in view."""
    covered = scores.visible < 0.6
    return {
        "heads": name,
        "people": len(scores.found),
        "found": 100 * float(scores.found.mean()),
        "pck2d_0.2_torso": 100 * float(scores.pck_2d.mean()),
        "pck150_rel": 100 * float(scores.pck_rel.mean()),
        "covered_people": int(covered.sum()),
        "covered_pck2d": 100 * float(scores.pck_2d[covered].mean()) if covered.any() else None,
        "covered_pck150_rel": 100 * float(scores.pck_rel[covered].mean()) if covered.any() else None,
    }
