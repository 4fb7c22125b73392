"""What is known of a person's bone lengths: it persists for as long as the track lives.

K joints of `skeleton.H36M17`, bones by their child joint; metres, seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dualpose_ros.refinement.terms import HAS_BONE, bone_vectors
from dualpose_ros.skeleton import H36M17

FloatArray = npt.NDArray[np.float64]

SHORTEST_BONE_M = 0.03
LONGEST_BONE_M = 0.7

PROPORTIONS = np.array(
    [1.0, 0.452, 1.787, 1.82, 0.452, 1.787, 1.82, 1.097, 1.488, 0.52, 0.697, 0.865, 1.098, 0.931, 0.865, 1.098, 0.931]
)
"""Mean bone lengths of fused poses of recorded tracks over each person's geometric mean; 1 for the root."""

UNUSUAL = 0.25
"""Proportions off by this share count half as much: other bodies, or joints placed otherwise."""

LONGEST_WEIGHT_S = 0.2
"""A frame after a gap counts as much as this, not for all the time that nothing was seen."""

_OTHER_SIDE = np.array(H36M17.mirror)


@dataclass(frozen=True)
class BoneConfig:
    """proportions_s: usual proportions count as much as so many seconds of frames; memory_s: frames are forgotten with
    this time constant; strange: a bone that is off by more than this share counts as off by it."""

    proportions_s: float = 0.8
    memory_s: float = 20.0
    strange: float = 1.5

    def __post_init__(self) -> None:
        for name in ("proportions_s", "memory_s", "strange"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be positive")


class BoneMemory:
    """Mean logarithms of lengths over a track's frames, drawn toward usual proportions at the person's size."""

    def __init__(self, config: BoneConfig) -> None:
        self.config = config
        self._size = 0.0
        self._off = np.zeros(len(PROPORTIONS))
        self._size_s, self._seconds = 0.0, np.zeros(len(PROPORTIONS))

    @property
    def logarithms(self) -> FloatArray:
        """Logarithms (K,) of lengths in metres, alike on both sides of the body; 0 for the root."""
        seconds = self._seconds + self._seconds[_OTHER_SIDE]
        off = self._seconds * self._off
        off = (off + off[_OTHER_SIDE]) / np.maximum(seconds, 1e-9)
        usual = self.config.proportions_s / (1 + (off / UNUSUAL) ** 2)
        known = seconds / (seconds + 2 * usual)
        return np.where(HAS_BONE, self._size + np.log(PROPORTIONS) + known * off, 0.0)

    def add(self, joints: FloatArray, elapsed_s: float) -> None:
        """Take in a pose (K, 3), so long after the last one; bones too short or too long to be any are left out."""
        length = bone_vectors(joints[None])[1][0]
        usual = HAS_BONE & (length > SHORTEST_BONE_M) & (length < LONGEST_BONE_M)
        if not usual.any():
            return
        step = min(max(elapsed_s, 1e-3), LONGEST_WEIGHT_S)
        forget = float(np.exp(-step / self.config.memory_s))
        over = np.log(np.where(usual, length, 1.0)) - np.log(PROPORTIONS)
        self._size_s = forget * self._size_s + step
        self._size += step / self._size_s * (float(np.median(over[usual])) - self._size)
        strange = self.config.strange
        off = np.clip(over - self._size, -strange, strange)
        weight = np.where(usual, step, 0.0)
        self._seconds = forget * self._seconds + weight
        self._off += weight / np.maximum(self._seconds, 1e-9) * (off - self._off)
