"""Smoothed distances against a Kalman smoother and dense least squares, drawn errors, and those who come nearer."""

from __future__ import annotations

import numpy as np
import pytest

from dualpose_ros.arrays import Floats
from dualpose_ros.refinement.distance import APPROACH_M_S, CHANGE_M_S, LASTING_SHARE, smooth_distances

TIMES: Floats = np.cumsum([0.0, 0.08, 0.08, 0.16, 0.08, 0.04, 0.08, 0.08])
ANYWHERE = 1e4


def process(times: Floats, distance: float) -> list[tuple[Floats, Floats]]:
    """Transitions and noises of distance and speed from frame to frame, as shares of a distance."""
    steps = []
    for h in np.diff(times):
        noise = np.array([[h**3 / 3, h**2 / 2], [h**2 / 2, h]]) * (CHANGE_M_S / distance) ** 2
        steps.append((np.array([[1.0, h], [0.0, 1.0]]), noise))
    return steps


def kalman_smoothed(said: Floats, own: Floats, times: Floats) -> tuple[Floats, Floats]:
    """Distances and their variances by the Kalman filter, and Rauch, Tung and Striebel's pass back over it."""
    distance = float(np.exp(said.mean()))
    state, covariance = np.array([said.mean(), 0.0]), np.diag([ANYWHERE, (APPROACH_M_S / distance) ** 2])
    filtered, steps = [], process(times, distance)
    for t in range(len(said)):
        if t:
            turn, noise = steps[t - 1]
            state, covariance = turn @ state, turn @ covariance @ turn.T + noise
        gain = covariance[:, 0] / (covariance[0, 0] + own[t])
        state, covariance = state + gain * (said[t] - state[0]), covariance - np.outer(gain, covariance[0])
        filtered.append((state, covariance))
    found = [filtered[-1]]
    for (turn, noise), (state, covariance) in zip(reversed(steps), reversed(filtered[:-1]), strict=True):
        ahead = turn @ covariance @ turn.T + noise
        back = covariance @ turn.T @ np.linalg.inv(ahead)
        later, later_covariance = found[-1]
        found.append((state + back @ (later - turn @ state), covariance + back @ (later_covariance - ahead) @ back.T))
    return np.array([s[0] for s, _ in found[::-1]]), np.array([c[0, 0] for _, c in found[::-1]])


def drawn(rng: np.random.Generator, stddev: Floats) -> Floats:
    lasting = np.sqrt(LASTING_SHARE) * rng.normal()
    return np.asarray(stddev * (lasting + np.sqrt(1 - LASTING_SHARE) * rng.normal(size=stddev.shape)))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_is_what_a_kalman_smoother_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stddev = rng.uniform(0.03, 0.12, len(TIMES))
    said = 1.4 + 0.2 * TIMES + drawn(rng, stddev)
    found, spread = smooth_distances(said, stddev, TIMES)
    expected, variance = kalman_smoothed(said, (1 - LASTING_SHARE) * stddev**2, TIMES)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(spread**2, variance + LASTING_SHARE * stddev**2, atol=1e-6)


def test_it_is_the_weighed_least_squares_answer() -> None:
    """Over distances and speeds of all frames at once."""
    rng = np.random.default_rng(3)
    stddev = rng.uniform(0.03, 0.12, len(TIMES))
    said = 1.4 - 0.3 * TIMES + drawn(rng, stddev)
    distance, count = float(np.exp(said.mean())), len(TIMES)
    seen, moved = np.zeros((count, 2 * count)), []
    own = np.sqrt(1 - LASTING_SHARE) * stddev
    seen[np.arange(count), 2 * np.arange(count)] = 1 / own
    first = np.zeros((1, 2 * count))
    first[0, 1] = distance / APPROACH_M_S
    for t, (turn, noise) in enumerate(process(TIMES, distance)):
        weigh = np.linalg.inv(np.linalg.cholesky(noise))
        both = np.zeros((2, 2 * count))
        both[:, 2 * t : 2 * t + 2], both[:, 2 * t + 2 : 2 * t + 4] = -weigh @ turn, weigh
        moved.append(both)
    rows = np.concatenate([seen, first, *moved])
    right = np.concatenate([said / own, np.zeros(len(rows) - count)])
    expected, *_ = np.linalg.lstsq(rows, right, rcond=None)
    np.testing.assert_allclose(smooth_distances(said, stddev, TIMES)[0], expected[::2], atol=1e-7)


def test_it_is_nearer_steadier_and_as_far_off_as_it_says() -> None:
    rng = np.random.default_rng(1)
    stddev, truth = np.full(len(TIMES), 0.06), 1.2 + 0.2 * TIMES
    before, after = [], []
    for _ in range(2000):
        said = truth + drawn(rng, stddev)
        found, spread = smooth_distances(said, stddev, TIMES)
        before.append(said - truth)
        after.append(found - truth)
    assert np.std(after, axis=0)[-1] < np.std(before, axis=0)[-1]
    assert np.std(np.diff(after, 2, axis=1)) < 0.3 * np.std(np.diff(before, 2, axis=1))
    assert np.std(after, axis=0)[-1] / spread[-1] == pytest.approx(1, abs=0.06)


def test_an_error_of_all_frames_changes_neither_the_motion_nor_how_unsure_it_is() -> None:
    """Frames of other deviations would otherwise have the answer leave what all of them say."""
    stddev = np.array([0.02, 0.1] * 4)
    found, spread = smooth_distances(np.full(8, 1.3), stddev, TIMES)
    np.testing.assert_allclose(found, 1.3, atol=1e-9)
    assert (spread >= np.sqrt(LASTING_SHARE) * stddev).all()


def test_one_who_walks_nearer_is_followed() -> None:
    """At 1.2 m/s from 4 m: no more than 5 cm behind half a second later."""
    times: Floats = np.arange(8, dtype=np.float64) * 0.08
    truth = np.log(4.0 - 1.2 * times)
    found, _ = smooth_distances(truth, np.full(8, 0.08), times)
    assert abs(np.exp(found[-1]) - np.exp(truth[-1])) < 0.05


def test_a_single_frame_is_as_it_was_said() -> None:
    found, spread = smooth_distances(np.array([1.3]), np.array([0.08]), np.array([5.0]))
    assert (found[0], spread[0]) == (pytest.approx(1.3), pytest.approx(0.08))


def test_several_people_together_are_as_each_alone() -> None:
    rng = np.random.default_rng(4)
    people, frames = 3, 8
    times = np.cumsum(rng.uniform(0.03, 0.07, (people, frames)), axis=1)
    arguments = rng.normal(1.2, 0.1, (people, frames)), rng.uniform(0.02, 0.1, (people, frames)), times
    together = smooth_distances(*arguments)
    for n in range(people):
        for one, other in zip(smooth_distances(*(part[n] for part in arguments)), together, strict=True):
            np.testing.assert_allclose(one, other[n], rtol=1e-10)
