"""Training of the integration network: batches, its losses, its calibration, and a run from end to end."""

import dataclasses
from collections.abc import Mapping
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dualpose_ros.datasets.recordings import save_recordings
from dualpose_ros.fusion.integrate import ANSWERS, NetworkIntegrator, load_integrator
from dualpose_ros.fusion.network import IntegrationConfig
from dualpose_ros.fusion.pairs import NUM_FEATURES, K, view_pairs
from dualpose_ros.inference.engine import TensorSpec
from dualpose_ros.lab.training.fusion import task as training
from dualpose_ros.lab.training.fusion.data import PEOPLE, Augmentation, PairData, every_group, pair_data
from dualpose_ros.lab.training.fusion.discriminator import DiscriminatorConfig
from dualpose_ros.lab.training.loop import trainer
from dualpose_ros.lab.training.loop.checkpoints import load_best, start_from
from dualpose_ros.lab.training.loop.task import TrainConfig, TrainingError
from dualpose_ros.lab.training.settings import filled, read_settings
from dualpose_ros.metrics.poses import SIGMA_SHARES, auc
from dualpose_ros.weights import weights_path
from support import made_recordings as made
from support.data import ROOT

CONFIG = ROOT / "config" / "training" / "fusion.yaml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen sequences of three people, of four frames each."""
    out = tmp_path_factory.mktemp("recordings")
    for index in range(2):
        save_recordings(out / f"recordings_{index:05d}.npz", made.made_recordings(np.random.default_rng(index), 8, 4))
    return out


@pytest.fixture(scope="module")
def data() -> PairData:
    return pair_data(made.made_recordings(np.random.default_rng(5), 4, 4))


def small(folder: Path | str = "", **changes: Any) -> training.FusionTask:
    base = training.FusionTraining(
        recordings=str(folder), network=IntegrationConfig(hidden=32), discriminator=DiscriminatorConfig(2, 16),
        groups=16, samples=24, meetings=16,
    )  # fmt: skip
    return training.FusionTask(dataclasses.replace(base, **changes))


def config(out: Path, **changes: Any) -> TrainConfig:
    base: dict[str, Any] = {"batch_size": 4, "lr": 3e-3, "epochs": 2.0, "workers": 0, "bf16": False,
                            "channels_last": False, "log_steps": 5, "validations": 1}  # fmt: skip
    return TrainConfig(out=out, cache=out, **{**base, **changes})


def test_a_batch_is_the_groups_as_their_own_cameras_see_them(data: PairData) -> None:
    groups = every_group(data)
    batch = training.as_batch(groups)
    view = view_pairs(groups.pairs)
    assert batch.features.dtype == torch.float32 and len(batch.features) == len(data) * PEOPLE
    np.testing.assert_array_equal(batch.features.numpy(), view.features)
    for row in range(0, len(view.depth), 7):
        for k in (0, 5, 16):
            expected = groups.truth[row, k] @ view.to_camera[row]
            np.testing.assert_allclose(batch.truth[row, k], expected, atol=1e-5)
    np.testing.assert_array_equal(batch.known.numpy(), groups.known)
    np.testing.assert_array_equal(batch.present.numpy(), groups.present)


def test_who_neither_branch_has_or_is_behind_the_camera_is_not_learnt_from(data: PairData) -> None:
    groups = every_group(data)
    gone = groups.pairs.top_down.present.copy()
    gone[0] = False
    truth = groups.truth.copy()
    truth[3] -= [0.0, 0.0, 20.0]
    pairs = dataclasses.replace(
        groups.pairs,
        top_down=dataclasses.replace(groups.pairs.top_down, present=gone),
        bottom_up=dataclasses.replace(groups.pairs.bottom_up, present=gone),
    )
    batch = training.as_batch(dataclasses.replace(groups, pairs=pairs, truth=truth))
    assert not batch.known[0] and not batch.present[0, 0] and not batch.known[3] and not batch.present[1, 0]
    assert batch.known.sum() == groups.known.sum() - 2


def test_the_validation_samples_are_all_groups_once(data: PairData) -> None:
    fixed = training.FixedGroups(data, 20)
    assert len(fixed) == 3
    parts = [fixed[index] for index in range(3)]
    whole = training.as_batch(every_group(data))
    for index, name in enumerate(training.Batch._fields):
        joined = torch.cat([part[index] for part in parts])
        assert torch.equal(joined, whole[index]), name
    again = small().collate(parts)
    assert torch.equal(again.features, whole.features) and again.present.shape == (len(data), PEOPLE)


