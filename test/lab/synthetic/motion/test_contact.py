"""Gaps between bodies agree with a minimiser, and people who overlap are moved apart no farther than needed."""

import numpy as np
import pytest
from scipy.optimize import minimize

from dualpose_ros.lab.synthetic.motion import contact as co
from dualpose_ros.lab.synthetic.motion.kinematics import REST_JOINTS_M
from dualpose_ros.lab.synthetic.motion.motion import generate
from dualpose_ros.skeleton import H36M17


def slow_distance(p: np.ndarray, d: np.ndarray, q: np.ndarray, e: np.ndarray) -> float:
    """Distance of two segments by bounded minimisation from several starts."""

    def squared(x: np.ndarray) -> float:
        return float(np.sum((p + x[0] * d - q - x[1] * e) ** 2))

    starts = ([0.5, 0.5], [0.0, 1.0], [1.0, 0.0])
    runs = [
        minimize(squared, start, bounds=[(0, 1), (0, 1)], method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-10})
        for start in starts
    ]
    return float(np.sqrt(min(run.fun for run in runs)))


def body(seed: int, kind: str = "conversation") -> np.ndarray:
    return generate(kind, np.random.default_rng(seed), 2.0, 10.0).joints_m


def test_segment_distances_agree_with_a_minimiser() -> None:
    rng = np.random.default_rng(0)
    p, q = rng.normal(size=(20, 3)), rng.normal(size=(15, 3))
    d, e = rng.normal(size=(20, 3)) * rng.uniform(0, 2, (20, 1)), rng.normal(size=(15, 3))
    d[:3] = 0  # points
    e[:3] = 0
    d[3:8] = e[3:8] * rng.uniform(-2, 2, (5, 1))  # parallel
    q[8:12], e[8:12] = p[8:12] + 0.3 * d[8:12] - 0.6 * e[8:12], e[8:12]  # crossing
    q[12], e[12] = p[12] + 1.5 * d[12], d[12]  # in one line, apart
    q[13], e[13] = p[13] + 0.5 * d[13], d[13]  # in one line, overlapping
    fast = co.segment_distance(p, d, q, e)
    slow = np.array([[slow_distance(p[i], d[i], q[j], e[j]) for j in range(15)] for i in range(20)])
    np.testing.assert_allclose(fast, slow, atol=2e-5)
    np.testing.assert_allclose(np.diag(fast)[[8, 9, 10, 11, 13]], 0, atol=1e-6)


def test_nearly_parallel_segments() -> None:
    p, d = np.zeros((1, 3)), np.array([[1.0, 0.0, 0.0]])
    for tilt in 10.0 ** -np.arange(1, 12):
        q, e = np.array([[0.2, 0.1, 0.0]]), np.array([[0.5, tilt, 0.0]])
        assert co.segment_distance(p, d, q, e)[0, 0] == pytest.approx(0.1, abs=1e-6)


def test_clearance_is_the_least_gap_of_all_capsules() -> None:
    a, b = body(0)[3], 0.9 * body(1)[7] + [0.45, 0.0, 0.1]
    least = np.inf
    for first in co.CAPSULES:
        for second in co.CAPSULES:
            ends = []
            for joints, (start, end, share, _) in ((a, first), (b, second)):
                p, q = joints[H36M17.index(start)], joints[H36M17.index(end)]
                ends += [p, share * (q - p)]
            least = min(least, slow_distance(*ends) - first[3] - 0.9 * second[3])
    assert float(co.clearance(a, b)) == pytest.approx(least, abs=1e-5)


def test_clearance_does_not_depend_on_order_or_place_and_grows_with_scale() -> None:
    a, b = body(0), body(1) + np.array([0.15, 0.0, 0.1])
    gaps = co.clearance(a, b)
    assert gaps.min() < 0
    np.testing.assert_allclose(co.clearance(b, a), gaps, atol=1e-7)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    np.testing.assert_allclose(co.clearance(a @ turn + 50, b @ turn + 50), gaps, atol=1e-6)
    np.testing.assert_allclose(co.clearance(1.1 * a, 1.1 * b), 1.1 * gaps, atol=1e-7)
    np.testing.assert_array_equal(co.penetration(a, b), np.maximum(-gaps, 0))


def test_shapes_broadcast() -> None:
    many, one = body(0)[:6].reshape(2, 3, 17, 3), body(1)[0] + np.array([0.5, 0, 0])
    gaps = co.clearance(many, one)
    assert gaps.shape == (2, 3)
    assert gaps[1, 2] == pytest.approx(float(co.clearance(many[1, 2], one)), abs=1e-9)
    with pytest.raises(ValueError, match="shape"):
        co.penetration(many[..., :16, :], one)


def test_a_body_in_the_same_place_overlaps_by_the_trunks_whole_width() -> None:
    joints = REST_JOINTS_M
    assert float(co.penetration(joints, joints)) == pytest.approx(0.22, abs=1e-6)
    assert float(co.clearance(joints, joints + np.array([3.0, 0, 0]))) == pytest.approx(3 - 2 * 0.215 - 0.06, abs=0.01)


def test_size_is_that_of_the_bones() -> None:
    np.testing.assert_allclose(co.body_size(1.2 * body(0, "squat")), 1.2, atol=1e-9)


def brute_move(a: np.ndarray, b: np.ndarray, limit_m: float) -> float:
    """The least move that frees b of a, of a fine grid of places around it."""
    for far in np.arange(0, 1.0, 0.005):
        for angle in np.linspace(0, 2 * np.pi, 48, endpoint=False):
            move = far * np.array([np.sin(angle), 0.0, np.cos(angle)])
            if co.penetration(a, b + move).max() <= limit_m:
                return float(far)
    return np.inf


@pytest.mark.parametrize("seed", range(4))
def test_people_are_moved_apart_no_farther_than_needed(seed: int) -> None:
    angle = seed * 1.7
    a, b = body(seed)[::4], body(seed + 10, "hands_on_hips")[::4] + 0.15 * np.array([np.sin(angle), 0, np.cos(angle)])
    before = co.penetration(a, b).max()
    assert before > 0.02
    x, z = co.separating_move(a, b, 0.02)
    assert co.penetration(a, b + np.array([x, 0, z])).max() <= 0.02 + 1e-6
    far = np.hypot(x, z)
    assert far >= before - 0.02 - 1e-9
    assert far <= 1.05 * brute_move(a, b, 0.02) + 0.005


def test_people_apart_stay_where_they_are() -> None:
    a, b = body(0), body(1) + np.array([1.2, 0, 0])
    np.testing.assert_array_equal(co.separating_move(a, b, 0.02), (0, 0))
