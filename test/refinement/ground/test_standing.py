"""People on a known ground: sizes and distances that come right, what must not mislead, honest deviations."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest

from dualpose_ros.camera import Ground, GroundAccuracy, GroundConfig, ground_below
from dualpose_ros.people import Pose3D
from dualpose_ros.refinement.config import RefinementConfig
from dualpose_ros.refinement.ground.standing import Standing, two_thirds
from dualpose_ros.refinement.stage import RefinementStage
from dualpose_ros.refinement.window import frame_of
from support.on_ground import GROUND, said, standing_on, too_far
from support.windows import CAMERA

STEP_NS = 80_000_000


def through(stage: RefinementStage, poses: list[Pose3D], ground: Ground | None, first: int = 0) -> list[Pose3D]:
    return [stage.process((first + n) * STEP_NS, CAMERA, [pose], ground)[0].persons[0] for n, pose in enumerate(poses)]


def depth_error(pose: Pose3D, truth: np.ndarray) -> float:
    return float(pose.joints_cam[0, 2] / truth[0, 2] - 1)


def test_a_child_comes_to_where_its_feet_are_and_is_as_tall_as_it_is() -> None:
    rng, truth = np.random.default_rng(0), standing_on(GROUND, 1.2, 4.0)
    poses = [said(truth, 1.3, rng) for _ in range(30)]
    without, known = (through(RefinementStage(), poses, ground)[-1] for ground in (None, GROUND))
    assert depth_error(without, truth) > 0.2
    assert abs(depth_error(known, truth)) < 0.03
    assert known.height_m == pytest.approx(1.2, abs=0.04)
    assert abs(known.height_m - 1.2) < 2 * known.height_stddev_m < 0.12
    assert known.joint_stddev[0] < 0.97 * without.joint_stddev[0]
    assert without.height_stddev_m > 0.1


def test_what_was_learnt_holds_while_feet_are_hidden_and_the_ground_is_not_known() -> None:
    rng, stage = np.random.default_rng(1), RefinementStage()
    truth = standing_on(GROUND, 1.3, 4.0)
    through(stage, [said(truth, 1.25, rng) for _ in range(25)], GROUND)
    walk = [standing_on(GROUND, 1.3, ahead) for ahead in [*np.linspace(4.0, 3.0, 15), *[3.0] * 15]]
    hidden = through(stage, [said(place, 1.25, rng, feet=False) for place in walk], GROUND, 25)[-1]
    nearer = walk[-1]
    lost = through(stage, [said(nearer, 1.25, rng) for _ in range(5)], None, 55)[-1]
    for pose in (hidden, lost):
        assert abs(depth_error(pose, nearer)) < 0.04
        assert pose.height_m == pytest.approx(1.3, abs=0.04)


def test_somebody_who_jumps_is_not_thrown_back() -> None:
    rng, stage = np.random.default_rng(2), RefinementStage()
    truth = standing_on(GROUND, 1.75, 4.0)
    through(stage, [said(truth, 1.0, rng) for _ in range(25)], GROUND)
    air = standing_on(GROUND, 1.75, 4.0, above_m=0.45)
    jumped = through(stage, [said(air, 1.0, rng) for _ in range(5)], GROUND, 25)
    # On the ground by its feet, it would be half as far again.
    assert max(abs(depth_error(pose, air)) for pose in jumped) < 0.07


def test_a_foot_cut_off_by_the_image_or_near_the_horizon_says_little() -> None:
    rng, standing = np.random.default_rng(3), Standing()
    standing.begin(0.0, ground_below(1.4))
    near = standing_on(ground_below(1.4), 1.7, 1.7)
    standing.see(1, frame_of(0.0, CAMERA, said(near, 1.0, rng)), CAMERA)
    standing.see(2, frame_of(0.0, CAMERA, said(near - [0, 2.5, -4], 1.0, rng)), CAMERA)
    # The first is guessed to stand where the pose has the feet; the second is said to be above the camera.
    guessed, unknown = standing.correction(1), standing.correction(2)
    assert guessed is not None and abs(guessed.size) < 0.02 and guessed.stddev > 0.06
    assert unknown is not None and unknown.size == 0.0 and unknown.stddev > 0.14
    assert standing.correction(3) is None


def test_an_error_of_the_ground_common_to_all_is_not_averaged_away() -> None:
    rng, standing, truth = np.random.default_rng(4), Standing(), standing_on(GROUND, 1.7, 6.0)
    accuracy = GroundAccuracy(pitch_stddev_rad=0.02)
    pose = said(truth, 1.0, rng)
    for n in range(500):
        standing.begin(0.1 * n, replace(GROUND, accuracy=accuracy))
        standing.see(1, frame_of(0.1 * n, CAMERA, pose), CAMERA)
    correction = standing.correction(1)
    assert correction is not None
    by_pitch = 6.0 / 1.4 * accuracy.pitch_stddev_rad
    assert 0.6 * by_pitch < correction.stddev < 1.03 * by_pitch


def test_somebody_who_walks_toward_the_camera_shows_by_how_much_its_pitch_is_off() -> None:
    rng, standing, accuracy = np.random.default_rng(5), Standing(), GroundAccuracy(pitch_stddev_rad=0.035)
    told = ground_below(1.4, pitch_rad=0.1 - 0.035, accuracy=accuracy)
    errors = []
    for n in range(80):
        truth = standing_on(GROUND, 1.7, 8.0 - 0.07 * n)
        standing.begin(0.08 * n, told)
        standing.see(1, frame_of(0.08 * n, CAMERA, said(truth, 1.0, rng)), CAMERA)
        errors.append(abs(too_far(standing, 1, truth)))
    # At 8 m the pitch alone is worth 20 % of the distance.
    assert errors[0] > 0.05 and errors[-1] < 0.04


def test_people_who_left_are_forgotten_and_the_rest_stay_as_they_are() -> None:
    rng, standing = np.random.default_rng(6), Standing()
    for n in range(10):
        standing.begin(0.1 * n, GROUND)
        for who, height in enumerate((1.2, 1.5, 1.8)):
            truth = standing_on(GROUND, height, 4.0 + who)
            standing.see(who, frame_of(0.1 * n, CAMERA, said(truth, 1.7 / height, rng)), CAMERA)
    before = [standing.correction(who) for who in range(3)]
    standing.keep({0, 2})
    after = [standing.correction(who) for who in range(3)]
    assert after[1] is None
    for who in (0, 2):
        one, other = after[who], before[who]
        assert one is not None and other is not None and astuple(one) == pytest.approx(astuple(other))


def test_the_ground_of_the_settings_holds_where_a_frame_comes_with_none_and_may_change() -> None:
    rng, truth = np.random.default_rng(7), standing_on(GROUND, 1.3, 4.0)
    stage = RefinementStage()
    unknown = through(stage, [said(truth, 1.2, rng) for _ in range(10)], None)[-1]
    told = GroundConfig(camera_height_m=GROUND.height_m, camera_pitch_rad=0.1)
    stage.config = replace(stage.config, ground=told)
    known = through(stage, [said(truth, 1.2, rng) for _ in range(20)], None, 10)[-1]
    assert depth_error(unknown, truth) > 0.15 and abs(depth_error(known, truth)) < 0.03


def test_a_pitch_that_is_off_unsaid_is_doubted_once_it_makes_everybody_a_giant() -> None:
    """Before a low camera two degrees are a third of the distance: three people so much larger than usual are less
    likely than a ground that is not where it is said to be."""
    rng, standing, low = np.random.default_rng(8), Standing(), ground_below(0.5, pitch_rad=0.05)
    told = ground_below(0.5, pitch_rad=0.05 - np.radians(2))
    for n in range(25):
        standing.begin(0.1 * n, told)
        for who in range(3):
            truth = standing_on(low, 1.7, 4.0 + who)
            standing.see(who, frame_of(0.1 * n, CAMERA, said(truth, 1.0, rng)), CAMERA)
    for who in range(3):
        correction = standing.correction(who)
        assert correction is not None and correction.stddev > 0.05
        # By the ground as it is told they would be off by 28 to 42 %.
        assert abs(too_far(standing, who, standing_on(low, 1.7, 4.0 + who))) < 0.26
    right = Standing()
    for n in range(25):
        right.begin(0.1 * n, low)
        right.see(0, frame_of(0.1 * n, CAMERA, said(standing_on(low, 1.7, 4.0), 1.0, rng)), CAMERA)
    assert abs(too_far(right, 0, standing_on(low, 1.7, 4.0))) < 0.03


def test_a_pose_that_jumps_from_frame_to_frame_leaves_the_person_where_he_stands() -> None:
    rng, standing, truth = np.random.default_rng(9), Standing(), standing_on(GROUND, 1.7, 5.0)
    errors = []
    for n in range(40):
        wrong = 0.12 * np.sin(1.5 * n)
        standing.begin(0.1 * n, GROUND)
        standing.see(1, frame_of(0.1 * n, CAMERA, said(truth, float(np.exp(wrong)), rng, feet=n % 4 == 0)), CAMERA)
        errors.append(too_far(standing, 1, truth))
    # Feet are seen in one frame of four; those between are known by how far a person can have gone.
    assert np.std(errors[10:]) < 0.05


def test_with_a_ground_the_distance_is_the_one_that_standing_has() -> None:
    """What was learnt of a size changes the frames before too; smoothing them together would draw the newest after."""
    rng, standing = np.random.default_rng(10), Standing()
    stage = RefinementStage(RefinementConfig(smoothing_time_constant_s=0))
    for n in range(15):
        truth = standing_on(GROUND, 1.3, 4.0 - 0.03 * n)
        pose = said(truth, 1.25 + 0.1 * float(np.sin(1.5 * n)), rng)
        given = stage.process(n * STEP_NS, CAMERA, [pose], GROUND)[0].persons[0]
        standing.begin(n * STEP_NS * 1e-9, GROUND)
        standing.see(1, frame_of(n * STEP_NS * 1e-9, CAMERA, pose), CAMERA)
        correction = standing.correction(1)
        assert correction is not None
        assert float(np.linalg.norm(given.joints_cam[0])) == pytest.approx(np.exp(correction.distance), rel=0.01)


@pytest.mark.parametrize(
    ("weights", "means", "stddevs"),
    (((1.0,), (0.0,), (0.05,)), ((0.9, 0.1), (0.0, 0.0), (0.05, 0.3)), ((0.6, 0.4), (-0.1, 0.15), (0.02, 0.1))),
)
def test_two_thirds_of_errors_are_within_the_deviation_of_several_filters(
    weights: tuple[float, ...], means: tuple[float, ...], stddevs: tuple[float, ...]
) -> None:
    rng, parts = np.random.default_rng(0), (np.array(weights), np.array(means), np.array(stddevs))
    which = rng.choice(len(weights), 100_000, p=parts[0])
    within = np.abs(rng.normal(parts[1][which], parts[2][which])) <= two_thirds(*parts)
    assert float(within.mean()) == pytest.approx(0.683, abs=0.01)
