"""What is known of a person's bone lengths: it persists for as long as the track lives.

K joints of `skeleton.H36M17`, bones by their child joint; metres, seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import Floats, Mask
from dualpose_ros.refinement.least_squares.terms import HAS_BONE, bone_vectors, joints_from_bones, median_of
from dualpose_ros.settings import Settings, setting
from dualpose_ros.skeleton import H36M17

SHORTEST_BONE_M = 0.03
LONGEST_BONE_M = 0.7

PROPORTIONS = np.array(
    [1, 0.414, 1.753, 1.831, 0.414, 1.753, 1.831, 0.924, 0.924, 0.784, 0.864, 0.812, 1.123, 1.084, 0.812, 1.123, 1.084]
)
"""Bone lengths over each person's geometric mean; 1 for the root. Geometric means of captured skeletons, both sides
alike, and of adult MakeHuman bodies, half and half."""

_LOG_PROPORTIONS = np.log(PROPORTIONS)

USUAL_SIZE_M = 0.233
"""Mean over those people of their bones' geometric mean."""

UNUSUAL = 0.1
"""Proportions off by this share count half as much: other bodies, or joints placed otherwise."""

LONGEST_WEIGHT_S = 0.2
"""A frame after a gap counts as much as this, not for all the time that nothing was seen."""

_OTHER_SIDE = np.array(H36M17.mirror)


@dataclass(frozen=True)
class BoneConfig(Settings):
    """Bone lengths of a person: means over the track."""

    proportions_prior_s: float = setting(
        8.0, "usual proportions of a body count as much as so many seconds of frames", unit="s", above=0
    )
    size_prior_s: float = setting(
        0.1, "a usual body size counts as much as so many seconds of frames", unit="s", above=0
    )
    memory_time_constant_s: float = setting(20.0, "time constant with which frames are forgotten", unit="s", above=0)
    outlier_share: float = setting(
        1.5, "a bone whose length is off by more than this share (of its logarithm) counts as off by it", above=0
    )
    settle_s: float = setting(0.3, "how long a new person's lengths follow freely what is learnt", unit="s", above=0)
    max_change_per_s: float = setting(
        0.007, "most by which lengths change after settle_s, as a share: a body does not grow", unit="1/s", above=0
    )


class BoneMemory:
    """Mean logarithms of lengths over a track's frames, drawn toward usual proportions at the person's size."""

    def __init__(self, config: BoneConfig) -> None:
        self.config = config
        self._size, self._size_s = float(np.log(USUAL_SIZE_M)), config.size_prior_s
        self._off = np.zeros(len(PROPORTIONS))
        self._seconds = np.zeros(len(PROPORTIONS))
        self._age_s = 0.0
        self._held = self._learnt()

    @property
    def logarithms(self) -> Floats:
        """Logarithms (K,) of lengths in metres, alike on both sides of the body; 0 for the root."""
        return self._held

    def add(self, joints: Floats, elapsed_s: float) -> None:
        """Take in a pose (K, 3), so long after the last one: see `add_poses`."""
        add_poses([self], joints[None], [elapsed_s])

    def _take_in(self, size: float, off: Floats, usual: Mask, step: float) -> None:
        """Take in for how large a person (a logarithm) a pose's bones are, and by how much each is off besides."""
        forget = float(np.exp(-step / self.config.memory_time_constant_s))
        self._size_s = forget * self._size_s + step
        self._size += step / self._size_s * (size - self._size)
        weight = step * usual
        self._seconds = forget * self._seconds + weight
        self._off += weight / np.maximum(self._seconds, 1e-9) * (off - self._off)
        most = self.config.max_change_per_s * step if self._age_s >= self.config.settle_s else np.inf
        self._held = self._held + np.minimum(np.maximum(self._learnt() - self._held, -most), most)
        self._age_s += step

    def _learnt(self) -> Floats:
        """Lengths as all frames so far have them."""
        seconds = self._seconds + self._seconds[_OTHER_SIDE]
        off = self._seconds * self._off
        off = (off + off[_OTHER_SIDE]) / np.maximum(seconds, 1e-9)
        usual = self.config.proportions_prior_s / (1 + (off / UNUSUAL) ** 2)
        known = seconds / (seconds + 2 * usual)
        return np.asarray(np.where(HAS_BONE, self._size + _LOG_PROPORTIONS + known * off, 0.0))


def add_poses(memories: Sequence[BoneMemory], joints: Floats, elapsed_s: Sequence[float]) -> None:
    """Let people's memories take in their poses (P, K, 3), so long after the last ones (P,).

    Bones too short or too long to be any are left out.
    """
    length = bone_vectors(joints)[1]
    usual = HAS_BONE & (length > SHORTEST_BONE_M) & (length < LONGEST_BONE_M)
    over = np.log(np.where(usual, length, 1.0)) - _LOG_PROPORTIONS
    sizes = median_of(over, usual)
    for n in np.flatnonzero(usual.any(axis=-1)).tolist():
        memory, most_off = memories[n], memories[n].config.outlier_share
        off = np.minimum(np.maximum(over[n] - sizes[n], -most_off), most_off)
        memory._take_in(float(sizes[n]), off, usual[n], min(max(elapsed_s[n], 1e-3), LONGEST_WEIGHT_S))


def with_lengths(joints: Floats, lengths: Floats) -> Floats:
    """Poses (..., K, 3) whose bones point where they did, with lengths of the logarithms (..., K), from the root on."""
    along = bone_vectors(joints)[0] * np.exp(lengths)[..., None]
    return joints_from_bones(joints[..., H36M17.root, :], along)
