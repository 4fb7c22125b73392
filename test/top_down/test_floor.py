"""Sizes from a shared floor: against a general optimiser, and on people whose sizes are known."""

import time
from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import minimize

from dualpose_ros.camera import camera_from_hfov, project
from dualpose_ros.people import Pose2D
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.floor import FloorConfig, FloorScale, Scale, fit_floor, lower_foot, scaled
from dualpose_ros.top_down.lifting.lifter import LiftedPose

CONFIG = FloorConfig()
UNKNOWN = Scale(1.0, 1.0, float(np.hypot(CONFIG.size_stddev, CONFIG.pose_error_stddev)))
CAMERA = camera_from_hfov(640, 480, np.radians(70))
LEFT, RIGHT = H36M17.index("left_ankle"), H36M17.index("right_ankle")


def feet_on_a_floor(
    sizes: np.ndarray, seed: int, sights: int = 60, height: float = 1.3, pitch: float = 0.2, noise: float = 0.03
) -> tuple[np.ndarray, np.ndarray]:
    """Feet (M, 3) where a network that takes everybody for average puts them, and whose each is (M,)."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(len(sizes)), sights)
    x, z = rng.uniform(-2, 2, len(person)), rng.uniform(3, 9, len(person))
    level = np.stack([x, np.full(len(person), height), z], axis=1)
    turn = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    seen = (level @ turn.T) / sizes[person, None]
    return seen * np.exp(rng.normal(0, noise, (len(person), 1))), person


def test_sizes_come_out_and_their_deviations_are_honest() -> None:
    sizes = np.array([0.93, 1.0, 1.07, 1.02, 0.98])
    errors = []
    for seed in range(20):
        feet, person = feet_on_a_floor(sizes, seed)
        found, spells, stddev, _ = fit_floor(feet, person, person, CONFIG)
        errors.append(np.exp(found + spells) - sizes)
        assert (stddev < CONFIG.size_stddev).all()
    assert np.abs(errors).mean() < 0.012
    assert abs(np.mean(errors)) < 0.004  # nobody's size may pull the others' along


def test_against_a_general_optimiser() -> None:
    feet, person = feet_on_a_floor(np.array([0.95, 1.05, 1.0]), 1, sights=12, noise=0.08)
    feet[3] *= 1.6  # a jump
    spell = 2 * person + np.tile([0, 1], 18)
    found, spells, *_ = fit_floor(feet, person, spell, CONFIG)
    limit = 2 * CONFIG.foot_stddev
    tilt = np.array([CONFIG.camera_roll_stddev_rad, np.inf, CONFIG.camera_pitch_stddev_rad]) / 1.2

    def cost(state: np.ndarray) -> float:
        residual = np.log(np.maximum(-feet @ state[:3], 1e-9)) + state[3 + person] + state[6 + spell]
        data = 0.5 * (limit / CONFIG.foot_stddev) ** 2 * np.log1p((residual / limit) ** 2).sum()
        priors = ((state[:3] / tilt) ** 2).sum() + (state[3:6] ** 2).sum() / CONFIG.size_stddev**2
        return float(data + 0.5 * priors + 0.5 * (state[6:] ** 2).sum() / CONFIG.pose_error_stddev**2)

    best = minimize(cost, np.concatenate([[0, -0.7, 0.1], np.zeros(9)]), method="BFGS", options={"gtol": 1e-4})
    np.testing.assert_allclose(found, best.x[3:6], atol=2e-3)
    np.testing.assert_allclose(spells, best.x[6:], atol=2e-3)


def dense_fit(
    feet: np.ndarray, person: np.ndarray, spell: np.ndarray, config: FloorConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same Gauss-Newton steps with all equations in one matrix."""
    people, spells = person.max() + 1, spell.max() + 1
    tilt = np.array([config.camera_roll_stddev_rad, np.inf, config.camera_pitch_stddev_rad]) / 1.2
    stddev = np.concatenate([np.full(people, config.size_stddev), np.full(spells, config.pose_error_stddev)])
    prior = np.concatenate([tilt**-2.0 + 1e-6, stddev**-2.0])
    noise = config.foot_stddev
    plane = np.linalg.solve(feet.T @ feet / noise**2 + np.diag(prior[:3]), -feet.sum(axis=0) / noise**2)
    state, at = np.concatenate([plane, np.zeros(people + spells)]), np.arange(len(feet))
    for _ in range(6):
        below = -feet @ state[:3]
        usable = below > 0.05
        below = np.where(usable, below, 1.0)
        error = np.where(usable, np.log(below) + state[3 + person] + state[3 + people + spell], 0.0)
        rows = np.zeros((len(feet), len(state)))
        rows[:, :3] = -feet / below[:, None]
        rows[at, 3 + person] = rows[at, 3 + people + spell] = 1
        weight = usable / (1 + (error / (2 * noise)) ** 2) / noise**2
        covariance = np.linalg.inv((rows * weight[:, None]).T @ rows + np.diag(prior))
        state = state - covariance @ (rows.T @ (weight * error) + prior * state)
    owner = np.zeros(spells, dtype=np.intp)
    owner[spell] = person
    size, depth = 3 + owner, 3 + people + np.arange(spells)
    both = covariance[size, size] + covariance[depth, depth] + 2 * covariance[size, depth]
    return state[3 : 3 + people], state[3 + people :], np.sqrt(both)


