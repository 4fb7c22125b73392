"""The settings of refinement, those of its parts among them."""

from __future__ import annotations

from dataclasses import dataclass, field

from dualpose_ros.refinement.bones import BoneConfig
from dualpose_ros.refinement.solver import SolverConfig

SHORTEST_WINDOW = 3
LONGEST_WINDOW = 64


@dataclass(frozen=True)
class RefinementConfig:
    """Settings of the refinement.

    enabled: False passes poses through; window: frames of each track that are refined together; lag_frames: frames
    are given so many frames late, for being surer; max_coast_s: how long a confirmed track that
    vanished is predicted; steps: Gauss-Newton steps a frame; steady_s: time constant of how what is published follows,
    0 at once; solver, bones: what is trusted by how much. ValueError names a value out of range.
    """

    enabled: bool = True
    window: int = 16
    lag_frames: int = 0
    max_coast_s: float = 0.5
    steps: int = 1
    steady_s: float = 0.1
    solver: SolverConfig = field(default_factory=SolverConfig)
    bones: BoneConfig = field(default_factory=BoneConfig)

    def __post_init__(self) -> None:
        if not SHORTEST_WINDOW <= self.window <= LONGEST_WINDOW:
            raise ValueError(f"window is {self.window}; it must lie in {SHORTEST_WINDOW}..{LONGEST_WINDOW}")
        if not 0 <= self.lag_frames < self.window:
            raise ValueError(f"lag_frames is {self.lag_frames}; it must lie in 0..{self.window - 1}, within the window")
        if not 0 <= self.max_coast_s <= 5:
            raise ValueError(f"max_coast_s is {self.max_coast_s}; it must lie in 0..5")
        if not 1 <= self.steps <= 20:
            raise ValueError(f"steps is {self.steps}; it must lie in 1..20")
        if not 0 <= self.steady_s <= 2:
            raise ValueError(f"steady_s is {self.steady_s}; it must lie in 0..2")
