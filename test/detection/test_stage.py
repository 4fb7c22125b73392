"""The stage: configuration, detectors by name, images to tracks, and what it refuses."""

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dualpose_ros.camera import ImageError
from dualpose_ros.detection.detections import BoxChoice, DetectionError, Detections
from dualpose_ros.detection.fasterrcnn import FasterRCNNDetector
from dualpose_ros.detection.stage import DetectionConfig, DetectionStage, create_detector
from dualpose_ros.detection.yolox import YoloxDetector
from dualpose_ros.inference.engine import EngineError
from dualpose_ros.lab.benchmarks.stages import demo_clip
from dualpose_ros.people import TrackingState, box_iou
from dualpose_ros.weights import weights_path

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY.parent / "shared" / "data"
NANO = DATA / "weights" / "yolox_nano.onnx"
VIDEO = DATA / "video" / "one-by-one-person-detection.mp4"


class RedBlocks:
    """Finds the bounding box of what is red: an honest detector of one thing."""

    def __call__(self, image: np.ndarray, far: bool = True) -> Detections:
        y, x = np.nonzero(image[..., 0] > 200)
        box = np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1]], dtype=float) if len(x) else np.zeros((0, 4))
        return Detections(box, np.full(len(box), 0.9))


def picture(x: int | None) -> np.ndarray:
    image = np.zeros((240, 320, 3), np.uint8)
    if x is not None:
        image[60:200, x : x + 50] = (255, 30, 30)
    return image


def test_images_become_tracks_and_a_loop_starts_anew(caplog: pytest.LogCaptureFixture) -> None:
    stage = DetectionStage(DetectionConfig(), RedBlocks())
    for k in range(10):
        tracks = stage.process(picture(40 + 10 * k), 10**9 + k * 10**8)
    assert [(t.track_id, t.state) for t in tracks] == [(1, TrackingState.CONFIRMED)]
    np.testing.assert_allclose(tracks[0].box_px, [130, 60, 180, 200], atol=4)
    tracks = stage.process(picture(None), 2 * 10**9)
    assert [t.state for t in tracks] == [TrackingState.COASTING]
    with caplog.at_level(logging.WARNING):
        tracks = stage.process(picture(40), 10**9)
    assert [t.track_id for t in tracks] == [2] and "starts anew" in caplog.text


@pytest.mark.parametrize(
    ("every", "period_ms", "expected"),
    [
        (1, 20, "1111111111"),
        (3, 50, "1100100100"),  # somebody new is looked at twice
        (0, 50, "1101010101"),
        (0, 33, "1100100100"),
        (0, 80, "1111111111"),
    ],
)
def test_between_looks_of_the_detector_people_are_predicted(every: int, period_ms: int, expected: str) -> None:
    looks: list[str] = []

    class Counted(RedBlocks):
        def __call__(self, image: np.ndarray, far: bool = True) -> Detections:
            looks[-1] = "1"
            return super().__call__(image)

    stage = DetectionStage(DetectionConfig(detect_every=every), Counted())
    for k in range(40):
        looks.append("0")
        tracks = stage.process(picture(40 + 3 * k), 10**9 + k * period_ms * 10**6)
    assert "".join(looks[:10]) == expected
    assert [(t.track_id, t.state) for t in tracks] == [(1, TrackingState.CONFIRMED)]
    np.testing.assert_allclose(tracks[0].box_px, [157, 60, 207, 200], atol=4)
    looks.append("0")
    stage.process(picture(40), 10**9)
    assert looks[-1] == "1", "after time was set back the first frame is looked at"


@pytest.mark.parametrize("period_ms", [33, 50, 100, 250])
def test_people_who_are_far_are_looked_for_half_as_often_once_nobody_is_new(period_ms: int) -> None:
    stamps: list[int] = []

    class Far(RedBlocks):
        def __call__(self, image: np.ndarray, far: bool = True) -> Detections:
            if far:
                stamps.append(k * period_ms)
                return super().__call__(image)
            return Detections.empty()

    stage = DetectionStage(DetectionConfig(), Far())
    for k in range(80):
        tracks = stage.process(picture(40 + k), k * period_ms * 10**6)
        assert len(tracks) == 1 or 0 < k * period_ms < 150
    assert tracks[0].track_id == 1
    assert stamps[0] == 0 and stamps[1] <= max(150, period_ms)
    gaps = np.diff(stamps[1:])
    assert gaps.min() >= min(150, period_ms) and gaps.max() <= max(250, period_ms)


def test_somebody_who_left_coasts_no_longer_for_fewer_looks() -> None:
    stage = DetectionStage(DetectionConfig(detect_every=4), RedBlocks())
    for k in range(12):
        stage.process(picture(100), k * 50_000_000)
    gone = [stage.process(picture(None), k * 50_000_000) for k in range(12, 36)]
    states = [tracks[0].state if tracks else None for tracks in gone]
    coasting = [k for k, state in enumerate(states) if state is TrackingState.COASTING]
    assert coasting and states[coasting[0] :] == [TrackingState.COASTING] * len(coasting) + [None] * (
        24 - coasting[-1] - 1
    )
    assert coasting[0] < 4 and coasting[-1] * 0.05 <= 0.6


