"""The lifting network: its past, its future and its memory; its loss, its calibration, and its export."""

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from dualpose_ros.camera import camera_from_hfov, project
from dualpose_ros.errors import InputError
from dualpose_ros.inference.engine import LOOKAHEAD_FRAMES, EngineError
from dualpose_ros.inference.export import export_onnx
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.training.lifting import task as training
from dualpose_ros.lab.training.lifting.bank import Bank, BankConfig, make_bank
from dualpose_ros.lab.training.lifting.bodies import MotionTensors
from dualpose_ros.lab.training.lifting.dice import Dice
from dualpose_ros.lab.training.lifting.sequences import EXACT, NOISY, TRAINING, Draw, MotionData
from dualpose_ros.lab.training.lifting.views import draw_sequences
from dualpose_ros.lab.training.loop.checkpoints import start_from
from dualpose_ros.lab.training.loop.task import TrainingError
from dualpose_ros.lab.training.settings import filled, read_settings
from dualpose_ros.metrics.poses import SIGMA_SHARES
from dualpose_ros.people import Pose2D
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.lifting.completion import NUM_FEATURES
from dualpose_ros.top_down.lifting.lifter import Lifter, lookahead_frames
from dualpose_ros.top_down.lifting.network import LiftingConfig, TemporalLifter
from dualpose_ros.weights import weights_path
from support.data import ROOT

CONFIG = ROOT / "config" / "training" / "lifting.yaml"
DATA = MotionData(bank=BankConfig(motions=24, bodies=4, motion_s=3.0), sequences=8, frames=20, chunks=4)
CONFIDENCE = slice(34, 51)
SMALL = LiftingConfig(window=9, channels=16, hidden=24, blocks=1, dropout=0.0)


@pytest.fixture(scope="module")
def bank() -> Bank:
    return make_bank(DATA.bank, np.random.default_rng(0))


def network(config: LiftingConfig) -> TemporalLifter:
    """A network whose normalisation is not the identity."""
    torch.manual_seed(0)
    model = TemporalLifter(config)
    torch.nn.init.normal_(model.head.weight, std=0.2)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            assert module.running_mean is not None and module.running_var is not None
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    return model.eval()


