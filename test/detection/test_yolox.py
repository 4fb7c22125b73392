"""YOLOX decoding against a slow anchor-by-anchor version, the published network on photographs, and bad files."""

import json
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest

from dualpose_ros.arrays import AnyArray
from dualpose_ros.camera import ImageError
from dualpose_ros.detection.detections import BoxChoice, DetectionError
from dualpose_ros.detection.yolox import YoloxDetector, anchor_grid, decode_people
from dualpose_ros.inference.engine import Arrays, EngineError, TensorSpec
from dualpose_ros.inference.load import load_engine
from dualpose_ros.metrics.detection import TrueBoxes, evaluate_detections
from support.data import data_path


class FakeEngine:
    """A network that puts out what it is told and remembers what it was given."""

    outputs = ("output",)
    metadata: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, output: np.ndarray, shape: tuple[int | str, ...] = (1, 3, 64, 96), dtype: type = np.float32):
        self.inputs = {"images": TensorSpec("images", np.dtype(dtype), shape)}
        self.output = output
        self.given: np.ndarray | None = None

    def run(self, inputs: Mapping[str, AnyArray]) -> Arrays:
        self.given = inputs["images"]
        return {"output": self.output}


def slow_decode(rows: np.ndarray, height: int, width: int, min_score: float) -> list[tuple[list[float], float]]:
    found, row = [], 0
    for stride in (8, 16, 32):
        for i in range(height // stride):
            for j in range(width // stride):
                x, y, w, h, objectness, person = rows[row, :6]
                row += 1
                score = objectness * person
                if score >= min_score:
                    cx, cy = (x + j) * stride, (y + i) * stride
                    bw, bh = np.exp(w) * stride, np.exp(h) * stride
                    found.append(([cx - bw / 2, cy - bh / 2, cx + bw / 2, cy + bh / 2], float(score)))
    assert row == len(rows)
    return found


def test_decoding_equals_the_slow_version() -> None:
    rng = np.random.default_rng(0)
    anchors = sum((64 // s) * (96 // s) for s in (8, 16, 32))
    rows = np.concatenate([rng.normal(0, 1, (anchors, 4)), rng.random((anchors, 8))], axis=1).astype(np.float32)
    boxes, scores = decode_people(rows, 64, 96, 0.3)
    expected = slow_decode(rows, 64, 96, 0.3)
    np.testing.assert_allclose(boxes, [b for b, _ in expected], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(scores, [s for _, s in expected], rtol=1e-5)


def test_the_grid_has_the_published_number_of_anchors() -> None:
    assert len(anchor_grid(416, 416)[0]) == 3549 and len(anchor_grid(640, 640)[0]) == 8400


def one_person_rows(height: int, width: int) -> np.ndarray:
    """Rows (1, A, 85) with one person of 32 x 48 pixels in the middle of stride 8's cell (2, 3)."""
    cells, _ = anchor_grid(height, width)
    rows = np.zeros((1, len(cells), 85), np.float32)
    at = 2 * (width // 8) + 3
    rows[0, at, :6] = (0.5, 0.5, np.log(4), np.log(6), 0.9, 0.8)
    return rows


def test_a_box_returns_to_image_pixels_and_the_input_is_bgr_padded_top_left() -> None:
    engine = FakeEngine(one_person_rows(64, 96))
    image = np.full((100, 100, 3), (10, 20, 200), np.uint8)
    found = YoloxDetector(engine)(image)
    scale = 64 / 100
    np.testing.assert_allclose(found.boxes_px, [np.array([12, 0, 44, 44]) / scale], atol=1e-3)
    assert found.scores[0] == pytest.approx(0.72, abs=1e-5)
    assert engine.given is not None and engine.given.shape == (1, 3, 64, 96) and engine.given.dtype == np.float32
    np.testing.assert_array_equal(engine.given[0, :, 5, 5], [200, 20, 10])
    assert np.all(engine.given[0, :, :, 64:] == 114)


def test_a_network_of_free_size_gets_the_long_side_asked_for() -> None:
    engine = FakeEngine(one_person_rows(256, 320), ("batch", 3, "height", "width"))
    found = YoloxDetector(engine, input_long_side=320)(np.zeros((480, 640, 3), np.uint8))
    assert engine.given is not None and engine.given.shape == (1, 3, 256, 320) and len(found) == 1


class LooksEngine(FakeEngine):
    """Somebody of 32 x 48 px in the middle of the input; where that is larger than 96 px, also in its corner, and of
    192 x 192 px beside them."""

    def run(self, inputs: Mapping[str, AnyArray]) -> Arrays:
        height, width = inputs["images"].shape[1:3]
        cells, strides = anchor_grid(height, width)
        people = [(8, width / 16, height / 16, 4, 6)]
        if width > 96:
            people += [(8, 4, 4, 4, 6), (32, width / 32 - 1, 2, 6, 6)]
        rows = np.zeros((1, len(cells), 6), np.float32)
        for stride, x, y, w, h in people:
            at = np.flatnonzero((strides[:, 0] == stride) & (cells == (int(x), int(y))).all(axis=1))
            rows[0, at] = (x % 1, y % 1, np.log(w), np.log(h), 0.9, 0.8)
        return {"output": rows}


@pytest.mark.parametrize(("width", "looks"), [(384, 2), (288, 2), (96, 1), (64, 1)])
def test_a_second_look_adds_who_is_small_in_it_and_nobody_twice(width: int, looks: int) -> None:
    engine = LooksEngine(np.zeros(0), ("batch", "height", "width", 3), np.uint8)
    image = np.zeros((width * 2 // 3, width, 3), np.uint8)
    found = YoloxDetector(engine, input_long_side=96, far_long_side=288)(image)
    assert len(found) == looks
    sides = (found.boxes_px[:, 2:] - found.boxes_px[:, :2])[:, 0]
    np.testing.assert_allclose(sides, [32 * width / 96, 32 * width / 288][:looks], rtol=1e-4)
    assert len(YoloxDetector(engine, input_long_side=96)(image)) == 1


def test_ours_takes_bytes_as_they_are_and_puts_out_people_alone() -> None:
    engine = FakeEngine(one_person_rows(64, 96)[..., :6], ("batch", "height", "width", 3), np.uint8)
    found = YoloxDetector(engine, input_long_side=96)(np.full((64, 96, 3), (10, 20, 200), np.uint8))
    assert engine.given is not None and engine.given.shape == (1, 64, 96, 3) and engine.given.dtype == np.uint8
    np.testing.assert_array_equal(engine.given[0, 5, 5], [10, 20, 200])
    np.testing.assert_allclose(found.boxes_px, [[12, 0, 44, 44]], atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 3, 64), (1, 1, 64, 96), (1, 3, 60, 96)])
def test_a_network_with_other_inputs_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DetectionError, match="no YOLOX network: it takes"):
        YoloxDetector(FakeEngine(one_person_rows(64, 96), shape))
    with pytest.raises(DetectionError, match="no YOLOX network: it takes"):
        YoloxDetector(FakeEngine(one_person_rows(64, 96), dtype=np.uint8))


@pytest.mark.parametrize("shape", [(1, 10, 85), (1, 126, 5), (126, 85)])
def test_a_network_with_other_outputs_is_refused(shape: tuple[int, ...]) -> None:
    """Of a fixed size as it is loaded: a run would go on without a detector, by the bottom-up branch alone."""
    with pytest.raises(DetectionError, match="no YOLOX network: it puts out"):
        YoloxDetector(FakeEngine(np.zeros(shape, np.float32)))
    detector = YoloxDetector(FakeEngine(np.zeros(shape, np.float32), (1, 3, "H", "W")))
    with pytest.raises(DetectionError, match="no YOLOX network: it puts out"):
        detector(np.zeros((64, 96, 3), np.uint8))


def test_nan_and_empty_images_are_refused() -> None:
    rows = one_person_rows(64, 96)
    with pytest.raises(ImageError, match="empty"):
        YoloxDetector(FakeEngine(rows))(np.zeros((0, 96, 3), np.uint8))
    rows[0, 7, 2] = np.nan
    with pytest.raises(DetectionError, match="not finite"):
        YoloxDetector(FakeEngine(rows))


def test_a_corrupt_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "yolox.onnx"
    file.write_bytes(b"this is no network")
    with pytest.raises(EngineError, match=r"yolox\.onnx"):
        load_engine(file)


def test_the_published_network_finds_people_on_photographs() -> None:
    photographs = data_path("coco_sample")
    labels = json.loads((photographs / "person_keypoints.json").read_text())
    detector = YoloxDetector(load_engine(data_path("weights/yolox_nano.onnx")), BoxChoice(min_score=0.05))
    truth, found = [], []
    for entry in labels["images"]:
        people = [a for a in labels["annotations"] if a["image_id"] == entry["id"]]
        boxes = np.array([a["bbox"] for a in people], dtype=float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        # Nano at 416 pixels doesn't see people of a few pixels; those here are large enough to be posed.
        ignored = np.array([bool(a["iscrowd"]) or a["area"] < 48**2 for a in people], dtype=bool)
        truth.append(TrueBoxes(boxes, ignored))
        image = cv2.imread(str(photographs / "images" / entry["file_name"]))
        assert image is not None
        found.append(detector(np.ascontiguousarray(image[..., ::-1])))
    report = evaluate_detections(truth, found, score=0.4)
    assert report.people > 50
    assert report.ap > 0.7 and report.recall > 0.6 and report.precision > 0.8


class ChoosingEngine(FakeEngine):
    """A network that chooses its boxes itself, as MMDeploy exports them."""

    def __init__(self, outputs: dict[str, np.ndarray]) -> None:
        super().__init__(np.zeros(0))
        self.outputs = tuple(outputs)  # type: ignore[assignment]
        self.answers = outputs

    def run(self, inputs: Mapping[str, AnyArray]) -> Arrays:
        return dict(self.answers)


def test_boxes_that_a_network_chose_itself() -> None:
    """Of an image as large as the network's input: people of some score, not things, keypoints left alone."""
    dets = np.array([[[10, 5, 40, 60, 0.9], [50, 5, 80, 60, 0.8], [0, 0, 20, 20, 0.05]]], np.float32)
    image = np.zeros((64, 96, 3), np.uint8)
    found = YoloxDetector(ChoosingEngine({"dets": dets, "labels": np.array([[0, 2, 0]])}))(image)
    assert found.boxes_px.tolist() == [[10, 5, 40, 60]] and found.scores == pytest.approx([0.9])
    rtmo = YoloxDetector(ChoosingEngine({"dets": dets, "keypoints": np.zeros((1, 3, 17, 3), np.float32)}))(image)
    assert len(rtmo.boxes_px) == 2
    with pytest.raises(DetectionError, match=r"it puts out dets \(1, 3, 4\)"):
        YoloxDetector(ChoosingEngine({"dets": dets[..., :4]}))(image)
    with pytest.raises(DetectionError, match="not finite"):
        YoloxDetector(ChoosingEngine({"dets": np.full((1, 1, 5), np.nan, np.float32)}))(image)
