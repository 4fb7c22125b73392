"""The settings of refinement, those of its parts among them."""

from dataclasses import dataclass

from dualpose_ros.camera import GroundConfig
from dualpose_ros.refinement.bones import BoneConfig
from dualpose_ros.refinement.ground.stance import StandingConfig
from dualpose_ros.refinement.least_squares.solver import SolverConfig
from dualpose_ros.settings import SettingError, Settings, setting

SHORTEST_WINDOW = 3
LONGEST_WINDOW = 64


@dataclass(frozen=True)
class RefinementConfig(Settings):
    """Settings of the refinement."""

    enabled: bool = setting(True, "refine poses; without it they pass through as they are", live=True)
    window_frames: int = setting(
        8, "frames of each track that are refined together", unit="frames", least=SHORTEST_WINDOW, most=LONGEST_WINDOW
    )
    lag_frames: int = setting(
        0,
        "frames that poses come late, for being surer; raise max_frames_in_flight by as many",
        unit="frames",
        least=0,
        most=LONGEST_WINDOW - 1,
    )
    max_coast_s: float = setting(
        0.5,
        "how long a confirmed person who vanished is predicted; 0: not at all",
        unit="s",
        least=0,
        most=5,
        live=True,
    )
    gauss_newton_steps: int = setting(1, "solver steps a frame", least=1, most=20)
    smoothing_time_constant_s: float = setting(
        0.1, "time constant with which what is published follows; 0: at once", unit="s", least=0, most=2
    )
    solver: SolverConfig = setting(SolverConfig(), "what is trusted by how much")
    bones: BoneConfig = setting(BoneConfig(), "bone lengths of a person: means over the track")
    ground: GroundConfig = setting(
        GroundConfig(), "where the ground is, for a camera that does not tilt or rise", live=True
    )
    standing: StandingConfig = setting(StandingConfig(), "people who stand on a known ground")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lag_frames >= self.window_frames:
            raise SettingError("lag_frames", f"is {self.lag_frames}; it must be less than window_frames")
