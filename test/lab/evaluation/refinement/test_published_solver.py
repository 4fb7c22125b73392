"""The published objective's gradient against finite differences, and what its optimisation does."""

from dataclasses import replace

import numpy as np
import pytest

from dualpose_ros.lab.evaluation.refinement.published_solver import (
    ONE_STAGE,
    TWO_STAGES,
    Sequence3D,
    Stage,
    objective,
    optimise,
    trajectory_matrix,
    value_and_gradient,
)
from dualpose_ros.refinement.least_squares.terms import HAS_BONE, bone_vectors
from support import windows


def sequence(seed: int, frames: int = 8) -> Sequence3D:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.03, 0.06, frames))
    truth = windows.walk(times)
    rays = truth[..., :2] / truth[..., 2:] + rng.normal(0, 0.003, (*truth.shape[:2], 2))
    return Sequence3D(truth + rng.normal(0, 0.05, truth.shape), rays, rng.uniform(0, 1, truth.shape[:2]),
                      trajectory_matrix(times))  # fmt: skip


@pytest.mark.parametrize(
    "stage",
    [*TWO_STAGES, Stage(trajectory=0, bones=0), Stage(reprojection=0, bones=0), Stage(trajectory=0, reprojection=0)],
)
def test_gradient_is_that_of_finite_differences(stage: Stage) -> None:
    of = sequence(0)
    lengths = np.random.default_rng(1).uniform(0.1, 0.5, 17)
    _, by_joints, by_lengths = value_and_gradient(of, of.joints, lengths, stage)
    rng, step = np.random.default_rng(2), 1e-6
    for _ in range(20):
        joints, bones = rng.normal(size=of.joints.shape), rng.normal(size=17)
        ahead, behind = (
            objective(of, of.joints + sign * step * joints, lengths + sign * step * bones, stage) for sign in (1, -1)
        )
        expected = np.sum(by_joints * joints) + by_lengths @ bones
        assert (ahead - behind) / (2 * step) == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_objective_is_what_the_paper_says() -> None:
    """Written out frame by frame, joint by joint."""
    of, stage = sequence(3), Stage(reprojection=7.0, bones=2.0)
    lengths = np.full(17, 0.3)
    expected = 0.0
    _, bones = bone_vectors(of.joints)
    for t in range(8):
        for k in range(17):
            x = of.joints[t, k]
            if t >= 2:
                expected += np.sum((of.motion[t] @ of.joints[:, k]) ** 2) / 17
            expected += 7 * of.scores[t, k] * np.sum((x[:2] / x[2] - of.rays[t, k]) ** 2) / 17
            expected += 2 * (bones[t, k] - 0.3) ** 2 * HAS_BONE[k]
    assert objective(of, of.joints, lengths, stage) == pytest.approx(expected)


def test_optimising_lowers_the_objective_and_evens_out_bones_and_motion() -> None:
    of = sequence(4, frames=20)
    joints, lengths = optimise(of, [replace(stage, steps=300) for stage in TWO_STAGES])
    last = TWO_STAGES[-1]
    _, before = bone_vectors(of.joints)
    _, after = bone_vectors(joints)
    assert objective(of, joints, lengths, last) < 0.2 * objective(of, of.joints, before.mean(axis=0), last)
    assert after.std(axis=0).mean() < 0.3 * before.std(axis=0).mean()
    unmoved, _ = optimise(of, [replace(ONE_STAGE[0], steps=0)])
    np.testing.assert_array_equal(unmoved, of.joints)


def test_nobody_behind_the_camera_makes_nan() -> None:
    of = sequence(5)
    of.joints[3, 4, 2] = -0.5
    joints, _ = optimise(of, [replace(stage, steps=5) for stage in TWO_STAGES])
    assert np.isfinite(joints).all()