@pytest.mark.parametrize(("window", "lookahead"), [(1, 0), (3, 0), (9, 0), (27, 0), (81, 0), (27, 13)])
def test_frame_by_frame_is_what_all_at_once_is(window: int, lookahead: int) -> None:
    model = network(dataclasses.replace(SMALL, window=window, lookahead=lookahead))
    features = torch.randn(2, 90, NUM_FEATURES, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole = model(features, *model.empty_memory(2))
        memory, steps = model.empty_memory(2), []
        at = 0
        for frames in (1, 1, 5, 1, 30, *[1] * 52):
            *answers, past_features, past = model(features[:, at : at + frames], *memory)
            memory, at = (past_features, past), at + frames
            steps.append(answers)
    assert at == 90
    for index in range(4):
        torch.testing.assert_close(torch.cat([s[index] for s in steps], dim=1), whole[index], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("window", "lookahead"), [(1, 0), (9, 0), (27, 0), (27, 13)])
def test_an_answer_depends_on_its_window_and_on_nothing_else(window: int, lookahead: int) -> None:
    model = network(dataclasses.replace(SMALL, window=window, lookahead=lookahead))
    features = torch.randn(1, 60, NUM_FEATURES, requires_grad=True)
    joints = model(features, *model.empty_memory(1))[0]
    (gradient,) = torch.autograd.grad(joints[0, 45].pow(2).sum(), features)
    felt = (gradient[0].abs().sum(dim=1) > 0).nonzero().squeeze(1).tolist()
    assert felt == list(range(45 - window + 1, 46))


def test_windows_that_are_no_power_of_three_are_refused() -> None:
    with pytest.raises(ValueError, match="window is 30"):
        LiftingConfig(window=30)
    with pytest.raises(ValueError, match="lookahead is 9"):
        LiftingConfig(window=9, lookahead=9)


def draws(task: training.LiftingTask, *seeds: int, kind: int = TRAINING) -> Draw:
    return task.collate([(seed, kind) for seed in seeds])


def test_the_same_seed_draws_the_same_chunk(bank: Bank) -> None:
    task = training.LiftingTask(training.LiftingTraining(network=SMALL, data=DATA), (bank, bank))
    first, again, other = (task.drawn(draws(task, seed)) for seed in (5, 5, 6))
    for a, b, c in zip(first[:4], again[:4], other[:4], strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
    assert torch.all(torch.isfinite(first.features))


@pytest.mark.parametrize("gcn", [False, True])
def test_what_is_drawn_keeps_its_digits_where_the_network_computes_in_bfloat16(bank: Bank, gcn: bool) -> None:
    config = training.LiftingTraining(network=SMALL, data=DATA, gcn=str(weights_path("gcn")) if gcn else None)
    task = training.LiftingTask(config, (bank, bank))
    whole = task.drawn(draws(task, 3))
    with torch.autocast("cpu", torch.bfloat16):
        again = task.drawn(draws(task, 3))
    torch.testing.assert_close(again.features, whole.features, rtol=0, atol=0)
    torch.testing.assert_close(again.joints, whole.joints, rtol=0, atol=0)


def test_samples_are_seeds_and_half_of_the_validation_is_exact(bank: Bank) -> None:
    task = training.LiftingTask(training.LiftingTraining(network=SMALL, data=DATA), (bank, bank))
    samples, kept_apart = task.datasets()
    assert len(samples) == DATA.chunks and len(kept_apart) == DATA.validation_chunks
    kinds = [kept_apart[i][1] for i in range(4)]
    assert kinds == [EXACT, NOISY, EXACT, NOISY] and samples[3][1] == TRAINING
    exact = task.drawn(draws(task, 1, kind=EXACT))
    assert not exact.noisy.any() and set(exact.features[exact.counted][:, CONFIDENCE].unique().tolist()) <= {0.0, 1.0}
    assert task.drawn(draws(task, 1, kind=NOISY)).noisy.all()


def test_the_truth_of_a_late_network_is_that_of_frames_before(bank: Bank) -> None:
    drawn = draw_sequences(MotionTensors.of(bank, torch.device("cpu")), DATA.views, Dice(3, torch.device("cpu")), 8, 20)
    bare = torch.ones(8, dtype=torch.bool)
    now = training.sequence_batch(drawn, False, None, bare)
    late = training.sequence_batch(drawn, False, None, bare, lookahead=4)
    assert late.counted.sum() > 0 and not late.counted[:, :4].any()
    chosen = late.counted[:, 4:]
    assert now.counted[:, :-4][chosen].all()
    assert torch.equal(late.joints[:, 4:][chosen], now.joints[:, :-4][chosen])
    assert torch.equal(late.features, now.features)


def test_a_few_steps_lower_the_loss(bank: Bank) -> None:
    torch.manual_seed(0)
    task = training.LiftingTask(training.LiftingTraining(network=SMALL, data=DATA), (bank, bank))
    model = task.build_model().train()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    batch = draws(task, 0, 1, 2, 3)
    losses = []
    for _ in range(40):
        loss, parts = task.loss(model, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert {"mpjpe_mm", "log_depth", "nll", "depth_nll"} == parts.keys()
    assert losses[-1] < 0.7 * losses[0]
    figures = task.validate(model.eval(), [batch])
    assert np.isfinite(task.objective(figures))


def test_calibrated_deviations_hold_the_share_that_they_should(bank: Bank) -> None:
    task = training.LiftingTask(training.LiftingTraining(network=SMALL, data=DATA), (bank, bank))
    model = network(SMALL)
    batches = [draws(task, seed) for seed in range(6)]
    task.calibrate(model, batches)
    errors = task._errors(model, batches)
    for joint in range(1, H36M17.num_joints):
        shares = [(errors["joint_sigmas"][:, joint] < radius).mean() for radius in training.JOINT_RADII]
        # One factor for both: too many within one radius means too few within the other.
        assert (shares[0] - SIGMA_SHARES[0]) * (shares[1] - SIGMA_SHARES[1]) <= 0.0005
        assert shares[0] == pytest.approx(SIGMA_SHARES[0], abs=0.2)


def test_a_gaussian_of_three_axes_lies_within_the_radii_as_often_as_one_of_one() -> None:
    length = np.linalg.norm(np.random.default_rng(0).normal(size=(200_000, 3)), axis=1)
    for radius, share in zip(training.JOINT_RADII, SIGMA_SHARES, strict=True):
        assert (length < radius).mean() == pytest.approx(share, abs=0.005)


def test_exported_networks_are_small_and_run_live(tmp_path: Path) -> None:
    task = training.LiftingTask(filled(training.LiftingTraining, read_settings(CONFIG)["task"], str(CONFIG)))
    lifting = export_onnx(network(task.training.network), task.export_spec(), tmp_path / "lifting.onnx", "int8").path
    assert lifting.stat().st_size <= 2.4e6
    live = Lifter(load_engine(lifting), load_engine(weights_path("gcn")))
    camera = camera_from_hfov(640, 480, 1.2)
    joints = np.random.default_rng(0).normal(0, 0.4, (17, 3)) + np.array([0, 0, 4])
    for count in (1, 3):
        poses = [(i, Pose2D(project(camera, joints), np.ones(17))) for i in range(count)]
        result = live.update(count * 33_000_000, camera, poses)
        assert set(result) == set(range(count))
        assert np.isfinite(result[0].joints_cam).all()


@pytest.mark.parametrize("lookahead", [0, 4])
def test_an_exported_network_says_how_far_it_looks_ahead(tmp_path: Path, lookahead: int) -> None:
    config = dataclasses.replace(SMALL, lookahead=lookahead)
    task = training.LiftingTask(training.LiftingTraining(network=config))
    file = export_onnx(network(config), task.export_spec(), tmp_path / "lifting.onnx", "fp16").path
    engine = load_engine(file)
    assert engine.metadata == {LOOKAHEAD_FRAMES: str(lookahead)} and lookahead_frames(engine) == lookahead
    before = onnx.load(file)
    del before.metadata_props[:]
    onnx.save(before, tmp_path / "unsaid.onnx")
    unsaid = load_engine(tmp_path / "unsaid.onnx")
    assert unsaid.metadata == {} and lookahead_frames(unsaid) == lookahead
    if lookahead:
        with pytest.raises(EngineError, match=f"{lookahead} frames ahead"):
            Lifter(unsaid, None)
        other = training.LiftingTask(training.LiftingTraining(network=SMALL))
        with pytest.raises(TrainingError, match=f"lookahead_frames {lookahead}; the network to train is of 0"):
            start_from(other.build_model(), file, other, [])


def test_bad_settings_are_named(tmp_path: Path) -> None:
    path = tmp_path / "lifting.yaml"
    path.write_text("task: {chunkz: 3}\n")
    with pytest.raises(TrainingError, match="chunkz"):
        filled(training.LiftingTraining, read_settings(path)["task"], str(path))
    path.write_text("task: {data: {frames: 0}}\n")
    with pytest.raises(TrainingError, match="frames is 0"):
        filled(training.LiftingTraining, read_settings(path)["task"], str(path))
    path.write_text("task: 7\n")
    with pytest.raises(InputError, match="mappings"):
        read_settings(path)
