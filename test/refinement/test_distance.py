"""Smoothed distances against dense least squares, drawn errors, and what a step of the distance would do."""

from __future__ import annotations

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.lab.evaluation.refinement.published_solver import trajectory_matrix
from dualpose_ros.refinement.distance import smooth_distances
from dualpose_ros.refinement.noise import ErrorModel

TIMES: Floats = np.arange(12, dtype=np.float64) * 0.08
GAUSSIAN = ErrorModel(0.5, 2.0, student_t_dof=1e9)


def drawn(rng: np.random.Generator, stddev: float) -> np.ndarray:
    slow = np.linalg.cholesky(0.5 * np.exp(-np.abs(TIMES[:, None] - TIMES) / 2.0)) @ rng.normal(size=12)
    return stddev * (slow + np.sqrt(0.5) * rng.normal(size=12))


def test_it_is_the_weighed_least_squares_answer() -> None:
    rng = np.random.default_rng(0)
    jump = np.where(np.arange(12) < 6, 0.0, 0.6)
    said, stddev = 1.5 + jump + drawn(rng, 0.05), rng.uniform(0.03, 0.07, 12)
    motion = trajectory_matrix(TIMES, (2, 0, 0))
    usual = rng.uniform(0.002, 0.01, 12)
    found, spread = smooth_distances(said, stddev, TIMES, GAUSSIAN, motion, usual)
    covariance = 0.5 * np.exp(-np.abs(TIMES[:, None] - TIMES) / 2.0) * np.outer(stddev, stddev)
    covariance += 0.5 * np.diag(stddev**2)
    rows = np.concatenate([np.linalg.inv(np.linalg.cholesky(covariance)), motion / usual[:, None]])
    right = np.concatenate([rows[:12] @ said, np.zeros(12)])
    expected, *_ = np.linalg.lstsq(rows, right, rcond=None)
    # No more than a tenth beyond what the last three frames said.
    three = [said[max(t - 2, 0) : t + 1] for t in range(12)]
    held = [np.clip(e, low.min() - 0.1, low.max() + 0.1) for e, low in zip(expected, three, strict=True)]
    np.testing.assert_allclose(found, held, atol=1e-8)
    inside = np.isclose(found, expected, atol=1e-8)
    assert inside.any() and not inside.all()
    np.testing.assert_allclose(spread, np.sqrt(np.diag(np.linalg.inv(rows.T @ rows))), rtol=1e-6)


def test_it_is_nearer_and_as_far_off_as_it_says() -> None:
    rng = np.random.default_rng(1)
    motion, truth = trajectory_matrix(TIMES, (2, 0, 0)), 1.2 + 0.1 * TIMES
    before, after = [], []
    for _ in range(400):
        said = truth + drawn(rng, 0.05)
        found, spread = smooth_distances(said, np.full(12, 0.05), TIMES, GAUSSIAN, motion, np.full(12, 0.002))
        before.append(said[-1] - truth[-1])
        after.append(found[-1] - truth[-1])
    assert np.std(after) < 0.95 * np.std(before)
    assert np.std(after) / spread[-1] == np.clip(np.std(after) / spread[-1], 0.85, 1.15)


def test_moving_closer_gains_nothing() -> None:
    """Half the distance is the same problem: the answer is the same but for its logarithm."""
    said = 1.5 + drawn(np.random.default_rng(2), 0.05)
    motion, stddev, usual = trajectory_matrix(TIMES, (2, 0, 0)), np.full(12, 0.05), np.full(12, 0.004)
    far, near = (smooth_distances(s, stddev, TIMES, ErrorModel(0.5, 2.0), motion, usual)[0]
                 for s in (said, said - np.log(2)))  # fmt: skip
    np.testing.assert_allclose(far - near, np.log(2), atol=1e-9)


def test_a_single_frame_that_is_far_off_counts_little() -> None:
    motion, stddev, usual = trajectory_matrix(TIMES, (2, 0, 0)), np.full(12, 0.05), np.full(12, 0.004)
    said = np.full(12, 1.5)
    said[-1] += 0.5
    robust, _ = smooth_distances(said, stddev, TIMES, ErrorModel(0.5, 2.0, 3.0), motion, usual)
    plain, _ = smooth_distances(said, stddev, TIMES, GAUSSIAN, motion, usual)
    assert abs(robust[-1] - 1.5) < 0.6 * abs(plain[-1] - 1.5)


def test_several_people_together_are_as_each_alone() -> None:
    rng = np.random.default_rng(4)
    people, frames = 3, 8
    times = np.cumsum(rng.uniform(0.03, 0.07, (people, frames)), axis=1)
    said, stddev = rng.normal(1.2, 0.1, (people, frames)), rng.uniform(0.02, 0.1, (people, frames))
    motion = np.eye(frames) - np.eye(frames, k=-1) * rng.uniform(0.9, 1, (people, 1, 1))
    arguments = said, stddev, times, motion, rng.uniform(0.01, 0.05, (people, frames))
    together = smooth_distances(*arguments[:3], ErrorModel(), *arguments[3:])
    for n in range(people):
        own = [part[n] for part in arguments]
        alone = smooth_distances(own[0], own[1], own[2], ErrorModel(), own[3], own[4])
        for one, other in zip(alone, together, strict=True):
            np.testing.assert_allclose(one, other[n], rtol=1e-10)
