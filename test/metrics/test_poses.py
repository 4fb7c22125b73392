"""Metrics against slow, obvious versions and SciPy."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.spatial import procrustes as scipy_procrustes
from scipy.spatial.transform import Rotation

from dualpose_ros.metrics import poses as metrics


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(5, 4, 17, 3))
    return truth + 0.1 * rng.normal(size=truth.shape), truth


def test_mpjpe_against_loops(pair: tuple[np.ndarray, np.ndarray]) -> None:
    estimate, truth = pair
    absolute, relative = metrics.mpjpe(estimate, truth), metrics.mpjpe(estimate, truth, root=3)
    for i in range(5):
        for j in range(4):
            a, b = estimate[i, j], truth[i, j]
            plain = [sum((a[k, c] - b[k, c]) ** 2 for c in range(3)) ** 0.5 for k in range(17)]
            moved = [sum((a[k, c] - a[3, c] - b[k, c] + b[3, c]) ** 2 for c in range(3)) ** 0.5 for k in range(17)]
            assert absolute[i, j] == pytest.approx(sum(plain) / 17)
            assert relative[i, j] == pytest.approx(sum(moved) / 17)


def test_pck_against_loops(pair: tuple[np.ndarray, np.ndarray]) -> None:
    estimate, truth = pair
    share = metrics.pck(estimate, truth, 0.15)
    for i in range(5):
        near = [np.linalg.norm(estimate[i, 0, k] - truth[i, 0, k]) <= 0.15 for k in range(17)]
        assert share[i, 0] == pytest.approx(sum(near) / 17)
    assert 0 < share.mean() < 1
    moved = metrics.pck(estimate + 5.0, truth, 0.15, root=0)
    np.testing.assert_allclose(moved, metrics.pck(estimate, truth, 0.15, root=0))
    assert metrics.pck(estimate + 5.0, truth).max() == 0


def test_auc_against_loops(pair: tuple[np.ndarray, np.ndarray]) -> None:
    errors = metrics.joint_errors(*pair)
    areas = metrics.auc(errors)
    assert areas.shape == (5, 4)
    for i in range(5):
        for j in range(4):
            shares = [sum(error <= 0.005 * n for error in errors[i, j]) / 17 for n in range(1, 31)]
            assert areas[i, j] == pytest.approx(sum(shares) / 30)
    assert areas.min() > 0 and areas.max() < 1


def test_auc_of_no_and_of_too_large_errors() -> None:
    assert metrics.auc(np.zeros((3, 17))).tolist() == [1, 1, 1]
    assert metrics.auc(np.full(17, 0.1501)) == 0 and metrics.auc(np.full(17, 9.0)) == 0
    # A Riemann sum of what lies under the curve: an error of a third of the limit leaves two thirds.
    assert metrics.auc(np.array([0.05 + 1e-9]), steps=3000) == pytest.approx(2 / 3, abs=1e-3)
    assert metrics.auc(np.array([0.1, 0.5]), limit_m=0.4, steps=4) == pytest.approx(0.5)


def test_procrustes_undoes_any_similarity(pair: tuple[np.ndarray, np.ndarray]) -> None:
    _, truth = pair
    rotation = Rotation.random(20, random_state=1).as_matrix().reshape(5, 4, 3, 3)
    moved = 2.5 * truth @ np.swapaxes(rotation, -1, -2) + [1.0, -2.0, 7.0]
    np.testing.assert_allclose(metrics.procrustes(moved, truth), truth, atol=1e-9)


def test_procrustes_is_the_least_squares_similarity(pair: tuple[np.ndarray, np.ndarray]) -> None:
    estimate, truth = pair[0][0, 0], pair[1][0, 0]

    def cost(x: np.ndarray) -> float:
        moved = np.exp(x[6]) * Rotation.from_rotvec(x[:3]).apply(estimate) + x[3:6]
        return float(np.sum((moved - truth) ** 2))

    best = minimize(cost, np.zeros(7), method="BFGS").fun
    ours = np.sum((metrics.procrustes(estimate, truth) - truth) ** 2)
    assert ours == pytest.approx(best, rel=1e-5)
    scaled = np.sum((truth - truth.mean(0)) ** 2)
    assert ours / scaled == pytest.approx(scipy_procrustes(truth, estimate)[2], rel=1e-9)


def test_procrustes_never_mirrors() -> None:
    truth = np.random.default_rng(3).normal(size=(17, 3))
    mirrored = truth * [-1, 1, 1]
    assert metrics.pa_mpjpe(mirrored, truth) > 0.3
    a, b = mirrored - mirrored.mean(0), metrics.procrustes(mirrored, truth) - truth.mean(0)
    transform = np.linalg.lstsq(a, b, rcond=None)[0]
    assert np.linalg.det(transform) > 0


def test_procrustes_of_a_point_is_the_middle() -> None:
    truth = np.random.default_rng(4).normal(size=(17, 3))
    placed = metrics.procrustes(np.ones((17, 3)), truth)
    np.testing.assert_allclose(placed, np.tile(truth.mean(0), (17, 1)))


def test_root_depth_error() -> None:
    np.testing.assert_allclose(metrics.root_depth_error(np.array([2.2, 3.0]), np.array([2.0, 4.0])), [0.1, 0.25])
    with pytest.raises(ValueError, match="positive"):
        metrics.root_depth_error(np.array([1.0]), np.array([0.0]))


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes"):
        metrics.mpjpe(np.zeros((17, 3)), np.zeros((16, 3)))
    with pytest.raises(ValueError, match="shapes"):
        metrics.mpjpe(np.zeros((17, 2)), np.zeros((17, 2)))
    with pytest.raises(ValueError, match="threshold"):
        metrics.pck(np.zeros((17, 3)), np.zeros((17, 3)), 0.0)


def test_right_roots_against_loops() -> None:
    rng = np.random.default_rng(4)
    matched = 0
    for _ in range(50):
        truth = rng.uniform(0, 0.8, (rng.integers(0, 5), 3))
        roots, scores = rng.uniform(0, 0.8, (rng.integers(0, 6), 3)), rng.random(6)
        scores = scores[: len(roots)]
        expected, free = {}, set(range(len(truth)))
        for i in sorted(range(len(roots)), key=lambda i: -scores[i]):
            near = {n: float(sum((roots[i] - truth[n]) ** 2) ** 0.5) for n in free}
            near = {n: d for n, d in near.items() if d <= 0.3}
            expected[i] = min(near, key=near.__getitem__) if near else -1
            free.discard(expected[i])
        got = metrics.right_roots(roots, scores, truth, 0.3)
        assert got.tolist() == [expected[i] for i in range(len(roots))]
        matched += int((got >= 0).sum())
    assert matched > 20
    with pytest.raises(ValueError, match="limit"):
        metrics.right_roots(np.zeros((1, 3)), np.ones(1), np.zeros((1, 3)), 0.0)


def test_average_precision_against_a_curve_by_hand() -> None:
    # Precision at ranks 1..4 is 1, 1/2, 2/3, 1/2; recall 1/3, 1/3, 2/3, 2/3 of three people.
    got = metrics.average_precision(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False]), 3)
    levels = [level / 100 for level in range(101)]
    by_hand = [1.0 if level <= 1 / 3 else 2 / 3 if level <= 2 / 3 else 0.0 for level in levels]
    assert got == pytest.approx(sum(by_hand) / 101)
    assert np.isnan(metrics.average_precision(np.zeros(0), np.zeros(0, dtype=bool), 0))


def slow_counts(points: np.ndarray, truth: np.ndarray, limit: float) -> tuple[int, int, int]:
    """Joints one by one: the nearest estimate of each true joint, then the nearest of those who chose the same."""
    right = 0
    for joint in range(truth.shape[1]):
        chosen: dict[int, int] = {}
        for a in truth[:, joint]:
            near = [(float(np.linalg.norm(a - b)), n) for n, b in enumerate(points[:, joint]) if np.isfinite(b).all()]
            if near and np.isfinite(a).all() and min(near)[0] <= limit:
                chosen[min(near)[1]] = 1
        right += len(chosen)
    count = [int(np.isfinite(side).all(-1).sum()) for side in (points, truth)]
    return right, count[0] - right, count[1] - right


def test_counts_of_joints_against_loops() -> None:
    rng = np.random.default_rng(1)
    for people, found in ((4, 5), (3, 0), (0, 2), (6, 6)):
        truth, points = rng.normal(size=(people, 14, 3)), rng.normal(size=(found, 14, 3))
        truth[rng.random(truth.shape[:2]) < 0.2] = np.nan
        points[rng.random(points.shape[:2]) < 0.2] = np.nan
        for limit in (0.4, 0.8, 1.2):
            assert metrics.point_counts(points, truth, limit) == slow_counts(points, truth, limit)


def test_f1_by_hand() -> None:
    truth = np.array([[[0.0, 0, 5]], [[1.0, 0, 5]]])
    assert metrics.f1_score(*metrics.point_counts(truth, truth, 0.4)) == 1
    # Both true joints choose the one estimate: one is right, the other missed.
    assert metrics.point_counts(np.array([[[0.5, 0, 5]]]), truth, 0.8) == (1, 0, 1)
    assert metrics.f1_score(1, 0, 1) == pytest.approx(2 / 3)
    assert metrics.f1_score(*metrics.point_counts(np.zeros((0, 1, 3)), np.zeros((0, 1, 3)), 0.4)) == 1
    assert metrics.f1_score(*metrics.point_counts(truth, np.zeros((0, 1, 3)), 0.4)) == 0


def test_root_errors_by_hand() -> None:
    assert metrics.mpre(np.array([[3.0, 4.0, 5.0]]), np.array([[0.0, 0.0, 5.0]])).tolist() == [5.0]
