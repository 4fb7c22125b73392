"""The detector's training: pictures whose boxes fit what is in them, targets, and a small network that learns."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from dualpose_ros.camera import camera_from_hfov
from dualpose_ros.datasets.labels import LabelledImage, People
from dualpose_ros.detection.detections import BoxChoice
from dualpose_ros.detection.network import DetectorConfig
from dualpose_ros.detection.yolox import YoloxDetector
from dualpose_ros.inference.export import export_onnx
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.training.detector.device_pictures import DevicePictures, Pictures, draw_pictures, plain_pictures
from dualpose_ros.lab.training.detector.task import DetectorTask, DetectorTaskConfig
from dualpose_ros.lab.training.loop.task import TrainConfig
from dualpose_ros.lab.training.on_device.frames import frame_rows
from dualpose_ros.lab.training.on_device.views import Draws, PhotometryConfig
from dualpose_ros.people import box_iou
from support.data import ROOT
from support.device_rows import on_device

TINY = DetectorConfig(stem=8, head=32)
STILL = DevicePictures(rotate=0, stretch=0, mosaic=0, paste=0, erase=0, photometry=PhotometryConfig(0, 0, 0, 0))
Drawn = tuple[Tensor, Pictures]


def blobs(seed: int, count: int = 2, width: int = 160, height: int = 128) -> LabelledImage:
    """Bright ellipses on a dim background stand for people."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(0, 90, (6, 8, 3), dtype=np.uint8), (width, height)).astype(np.uint8)
    mask = np.zeros((height, width), np.uint8)
    boxes = np.zeros((count, 4), np.float32)
    for k in range(count):
        middle = np.array([width * (k + 0.5) / count, height / 2]) + rng.uniform(-8, 8, 2)
        radius = rng.uniform((10, 22), (18, 45))
        where = (middle.round().astype(int).tolist(), radius.round().astype(int).tolist(), 0, 0, 360)
        cv2.ellipse(image, *where, rng.integers(170, 256, 3).tolist(), -1)
        cv2.ellipse(mask, *where, k + 1, -1)
        y, x = np.nonzero(mask == k + 1)
        boxes[k] = (x.min(), y.min(), x.max() + 1, y.max() + 1)
    people = People(
        np.arange(count, dtype=np.int32),
        boxes,
        np.zeros((count, 17, 2), np.float32),
        np.full((count, 17), 2, np.uint8),
        np.zeros((count, 17, 3), np.float32),
        np.ones(count, np.float32),
    )
    return LabelledImage(image, mask, people, camera_from_hfov(width, height, 1.0))


def drawn(seed: int, config: DevicePictures, *sources: LabelledImage, size: tuple[int, int] = (160, 128)) -> Drawn:
    rows = on_device(row for source in sources for row in frame_rows(source, 160, 1.0, config.min_visible, 0.0))
    return draw_pictures(rows, size, config, Draws(seed, "cpu"))


def plain(source: LabelledImage) -> Drawn:
    return plain_pictures(on_device(frame_rows(source, 160, 1.0, STILL.min_visible, 0.0)), (160, 128), STILL)


@pytest.mark.parametrize("seed", range(12))
def test_boxes_bound_the_people_of_a_view(seed: int) -> None:
    config = replace(STILL, zoom=(0.5, 1.2), person_zoom=(0.2, 0.6), rotate=0.06)
    _, pictures = drawn(seed, config, blobs(seed, count=1), size=(320, 256))
    y, x = np.nonzero(pictures.pixels[0, 3].numpy() > 127)
    box = pictures.boxes_px[0, 0].numpy()
    if len(x) and x.min() > 0 and y.min() > 0 and x.max() < 319 and y.max() < 255:
        np.testing.assert_allclose(box, [x.min(), y.min(), x.max() + 1, y.max() + 1], atol=2.5)


