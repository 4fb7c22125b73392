"""People on a known ground who lean, climb, jump, sit, lie, or stand on something; and feet that are not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from dualpose_ros.refinement.ground.standing import Standing
from dualpose_ros.refinement.window import frame_of
from support.on_ground import ANKLES, GROUND, said, standing_on, too_far
from support.windows import CAMERA

STEP_S, TOO_LARGE = 0.1, 1.15
AHEAD, RIGHT = GROUND.level_axes


def went(
    standing: Standing, places: Iterable[np.ndarray], feet: bool = True, first: int = 0, lean: float = 0.0
) -> list[float]:
    """By how much the distances (logarithms) of somebody said to be TOO_LARGE are off, frame after frame."""
    rng, errors = np.random.default_rng(first), []
    for n, truth in enumerate(places, start=first):
        standing.begin(STEP_S * n, GROUND)
        pose = said(truth, TOO_LARGE, rng, feet)
        if lean:
            pose.joints_cam[:] = leant(pose.joints_cam, lean)
        standing.see(1, frame_of(STEP_S * n, CAMERA, pose), CAMERA)
        errors.append(too_far(standing, 1, truth))
    return errors


def leant(joints: np.ndarray, angle: float) -> np.ndarray:
    """Joints leant about the root, toward the camera, each on its ray: as the image shows them."""
    about = joints - joints[0]
    moved = joints + (np.tan(angle) * (about @ GROUND.down))[:, None] * AHEAD
    return np.asarray(joints * (moved[:, 2:] / joints[:, 2:]))


def standing(ahead_m: float = 4.0, above_m: float = 0.0, height_m: float = 1.7) -> np.ndarray:
    return standing_on(GROUND, height_m, ahead_m, above_m)


def seated(ahead_m: float = 4.0, height_m: float = 1.7) -> np.ndarray:
    """Joints (K, 3) of somebody on a chair who faces the camera: thighs level, feet on the ground."""
    joints = standing(ahead_m, height_m=height_m)
    for hip, knee, ankle in ((1, 2, 3), (4, 5, 6)):
        thigh = float(np.linalg.norm(joints[knee] - joints[hip]))
        shin = joints[ankle] - joints[knee]
        joints[knee] = joints[hip] - thigh * AHEAD
        joints[ankle] = joints[knee] + shin
    return np.asarray(joints + ((standing(ahead_m)[ANKLES] - joints[ANKLES]) @ GROUND.down).max() * GROUND.down)


def lying(ahead_m: float = 4.0) -> np.ndarray:
    """Joints (K, 3) of somebody who lies across the view."""
    joints = standing(ahead_m)
    about = joints - joints[0]
    down = about @ GROUND.down
    flat = joints[0] + np.outer(down, RIGHT) + np.outer(about @ RIGHT, AHEAD) + np.outer(about @ AHEAD, GROUND.down)
    lowest = float((flat @ GROUND.down).max())
    return np.asarray(flat + (GROUND.height_m - 0.08 - lowest) * GROUND.down)


def test_who_stands_is_over_the_feet_though_the_pose_leans() -> None:
    """Networks lean people toward the camera by 4 degrees and more: 8 cm on the feet, which are 2 % at 4 m."""
    for lean in (-0.12, 0.12):
        assert abs(went(Standing(), [standing()] * 20, lean=lean)[-1]) < 0.012


def test_the_foot_in_the_air_of_who_walks_pushes_nobody_away() -> None:
    """By the mean of both feet it would, by 3 cm, which are 2 % before this camera."""
    rng, filter_, errors = np.random.default_rng(0), Standing(), []
    for n in range(40):
        truth = standing()
        truth[[[2, 3], [5, 6]][n // 4 % 2]] -= 0.06 * GROUND.down
        filter_.begin(STEP_S * n, GROUND)
        filter_.see(1, frame_of(STEP_S * n, CAMERA, said(truth, TOO_LARGE, rng)), CAMERA)
        errors.append(too_far(filter_, 1, truth))
    assert abs(np.mean(errors[10:])) < 0.01


def test_stairs_after_the_floor_do_not_push_anybody_away() -> None:
    filter_ = Standing()
    went(filter_, [standing(5.0 - 0.05 * n) for n in range(25)])
    steps = [standing(3.75 - 0.06 * n, above_m=0.17 * (1 + n // 6)) for n in range(18)]
    # By its feet alone, somebody on the third step would be a half farther away.
    errors = went(filter_, steps, first=25)
    assert max(map(abs, errors)) < 0.13 and abs(errors[-1]) < 0.08


def test_who_jumps_stays_where_he_jumps() -> None:
    filter_ = Standing()
    went(filter_, [standing()] * 25)
    heights = [0.0, 0.2, 0.35, 0.4, 0.35, 0.2, 0.0]
    assert max(map(abs, went(filter_, [standing(above_m=above) for above in heights], first=25))) < 0.05


def test_the_feet_of_who_sits_from_the_start_count_and_no_height_is_made_up() -> None:
    filter_ = Standing()
    assert abs(went(filter_, [seated()] * 20)[-1]) < 0.03
    correction = filter_.correction(1)
    assert correction is not None and correction.height_m == 0.0


def test_who_sits_down_keeps_the_height_and_the_distance_though_the_feet_are_behind_a_table() -> None:
    filter_ = Standing()
    went(filter_, [standing()] * 25)
    stood = filter_.correction(1)
    errors = went(filter_, [seated(4.0 - 0.02 * n) for n in range(20)], feet=False, first=25)
    sat = filter_.correction(1)
    assert stood is not None and sat is not None
    assert max(map(abs, errors)) < 0.03
    assert sat.height_m == stood.height_m == pytest.approx(1.7, abs=0.04)


def test_who_lies_is_where_the_feet_are_and_is_no_dwarf() -> None:
    filter_ = Standing()
    assert abs(went(filter_, [lying()] * 20)[-1]) < 0.06
    correction = filter_.correction(1)
    assert correction is not None and correction.height_m == 0.0


def test_a_stage_is_climbed_without_a_jump_of_distance() -> None:
    filter_ = Standing()
    went(filter_, [standing()] * 25)
    assert max(map(abs, went(filter_, [standing(above_m=0.5)] * 20, first=25))) < 0.06


@pytest.mark.parametrize("posture", (standing, seated))
def test_knees_tell_where_somebody_is_whose_feet_were_never_seen(posture: Callable[[], np.ndarray]) -> None:
    rng, filter_, truth = np.random.default_rng(0), Standing(), posture()
    for n in range(20):
        filter_.begin(STEP_S * n, GROUND)
        pose = said(truth, TOO_LARGE, rng, feet=False, knees=True)
        filter_.see(1, frame_of(STEP_S * n, CAMERA, pose), CAMERA)
    assert abs(too_far(filter_, 1, truth)) < 0.08, "14 % without"


@pytest.mark.parametrize("posture", (standing, seated))
def test_who_is_seen_from_the_hips_up_is_where_the_pose_has_the_legs(posture: Callable[[], np.ndarray]) -> None:
    filter_ = Standing()
    assert abs(went(filter_, [posture()] * 20, feet=False)[-1]) < 0.06, "14 % without"
    correction = filter_.correction(1)
    assert correction is not None and 0.04 < correction.stddev < 0.15