def test_training_and_validation_share_no_sequence(folder: Path) -> None:
    train_data, validation = training.recorded_pairs(str(folder))
    # Hardly anybody's poses are no pair.
    assert 14 * 4 * 3 <= len(train_data) < 1.1 * 14 * 4 * 3 and 2 * 4 * 3 <= len(validation) < 1.2 * 2 * 4 * 3
    assert set(train_data.frame.tolist()).isdisjoint(validation.frame.tolist())
    assert {frame // 4 for frame in validation.frame.tolist()} == {7, 15}


def perfect(batch: training.Batch) -> training.Answer:
    """The truth as an answer, sure of itself."""
    truth = batch.truth
    root = torch.cat([truth[:, 0, :2] / truth[:, 0, 2:], torch.log(truth[:, 0, 2:] / batch.depth[:, None])], dim=1)
    rows = len(truth)
    return training.Answer(
        truth - truth[:, :1], root, torch.full((rows, K), -3.0), batch.known.float() * 0.998 + 0.001,
        torch.full((rows, K), 0.999), truth,
    )  # fmt: skip


def test_only_the_truth_costs_nothing(data: PairData) -> None:
    batch = training.as_batch(every_group(data))
    exact = perfect(batch)
    total, parts = training.supervised_loss(exact, batch, 0.5)
    assert parts["mpjpe_mm"] == pytest.approx(0, abs=1e-3) and parts["log_depth"] == pytest.approx(0, abs=1e-5)
    assert parts["near"] < 0.01 and parts["exists"] < 0.01
    deep = exact._replace(root=exact.root + torch.tensor([0.0, 0.0, 0.1]))
    off, parts = training.supervised_loss(deep, batch, 0.5)
    assert parts["log_depth"] == pytest.approx(0.1, abs=1e-5) and off > total + 0.9
    shifted = exact._replace(joints_rel=exact.joints_rel + torch.tensor([0.05, 0.0, 0.0]))
    off, parts = training.supervised_loss(shifted, batch, 0.5)
    assert parts["mpjpe_mm"] == pytest.approx(50, abs=0.1) and off > total + 0.4


def test_people_without_truth_cost_only_what_their_score_says(data: PairData) -> None:
    batch = training.as_batch(every_group(data))
    batch = batch._replace(known=batch.known.clone())
    batch.known[::5] = False
    exact = perfect(batch)
    total, _ = training.supervised_loss(exact, batch, 0.5)
    noise = torch.randn(len(batch.known), K, 3) * ~batch.known[:, None, None]
    strange = exact._replace(joints_rel=exact.joints_rel + noise, joints=exact.joints + noise)
    torch.testing.assert_close(training.supervised_loss(strange, batch, 0.5)[0], total)
    doubtful = exact._replace(score=torch.where(batch.known, exact.score, torch.tensor(0.9)))
    assert training.supervised_loss(doubtful, batch, 0.5)[0] > total + 0.01


def test_the_loss_of_what_the_network_says_reaches_all_of_it(data: PairData) -> None:
    torch.manual_seed(0)
    task = small()
    model = task.build_model().train()
    batch = training.as_batch(every_group(data))
    loss, parts = task.loss(model, batch)
    loss.backward()
    assert {"mpjpe_mm", "log_depth", "missed", "near", "exists", "adversarial"} == parts.keys()
    for name, value in model.named_parameters():
        assert value.grad is not None and torch.isfinite(value.grad).all() and value.grad.any(), name
    alone = small(discriminator=None)
    assert alone.build_model().discriminator is None
    assert "adversarial" not in alone.loss(alone.build_model(), batch)[1]


def test_without_weight_the_discriminator_does_not_push(data: PairData) -> None:
    batch = training.as_batch(every_group(data))
    gradients = []
    for changes in ({"adversarial": 0.0}, {"discriminator": None}, {"adversarial": 1.0}):
        task = small(**changes)
        torch.manual_seed(0)
        model: Any = task.build_model()
        task.loss(model, batch)[0].backward()
        gradients.append(model.integration.head.weight.grad)
    torch.testing.assert_close(gradients[0], gradients[1])
    assert (gradients[2] - gradients[0]).abs().max() > 1e-5


def test_a_few_steps_lower_the_loss(folder: Path) -> None:
    torch.manual_seed(0)
    task = small(folder, augmentation=Augmentation(simulated=0.2))
    samples, fixed = task.datasets()
    model = task.build_model().train()
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    batches = [task.collate([samples.draw(i, np.random.default_rng(i)) for i in range(3 * n, 3 * n + 3)])
               for n in range(4)]  # fmt: skip
    before = task.validate(model.eval(), [fixed[0]])
    losses = []
    for step in range(80):
        loss, _ = task.loss(model.train(), batches[step % 4])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-4:]) < 0.85 * np.mean(losses[:4])
    after = task.validate(model.eval(), [fixed[0]])
    assert task.objective(after) < task.objective(before)
    # It is not the lucky side of chance: the joints themselves have come nearer.
    assert after["mpjpe_mm"] < before["mpjpe_mm"]


