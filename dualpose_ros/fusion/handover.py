"""Hand-over between the branches: where a person's pose comes from changes, the pose does not jump.

Each branch is off in its own way, above all in depth. So when the set of branches that see a person changes, the
difference between where the pose would have been and where it is now is added to it, and wears off. If a branch saw
the person before and after, its own movement says where the pose would have been; otherwise the root's velocity.
K joints of `skeleton.H36M17`; metres in the camera's optical frame.
"""

from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.skeleton import H36M17

GATE_SIGMAS = 4.0
"""A difference of more stated deviations is a real one, and nothing is kept of it."""

_LEAST_M = 1e-3


@dataclass(frozen=True)
class FusedPose:
    """A person in one frame: joints_cam (K, 3) and joint_stddev (K,) as integrated, joints (K, 3) of either branch
    that sees them, and the root's velocity (3,) in m/s."""

    joints_cam: Floats
    joint_stddev: Floats
    top_down: Floats | None
    bottom_up: Floats | None
    velocity: Floats

    @property
    def sources(self) -> tuple[bool, bool]:
        """Which branches see the person."""
        return self.top_down is not None, self.bottom_up is not None


@dataclass(frozen=True)
class _Last:
    """What came in for a person, what was published, and the offset (K, 3) between the two."""

    stamp_ns: int
    pose: FusedPose
    offset: Floats

    @property
    def published(self) -> Floats:
        return self.pose.joints_cam + self.offset


class HandOver:
    """Smooths the poses of people by their ids; called for each person of a frame, in the order of stamps.

    seconds: time constant with which an offset wears off; forget_s: after so long unseen a person starts anew.
    """

    def __init__(self, seconds: float = 0.25, forget_s: float = 1.0) -> None:
        if not (seconds > 0 and forget_s > 0):
            raise ValueError(f"a time constant of {seconds} s and a memory of {forget_s} s are not both positive")
        self._seconds, self._forget_ns = seconds, int(forget_s * 1e9)
        self._last: dict[int, _Last] = {}

    def begin(self, stamp_ns: int) -> None:
        """Start a frame: forget people not seen for long, and all if time went backwards."""
        self._last = {k: v for k, v in self._last.items() if 0 < stamp_ns - v.stamp_ns <= self._forget_ns}

    def publish(self, stamp_ns: int, person_id: int, pose: FusedPose) -> tuple[Floats, Floats]:
        """What to publish of a person.

        stamp_ns: of the frame, later than the last; person_id: who it is; pose: as integrated.
        Returns joints (K, 3), and their deviations (K,), which contain what is left of the offset; metres.
        """
        last = self._last.get(person_id)
        offset, doubt = np.zeros_like(pose.joints_cam), np.zeros(len(pose.joints_cam))
        if last is not None:
            before = last.offset if last.pose.sources == pose.sources else handed_over(stamp_ns, last, pose)
            offset = before * np.exp(-(stamp_ns - last.stamp_ns) * 1e-9 / self._seconds)
            offset = np.where(np.linalg.norm(offset, axis=1, keepdims=True) < _LEAST_M, 0.0, offset)
            # The pose moves by what wore off, so it is as uncertain as it was before that.
            doubt = np.linalg.norm(before, axis=1)
        self._last[person_id] = _Last(stamp_ns, pose, offset)
        return pose.joints_cam + offset, np.hypot(pose.joint_stddev, doubt)


def handed_over(stamp_ns: int, last: _Last, pose: FusedPose) -> Floats:
    """Offset (K, 3) from the pose to where the published one would be by now; zero where they are worlds apart.

    The root and the joints about it are judged apart: a root that has jumped leaves nothing, a joint that has jumped
    leaves the root's part alone.
    """
    root = H36M17.root
    offset = expected_joints(stamp_ns, last, pose) - pose.joints_cam
    gate = GATE_SIGMAS * np.hypot(last.pose.joint_stddev, pose.joint_stddev)
    root_offset = offset[root]
    if np.linalg.norm(root_offset) > gate[root]:
        return np.zeros_like(offset)
    relative = offset - root_offset
    near = np.linalg.norm(relative, axis=1) <= gate
    return np.asarray(root_offset + np.where(near[:, None], relative, 0.0), dtype=np.float64)


def expected_joints(stamp_ns: int, last: _Last, pose: FusedPose) -> Floats:
    """Where the joints (K, 3) published last would be by now."""
    for before, now in ((last.pose.top_down, pose.top_down), (last.pose.bottom_up, pose.bottom_up)):
        if before is not None and now is not None:
            return last.published + now - before
    return last.published + last.pose.velocity * (stamp_ns - last.stamp_ns) * 1e-9
