"""Simulated views against their own geometry; losses and export of the lifting networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from dualpose_ros.camera import camera_from_hfov, project  # noqa: E402
from dualpose_ros.evaluation.joint_errors import JointErrors  # noqa: E402
from dualpose_ros.inference.engine import load_engine  # noqa: E402
from dualpose_ros.pose import Pose2D  # noqa: E402
from dualpose_ros.skeleton import H36M17  # noqa: E402
from dualpose_ros.top_down.lifting import Lifter  # noqa: E402
from dualpose_ros.top_down.lifting_network import LiftingConfig, PoseLifter  # noqa: E402
from dualpose_ros.top_down.lifting_window import GRID_S, NUM_FEATURES, place_root  # noqa: E402
from dualpose_ros.training import lifting as training  # noqa: E402
from dualpose_ros.training import lifting_views as views  # noqa: E402
from dualpose_ros.training.export import export_onnx  # noqa: E402
from dualpose_ros.training.lifting_bank import BANK_HZ, BankConfig, at_rate, make_bank, with_bone_lengths  # noqa: E402
from dualpose_ros.training.task import TrainingError  # noqa: E402

CONFIG = Path(__file__).resolve().parents[2] / "config" / "training" / "lifting.yaml"
SMALL = BankConfig(motions=24, bodies=4, motion_s=3.0)


@pytest.fixture(scope="module")
def bank() -> training.Bank:
    return make_bank(SMALL, np.random.default_rng(0))


def bone_lengths(joints: np.ndarray) -> np.ndarray:
    return np.stack([np.linalg.norm(joints[..., c, :] - joints[..., p, :], axis=-1) for p, c in H36M17.bones], axis=-1)


def test_the_bank_is_whole_bodies_moving(bank: training.Bank) -> None:
    assert bank.lengths.sum() == len(bank.joints_m)
    assert bank.weight.sum() == pytest.approx(1)
    for start, length in zip(bank.starts, bank.lengths, strict=True):
        lengths = bone_lengths(bank.joints_m[start : start + length])
        assert np.ptp(lengths[:, [0, 1, 2, 3, 4, 5]], axis=0).max() < 1e-3


def test_at_rate_samples_a_known_curve() -> None:
    times = np.arange(50) / 50.0
    joints = np.tile(times[:, None, None], (1, 17, 3))
    sampled = at_rate(joints, 50.0)
    np.testing.assert_allclose(sampled[:, 0, 0], np.arange(len(sampled)) / BANK_HZ, atol=1e-9)
    assert len(sampled) == 30


def test_bone_lengths_scale_and_directions_stay() -> None:
    rng = np.random.default_rng(0)
    joints = rng.normal(size=(3, 5, 17, 3))
    scale = rng.uniform(0.8, 1.2, (3, 17))
    out = with_bone_lengths(joints, scale)
    children = [c for _, c in H36M17.bones]
    np.testing.assert_allclose(bone_lengths(out), bone_lengths(joints) * scale[:, None, children], rtol=1e-4)
    np.testing.assert_allclose(out[:, :, H36M17.root], joints[:, :, H36M17.root], rtol=1e-6)


def test_exact_views_reproject_onto_their_truth(bank: training.Bank) -> None:
    config = views.ViewConfig(noise=0.0, faults=False)
    sample = views.draw_views(bank, config, np.random.default_rng(1), 200)
    points = sample.joints_virtual + sample.root_virtual[:, None]
    rays = points[..., :2] / points[..., 2:]
    seen = sample.window.confidence > 0.999  # less: a joint that left the image is held where it was
    assert seen.mean() > 0.8
    assert np.abs(rays - sample.window.rays)[seen].max() < 1e-4
    root = place_root(sample.window, sample.joints_virtual, np.ones((200, 17)), sample.root_virtual[:, 2])
    truth = np.einsum("nab,nb->na", sample.window.to_camera, sample.root_virtual)
    assert np.median(np.linalg.norm(root - truth, axis=1)) < 1e-4


def test_measured_errors_are_those_of_the_file_with_little_jitter() -> None:
    rng = np.random.default_rng(3)
    errors = JointErrors(
        rng.normal(0, 0.2, (40, 17, 2)).astype(np.float32),
        rng.uniform(0.1, 1, (40, 17)).astype(np.float32),
        rng.random((40, 17)) < 0.9,
    )
    n, m = 50, 28
    rays, times = rng.normal(size=(n, m, 17, 2)), np.tile(np.arange(m) / 30.0, (n, 1))
    seen, size = np.ones((n, m, 17)), rng.uniform(0.1, 1, (n, m))
    seen[:, :, 4] = 0
    out, scores = views.with_measured(rays, seen, size, times, errors, rng)
    assert (scores[:, :, 4] == 0).all()
    made = ((out - rays) / size[..., None, None]).reshape(n * m, -1)
    mirror = list(H36M17.mirror)
    both = np.concatenate([errors.offsets, errors.offsets[:, mirror] * np.array([-1, 1])]).reshape(80, -1)
    distance = np.linalg.norm(made[:, None] - both[None], axis=2)
    which = distance.argmin(axis=1)
    assert distance.min(axis=1).max() < 0.06 * 0.7  # jitter of 0.004 on 34 numbers, against 0.2
    kept = np.where(errors.labelled, errors.scores, 0)
    expected = np.concatenate([kept, kept[:, mirror]])[which].reshape(n, m, 17)
    np.testing.assert_array_equal(np.delete(scores, 4, axis=2), np.delete(expected, 4, axis=2))
    changes = (which.reshape(n, m)[:, 1:] != which.reshape(n, m)[:, :-1]).mean(axis=1)
    assert 0.01 < changes.mean() < 0.2  # rates of 0.7 to 8 a second, at 30 frames a second
    assert len(set(which)) > 60


def test_cameras_are_upright_at_the_asked_distance_and_see_people(bank: training.Bank) -> None:
    rng = np.random.default_rng(2)
    config = views.ViewConfig(distance_m=(3.0, 5.0))
    times, world = views.draw_motion(bank, config, rng, 300)
    joints_cam, half = views.film(world, times, config, rng)
    np.testing.assert_allclose(bone_lengths(joints_cam), bone_lengths(world), rtol=2e-3, atol=1e-4)
    distance = np.linalg.norm(joints_cam[:, -1, 0], axis=-1)
    assert distance.min() > 2.99
    assert distance.max() < 5.01
    up = world[:, -1, H36M17.index("head_top"), 1] - world[:, -1, H36M17.index("right_ankle"), 1]
    down = joints_cam[:, -1, H36M17.index("right_ankle"), 1] - joints_cam[:, -1, H36M17.index("head_top"), 1]
    standing = up > 1.2
    assert np.all(down[standing] > 0.5)
    inside = np.abs(joints_cam[:, -1, 0, :2] / joints_cam[:, -1, 0, 2:]) < half
    assert inside.all(axis=1).mean() > 0.9
    left = joints_cam[:, -1, H36M17.index("left_shoulder")] - joints_cam[:, -1, H36M17.index("right_shoulder")]
    assert 0.3 < (left[:, 0] > 0).mean() < 0.7


def test_camera_axes_are_a_rotation_that_faces_its_yaw() -> None:
    axes = views._camera_axes(np.array([0.3]), np.array([0.0]), np.array([0.0]))[0]
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1)
    np.testing.assert_allclose(axes[2], [np.sin(0.3), 0, np.cos(0.3)], atol=1e-12)
    np.testing.assert_allclose(axes[1], [0, -1, 0], atol=1e-12)


def test_noise_is_of_the_asked_size_and_faults_cost_joints(bank: training.Bank) -> None:
    rng = np.random.default_rng(3)
    shape = (400, views.OBSERVATIONS, 17)
    rays, scores, size = np.zeros((*shape, 2)), np.ones(shape), np.full(shape[:2], 2.0)
    times = np.tile(-np.arange(shape[1])[::-1] / 30.0, (400, 1))
    config = views.ViewConfig(noise=0.01, faults=False)
    noisy, _ = views.imperfect(rays, scores, size, times, config, rng)
    assert 0.006 < np.median(np.abs(noisy)) < 0.02
    jumps = np.abs(np.diff(noisy, axis=1)).mean()
    assert jumps < np.abs(noisy).mean() * 1.2
    lost = views._lose(scores, times, np.random.default_rng(0).normal(size=(*shape, 2)), rng)
    assert 0.5 < (lost > 0).mean() < 0.9


def test_the_same_randomness_draws_the_same_chunk(bank: training.Bank) -> None:
    config = training.LiftingTraining(chunk=16, chunks=4)
    first, again = (training.Views(bank, config).draw(0, np.random.default_rng(5)) for _ in range(2))
    other = training.Views(bank, config).draw(0, np.random.default_rng(6))
    for a, b, c in zip(first[:4], again[:4], other[:4], strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
    assert torch.all(torch.isfinite(first.window))


def test_the_likelihood_is_best_at_the_true_deviation() -> None:
    error = torch.linalg.vector_norm(0.07 * torch.randn(20000, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    candidates = torch.log(torch.tensor([0.05, 0.06, 0.07, 0.08, 0.1]))
    losses = [float(training.gaussian_nll(error, c.expand(20000), axes=3)) for c in candidates]
    assert int(np.argmin(losses)) == 2


@pytest.mark.parametrize("name", training.TASKS)
def test_a_few_steps_lower_the_loss(bank: training.Bank, name: str) -> None:
    torch.manual_seed(0)
    small = LiftingConfig(channels=32, hidden=48, blocks=1, dropout=0.0)
    config = training.LiftingTraining(pose_network=small, root_network=small, chunk=128, chunks=4)
    task = training.LiftingTask(name, config)
    model = task.build_model().train()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    samples = training.Views(bank, config)
    batch = task.collate([samples.draw(i, np.random.default_rng(i)) for i in range(2)])
    losses = []
    for _ in range(40):
        loss, parts = task.loss(model, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert len(parts) == 2
    assert losses[-1] < 0.7 * losses[0]
    figures = task.validate(model.eval(), [batch])
    assert np.isfinite(task.objective(figures))


def test_exported_networks_are_small_and_run_live(tmp_path: Path) -> None:
    files = {}
    for name, limit in (("lifting", 2.4e6), ("root_depth", 1.0e6)):
        task = training.LiftingTask(name, training.load_training(CONFIG))
        files[name] = export_onnx(task.build_model(), task.export_spec(), tmp_path / f"{name}.onnx").path
        assert files[name].stat().st_size <= limit
    live = Lifter(load_engine(files["lifting"]), load_engine(files["root_depth"]))
    camera = camera_from_hfov(640, 480, 1.2)
    joints = np.random.default_rng(0).normal(0, 0.4, (17, 3)) + np.array([0, 0, 4])
    for count in (1, 3):
        poses = [(i, Pose2D(project(camera, joints), np.ones(17))) for i in range(count)]
        result = live.update(count * 33_000_000, camera, poses)
        assert set(result) == set(range(count))
        assert result[0].root_depth > 0


def test_the_strided_network_is_causal_and_uses_the_whole_window() -> None:
    torch.manual_seed(0)
    model = PoseLifter(LiftingConfig(channels=16, hidden=24, blocks=1)).eval()
    window = torch.randn(1, len(GRID_S), NUM_FEATURES, requires_grad=True)
    model(window)[0].pow(2).sum().backward()
    assert window.grad is not None
    assert torch.all(window.grad.abs().sum(dim=2) > 0)


def test_bad_settings_are_named(tmp_path: Path) -> None:
    path = tmp_path / "lifting.yaml"
    path.write_text("task: {chunkz: 3}\n")
    with pytest.raises(TrainingError, match="chunkz"):
        training.load_training(path)
    path.write_text("task: {chunk: 0}\n")
    with pytest.raises(TrainingError, match="chunk is 0"):
        training.load_training(path)
    path.write_text("task: 7\n")
    with pytest.raises(TrainingError, match="no mapping"):
        training.load_training(path)
    with pytest.raises(ValueError, match="no lifting network 'hands'"):
        training.LiftingTask("hands", training.LiftingTraining())
