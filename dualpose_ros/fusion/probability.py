"""The fused score as a chance: how often somebody of whom the network says so much is there (Platt's scaling).

`dualpose eval scores` checks the numbers on rendered videos and photographs, and fits them anew. N people.
"""

from dataclasses import astuple, dataclass

import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats, Indices, Mask
from dualpose_ros.settings import SettingError, Settings, setting

_LEAST, _STEEPEST = 1e-6, 50.0


def _line(offset: float, slope: float, text: str) -> tuple[float, ...]:
    return setting((offset, slope), f"offset and slope {text}", least=-_STEEPEST, most=_STEEPEST)


@dataclass(frozen=True)
class ScoreScale(Settings):
    """From the log odds of the network's score to those that there is such a person, by who looked and who saw them."""

    both: tuple[float, ...] = _line(3.05, 0.74, "of people whom both branches see")
    top_down: tuple[float, ...] = _line(0.53, 0.6, "of those whom the top-down branch sees and the other does not")
    bottom_up: tuple[float, ...] = _line(0.4, 0.72, "of those whom the bottom-up branch sees and the other does not")
    only_top_down: tuple[float, ...] = _line(4.15, 1.33, "where the top-down branch alone has looked")
    only_bottom_up: tuple[float, ...] = _line(3.61, 1.44, "where the bottom-up branch alone has looked")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, numbers in vars(self).items():
            if len(numbers) != 2 or not numbers[1] > 0:
                raise SettingError(name, f"is {list(numbers)}; it must be an offset and a slope over 0")


SITUATIONS = tuple(vars(ScoreScale()))
"""Who looked and who saw somebody, in the order of `situations`."""


def situations(top_down: Mask, bottom_up: Mask, looked: tuple[bool, bool]) -> Indices:
    """Indices (N,) into SITUATIONS of people whom the branches see (N,) or not; looked: which branches did at all."""
    if not all(looked):
        return np.full(len(top_down), SITUATIONS.index("only_top_down" if looked[0] else "only_bottom_up"))
    return np.where(top_down, np.where(bottom_up, 0, 1), 2)


def probabilities(scores: AnyFloats, situation: Indices, scale: ScoreScale) -> Floats:
    """The chances (N,) that people are there, from a network's scores (N,) of them in 0..1: higher from higher ones in
    one situation."""
    offset, slope = np.array(astuple(scale))[situation].T
    score = np.clip(np.asarray(scores, dtype=np.float64), _LEAST, 1 - _LEAST)
    return np.asarray(1 / (1 + np.exp(-offset) * ((1 - score) / score) ** slope))