@pytest.mark.parametrize("people, sights, noise", [(1, 1, 0.0), (1, 60, 0.03), (4, 20, 0.1), (12, 75, 0.06)])
@pytest.mark.parametrize("lost", [False, True])
def test_elimination_answers_as_the_dense_equations_do(people: int, sights: int, noise: float, lost: bool) -> None:
    rng = np.random.default_rng(people)
    feet, person = feet_on_a_floor(rng.uniform(0.9, 1.1, people), 4, sights, noise=noise)
    if lost:
        feet[:: max(len(feet) // 5, 1)] *= [1, -1, 1]  # above the horizon
    spell = 8 * person + np.tile(np.arange(sights) * 8 // sights, people)
    spell = np.unique(spell, return_inverse=True)[1]
    order = rng.permutation(len(feet))
    found = fit_floor(feet[order], person[order], spell[order], CONFIG)
    for ours, dense in zip(found[:3], dense_fit(feet, person, spell, CONFIG), strict=True):
        np.testing.assert_allclose(ours, dense, rtol=1e-8, atol=1e-10)


def test_a_crowd_costs_a_fraction_of_the_dense_equations() -> None:
    feet, person = feet_on_a_floor(np.ones(12), 6, sights=75)
    spell = 10 * person + np.tile(np.arange(75) * 10 // 75, 12)

    def least_s(fit: Callable[..., object]) -> float:
        times = []
        for _ in range(5):
            started = time.thread_time()
            fit(feet, person, spell, CONFIG)
            times.append(time.thread_time() - started)
        return min(times)

    assert least_s(fit_floor) < least_s(dense_fit) / 4


def test_a_spell_that_goes_wrong_is_not_taken_for_size() -> None:
    feet, person = feet_on_a_floor(np.ones(4), 5, sights=80, noise=0.01)
    spell = 8 * person + np.tile(np.repeat(np.arange(8), 10), 4)
    feet[spell == 15] /= 1.08  # the last ten sights of person 1
    found, spells, *_ = fit_floor(feet, person, spell, CONFIG)
    assert np.exp(found[1] + spells[15]) == pytest.approx(1.08, abs=0.025)
    assert np.abs(found).max() < 0.02 and np.abs(np.delete(spells, 15)).max() < 0.02


def test_one_person_alone_says_nothing() -> None:
    feet, person = feet_on_a_floor(np.array([1.2]), 2)
    found, spells, stddev, _ = fit_floor(feet, person, person, CONFIG)
    assert abs(found[0] + spells[0]) < 0.01
    assert stddev[0] == pytest.approx(UNKNOWN.stddev, rel=0.05)


def test_people_are_scaled_as_they_are_seen_and_forgotten() -> None:
    sizes = np.array([0.93, 1.06, 1.0])
    feet, person = feet_on_a_floor(sizes, 3, sights=70)
    floor = FloorScale()
    assert floor.scale(0) == UNKNOWN and floor.horizon == 0
    by_person = [feet[person == i] for i in range(3)]
    for k in range(70):
        floor.add(k * 200_000_000, {i: by_person[i][k] for i in range(3)})
        floor.add(k * 200_000_000 + 50_000_000, {0: np.array([0.0, 9.0, 3.0])})  # too soon after to count
    for i in range(3):
        assert floor.scale(i).depth == pytest.approx(sizes[i], abs=0.04)
        assert floor.scale(i).size == pytest.approx(sizes[i], abs=0.04)
        assert floor.scale(i).stddev < 0.06
    # `feet_on_a_floor` looks down by 0.2.
    assert floor.horizon == pytest.approx(-np.tan(0.2), abs=0.05)
    floor.add(10**12, {5: by_person[0][0]})
    assert floor.scale(0) == UNKNOWN
    floor.add(0, {6: by_person[0][0]})  # time ran back
    assert floor.scale(6).depth == pytest.approx(1.0, abs=0.01) and floor.scale(5) == UNKNOWN


class Walkers:
    """People who walk on a floor one after the other, 14 s each, and how far off the floor leaves their distances."""

    def __init__(self, floor: FloorScale, seed: int, pitch: float = 0.15, height: float = 1.5) -> None:
        self.floor, self.rng, self.height, self.pitch = floor, np.random.default_rng(seed), height, pitch
        self.frame = 0

    def walk(self, person: int, log_size: float, seconds: float = 14.0) -> np.ndarray:
        """Errors of log distances (T,), five sights a second; whose size is off by exp(log_size)."""
        errors, pose = [], 0.0
        for z in 6 + 2.5 * np.sin(np.arange(round(5 * seconds)) / 12 + person):
            pose = 0.85 * pose + self.rng.normal(0, 0.03)
            level = np.array([self.rng.uniform(-1, 1), self.height, z])
            cos, sin = np.cos(self.pitch), np.sin(self.pitch)
            seen = np.array([level[0], cos * level[1] - sin * z, sin * level[1] + cos * z])
            off = pose - log_size
            self.floor.add(self.frame * 200_000_000, {person: seen * np.exp(off + self.rng.normal(0, 0.02))})
            errors.append(off + np.log(self.floor.scale(person).depth))
            self.frame += 1
        return np.array(errors)


def off_later(memory_s: float, tilt: float = 0.0) -> float:
    """Mean error of the log distances of the sixth person and those after, by whose first step the camera tilts."""
    errors = []
    for seed in range(5):
        walkers = Walkers(FloorScale(FloorConfig(memory_s=memory_s)), seed)
        sizes = walkers.rng.normal(0, 0.055, 9)
        for person, log_size in enumerate(sizes):
            if person == 5:
                walkers.walk(person, log_size, 7.0)
                walkers.pitch += tilt
            off = walkers.walk(person, log_size)
            if person > 5 or (tilt == 0 and person == 5):
                errors.append(np.abs(off).mean())
    return float(np.mean(errors))


def test_who_comes_later_stands_on_the_floor_of_those_before() -> None:
    assert off_later(60.0) < 0.85 * off_later(15.0)


def test_a_tilted_camera_forgets_its_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    up, down = off_later(60.0, 0.15), off_later(60.0, -0.12)
    assert max(up, down) < 0.06
    monkeypatch.setattr(FloorScale, "_is_tilted", lambda *_: False)
    assert off_later(60.0, 0.15) > 1.8 * up


def test_old_sights_are_one_a_spell() -> None:
    floor = FloorScale()
    feet, _ = feet_on_a_floor(np.ones(2), 7, sights=450)
    for k in range(450):
        floor.add(k * 100_000_000, {0: feet[k], 1: feet[450 + k]})
    # 15 s of five a second, and 30 s of two in three.
    assert len(floor._ids) == pytest.approx(2 * (75 + 20), abs=6)


def lifted(scores: np.ndarray | None = None) -> tuple[Pose2D, LiftedPose]:
    joints = np.random.default_rng(4).normal(0, 0.2, (17, 3)) + np.array([0.2, -0.1, 4.0])
    joints[LEFT], joints[RIGHT] = (0.1, 0.9, 4.0), (0.3, 1.0, 4.1)
    root = joints[0]
    pose = Pose2D(project(CAMERA, joints), np.full(17, 0.9) if scores is None else scores)
    return pose, LiftedPose(joints - root, np.full(17, 0.05), root[2], 0.1 * root[2], root[:2] / root[2])


def test_the_lower_ankle_if_both_are_clear() -> None:
    pose, person = lifted()
    foot = lower_foot(pose, person, CAMERA)
    assert foot is not None
    np.testing.assert_allclose(foot, [0.3, 1.0, 4.1])
    weak = pose.scores.copy()
    weak[LEFT] = 0.1
    assert lower_foot(Pose2D(pose.joints_px, weak), person, CAMERA) is None
    assert lower_foot(pose, None, CAMERA) is None
    low = pose.joints_px.copy()
    low[RIGHT, 1] = 478
    assert lower_foot(Pose2D(low, pose.scores), person, CAMERA) is None


def test_a_scaled_person_looks_the_same_and_is_known_better() -> None:
    pose, person = lifted()
    larger = scaled(person, Scale(1.1, 1.1, 0.06), CONFIG)
    np.testing.assert_allclose(project(CAMERA, larger.joints_cam), pose.joints_px, atol=1e-9)
    np.testing.assert_allclose(larger.joints_cam, 1.1 * person.joints_cam)
    expected = np.sqrt(0.1**2 + 0.06**2 - UNKNOWN.stddev**2)
    assert larger.root_depth_stddev / larger.root_depth == pytest.approx(expected)
    nearer = scaled(person, Scale(1.1, 1.0, 0.06), CONFIG)
    np.testing.assert_allclose(nearer.root_cam, person.root_cam)
    same = scaled(person, UNKNOWN, CONFIG)
    assert same.root_depth_stddev == pytest.approx(person.root_depth_stddev)
