import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from dualpose_ros.backbone import HRNetConfig
from dualpose_ros.camera import camera_from_hfov
from dualpose_ros.datasets.cache import shard_path, write_shard
from dualpose_ros.datasets.labels import UNKNOWN, VISIBLE, LabelledImage, Origin, People
from dualpose_ros.datasets.shares import Share
from dualpose_ros.lab.training.loop.task import TrainConfig, TrainingError
from dualpose_ros.lab.training.loop.trainer import train
from dualpose_ros.lab.training.on_device.store import DeviceMixture, Rows, RowStore, ShardFeed
from dualpose_ros.lab.training.on_device.views import Draws
from dualpose_ros.lab.training.top_down.batch import Batch
from dualpose_ros.lab.training.top_down.device_patches import DeviceViews, patch_rows, plain_patches
from dualpose_ros.lab.training.top_down.task import TopDownTask, TopDownTraining
from dualpose_ros.skeleton import H36M17

K, SIZE = H36M17.num_joints, 96
TINY = HRNetConfig(stem=8, widths=(8, 16), blocks=1, modules=(1,), out_channels=8)
TRAINING = TopDownTraining(patch_size=64, stored_size=72, capacity=200, validation_patches=4)


def picture(seed: int, origin: Origin) -> LabelledImage:
    """Two people as dots; of the first every other joint is not judged, of the second only the box is known."""
    rng = np.random.default_rng(seed)
    image = np.full((SIZE, SIZE, 3), 120, np.uint8)
    joints = rng.uniform(20, 70, (2, K, 2)).astype(np.float32)
    for x, y in joints[0]:
        cv2.circle(image, (round(float(x)), round(float(y))), 2, (255, 0, 0), -1)
    visibility = np.full((2, K), UNKNOWN, np.uint8)
    visibility[0, ::2] = VISIBLE
    boxes = np.concatenate([joints.min(axis=1) - 2, joints.max(axis=1) + 2], axis=1)
    people = People(
        np.arange(2, dtype=np.int32), boxes, joints, visibility, np.full((2, K, 3), np.nan, np.float32),
        np.ones(2, np.float32),
    )  # fmt: skip
    return LabelledImage(image, np.zeros((SIZE, SIZE), np.uint8), people, camera_from_hfov(SIZE, SIZE, 1.0), origin)


def caches(folder: Path) -> tuple[Path, Path]:
    for name, origin in (("real", Origin("street", complete=False)), ("rendered", Origin())):
        for index, split in enumerate(("train", "validation")):
            images = [picture(10 * index + n, origin) for n in range(6)]
            write_shard(shard_path(folder / name, index), images, split=split)
    return folder / "real", folder / "rendered"


def config(folder: Path, out: str, **changed: object) -> TrainConfig:
    real, rendered = folder / "real", folder / "rendered"
    settings: dict[str, object] = {
        "out": folder / out, "cache": real, "shares": (Share(real, 0.6), Share(rendered, 0.4)), "batch_size": 5,
        "epochs": 3.0, "bf16": False, "validations": 1, "log_steps": 1, "lr": 1e-3,
    }  # fmt: skip
    return TrainConfig(**{**settings, **changed})  # type: ignore[arg-type]


