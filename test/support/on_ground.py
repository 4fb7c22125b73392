"""People on a made ground, as poses that are said too large and too far away."""

from dataclasses import replace

import numpy as np

from dualpose_ros.camera import Ground, ground_below, project
from dualpose_ros.people import Pose3D
from dualpose_ros.refinement.ground.stance import ANKLE_OVER_HEIGHT, StandingConfig, bones_height
from dualpose_ros.refinement.ground.standing import Standing
from dualpose_ros.refinement.least_squares.terms import bone_vectors
from support.windows import CAMERA, K, pose_of, usual_body

GROUND = ground_below(1.4, pitch_rad=0.1)
ANKLES, KNEES = [3, 6], [2, 5]


def standing_on(ground: Ground, height_m: float, ahead_m: float, above_m: float = 0.0) -> np.ndarray:
    """Joints (K, 3) of somebody so tall who stands upright on a ground, or as much above it."""
    body = usual_body(0.233)
    body *= height_m / bones_height(bone_vectors(body[None])[1][0])
    body[:, 2] = 0.0
    ahead, right = ground.level_axes
    body = body @ np.stack([right, ground.down, ahead])
    sole = (body[ANKLES] @ ground.down).max() + ANKLE_OVER_HEIGHT * height_m + StandingConfig().foot_lift_m
    return np.asarray(body + (ground.height_m - above_m - sole) * ground.down + ahead_m * ahead)


def said(
    joints: np.ndarray, too_large: float, rng: np.random.Generator, feet: bool = True, knees: bool = False
) -> Pose3D:
    """The pose of somebody taken for so much larger and farther away, 2D joints right to two pixels."""
    pose = pose_of(joints, depth=0.3)
    scores = np.full(K, 0.8)
    scores[ANKLES] = 0.9 if feet else 0.0
    scores[KNEES] = 0.8 if feet or knees else 0.0
    pixels = project(CAMERA, joints) + rng.normal(0, 2, (K, 2))
    return replace(pose, joints_cam=too_large * joints, joint_scores=scores, keypoints_px=pixels)


def too_far(standing: Standing, who: int, truth: np.ndarray) -> float:
    """The logarithm of how much farther away somebody is said to be than he or she is."""
    correction = standing.correction(who)
    assert correction is not None
    return correction.distance - float(np.log(np.linalg.norm(truth[0])))