def test_pictures_are_of_one_size_and_determined_by_the_seed() -> None:
    for seed in range(20):
        (first, found), (second, other) = (drawn(seed, DevicePictures(), blobs(1), blobs(2)) for _ in range(2))
        assert torch.equal(first, second) and torch.equal(found.boxes_px, other.boxes_px)
        assert first.shape == (2, 128, 160, 3) and first.dtype == torch.uint8
        boxes = found.boxes_px.numpy()
        assert boxes.min() >= 0 and boxes[..., 2].max() <= 160 and boxes[..., 3].max() <= 128


def test_pasted_people_are_added_with_their_pixels() -> None:
    counts = []
    for seed in range(20):
        _, bare = drawn(seed, STILL, blobs(3, count=0), blobs(4, count=2))
        _, pasted = drawn(seed, replace(STILL, paste=1.0), blobs(3, count=0), blobs(4, count=2))
        there = (pasted.boxes_px[..., 2] > pasted.boxes_px[..., 0]) & ~pasted.ignored
        assert not (bare.boxes_px[0] != 0).any()
        counts.append(int(there[0].sum()))
    assert np.mean(counts) > 1


def test_hardly_visible_people_and_slivers_are_ignored() -> None:
    source = blobs(5)
    source.people.visible_fraction[0] = 0.05
    source.people.boxes_px[1] = (150, 20, 154, 60)
    _, pictures = plain(source)
    there = pictures.boxes_px[0, :, 2] > pictures.boxes_px[0, :, 0]
    assert pictures.ignored[0][there].tolist() == [True, True]


def test_a_picture_size_that_does_not_fit_the_network_is_named() -> None:
    with pytest.raises(ValueError, match="width is 100; it must be a multiple of 32"):
        DetectorTaskConfig(width=100)


def test_the_shipped_settings_are_those_of_the_config() -> None:
    import dacite

    path = ROOT / "config" / "training" / "detector.yaml"
    settings = yaml.safe_load(path.read_text())["task"]
    config = dacite.from_dict(DetectorTaskConfig, settings, dacite.Config(strict=True, cast=[tuple, float]))
    assert config == DetectorTaskConfig()


def test_a_small_network_learns_and_its_export_finds_people(tmp_path: Path) -> None:
    """From shards to an ONNX detector, with the task's own parts: blobs are found after a few dozen steps."""
    views = replace(STILL, zoom=(0.8, 1.2), person_zoom=(0.3, 0.6))
    task = DetectorTask(DetectorTaskConfig(TINY, width=160, height=128, views=views, stored_side=160))
    recipe = task.device_recipe(TrainConfig(tmp_path, tmp_path, epochs=1))
    train, val = (on_device(row for k in numbers for row in recipe.to_rows(blobs(k)))
                  for numbers in (range(16), range(20, 28)))  # fmt: skip
    torch.manual_seed(0)
    model = task.build_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    draws = Draws(0, "cpu")
    history = []
    for _ in range(100):
        chosen = draws.integers(16, 8)
        batch = recipe.make({name: values[chosen] for name, values in train.items()}, draws)
        loss, _ = task.loss(model, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(float(loss.detach()))
    assert np.mean(history[-10:]) < 0.4 * np.mean(history[:5])
    model.eval()
    with torch.no_grad():
        figures = task.validate(model, [recipe.show(val)])
    assert figures["ap50"] > 0.6
    assert task.objective(figures) == -figures["ap50"] and task.objective({"ap50": float("nan")}) == float("inf")

    path = export_onnx(model, task.export_spec(), tmp_path / "detector.onnx", storage="fp16").path
    detector = YoloxDetector(load_engine(path), BoxChoice(min_score=0.2), input_long_side=160)
    source = blobs(99)
    found = detector(source.image)
    assert len(found) >= 2
    order = np.argsort(found.boxes_px[:2, 0])
    assert np.diag(box_iou(found.boxes_px[order], source.people.boxes_px)).min() > 0.4