def test_a_mixture_trains_resumes_and_says_where_it_learnt(tmp_path: Path) -> None:
    caches(tmp_path)
    whole = train(TopDownTask(TRAINING, TINY), config(tmp_path, "whole"))
    train(TopDownTask(TRAINING, TINY), config(tmp_path, "parts", epochs=1.0))
    resumed = train(TopDownTask(TRAINING, TINY), config(tmp_path, "parts"), resume=True)
    # The two parts end at other learning rates than the whole, but they draw the same batches.
    assert resumed.steps == whole.steps > 1
    lines = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    again = [json.loads(line) for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert lines[0]["loss"] == again[0]["loss"]
    assert whole.report["data"]["cache"] == "real:0.6 rendered:0.4"
    assert whole.report["data"]["real_rows"] == whole.report["data"]["rendered_rows"] == 6
    assert {"oks", "oks_real", "oks_rendered"} <= whole.figures.keys()


def test_batches_are_made_in_full_precision_where_the_network_computes_in_bfloat16(tmp_path: Path) -> None:
    class Watched(TopDownTask):
        def loss(self, model: nn.Module, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            seen.append(batch)
            return super().loss(model, batch)

    caches(tmp_path)
    batches = []
    for bf16 in (False, True):
        seen: list[Batch] = []
        train(Watched(TRAINING, TINY), config(tmp_path, f"bf16_{bf16}", bf16=bf16, epochs=0.5))
        batches.append(seen[0])
    torch.testing.assert_close(batches[1].joints_px, batches[0].joints_px, rtol=0, atol=0)
    torch.testing.assert_close(batches[1].patches, batches[0].patches, rtol=0, atol=0)


def test_gradients_of_several_batches_make_one_step(tmp_path: Path) -> None:
    caches(tmp_path)
    steps = [
        train(TopDownTask(TRAINING, TINY), config(tmp_path, f"a{n}", accumulate=n, epochs=1.0)).steps for n in (1, 2)
    ]
    assert steps[1] == steps[0] // 2


def test_a_task_without_a_recipe_is_refused(tmp_path: Path) -> None:
    from dualpose_ros.lab.training.lifting.gcn import GCNTask, GCNTraining

    caches(tmp_path)
    with pytest.raises(TrainingError, match="gcn"):
        train(GCNTask(GCNTraining()), config(tmp_path, "gcn"))


def test_patches_follow_the_person(tmp_path: Path) -> None:
    views = DeviceViews()
    rows = patch_rows(picture(3, Origin("street", stretch=1.2)), 72, views, whole=False)
    # Nobody is asked for whose joints nobody labelled.
    assert len(rows) == 1
    tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in rows[0].items()}
    batch = plain_patches(tensors, 64, 1.25)
    centre = (batch.boxes_px[0, :2] + batch.boxes_px[0, 2:]) / 2
    np.testing.assert_allclose(centre.numpy(), 31.5, atol=0.1)
    assert float((batch.boxes_px[0, 2:] - batch.boxes_px[0, :2]).max()) == pytest.approx(64 / 1.25, abs=0.5)
    seen = batch.weights[0, 0] > 0
    for x, y in batch.joints_px[0, 0][seen].numpy():
        assert batch.patches[0, round(float(y)), round(float(x)), 0] > 150
    assert (batch.weights[0, 1] < -1.5).all()


def test_shards_that_appear_later_join_in(tmp_path: Path) -> None:
    views, store = DeviceViews(), RowStore(50, "cpu")
    write_shard(shard_path(tmp_path, 0), [picture(n, Origin()) for n in range(3)], split="train")
    write_shard(shard_path(tmp_path, 7), [picture(n, Origin()) for n in range(3)], split="validation")
    feed = ShardFeed(tmp_path, lambda image: patch_rows(image, 72, views, True), store, threads=1, grow=True)
    mixture = DeviceMixture([(feed, 1.0)])
    try:
        mixture.wait_for_some(60)
        assert len(mixture) == 3
        write_shard(shard_path(tmp_path, 1), [picture(n, Origin()) for n in range(2)])
        for _ in range(600):
            mixture.take()
            if len(mixture) == 5:
                break
            torch.zeros(1).item()
            __import__("time").sleep(0.05)
        assert len(mixture) == 5
    finally:
        mixture.close()


def test_rows_are_drawn_by_shares_and_weights() -> None:
    stores = []
    for kind in range(2):
        store = RowStore(10, "cpu")
        values = np.arange(4, dtype=np.float32) + 10 * kind
        store.add({"value": values, "weight": np.array([1, 1, 0, 2], np.float32)})
        stores.append(store)

    @dataclasses.dataclass
    class Feed:
        store: RowStore

    mixture = DeviceMixture([(Feed(stores[0]), 3.0), (Feed(stores[1]), 1.0)])  # type: ignore[list-item]
    drawn = mixture.draw(4000, Draws(0, "cpu"))["value"].numpy()
    assert (drawn < 10).sum() == 3000
    counts = [(drawn == value).sum() for value in range(4)]
    assert counts[2] == 0 and abs(counts[3] - 1500) < 150 and abs(counts[0] - 750) < 120


def test_no_more_images_are_held_than_the_memory_has_room_for(caplog: pytest.LogCaptureFixture) -> None:
    rows: Rows = {"image": np.ones((8, 4, 5, 3), np.uint8), "weight": np.ones(8, np.float32)}
    store = RowStore(100, "cpu", most_bytes=5.5 * (60 + 4))
    store.add(rows)
    assert len(store) == store.capacity == 5
    assert "5 of up to 100 images are learnt from" in caplog.text
