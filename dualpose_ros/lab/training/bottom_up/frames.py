"""How the frames vary that the bottom-up network learns from."""

from dataclasses import dataclass

from dualpose_ros.settings import Settings, setting, share


@dataclass(frozen=True)
class FrameConfig(Settings):
    """How frames vary."""

    width: int = setting(320, "width of training pictures", unit="px", least=32, most=8192, step=32)
    height: int = setting(256, "height of training pictures", unit="px", least=32, most=8192, step=32)
    long_side: int = setting(384, "longer side of a whole frame in live use", unit="px", least=32, most=8192)
    zoom: tuple[float, float] = setting((0.75, 1.6), "range of what that is multiplied by", above=0)
    on_person: float = share(0.5, "share of frames cut around somebody")
    unguided: float = share(0.15, "share of frames without top-down heatmaps")
    missed: float = share(0.7, "of the true boxes, in half of the frames up to this share is left out")
    merged: float = share(0.15, "share of true boxes that are merged with a neighbour's")
    shifted: float = share(0.12, "share of true boxes that are shifted")
    empty: float = share(0.1, "share of frames with a box where nobody is")
    hidden_weight: float = share(0.3, "weight of joints behind something")
    min_visible: float = share(0.15, "people of whom less is in view are neither learnt nor punished")
