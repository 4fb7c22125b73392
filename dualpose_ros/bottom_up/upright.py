"""Somebody who stands upright, as a table: where joints are that nobody sees, and how far apart two can be.

K joints of `skeleton.H36M17`; metres.
"""

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.skeleton import H36M17

UPRIGHT_BONES = {
    "right_hip": (-0.12, 0.0),
    "right_knee": (0.0, 0.43),
    "right_ankle": (0.0, 0.42),
    "left_hip": (0.12, 0.0),
    "left_knee": (0.0, 0.43),
    "left_ankle": (0.0, 0.42),
    "spine": (0.0, -0.22),
    "thorax": (0.0, -0.22),
    "neck": (0.0, -0.17),
    "head_top": (0.0, -0.18),
    "left_shoulder": (0.17, -0.05),
    "left_elbow": (0.04, 0.28),
    "left_wrist": (0.0, 0.25),
    "right_shoulder": (-0.17, -0.05),
    "right_elbow": (-0.04, 0.28),
    "right_wrist": (0.0, 0.25),
}
"""From a joint's parent to it: across the body toward its left, and down."""

_TALLEST = 1.3
"""Over the table's bones, those of the largest people."""

_BLUR_M = 0.1
"""How far two joints may seem farther apart than they are."""


def _upright() -> Floats:
    """Joints (K, 2) about the root: toward the body's left, and down."""
    places = np.zeros((H36M17.num_joints, 2))
    for parent, child in H36M17.bones:
        places[child] = places[parent] + UPRIGHT_BONES[H36M17.joint_names[child]]
    return places


def _along_bones(length: dict[str, float]) -> Floats:
    """The way from joint to joint (K, K) along bones of these lengths, each named by its child."""
    way = np.full((H36M17.num_joints, H36M17.num_joints), np.inf)
    np.fill_diagonal(way, 0)
    for parent, child in H36M17.bones:
        # Parents stand before their children in the skeleton, so that their ways are complete.
        way[child, :child] = way[:child, child] = way[parent, :child] + length[H36M17.joint_names[child]]
    return way


UPRIGHT = _upright()

BONES_APART = _along_bones(dict.fromkeys(UPRIGHT_BONES, 1.0))
"""How many bones lie between each two joints."""

REACH = _TALLEST * _along_bones({name: float(np.hypot(*bone)) for name, bone in UPRIGHT_BONES.items()}) + _BLUR_M
"""How far from each other each two joints of one person can seem: limbs stretched, of the largest people."""
