"""The integrators: both simple rules against loops, and the network's answer on its way back to the camera."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dualpose_ros.fusion.integrate import ANSWERS, METHODS, NetworkIntegrator, hard, linear, load_integrator
from dualpose_ros.fusion.pairs import JOINTS, NUM_BRANCH, NUM_FEATURES, PRESENT, ROOT, BranchPoses, K, Pairs, view_pairs
from dualpose_ros.inference.engine import Arrays, EngineError, TensorSpec
from dualpose_ros.weights import WeightsError, weights_path


def branch(rng: np.random.Generator, present: list[bool]) -> BranchPoses:
    count = len(present)
    there = np.array(present, dtype=bool)
    joints = rng.uniform([-1.5, -0.5, 2.5], [1.5, 0.5, 8], (count, 1, 3)) + rng.normal(0, 0.3, (count, K, 3))
    return BranchPoses(
        np.where(there[:, None, None], joints, 0.0),
        np.where(there[:, None], rng.uniform(0, 1, (count, K)) * (rng.random((count, K)) < 0.9), 0.0),
        np.where(there[:, None], rng.uniform(0.03, 0.4, (count, K)), 1.0),
        np.where(there, rng.uniform(0.3, 1, count), 0.0),
        there,
    )


@pytest.fixture
def pairs() -> Pairs:
    """Four with both poses, one with either alone."""
    rng = np.random.default_rng(0)
    return Pairs(branch(rng, [True] * 4 + [True, False]), branch(rng, [True] * 4 + [False, True]))


class Known:
    """An engine that answers the features' top-down pose (the other where there is none), as it was told to state."""

    def __init__(self, stddev: float = 0.1, depth: float = 0.0) -> None:
        self.stddev, self.depth = stddev, depth
        self.inputs = {"features": TensorSpec("features", np.dtype(np.float32), ("people", NUM_FEATURES))}
        self.outputs: tuple[str, ...] = ANSWERS
        self.metadata: dict[str, str] = {}

    def run(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        features = inputs["features"]
        assert features.dtype == np.float32
        one, other = features[:, :NUM_BRANCH], features[:, NUM_BRANCH : 2 * NUM_BRANCH]
        own = np.where(one[:, PRESENT : PRESENT + 1] > 0, one, other)
        stddev = np.full((len(own), K), np.log(self.stddev), np.float32)
        place = own[:, ROOT] + np.array([0, 0, self.depth], np.float32)
        return {
            "joints_rel": own[:, JOINTS].reshape(-1, K, 3),
            "root": place,
            "log_stddev": stddev,
            "score": own[:, 5 * K + 4 : 5 * K + 5],
        }


def test_the_answer_comes_back_to_the_camera(pairs: Pairs) -> None:
    out = NetworkIntegrator(Known())(pairs)
    for n in range(6):
        own = pairs.top_down if pairs.top_down.present[n] else pairs.bottom_up
        np.testing.assert_allclose(out.joints_cam[n], own.joints_cam[n], atol=2e-5)
        better = np.maximum(pairs.top_down.joint_scores[n], pairs.bottom_up.joint_scores[n])
        np.testing.assert_allclose(out.joint_scores[n], better)
        assert out.scores[n] == pytest.approx(own.scores[n])
    assert out.joints_cam.dtype == np.float64 and out.scores.shape == (6,)


def test_depth_is_a_factor_along_the_ray_and_deviations_have_its_part(pairs: Pairs) -> None:
    plain, far = NetworkIntegrator(Known(0.1))(pairs), NetworkIntegrator(Known(0.1, 0.2))(pairs)
    np.testing.assert_allclose(far.joints_cam[:, 0], np.exp(0.2) * plain.joints_cam[:, 0], rtol=1e-5)
    np.testing.assert_allclose(
        far.joints_cam - far.joints_cam[:, :1], plain.joints_cam - plain.joints_cam[:, :1], atol=1e-5
    )
    depth = view_pairs(pairs).depth * np.exp(
        np.array([view_pairs(pairs).features[n, ROOT][2] for n in range(5)]
                 + [view_pairs(pairs).features[5, NUM_BRANCH:][ROOT][2]])
    )  # fmt: skip
    for n in range(6):
        away = 0.1 * depth[n]
        assert plain.joint_stddev[n, 0] == pytest.approx(away, rel=1e-5)
        np.testing.assert_allclose(plain.joint_stddev[n, 1:], np.hypot(0.1, away), rtol=1e-5)


def test_hard_against_loops(pairs: Pairs) -> None:
    out = hard(pairs)
    one, other = pairs.top_down, pairs.bottom_up
    for n in range(6):
        if not one.present[n] or not other.present[n]:
            alone = one if one.present[n] else other
            np.testing.assert_allclose(out.joints_cam[n], alone.joints_cam[n], atol=1e-12)
            np.testing.assert_allclose(out.joint_stddev[n], alone.joint_stddev[n])
            np.testing.assert_allclose(out.joint_scores[n], alone.joint_scores[n])
            assert out.scores[n] == alone.scores[n]
            continue
        x, y, z = one.joints_cam[n, 0]
        depth = other.joints_cam[n, 0, 2]
        root = np.array([x / z * depth, y / z * depth, depth])
        for k in range(K):
            np.testing.assert_allclose(out.joints_cam[n, k], one.joints_cam[n, k] - one.joints_cam[n, 0] + root)
            assert out.joint_stddev[n, k] == max(one.joint_stddev[n, k], other.joint_stddev[n, 0])
        np.testing.assert_allclose(out.joint_scores[n], one.joint_scores[n])
        assert out.scores[n] == one.scores[n]


def test_linear_against_loops(pairs: Pairs) -> None:
    out = linear(pairs)
    one, other = pairs.top_down, pairs.bottom_up
    for n in range(6):
        if not one.present[n] or not other.present[n]:
            alone = one if one.present[n] else other
            np.testing.assert_allclose(out.joints_cam[n], alone.joints_cam[n], atol=1e-12)
            np.testing.assert_allclose(out.joint_stddev[n], alone.joint_stddev[n])
            assert out.scores[n] == alone.scores[n]
            continue
        shares = [(one.joint_scores[n, k] + 1e-6) / (one.joint_scores[n, k] + other.joint_scores[n, k] + 2e-6)
                  for k in range(K)]  # fmt: skip
        root = shares[0] * one.joints_cam[n, 0] + (1 - shares[0]) * other.joints_cam[n, 0]
        np.testing.assert_allclose(out.joints_cam[n, 0], root)
        for k in range(K):
            rel = [b.joints_cam[n, k] - b.joints_cam[n, 0] for b in (one, other)]
            np.testing.assert_allclose(
                out.joints_cam[n, k], root + shares[k] * rel[0] + (1 - shares[k]) * rel[1], atol=1e-9
            )
            variance = (shares[k] * one.joint_stddev[n, k]) ** 2 + ((1 - shares[k]) * other.joint_stddev[n, k]) ** 2
            assert out.joint_stddev[n, k] == pytest.approx(variance**0.5)
            assert out.joint_scores[n, k] == max(one.joint_scores[n, k], other.joint_scores[n, k])
        assert out.scores[n] == max(one.scores[n], other.scores[n])


def test_joints_that_nobody_is_sure_of_are_in_the_middle() -> None:
    rng = np.random.default_rng(3)
    one, other = (branch(rng, [True]) for _ in "ab")
    unsure = [replace(b, joint_scores=np.zeros((1, K))) for b in (one, other)]
    out = linear(Pairs(*unsure))
    np.testing.assert_allclose(out.joints_cam, (one.joints_cam + other.joints_cam) / 2)


@pytest.mark.parametrize("integrator", [hard, linear, NetworkIntegrator(Known())])
def test_nobody(integrator) -> None:  # type: ignore[no-untyped-def]
    out = integrator(Pairs(BranchPoses.empty(), BranchPoses.empty()))
    assert out.joints_cam.shape == (0, K, 3) and out.joint_scores.shape == (0, K)
    assert out.joint_stddev.shape == (0, K) and out.scores.shape == (0,)


def test_other_networks_are_refused() -> None:
    with pytest.raises(EngineError, match=f"no integration network: it takes .*, not features \\[N, {NUM_FEATURES}\\]"):
        load_integrator("network", str(weights_path("gcn")))
    engine = Known()
    engine.outputs = ("joints_rel", "root")
    with pytest.raises(EngineError, match="it gives joints_rel, root"):
        NetworkIntegrator(engine)
    engine = Known()
    engine.inputs = {"features": TensorSpec("features", np.dtype(np.float32), ("people", NUM_FEATURES - 1))}
    with pytest.raises(EngineError, match=f"not features \\[N, {NUM_FEATURES}\\]"):
        NetworkIntegrator(engine)


def test_integrators_by_name(tmp_path: Path) -> None:
    assert METHODS == ("network", "linear", "hard")
    assert load_integrator("hard") is hard and load_integrator("linear") is linear
    with pytest.raises(ValueError, match=r"no fusion method 'best'; there are network, linear, hard"):
        load_integrator("best")
    with pytest.raises((WeightsError, EngineError)):
        load_integrator("network", str(tmp_path / "absent.onnx"))
