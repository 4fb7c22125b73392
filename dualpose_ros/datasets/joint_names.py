"""Joints of labelled photographs by name, as joints of `skeleton.H36M17`.

N people, J joints of the source, K joints of the inner skeleton. What a source does not say, and what does not
follow exactly from what it says, is UNKNOWN.
"""

import re
from collections.abc import Sequence

import numpy as np

from dualpose_ros.arrays import AnyFloats, Float32s, UInt8s
from dualpose_ros.datasets.labels import UNKNOWN
from dualpose_ros.skeleton import H36M17

ALIASES = {"hip": "pelvis", "mid_hip": "pelvis", "root": "pelvis", "top_head": "head_top", "top_of_head": "head_top"}
"""Other names of inner joints; `l_` and `r_` stand for left and right."""

ELSEWHERE = ("spine", "thorax", "neck")
"""Joints of the trunk: what data sets call so lies in a different place in each of them, 4 to 10 per cent of a
person's size from ours (LSP's neck lies half way between our thorax and neck). They count where an alias says so."""

_PELVIS, _HIPS = H36M17.index("pelvis"), (H36M17.index("right_hip"), H36M17.index("left_hip"))


def plain_name(name: str) -> str:
    """A joint's name in our spelling, as of `L-Knee` or `leftKnee`: small letters, `_` between words, sides in full."""
    plain = re.sub("([a-z])([A-Z])", r"\1_\2", name.strip()).lower().replace(" ", "_").replace("-", "_")
    return {"l_": "left_", "r_": "right_"}.get(plain[:2], plain[:2]) + plain[2:]


def inner_joint(name: str, aliases: dict[str, str] | None = None) -> int:
    """The joint of H36M17 that a source calls `name`, -1 for none. aliases: further names, by source name."""
    plain = plain_name(name)
    known = {**ALIASES, **(aliases or {})}
    if name in known or plain in known:
        return H36M17.index(known.get(name, known.get(plain, "")))
    return H36M17.joint_names.index(plain) if plain in H36M17.joint_names and plain not in ELSEWHERE else -1


def to_inner(
    names: Sequence[str], joints_px: AnyFloats, visibility: UInt8s, aliases: dict[str, str] | None = None
) -> tuple[Float32s, UInt8s]:
    """Joints (N, K, 2) and visibility (N, K) of H36M17, from joints (N, J, 2) and visibility (N, J) by `names`.

    The pelvis is the middle of the hips, where both are known and the source has none of its own, seen as well as
    the hip that is seen worse.
    """
    joints = np.zeros((len(joints_px), H36M17.num_joints, 2), np.float32)
    seen = np.full(joints.shape[:2], UNKNOWN, np.uint8)
    for column, name in enumerate(names):
        inner = inner_joint(name, aliases)
        if inner >= 0:
            joints[:, inner], seen[:, inner] = joints_px[:, column], visibility[:, column]
    hips = list(_HIPS)
    follows = (seen[:, _PELVIS] == UNKNOWN) & (seen[:, hips] != UNKNOWN).all(axis=1)
    joints[follows, _PELVIS] = joints[follows][:, hips].mean(axis=1)
    seen[follows, _PELVIS] = seen[follows][:, hips].min(axis=1)
    joints[seen == UNKNOWN] = 0.0
    return joints, seen
