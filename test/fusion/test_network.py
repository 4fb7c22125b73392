"""The integration network: what it starts from, the shapes of its answers, and its file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dualpose_ros.fusion.integrate import ANSWERS, NetworkIntegrator
from dualpose_ros.fusion.network import LOG_STDDEV_RANGE, IntegrationConfig, IntegrationNetwork
from dualpose_ros.fusion.pairs import JOINTS, NUM_BRANCH, NUM_FEATURES, ROOT, BranchPoses, K, Pairs, view_pairs
from dualpose_ros.inference.export import export_onnx
from dualpose_ros.inference.load import load_engine

SMALL = IntegrationConfig(hidden=32)


def network(config: IntegrationConfig = SMALL, std: float | None = None) -> IntegrationNetwork:
    torch.manual_seed(0)
    model = IntegrationNetwork(config).eval()
    if std is not None:
        torch.nn.init.normal_(model.head.weight, std=std)
        torch.nn.init.normal_(model.calibration, std=0.2)
    return model


def some_pairs(count: int = 9, seed: int = 0) -> Pairs:
    """A third with both poses, a third with the top-down, a third with the bottom-up pose alone."""
    rng = np.random.default_rng(seed)
    which = np.arange(count) % 3
    root = rng.uniform([-1.5, -0.5, 2.5], [1.5, 0.5, 8], (count, 3))
    branches = []
    for there in (which != 2, which != 1):
        joints = root[:, None] * rng.uniform(0.95, 1.05, (count, 1, 1)) + rng.normal(0, 0.3, (count, K, 3))
        branches.append(
            BranchPoses(
                np.where(there[:, None, None], joints, 0.0),
                np.where(there[:, None], rng.uniform(0.1, 1, (count, K)), 0.0),
                np.where(there[:, None], rng.uniform(0.03, 0.4, (count, K)), 1.0),
                np.where(there, rng.uniform(0.3, 1, count), 0.0),
                there,
            )
        )
    return Pairs(*branches)


def test_shapes_and_ranges_of_the_answers() -> None:
    features = torch.from_numpy(view_pairs(some_pairs(7)).features)
    joints, root, log_stddev, score, near = network(std=1.0)(features)
    assert joints.shape == (7, K, 3) and root.shape == (7, 3) and log_stddev.shape == (7, K)
    assert near.shape == (7, K) and score.shape == (7, 1)
    assert not joints[:, 0].any()
    for chances in (near, score):
        assert ((chances >= 0) & (chances <= 1)).all()
    stated = log_stddev - network(std=1.0).calibration
    assert (stated >= LOG_STDDEV_RANGE[0] - 1e-5).all() and (stated <= LOG_STDDEV_RANGE[1] + 1e-5).all()


def test_at_first_a_pose_alone_passes_and_two_are_averaged() -> None:
    pairs = some_pairs(30)
    features = torch.from_numpy(view_pairs(pairs).features)
    model = network(IntegrationConfig())
    with torch.no_grad():
        model.head.weight.zero_()
        joints, root, *_ = model(features)
    one, other = features[:, :NUM_BRANCH], features[:, NUM_BRANCH : 2 * NUM_BRANCH]
    for n in range(30):
        expected = (one[n] + other[n]) / 2 if n % 3 == 0 else (one, other)[n % 3 - 1][n]
        torch.testing.assert_close(joints[n], expected[JOINTS].reshape(K, 3), atol=1e-6, rtol=0)
        torch.testing.assert_close(root[n, :2], expected[ROOT][:2], atol=1e-6, rtol=0)
    # The small random weights that it does start from move joints by some centimetres at most.
    with torch.no_grad():
        started, its_root, *_ = network(IntegrationConfig())(features)
    assert (started - joints).norm(dim=-1).mean() < 0.03
    assert (its_root - root).abs().max() < 0.05


def test_whoever_both_branches_see_is_at_the_mean_of_their_depths_by_inverse_variance() -> None:
    pairs = some_pairs(30)
    view = view_pairs(pairs)
    with torch.no_grad():
        _, root, *_ = network(std=1.0)(torch.from_numpy(view.features))
    found = np.log(view.depth) + root[:, 2].numpy()
    branches = (pairs.top_down, pairs.bottom_up)
    logs = [np.log(np.maximum(np.einsum("nba,nb->na", view.to_camera, b.roots)[:, 2], 0.2)) for b in branches]
    own, other = (b.joint_stddev[:, 0] / np.exp(log) for b, log in zip(branches, logs, strict=True))
    # The top-down branch states 0.53 of the other's deviation where they err alike.
    weight = (1 / other) ** 2 / ((1 / other) ** 2 + (np.exp(-0.63) / own) ** 2)
    expected = (1 - weight) * logs[0] + weight * logs[1]
    both = np.arange(30) % 3 == 0
    np.testing.assert_allclose(found[both], expected[both], atol=1e-5)
    for only, log in ((1, logs[0]), (2, logs[1])):
        np.testing.assert_allclose(found[only::3], log[only::3], atol=1e-5)


def test_an_absent_branch_has_no_share_of_the_pose() -> None:
    features = torch.from_numpy(view_pairs(some_pairs(3)).features)
    for n, absent in ((1, slice(NUM_BRANCH, 2 * NUM_BRANCH)), (2, slice(0, NUM_BRANCH))):
        assert not features[n, absent].any()
        changed = features.clone()
        # Views of what `changed` holds: a pose where there is none.
        changed[n, absent][JOINTS] = 5.0
        changed[n, absent][ROOT] = 0.5
        model: Any = network(std=0.3)
        with torch.no_grad():
            # The layers are made deaf to it, so that only the choice between the poses is left.
            model.layers[0].weight[:, absent] = 0
            before, after = model(features), model(changed)
        for one, other in zip(before, after, strict=True):
            torch.testing.assert_close(one[n], other[n])


def test_rows_do_not_depend_on_each_other() -> None:
    model = network(std=0.3)
    features = torch.from_numpy(view_pairs(some_pairs(9)).features)
    with torch.no_grad():
        whole = model(features)
        single = [model(features[n : n + 1]) for n in range(9)]
    for index, together in enumerate(whole):
        torch.testing.assert_close(torch.cat([one[index] for one in single]), together, atol=1e-5, rtol=1e-5)


def test_the_network_has_three_layers() -> None:
    model = IntegrationNetwork(IntegrationConfig(hidden=20))
    linear = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    assert [layer.in_features for layer in linear] == [NUM_FEATURES, 20, 20]


def test_widths_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="hidden is 0"):
        IntegrationConfig(hidden=0)


def test_onnx_says_what_torch_says(tmp_path: Path) -> None:
    pytest.importorskip("numba", reason="training is on the synthetic world")
    from dualpose_ros.lab.training.fusion.task import FusionTask, FusionTraining

    task = FusionTask(FusionTraining("nowhere", network=SMALL))
    trained: Any = task.build_model()
    model = network(std=0.3)
    trained.integration.load_state_dict(model.state_dict())
    assert task.export_spec().outputs[:-1] == ANSWERS
    path = export_onnx(trained, task.export_spec(), tmp_path / "fusion.onnx").path
    # The discriminator is no part of the file.
    assert path.stat().st_size < 4 * sum(value.numel() for value in model.parameters()) + 20_000
    engine = load_engine(path)
    assert str(engine.inputs["features"].shape[1]) == str(NUM_FEATURES)
    pairs = some_pairs(9)
    view = view_pairs(pairs)
    with torch.no_grad():
        answers = model(torch.from_numpy(view.features))
    for name, expected in zip(task.export_spec().outputs, answers, strict=True):
        np.testing.assert_allclose(engine.run({"features": view.features})[name], expected.numpy(), atol=2e-5)
    out = NetworkIntegrator(engine)(pairs)
    # A slow way back to the camera of what torch says.
    joints_rel, root, log_stddev, score, _ = (answer.double().numpy() for answer in answers)
    seen = np.maximum(pairs.top_down.joint_scores, pairs.bottom_up.joint_scores)
    for n in range(9):
        depth = view.depth[n] * np.exp(root[n, 2])
        at = depth * np.array([root[n, 0], root[n, 1], 1.0])
        for k in range(K):
            np.testing.assert_allclose(out.joints_cam[n, k], view.to_camera[n] @ (joints_rel[n, k] + at), atol=1e-4)
            own = np.exp(log_stddev[n, k])
            stddev = [own if k else 0.0, np.exp(log_stddev[n, 0]) * depth]
            assert out.joint_stddev[n, k] == pytest.approx(np.hypot(*stddev), rel=1e-3)
        np.testing.assert_allclose(out.joint_scores[n], seen[n], atol=1e-5)
        assert out.scores[n] == pytest.approx(score[n, 0], abs=1e-5)
    assert len(NetworkIntegrator(engine)(Pairs(BranchPoses.empty(), BranchPoses.empty())).scores) == 0
