"""Limbs that are longer in the image than the pose in space lets them be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dualpose_ros.camera import project
from dualpose_ros.refinement.limbs import DOUBTED, scores_of_limbs
from dualpose_ros.refinement.stage import RefinementStage
from dualpose_ros.skeleton import H36M17
from support import windows

KNEE, ANKLE = H36M17.index("left_knee"), H36M17.index("left_ankle")


@pytest.mark.parametrize(("times", "doubted"), [(1.0, False), (1.5, False), (2.0, True)])
def test_the_end_of_a_thigh_that_is_far_too_long_is_a_guess(times: float, doubted: bool) -> None:
    hip = H36M17.index("left_hip")
    pose = windows.pose_of(windows.walk(np.zeros(1))[0])
    joints = pose.joints_cam.copy()
    # Seen from the side, as long as it is in space.
    side = np.array([joints[hip, 2], 0, -joints[hip, 0]])
    joints[KNEE] = joints[hip] + side * np.linalg.norm(joints[KNEE] - joints[hip]) / np.linalg.norm(side)
    pixels = project(windows.CAMERA, joints)
    pixels[KNEE] = pixels[hip] + times * (pixels[KNEE] - pixels[hip])
    pixels[ANKLE] = pixels[KNEE]
    pose = replace(pose, joints_cam=joints, keypoints_px=pixels, joint_scores=np.full(H36M17.num_joints, 0.8))
    scores = scores_of_limbs(pose, windows.CAMERA)
    assert scores[KNEE] == (DOUBTED if doubted else 0.8)
    assert (np.delete(scores, KNEE) == 0.8).all(), "what ends elsewhere is left alone, also what is too short"


def test_what_is_published_is_doubted() -> None:
    pose = windows.pose_of(windows.walk(np.zeros(1))[0])
    far = pose.keypoints_px.copy()
    far[ANKLE] = far[KNEE] + (0, 3 * np.ptp(far[:, 1]))
    stage = RefinementStage()
    for k, keypoints in enumerate((pose.keypoints_px, far)):
        (frame,) = stage.process(k * 10**7, windows.CAMERA, [replace(pose, keypoints_px=keypoints)])
        (refined,) = frame.persons
        assert refined.joint_scores[KNEE] == pose.joint_scores[KNEE]
        assert (refined.joint_scores[ANKLE] <= DOUBTED) == (k == 1)