def test_samples_depend_on_their_randomness_alone(folder: Path) -> None:
    samples, _ = small(folder).datasets()
    again, _ = small(folder).datasets()
    first, second, other = samples[3], again[3], samples[4]
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first.features, other.features)
    assert len(samples) == 24 and len(first.features) == 16 * PEOPLE


def test_figures_against_a_slow_form(data: PairData) -> None:
    torch.manual_seed(1)
    task = small()
    model = task.build_model().eval()
    batches = [training.FixedGroups(data, 20)[index] for index in range(3)]
    rel, absolute = [], []
    for batch in batches:
        out = training.answer(model, batch)
        for group in range(len(batch.present)):
            row = group * PEOPLE
            if batch.present[group, 0]:
                joints, truth = (t[row].double().detach().numpy() for t in (out.joints, batch.truth))
                rel.append([np.linalg.norm(joints[k] - joints[0] - truth[k] + truth[0]) for k in range(1, K)])
                absolute.append([np.linalg.norm(joints[k] - truth[k]) for k in range(K)])
    figures = task.validate(model, batches)
    near, far = np.array(rel), np.array(absolute)
    assert len(near) == len(data)
    assert figures["mpjpe_mm"] == pytest.approx(1000 * near.mean(), rel=1e-4)
    assert figures["pck_rel"] == pytest.approx(100 * (near <= 0.15).mean(), abs=0.1)
    assert figures["auc_rel"] == pytest.approx(100 * np.mean([auc(row) for row in near]), abs=0.1)
    assert figures["pck_abs"] == pytest.approx(100 * (far <= 0.15).mean(), abs=0.1)
    assert figures["root_25"] == pytest.approx(100 * (far[:, 0] <= 0.25).mean(), abs=0.1)
    four = [figures[name] for name in ("pck_rel", "auc_rel", "pck_abs", "root_25")]
    assert task.objective(figures) == pytest.approx(-sum(four) / 4)


def test_calibrated_deviations_hold_the_share_that_they_should(data: PairData) -> None:
    torch.manual_seed(2)
    task = small()
    model: Any = task.build_model().eval()
    batches = [training.FixedGroups(data, 20)[index] for index in range(3)]
    task.calibrate(model, batches)
    first = model.integration.calibration.clone()
    assert (first != 0).all()
    rows = training.measured(model, batches)
    for sigmas, radii in ((rows["joint_sigmas"], training.JOINT_RADII),
                          (rows["depth_sigmas"][:, None], training.DEPTH_RADII)):  # fmt: skip
        for column in sigmas.T:
            shares = [(column < radius).mean() for radius in radii]
            # One factor for both: too many within one radius means too few within the other.
            assert (shares[0] - SIGMA_SHARES[0]) * (shares[1] - SIGMA_SHARES[1]) <= 0.002
            assert shares[0] == pytest.approx(SIGMA_SHARES[0], abs=0.2)
    # Again from the same data it says the same.
    task.calibrate(model, batches)
    torch.testing.assert_close(model.integration.calibration, first)
    with pytest.raises(TrainingError, match="no deviations to calibrate"):
        task.calibrate(torch.nn.Linear(2, 2), batches)


class Interrupted(training.FusionTask):
    """Gets a Ctrl-C in the middle."""

    steps = 0

    def loss(self, model, batch):  # type: ignore[no-untyped-def]
        self.steps += 1
        if self.steps == 5:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)
        return super().loss(model, batch)


