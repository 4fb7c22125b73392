"""Joint sets as tables, and the mappings between them.

K is the number of joints of a skeleton. The skeleton used inside the package is
`H36M17`; the others exist to read data sets and published networks.
"""

from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import Indices


@dataclass(frozen=True)
class Skeleton:
    """A named, ordered joint set.

    `parents[k]` is the joint that bone k hangs from (-1 for the root), `mirror[k]`
    the joint that k becomes in a mirrored image, `oks_sigmas[k]` the per-joint
    fall-off of the object keypoint similarity (COCO's where COCO names the joint).
    """

    name: str
    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    mirror: tuple[int, ...]
    oks_sigmas: tuple[float, ...]

    @property
    def num_joints(self) -> int:
        """Number of joints K."""
        return len(self.joint_names)

    @property
    def root(self) -> int:
        """Index of the joint without a parent."""
        return self.parents.index(-1)

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(parent, child) pairs, one for each joint but the root."""
        return tuple((p, c) for c, p in enumerate(self.parents) if p >= 0)

    @property
    def body(self) -> list[int]:
        """Every joint but the root."""
        return [joint for joint, parent in enumerate(self.parents) if parent >= 0]

    def index(self, joint: str) -> int:
        """Position of a joint by name; ValueError names the skeleton if it has none."""
        try:
            return self.joint_names.index(joint)
        except ValueError:
            raise ValueError(f"skeleton {self.name} has no joint '{joint}'") from None


def _skeleton(name: str, rows: list[tuple[str, str | None, float]]) -> Skeleton:
    """Build a skeleton from (joint, parent, OKS sigma) rows; sides mirror by name."""
    names = [row[0] for row in rows]

    def opposite(joint: str) -> str:
        if joint.startswith("left_"):
            return "right_" + joint[5:]
        return "left_" + joint[6:] if joint.startswith("right_") else joint

    return Skeleton(
        name=name,
        joint_names=tuple(names),
        parents=tuple(-1 if row[1] is None else names.index(row[1]) for row in rows),
        mirror=tuple(names.index(opposite(joint)) for joint in names),
        oks_sigmas=tuple(row[2] for row in rows),
    )


H36M17 = _skeleton(
    "h36m17",
    [
        ("pelvis", None, 0.107),
        ("right_hip", "pelvis", 0.107),
        ("right_knee", "right_hip", 0.087),
        ("right_ankle", "right_knee", 0.089),
        ("left_hip", "pelvis", 0.107),
        ("left_knee", "left_hip", 0.087),
        ("left_ankle", "left_knee", 0.089),
        ("spine", "pelvis", 0.107),
        ("thorax", "spine", 0.079),
        ("neck", "thorax", 0.079),
        ("head_top", "neck", 0.079),
        ("left_shoulder", "thorax", 0.079),
        ("left_elbow", "left_shoulder", 0.072),
        ("left_wrist", "left_elbow", 0.062),
        ("right_shoulder", "thorax", 0.079),
        ("right_elbow", "right_shoulder", 0.072),
        ("right_wrist", "right_elbow", 0.062),
    ],
)

K, ROOT, BODY = H36M17.num_joints, H36M17.root, H36M17.body
"""How many joints it has, the one that poses are relative to, and those but the root."""

COCO17 = _skeleton(
    "coco17",
    [
        ("nose", None, 0.026),
        ("left_eye", "nose", 0.025),
        ("right_eye", "nose", 0.025),
        ("left_ear", "left_eye", 0.035),
        ("right_ear", "right_eye", 0.035),
        ("left_shoulder", "nose", 0.079),
        ("right_shoulder", "nose", 0.079),
        ("left_elbow", "left_shoulder", 0.072),
        ("right_elbow", "right_shoulder", 0.072),
        ("left_wrist", "left_elbow", 0.062),
        ("right_wrist", "right_elbow", 0.062),
        ("left_hip", "left_shoulder", 0.107),
        ("right_hip", "right_shoulder", 0.107),
        ("left_knee", "left_hip", 0.087),
        ("right_knee", "right_hip", 0.087),
        ("left_ankle", "left_knee", 0.089),
        ("right_ankle", "right_knee", 0.089),
    ],
)


def joint_mapping(source: Skeleton, target: Skeleton) -> Indices:
    """For each joint of `target`, its index in `source`, or -1 where it has none: (K_target,)."""
    return np.array(
        [source.joint_names.index(n) if n in source.joint_names else -1 for n in target.joint_names], dtype=np.intp
    )
