"""The detector's training: pictures whose boxes fit what is in them, targets, and a small network that learns."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from dualpose_ros.camera import camera_from_hfov
from dualpose_ros.datasets.cache import write_shard
from dualpose_ros.datasets.labels import LabelledImage, People
from dualpose_ros.lab.training.detector import augmentation

torch = pytest.importorskip("torch")
from dualpose_ros.backbone import HRNetConfig  # noqa: E402
from dualpose_ros.detection.centre import CentreDetector  # noqa: E402
from dualpose_ros.detection.network import DetectorConfig  # noqa: E402
from dualpose_ros.inference.export import export_onnx  # noqa: E402
from dualpose_ros.inference.load import load_engine  # noqa: E402
from dualpose_ros.lab.training.detector.task import DetectorTask, DetectorTaskConfig  # noqa: E402
from support.data import ROOT  # noqa: E402

TINY = DetectorConfig(HRNetConfig(stem=8, widths=(8, 16), modules=(1,), blocks=1, out_channels=16), head=16)
STILL = augmentation.AugmentConfig(rotate=0.0, paste=0.0, erase=0.0, degrade=0.0)


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


@pytest.mark.parametrize("seed", range(12))
def test_warped_boxes_bound_the_warped_people(seed: int) -> None:
    source, config = blobs(seed), augmentation.AugmentConfig(zoom=(0.5, 1.2), person_zoom=(0.2, 0.6))
    warp = augmentation.random_warp(source, 320, 256, config, np.random.default_rng(seed))
    mask = cv2.warpAffine(source.mask, warp, (320, 256), flags=cv2.INTER_NEAREST)
    for k, box in enumerate(augmentation.warp_boxes(source.people.boxes_px, warp)):
        y, x = np.nonzero(mask == k + 1)
        if len(x) == 0 or box.min() < 1 or box[2] > 319 or box[3] > 255:
            continue
        np.testing.assert_allclose(box, [x.min(), y.min(), x.max() + 1, y.max() + 1], atol=2)


def test_flip_keeps_left_edges_left() -> None:
    warp = np.array([[-1.0, 0, 99], [0, 1, 0]])
    np.testing.assert_allclose(augmentation.warp_boxes(np.array([[10.0, 5, 30, 50]]), warp), [[70, 5, 90, 50]])


def test_pictures_are_of_one_size_and_determined_by_the_generator() -> None:
    config = augmentation.AugmentConfig()
    for seed in range(40):
        first, second = (
            augmentation.augmented_sample(blobs(1), 128, 96, config, np.random.default_rng(seed), blobs(2))
            for _ in range(2)
        )
        np.testing.assert_array_equal(first.image, second.image)
        np.testing.assert_array_equal(first.boxes_px, second.boxes_px)
        assert first.image.shape == (96, 128, 3) and first.image.dtype == np.uint8
        boxes = first.boxes_px
        assert len(boxes) == len(first.ignored) and np.all(boxes[:, 2:] > boxes[:, :2])
        assert boxes.min(initial=0) >= 0 and boxes[:, 2].max(initial=0) <= 128 and boxes[:, 3].max(initial=0) <= 96


def test_pasted_people_are_added_with_their_pixels() -> None:
    background, other = blobs(3, count=0), blobs(4, count=2)
    counts = []
    for seed in range(20):
        plain = augmentation.augmented_sample(background, 160, 128, STILL, np.random.default_rng(seed))
        pasted = augmentation.augmented_sample(background, 160, 128, STILL, np.random.default_rng(seed), other)
        assert len(plain.boxes_px) == 0
        counts.append(int((~pasted.ignored).sum()))
    assert np.mean(counts) > 1


def test_hardly_visible_people_and_slivers_are_ignored() -> None:
    source = blobs(5)
    source.people.visible_fraction[0] = 0.05
    source.people.boxes_px[1] = (150, 20, 154, 60)
    sample = augmentation.plain_sample(source, 160, 128, augmentation.AugmentConfig())
    assert sample.ignored.tolist() == [True, True] and len(sample.boxes_px) == 2


def test_of_two_people_in_one_place_one_is_learned() -> None:
    source = blobs(6)
    source.people.boxes_px[1] = source.people.boxes_px[0] + 0.5
    assert augmentation.plain_sample(source, 160, 128, augmentation.AugmentConfig()).ignored.tolist().count(True) == 1


def test_covered_share_equals_a_slow_count() -> None:
    rng = np.random.default_rng(0)
    mask = (rng.random((60, 80)) < 0.4).astype(np.uint8) * 255
    boxes = np.array([[3.0, 4, 30, 50], [-10, -10, 20, 20], [70, 50, 100, 90], [200, 200, 220, 220]])
    expected = [(mask[4:50, 3:30] > 0).mean(), (mask[:20, :20] > 0).mean(), (mask[50:, 70:] > 0).mean(), 0]
    np.testing.assert_allclose(augmentation.covered_share(boxes, mask), expected)


def test_erasing_leaves_most_of_a_person() -> None:
    box = np.array([[40.0, 30, 80, 110]])
    shares = []
    for seed in range(200):
        image = np.full((128, 160, 3), 7, np.uint8)
        augmentation.erase(image, box, np.random.default_rng(seed))
        assert (image != 7).any()
        shares.append((image[30:110, 40:80] != 7).any(axis=-1).mean())
    assert np.median(shares) < 0.4 and max(shares) < 0.75 and np.mean(np.array(shares) > 0.6) < 0.05
    assert np.mean(np.array(shares) > 0.04) > 0.5, "people are what it paints over"
    augmentation.erase(np.zeros((16, 16, 3), np.uint8), np.zeros((0, 4)), np.random.default_rng(0))


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
    cache = tmp_path / "cache"
    for shard in range(3):
        write_shard(cache / f"shard_{shard:05d}.npz", [blobs(10 * shard + k) for k in range(8)])
    augment = augmentation.AugmentConfig(zoom=(0.8, 1.2), person_zoom=(0.3, 0.6), rotate=0.0, erase=0.0, degrade=0.0)
    task = DetectorTask(DetectorTaskConfig(TINY, augment, width=160, height=128, val_fraction=0.34))
    train, val = task.datasets(cache)
    torch.manual_seed(0)
    model = task.build_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    rng = np.random.default_rng(0)
    history = []
    for _ in range(70):
        batch = task.collate([train.draw(int(rng.integers(len(train))), rng) for _ in range(8)])  # type: ignore[attr-defined]
        loss, _ = task.loss(model, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(float(loss.detach()))
    assert np.mean(history[-10:]) < 0.4 * np.mean(history[:5])
    model.eval()
    with torch.no_grad():
        figures = task.validate(model, [task.collate([val[i] for i in range(len(val))])])
    assert figures["ap50"] > 0.6
    assert task.objective(figures) == -figures["ap50"] and task.objective({"ap50": float("nan")}) == float("inf")

    path = export_onnx(model, task.export_spec(), tmp_path / "detector.onnx", storage="fp16").path
    detector = CentreDetector(load_engine(path), input_long_side=160, min_score=0.2)
    source = blobs(99)
    found = detector(source.image)
    assert len(found) >= 2
    order = np.argsort(found.boxes_px[:2, 0])
    np.testing.assert_allclose(found.boxes_px[order], source.people.boxes_px, atol=15)
