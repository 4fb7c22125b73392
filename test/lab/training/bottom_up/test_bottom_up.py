"""Training of the bottom-up network: its depth losses against a slow reference, its batches, and a few real steps."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dualpose_ros.backbone import HRNetConfig
from dualpose_ros.inference.export import export_onnx
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.synthetic.scenes import generate
from dualpose_ros.lab.synthetic.scenes.world import WorldConfig
from dualpose_ros.lab.training.bottom_up.frames import FrameConfig
from dualpose_ros.lab.training.bottom_up.task import (
    Batch,
    BottomUpTask,
    BottomUpTraining,
    depth_losses,
    frame_scores,
    root_code,
)
from dualpose_ros.lab.training.loop.task import TrainConfig
from dualpose_ros.lab.training.loop.trainer import train
from dualpose_ros.lab.training.losses import ABSENT
from dualpose_ros.skeleton import ROOT, K

TINY = HRNetConfig(stem=16, widths=(8, 16), blocks=1, modules=(1,), out_channels=16)
SETTINGS = BottomUpTraining(
    validation_frames=4, stored_side=160, frames=FrameConfig(width=160, height=128, long_side=160)
)


def made(seed: int, *people: int) -> Batch:
    """Frames of random labels for so many people each, padded with nobody."""
    rng, most = np.random.default_rng(seed), max(people)
    shape = (len(people), most)
    there = np.arange(most) < np.array(people)[:, None]
    arrays = (
        rng.integers(0, 256, (len(people), 64, 96, 3)).astype(np.uint8),
        rng.integers(0, 256, (len(people), K, 16, 24)).astype(np.uint8),
        rng.uniform(0, (95, 63), (*shape, K, 2)).astype(np.float32),
        np.where(there[..., None], rng.choice([ABSENT, 0.0, 0.3, 1.0], (*shape, K)), ABSENT).astype(np.float32),
        rng.uniform(2, 8, shape).astype(np.float32),
        rng.normal(0, 0.3, (*shape, K)).astype(np.float32),
        150.0 + np.arange(len(people), dtype=np.float32),
    )
    return Batch(*map(torch.from_numpy, arrays))


@pytest.fixture(scope="module")
def batch() -> Batch:
    return made(1, 3, 1, 0)


def test_depth_losses_are_what_a_loop_over_joints_finds(batch: Batch) -> None:
    rng = np.random.default_rng(5)
    depths, logs = (torch.from_numpy(rng.normal(0, 1, (3, K, 16, 24)).astype(np.float32)) for _ in range(2))
    found = depth_losses(depths, logs, batch, reach=0.0)
    sums = np.zeros((3, 2))
    for n in range(3):
        for p in range(3):
            code = np.log(100 * float(batch.root_depth[n, p]) / float(batch.focal_px[n]))
            for k in range(K):
                weight = max(float(batch.weights[n, p, k]), 0.0)
                x, y = np.rint((batch.joints_px[n, p, k].numpy() - 1.5) / 4).astype(int)
                if weight == 0 or not (0 <= x < 24 and 0 <= y < 16):
                    continue
                error, log = abs(float(depths[n, ROOT, y, x]) - code), float(logs[n, ROOT, y, x])
                sums[:, 0] += weight * np.array([1, error, 0.5 * (error / np.exp(log)) ** 2 + log])
                if k != ROOT:
                    error = abs(float(depths[n, k, y, x]) - float(batch.rel_depth[n, p, k]))
                    log = float(logs[n, k, y, x])
                    sums[:, 1] += weight * np.array([1, error, 0.5 * (error / np.exp(log)) ** 2 + log])
    means = sums / sums[0]
    assert float(found["root_depth"]) == pytest.approx(means[1, 0], rel=1e-4)
    assert float(found["rel_depth"]) == pytest.approx(means[1, 1], rel=1e-4)
    assert float(found["depth_nll"]) == pytest.approx(means[2].sum(), rel=1e-4)


def test_the_roots_code_is_the_same_through_any_zoom() -> None:
    """Twice the focal length at twice the distance is the same picture, and the same code."""
    near = root_code(torch.tensor([[3.0]]), torch.tensor([200.0]))
    far = root_code(torch.tensor([[6.0]]), torch.tensor([400.0]))
    assert float(near) == pytest.approx(float(far)) == pytest.approx(np.log(1.5))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    config = WorldConfig(cast=2, textures=2, poses=3, seated=2, props=1)
    size, generate.SHARD_SIZE = generate.SHARD_SIZE, 6
    try:
        list(generate.write_samples("frames", folder, 12, 1, config, 1))
    finally:
        generate.SHARD_SIZE = size
    return folder


def test_a_few_steps_train_calibrate_and_export(cache: Path, tmp_path: Path) -> None:
    """From frames to an ONNX file that takes any size, guided by the networks that ship."""
    task = BottomUpTask(SETTINGS, TINY)
    config = TrainConfig(
        out=tmp_path, cache=cache, batch_size=3, epochs=3, workers=0, bf16=False, validations=2, log_steps=1
    )
    result = train(task, config)
    assert set(result.figures) == {"oks", "found", "root_depth_rel_err", "rel_depth_mm"}
    exported = export_onnx(result.model, task.export_spec(), tmp_path / "bottom_up.onnx", storage="fp16")
    engine = load_engine(exported.path)
    for height, width in ((64, 128), (96, 64)):
        image = np.zeros((1, height, width, 3), np.uint8)
        guidance = np.zeros((1, K, height // 4, width // 4), np.uint8)
        maps = engine.run({"image": image, "guidance": guidance})
        assert {name: part.shape for name, part in maps.items()} == dict.fromkeys(
            ("heatmaps", "tags", "depths", "log_stddev"), guidance.shape
        )


def test_calibration_makes_stated_deviations_hold_their_share() -> None:
    """A network that states deviations seven times too small is put right, by data that it is measured on."""
    task = BottomUpTask(SETTINGS, TINY)
    torch.manual_seed(0)
    model: Any = task.build_model().eval()
    batch = made(0, *[12] * 16)
    task.calibrate(model, [batch])
    calibrated = model.calibration.clone()
    assert (calibrated != 0).all()
    model.depth_head[2].bias.data[K:] -= 2.0
    task.calibrate(model, [batch])
    np.testing.assert_allclose(model.calibration, calibrated + 2.0, atol=1e-4)


class Oracle(nn.Module):
    """A network that answers with given maps."""

    def __init__(self, maps: tuple[Tensor, ...]) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, image: Tensor, guidance: Tensor) -> tuple[Tensor, ...]:
        return self.maps


def test_scores_of_true_maps_are_perfect_and_of_empty_ones_nothing() -> None:
    rng = np.random.default_rng(3)
    middles = np.array([[80.0, 70.0], [230.0, 80.0]])
    joints = (middles[:, None] + rng.uniform(-38, 38, (2, K, 2))).astype(np.float32)
    rel = rng.normal(0, 0.2, (2, K)).astype(np.float32)
    rel[:, ROOT] = 0
    depth = np.array([3.0, 5.0], np.float32)
    arrays = (np.zeros((160, 320, 3), np.uint8), np.zeros((K, 40, 80), np.uint8), joints, np.ones((2, K), np.float32),
              depth, rel, np.float32(300.0))  # fmt: skip
    batch = Batch(*(torch.from_numpy(np.asarray(array)[None]) for array in arrays))
    truth = importlib.import_module("dualpose_ros.lab.evaluation.bottom_up.truth_maps")
    z = depth[:, None] + rel
    cam = np.concatenate([joints * 0, z[..., None]], axis=2)
    maps = truth.truth_maps(joints, cam, 300.0, (160, 320))
    answer = (maps.heatmaps, maps.tags, maps.depths, maps.log_stddev)
    parts = tuple(torch.from_numpy(np.asarray(array)[None]).float() for array in answer)
    for similarity, root, relative in frame_scores(Oracle(parts), batch):
        assert similarity > 0.95 and root < 0.01 and relative < 0.03
    empty = tuple(torch.zeros_like(part) for part in parts)
    assert [row[0] for row in frame_scores(Oracle(empty), batch)] == [0.0, 0.0]
