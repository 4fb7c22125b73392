"""The network, its losses and its export; the detector behind it; bad files and outputs."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from dualpose_ros.arrays import AnyArray
from dualpose_ros.camera import ImageError
from dualpose_ros.detection.centre import CentreDetector, judge
from dualpose_ros.detection.detections import DetectionError
from dualpose_ros.inference.engine import Arrays, TensorSpec
from dualpose_ros.inference.load import load_engine
from dualpose_ros.letterbox import fit_long_side
from support.detector_maps import encode_boxes


class PerfectEngine:
    """A network that knows the boxes (in network pixels) and puts out their maps."""

    inputs = {"image": TensorSpec("image", np.dtype(np.uint8), ("n", "32*h", "32*w", 3))}  # noqa: RUF012
    outputs = ("centre", "size", "offset")
    metadata: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, boxes_px: np.ndarray) -> None:
        self.boxes_px = boxes_px
        self.change: Arrays = {}

    def run(self, inputs: Mapping[str, AnyArray]) -> Arrays:
        _, height, width, _ = inputs["image"].shape
        centre, size, offset, _ = encode_boxes(self.boxes_px, height // 4, width // 4)
        return {"centre": centre[None], "size": size[None], "offset": offset[None]} | self.change


@pytest.mark.parametrize("shape", [(480, 640), (432, 768), (700, 300)])
def test_boxes_come_back_in_image_pixels(shape: tuple[int, int]) -> None:
    height, width = shape
    boxes = np.array([[30.0, 40, 90, 200], [150, 60, 280, 330]])
    box = fit_long_side(width, height, 384)
    found = CentreDetector(PerfectEngine(box.boxes_to_network(boxes)))(np.zeros((height, width, 3), np.uint8))
    order = np.argsort(found.boxes_px[:, 0])
    np.testing.assert_allclose(found.boxes_px[order], boxes, atol=0.01)
    assert np.all(found.scores == 1)


def test_near_people_are_found_by_a_second_coarse_pass() -> None:
    """What each pass makes of people beyond its range is left out; who is in both is found once."""
    near, middle, far = [20.0, 20, 600, 460], [300.0, 100, 420, 300], [500.0, 200, 530, 290]
    part_of_near, blurred_far = [20.0, 20, 420, 240], [480.0, 210, 560, 300]

    class Engine(PerfectEngine):
        def run(self, inputs: Mapping[str, AnyArray]) -> Arrays:
            width = inputs["image"].shape[2]
            seen = {384: [part_of_near, middle, far], 192: [near, middle, blurred_far]}[width]
            self.boxes_px = fit_long_side(640, 480, width).boxes_to_network(np.array(seen))
            return super().run(inputs)

    image = np.zeros((480, 640, 3), np.uint8)
    found = CentreDetector(Engine(np.zeros((0, 4))), 384, near_long_side=192)(image)
    order = np.argsort(found.boxes_px[:, 0])
    np.testing.assert_allclose(found.boxes_px[order], [near, middle, far], atol=0.01)


def test_who_is_seen_by_both_passes_and_is_large_is_surer() -> None:
    scores, others, sizes = (
        np.array([0.5, 0.5, 0.5, 0.5]),
        np.array([0.6, 0.0, 0.6, 0.5]),
        np.array([0.5, 0.5, 0.05, 0.2]),
    )
    both, alone, small, neutral = judge(scores, others, sizes)
    assert both > alone and both > small
    assert neutral == pytest.approx(0.5)
    extreme = judge(np.array([0.0, 1.0]), np.array([1.0, 0.0]), np.array([0.0, 9.0]))
    assert np.isfinite(extreme).all() and extreme[0] < 0.2 and 0.8 < extreme[1] < 1


def test_an_empty_scene_and_an_empty_image() -> None:
    detector = CentreDetector(PerfectEngine(np.zeros((0, 4))))
    assert len(detector(np.zeros((480, 640, 3), np.uint8))) == 0
    assert len(detector(np.zeros((1, 1, 3), np.uint8))) == 0
    with pytest.raises(ImageError, match="empty"):
        detector(np.zeros((480, 0, 3), np.uint8))


def test_outputs_of_another_network_are_named() -> None:
    engine = PerfectEngine(np.array([[10.0, 10, 60, 90]]))
    detector, image = CentreDetector(engine), np.zeros((384, 384, 3), np.uint8)
    engine.change = {"size": np.zeros((1, 3, 96, 96), np.float32)}
    with pytest.raises(DetectionError, match=r"'size' is \(1, 3, 96, 96\) instead of \(1, 2, 96, 96\)"):
        detector(image)
    engine.change = {"offset": np.full((1, 2, 96, 96), np.nan, np.float32)}
    with pytest.raises(DetectionError, match="'offset' of the detector is not finite"):
        detector(image)
    engine.run = lambda inputs: {"logits": np.zeros(3)}  # type: ignore[method-assign]
    with pytest.raises(DetectionError, match="'centre' is missing"):
        detector(image)


def test_the_exported_network_computes_what_torch_does(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from dualpose_ros.backbone import HRNetConfig
    from dualpose_ros.detection.network import DetectorConfig, DetectorNetwork
    from dualpose_ros.inference.export import export_onnx
    from dualpose_ros.lab.training.detector.task import DetectorTask

    assert sum(p.numel() for p in DetectorNetwork().parameters()) < 0.9e6
    torch.manual_seed(0)
    # Two branches: as deep a graph as it takes to export every kind of layer, and quick to trace.
    small = HRNetConfig(stem=8, widths=(8, 16), blocks=1, modules=(1,), out_channels=8)
    model = DetectorNetwork(DetectorConfig(small, head=8)).eval()
    result = export_onnx(model, DetectorTask().export_spec(), tmp_path / "detector.onnx")
    engine = load_engine(result.path)
    for shape in ((1, 64, 96, 3), (2, 288, 384, 3), (1, 384, 32, 3)):
        image = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
        with torch.no_grad():
            expected = model(torch.from_numpy(image))
        found = engine.run({"image": image})
        for name, value in zip(("centre", "size", "offset"), expected, strict=True):
            np.testing.assert_allclose(found[name], value.numpy(), rtol=1e-3, atol=1e-3)
    assert len(CentreDetector(engine, min_score=0.9)(image[0])) == 0


def slow_focal(logits: np.ndarray, target: np.ndarray) -> float:
    total, peaks = 0.0, 0
    for z, y in zip(logits.reshape(-1), target.reshape(-1), strict=True):
        p = 1 / (1 + np.exp(-z))
        if y == 1:
            peaks += 1
            total -= (1 - p) ** 2 * np.log(p)
        else:
            total -= (1 - y) ** 4 * p**2 * np.log(1 - p)
    return total / max(peaks, 1)


def test_losses_equal_slow_sums_and_vanish_for_perfect_output() -> None:
    torch = pytest.importorskip("torch")
    from dualpose_ros.detection.network import REFERENCE_SIZE_PX, RawDetections
    from dualpose_ros.lab.training.detector.losses import DetectorTargets, box_losses, centre_focal_loss

    maps = encode_boxes(np.array([[10.0, 12, 40, 60], [70, 20, 110, 90]]), 32, 32)
    targets = DetectorTargets(*(torch.from_numpy(m[None]) for m in maps))
    logits = np.random.default_rng(0).normal(-1, 1, (1, 1, 32, 32)).astype(np.float32)
    loss = centre_focal_loss(torch.from_numpy(logits), targets.centre)
    assert float(loss) == pytest.approx(slow_focal(logits.astype(np.float64), maps[0]), rel=1e-4)
    assert torch.isfinite(centre_focal_loss(torch.full((1, 1, 32, 32), 80.0), targets.centre))

    size = targets.size.clamp(min=1)
    perfect = RawDetections(torch.zeros(1, 1, 32, 32), (size / REFERENCE_SIZE_PX).log(), targets.offset / size)
    assert all(float(part) == pytest.approx(0, abs=1e-5) for part in box_losses(perfect, targets))
    twice = RawDetections(perfect.logits, perfect.log_size + float(np.log(2)), perfect.offset)
    size_loss, offset_loss = box_losses(twice, targets)
    # Both sides of both boxes are off by log 2, each box's weights sum to one; offsets double in pixels.
    assert float(size_loss) == pytest.approx(2 * np.log(2), rel=1e-4)
    expected = (np.abs(maps[2]) / np.maximum(maps[1], 1) * maps[3]).sum() / maps[3].sum()
    assert float(offset_loss) == pytest.approx(expected, rel=1e-4)


def test_no_people_in_a_batch_gives_a_finite_loss() -> None:
    torch = pytest.importorskip("torch")
    from dualpose_ros.detection.network import DetectorNetwork
    from dualpose_ros.lab.training.detector.losses import DetectorTargets, detector_loss

    maps = encode_boxes(np.zeros((0, 4)), 16, 16)
    targets = DetectorTargets(*(torch.from_numpy(m[None]) for m in maps))
    loss, parts = detector_loss(DetectorNetwork().raw(torch.zeros(1, 64, 64, 3, dtype=torch.uint8)), targets)
    loss.backward()
    assert np.isfinite(float(loss.detach())) and set(parts) == {"centre", "size", "offset"}