def test_a_bad_frame_is_refused_and_changes_nothing() -> None:
    stage = DetectionStage(DetectionConfig(), RedBlocks())
    for k in range(3):
        stage.process(picture(40), k * 10**8)
    with pytest.raises(ImageError, match="empty"):
        stage.process(np.zeros((0, 0, 3), np.uint8), 3 * 10**8)
    with pytest.raises(ImageError, match="RGB image"):
        stage.process(np.zeros((10, 10), np.uint8), 3 * 10**8)
    assert [t.track_id for t in stage.process(picture(40), 3 * 10**8)] == [1]


def test_missing_corrupt_and_unknown_detectors(tmp_path: Path) -> None:
    with pytest.raises(DetectionError, match=r"nowhere\.onnx doesn't exist"):
        create_detector(DetectionConfig(detector=f"yolox:{tmp_path / 'nowhere.onnx'}"))
    with pytest.raises(DetectionError, match="doesn't exist"):
        create_detector(DetectionConfig(detector=f"own:{tmp_path}"))
    for unknown in ("magic", "yolox", "yolox:"):
        with pytest.raises(ValueError, match=f"detector is '{unknown}'; it must be own"):
            DetectionConfig(detector=unknown)
    corrupt = tmp_path / "corrupt.onnx"
    corrupt.write_bytes(b"\x08\x07 nothing of use")
    for kind in ("yolox", "own"):
        with pytest.raises(EngineError, match=r"corrupt\.onnx"):
            create_detector(DetectionConfig(detector=f"{kind}:{corrupt}"))


@pytest.mark.skipif(not NANO.is_file(), reason=f"{NANO} isn't there")
def test_a_network_of_another_kind_is_refused() -> None:
    assert isinstance(create_detector(DetectionConfig(detector=f"yolox:{NANO}")), YoloxDetector)
    with pytest.raises(DetectionError, match="no YOLOX network"):
        create_detector(DetectionConfig(detector=f"own:{weights_path('gcn')}"))


def test_the_baseline_of_rendered_people_alone_can_be_had_by_its_file() -> None:
    (frame,) = demo_clip(1)[0]
    detect = create_detector(DetectionConfig(detector=f"own:{weights_path('baseline_detector_rendered')}"), 0.5)
    shipped = create_detector(DetectionConfig(), 0.5)(frame)
    assert box_iou(detect(frame).boxes_px, shipped.boxes_px).max() > 0.6


@pytest.mark.skipif(not (NANO.is_file() and VIDEO.is_file()), reason=f"{NANO} or {VIDEO} isn't there")
def test_a_person_in_real_footage_keeps_one_id() -> None:
    import cv2

    stage = DetectionStage(DetectionConfig(detector=f"yolox:{NANO}"))
    video = cv2.VideoCapture(str(VIDEO))
    confirmed: list[int] = []
    for k in range(230):
        is_read, image = video.read()
        assert is_read
        if k < 60 or (k - 60) % 2:
            continue
        tracks = stage.process(np.ascontiguousarray(image[..., ::-1]), k * 10**8)
        confirmed += [t.track_id for t in tracks if t.state == TrackingState.CONFIRMED]
    assert set(confirmed) == {1} and len(confirmed) > 50


def test_fasterrcnn_without_torchvision_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(DetectionError, match="needs torch and torchvision"):
        create_detector(DetectionConfig(detector="fasterrcnn"))


def test_fasterrcnn_keeps_people_above_the_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    given = []

    def model(images: list) -> list[dict]:
        given.append(images[0])
        boxes = torch.tensor([[10.0, 10, 50, 90], [60, 10, 90, 90], [5, 5, 60, 60], [11, 10, 50, 90]])
        return [{"boxes": boxes, "scores": torch.tensor([0.9, 0.03, 0.8, 0.7]), "labels": torch.tensor([1, 1, 18, 1])}]

    monkeypatch.setattr("dualpose_ros.detection.fasterrcnn._load", lambda threads, pretrained: (torch, model))
    found = create_detector(DetectionConfig(detector="fasterrcnn"))(np.full((100, 100, 3), (255, 0, 51), np.uint8))
    np.testing.assert_allclose(found.boxes_px, [[10, 10, 50, 90]])
    assert tuple(given[0].shape) == (3, 100, 100)
    np.testing.assert_allclose(given[0][:, 0, 0].numpy(), [1, 0, 0.2], rtol=1e-6)


def test_the_live_path_does_not_import_torch() -> None:
    code = "import sys, dualpose_ros.detection.stage; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, cwd=REPOSITORY).returncode == 0


def test_fasterrcnn_runs_untrained() -> None:
    pytest.importorskip("torch")
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        pytest.skip(f"torchvision can't be loaded here: {error}")
    detector = FasterRCNNDetector(BoxChoice(min_score=0.0), pretrained=False)
    found = detector(np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8))
    assert np.all(found.boxes_px[:, [0, 2]] <= 128) and len(found) <= 50