def test_a_run_resumes_and_calibrates(folder: Path, tmp_path: Path) -> None:
    settings = small(folder).training
    whole = trainer.train(training.FusionTask(settings), config(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        trainer.train(Interrupted(settings), config(tmp_path / "parts"))
    parts = trainer.train(training.FusionTask(settings), config(tmp_path / "parts"), resume=True)
    assert whole.steps == parts.steps == 12 and whole.figures == parts.figures
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, parts.model.state_dict()[name]), name
    trained: Any = whole.model
    assert trained.integration.calibration.any()
    best: Any = load_best(training.FusionTask(settings), tmp_path / "whole")
    assert torch.equal(best.integration.calibration, trained.integration.calibration)


class AsAnEngine:
    """A network as the live integrator takes it."""

    def __init__(self, model: nn.Module) -> None:
        self._model, self.outputs = model.eval(), ANSWERS
        self.metadata: dict[str, str] = {}
        self.inputs = {"features": TensorSpec("features", np.dtype(np.float32), ("people", NUM_FEATURES))}

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        with torch.no_grad():
            answers = self._model(torch.from_numpy(inputs["features"]))
        return {name: value.numpy() for name, value in zip(ANSWERS, answers, strict=False)}


def test_what_is_trained_is_what_runs_live(data: PairData) -> None:
    torch.manual_seed(3)
    model: Any = small().build_model()
    torch.nn.init.normal_(model.integration.head.weight, std=0.1)
    out = NetworkIntegrator(AsAnEngine(model))(data.pairs)
    batch = training.as_batch(every_group(data))
    with torch.no_grad():
        answers = training.answer(model, batch)
    # The first of each group is the row itself.
    for row in range(len(data)):
        joints = answers.joints[row * PEOPLE] @ batch.to_camera[row * PEOPLE].T
        np.testing.assert_allclose(out.joints_cam[row], joints.numpy(), atol=1e-4)


def test_it_trains_on_from_the_file_that_ships(data: PairData) -> None:
    """Exported files lack the discriminator, which begins anew."""
    task = training.FusionTask(filled(training.FusionTraining, read_settings(CONFIG)["task"], "here"))
    model: Any = task.build_model()
    start_from(model, weights_path("fusion"), task, repeat(training.as_batch(every_group(data))))
    np.testing.assert_allclose(
        NetworkIntegrator(AsAnEngine(model))(data.pairs).joints_cam, load_integrator()(data.pairs).joints_cam, atol=1e-4
    )


def test_the_settings_that_come_with_the_package_load() -> None:
    task = {**read_settings(CONFIG)["task"], "recordings": "somewhere"}
    settings = filled(training.FusionTraining, task, str(CONFIG))
    assert settings.network.hidden > 0 and settings.discriminator is not None and settings.discriminator.people == 2
    model: Any = training.FusionTask(settings).build_model()
    exported = sum(value.numel() for value in model.integration.parameters())
    assert exported < 400_000


@pytest.mark.parametrize(
    ("task", "what"),
    [
        ("{recordings: r, groupz: 3}", "groupz"),
        ("{recordings: r, augmentation: {mask: 2.0}}", "mask is 2.0"),
        ("{recordings: r, network: {hidden: 0}}", "hidden is 0"),
        ("{recordings: r, discriminator: {people: 5}}", "people is 5"),
        ("{recordings: r, groups: 0}", "groups is 0"),
        ("{recordings: r, samples: 0}", "samples is 0"),
        ("{recordings: r, adversarial: -1.0}", "adversarial is -1"),
    ],
)
def test_bad_settings_are_named(tmp_path: Path, task: str, what: str) -> None:
    path = tmp_path / "fusion.yaml"
    path.write_text(f"task: {task}\n")
    with pytest.raises(TrainingError, match=what):
        filled(training.FusionTraining, read_settings(path)["task"], str(path))


def test_missing_and_too_few_recordings_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="holds no recordings"):
        small(tmp_path).datasets()
    (tmp_path / "recordings_00000.npz").write_bytes(b"")
    with pytest.raises(TrainingError, match=r"recordings_00000\.npz holds no recordings"):
        small(tmp_path).datasets()
    save_recordings(tmp_path / "recordings_00000.npz", made.made_recordings(np.random.default_rng(0), 3, 1))
    with pytest.raises(TrainingError, match="eight sequences"):
        small(tmp_path).datasets()
