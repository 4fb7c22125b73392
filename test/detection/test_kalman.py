"""The vectorised filter against the dense 8 x 8 textbook form, and its properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from dualpose_ros.detection.kalman import (
    BoxStates,
    MotionNoise,
    middle_distances,
    predict_states,
    replace_states,
    start_states,
    update_states,
)

NOISE = MotionNoise()


class DenseFilter:
    """One box, state (x, y, w, h and their rates), as written in any textbook; Q by Van Loan's method."""

    def __init__(self, box: np.ndarray) -> None:
        z = self.measure(box)
        self.x = np.concatenate([z, np.zeros(4)])
        deviations = np.concatenate([z[3] * np.array(NOISE.measurement), z[3] * np.array(NOISE.initial_rate)])
        self.p = np.diag(deviations**2)

    @staticmethod
    def measure(box: np.ndarray) -> np.ndarray:
        return np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]])

    def predict(self, dt: float) -> None:
        a = np.zeros((8, 8))
        a[:4, 4:] = np.eye(4)
        driving = np.zeros((8, 8))
        driving[4:, 4:] = np.diag((self.x[3] * np.array(NOISE.acceleration)) ** 2)
        block = expm(np.block([[-a, driving], [np.zeros((8, 8)), a.T]]) * dt)
        f = block[8:, 8:].T
        self.x = f @ self.x
        self.p = f @ self.p @ f.T + f @ block[:8, 8:]

    def update(self, box: np.ndarray, doubt: float) -> None:
        h = np.eye(4, 8)
        r = np.diag((self.x[3] * np.array(NOISE.measurement) * doubt) ** 2)
        gain = self.p @ h.T @ np.linalg.inv(h @ self.p @ h.T + r)
        self.x = self.x + gain @ (self.measure(box) - h @ self.x)
        # Joseph's form, which our short one has to equal for the optimal gain.
        self.p = (np.eye(8) - gain @ h) @ self.p @ (np.eye(8) - gain @ h).T + gain @ r @ gain.T


def random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corner = rng.uniform(0, 400, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(30, 200, (count, 2))], axis=1)


def as_dense(states: BoxStates, index: int) -> tuple[np.ndarray, np.ndarray]:
    covariance = np.zeros((8, 8))
    for axis in range(4):
        covariance[np.ix_([axis, axis + 4], [axis, axis + 4])] = states.covariance[index, axis]
    return states.mean[index].T.reshape(-1), covariance


@pytest.mark.parametrize("seed", range(5))
def test_many_steps_equal_the_dense_filter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes = random_boxes(rng, 6)
    states, references = start_states(boxes, NOISE), [DenseFilter(box) for box in boxes]
    for _ in range(12):
        dt = float(rng.uniform(0.01, 0.4))
        states = predict_states(states, dt, NOISE)
        boxes = boxes + rng.normal(0, 3, boxes.shape)
        doubt = rng.uniform(1, 3, 6)
        for box, reference, d in zip(boxes, references, doubt, strict=True):
            reference.predict(dt)
            reference.update(box, d)
        states = update_states(states, boxes, NOISE, doubt)
        for index, reference in enumerate(references):
            mean, covariance = as_dense(states, index)
            np.testing.assert_allclose(mean, reference.x, rtol=1e-9, atol=1e-8)
            np.testing.assert_allclose(covariance, reference.p, rtol=1e-7, atol=1e-8)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.01, 1.0), st.floats(0.05, 0.95))
def test_a_prediction_does_not_depend_on_how_time_is_cut(dt: float, share: float) -> None:
    states = start_states(np.array([[10.0, 20, 60, 170]]), NOISE)
    states.mean[0, :2, 1] = (40, -20)
    once = predict_states(states, dt, NOISE)
    twice = predict_states(predict_states(states, dt * share, NOISE), dt * (1 - share), NOISE)
    np.testing.assert_allclose(twice.mean, once.mean, rtol=1e-12)
    np.testing.assert_allclose(twice.covariance, once.covariance, rtol=1e-9)


def test_no_time_changes_nothing() -> None:
    states = start_states(random_boxes(np.random.default_rng(0), 3), NOISE)
    same = predict_states(states, 0.0, NOISE)
    np.testing.assert_array_equal(same.mean, states.mean)
    np.testing.assert_array_equal(same.covariance, states.covariance)


def test_the_filter_learns_speed_at_irregular_intervals() -> None:
    rng = np.random.default_rng(3)
    box, velocity, now = np.array([100.0, 100, 150, 250]), np.array([60.0, -15]), 0.0
    states = start_states(box[None], NOISE)
    for dt in rng.uniform(0.02, 0.25, 40):
        now += dt
        seen = box + np.tile(velocity * now, 2) + rng.normal(0, 1.5, 4)
        states = update_states(predict_states(states, dt, NOISE), seen[None], NOISE)
    assert np.abs(states.mean[0, :2, 1] - velocity).max() < 15
    ahead = predict_states(states, 0.5, NOISE).boxes_px[0]
    assert np.abs(ahead - (box + np.tile(velocity * (now + 0.5), 2))).max() < 12


def test_covariances_stay_symmetric_and_positive() -> None:
    rng = np.random.default_rng(1)
    states = start_states(random_boxes(rng, 20), NOISE)
    for _ in range(300):
        states = predict_states(states, 1 / 30, NOISE)
        states = update_states(states, states.boxes_px + rng.normal(0, 1, (20, 4)), NOISE)
    np.testing.assert_allclose(states.covariance, states.covariance.swapaxes(-1, -2), rtol=1e-9)
    assert np.linalg.eigvalsh(states.covariance).min() > 0


def test_a_shrinking_box_never_turns_inside_out() -> None:
    states = start_states(np.array([[0.0, 0, 20, 40]]), NOISE)
    states.mean[0, 2:, 1] = -200
    later = predict_states(states, 2.0, NOISE)
    assert np.all(later.mean[0, 2:, 0] >= 1)


def test_distance_is_mahalanobis() -> None:
    states = predict_states(start_states(random_boxes(np.random.default_rng(2), 3), NOISE), 0.3, NOISE)
    boxes = random_boxes(np.random.default_rng(4), 4)
    found = middle_distances(states, boxes, NOISE)
    for i in range(3):
        mean, covariance = as_dense(states, i)
        s = covariance[:2, :2] + np.diag((mean[3] * np.array(NOISE.measurement[:2])) ** 2)
        for j, box in enumerate(boxes):
            d = DenseFilter.measure(box)[:2] - mean[:2]
            assert found[i, j] == pytest.approx(np.sqrt(d @ np.linalg.inv(s) @ d))


def test_joining_replacing_and_nothing() -> None:
    a, b = (start_states(random_boxes(np.random.default_rng(s), 2), NOISE) for s in (0, 1))
    joined = BoxStates.concatenate([BoxStates.empty(), a, b])
    assert len(joined) == 4
    swapped = replace_states(joined, np.array([0, 1]), b)
    np.testing.assert_array_equal(swapped.mean[:2], b.mean)
    np.testing.assert_array_equal(joined.mean[:2], a.mean)
    assert len(predict_states(BoxStates.empty(), 0.1, NOISE)) == 0
    assert middle_distances(BoxStates.empty(), np.zeros((0, 4)), NOISE).shape == (0, 0)
