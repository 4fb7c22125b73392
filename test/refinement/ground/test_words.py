"""What is said of a ground that is off: what was learnt, with deviations, and a warning where it contradicts."""

from __future__ import annotations

import numpy as np

from dualpose_ros.camera import Ground, GroundAccuracy, ground_below
from dualpose_ros.refinement.ground.standing import GroundFound, Standing
from dualpose_ros.refinement.ground.words import ground_found_words, ground_warning
from dualpose_ros.refinement.window import frame_of
from support.on_ground import GROUND, said, standing_on
from support.windows import CAMERA


def found(ground: Ground, ahead_m: tuple[float, float], told: Ground, height_m: float = 1.7) -> GroundFound:
    """What is known after somebody walked over a ground from here to there."""
    rng, standing = np.random.default_rng(0), Standing()
    assert standing.found is None
    for n, ahead in enumerate(np.linspace(*ahead_m, 80)):
        standing.begin(0.1 * n, told)
        standing.see(1, frame_of(0.1 * n, CAMERA, said(standing_on(ground, height_m, float(ahead)), 1.0, rng)), CAMERA)
    answer = standing.found
    assert answer is not None
    return answer


def test_a_pitch_that_is_off_is_found_and_told() -> None:
    off = 0.035
    told = ground_below(1.4, 0.1 - off, accuracy=GroundAccuracy(pitch_stddev_rad=0.005))
    answer = found(GROUND, (9.0, 2.5), told)
    assert abs(answer.off[1] - off) < 2 * answer.stddev[1] < 0.035
    assert "pitch +" in ground_found_words(answer) and "degrees" in ground_found_words(answer)
    assert ground_warning(answer).startswith("the ground seems to be off from what was said: height ")


def test_a_ground_that_is_right_is_not_warned_of() -> None:
    answer = found(GROUND, (9.0, 2.5), GROUND)
    assert ground_warning(answer) == ""
    assert abs(answer.off[1]) < 0.005


def test_giants_are_told() -> None:
    """A camera said to be a fifth higher than it is, before one person who stands still: nothing else shows it."""
    answer = found(ground_below(1.4, 0.1), (4.0, 4.0), ground_below(1.75, 0.1), 1.9)
    assert answer.giants and min(answer.giants) > 2.1
    assert "m tall" in ground_warning(answer) or "off from" in ground_warning(answer)
