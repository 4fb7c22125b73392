"""Detections, non-maximum suppression against slow and foreign references, and what is refused."""

import cv2
import numpy as np
import pytest

from dualpose_ros.camera import ImageError, check_image
from dualpose_ros.detection.detections import BoxChoice, DetectionError, Detections, clean, nms
from dualpose_ros.people import box_iou


def random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corner = rng.uniform(0, 100, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(5, 80, (count, 2))], axis=1)


def slow_nms(boxes: np.ndarray, scores: np.ndarray, max_iou: float) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda k: -scores[k]):
        if all(box_iou(boxes[i : i + 1], boxes[k : k + 1])[0, 0] <= max_iou for k in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize("seed", range(20))
def test_nms_equals_the_slow_one_and_opencv(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes, scores = random_boxes(rng, 40), rng.uniform(0.1, 1, 40)
    kept = nms(boxes, scores, 0.4)
    assert kept.tolist() == slow_nms(boxes, scores, 0.4)
    xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    assert kept.tolist() == np.asarray(cv2.dnn.NMSBoxes(xywh.tolist(), scores.tolist(), 0.0, 0.4)).reshape(-1).tolist()


def test_a_part_of_somebody_goes_and_who_stands_far_behind_them_stays() -> None:
    person, torso, beside, far = (
        [100, 100, 200, 400], [110, 100, 190, 250], [150, 100, 250, 400], [120, 150, 160, 250]
    )  # fmt: skip
    boxes, scores = np.array([torso, person, beside, far], dtype=float), np.array([0.4, 0.9, 0.8, 0.7])
    assert nms(boxes, scores, 0.5).tolist() == [1, 2, 3, 0]
    assert nms(boxes, scores, 0.5, max_inside=0.9).tolist() == [1, 2, 3]
    # A box around two people is no part of either, whichever is better.
    around = np.array([[0.0, 100, 300, 400], [0, 100, 100, 400]])
    assert nms(around, np.array([0.3, 0.9]), 0.5, max_inside=0.9).tolist() == [1, 0]


def test_nms_of_nothing() -> None:
    assert nms(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []
    assert len(Detections.empty()) == 0


def test_clean_clips_suppresses_and_limits() -> None:
    boxes = np.array([[-5.0, 10, 30, 60], [-4, 10, 30, 60], [50, 50, 120, 130], [200, 0, 240, 10], [70, 0, 90, 30]])
    found = clean(boxes, np.array([0.5, 0.9, 0.7, 0.8, 1.5]), 100, 100, BoxChoice())
    np.testing.assert_allclose(found.boxes_px, [[70, 0, 90, 30], [0, 10, 30, 60], [50, 50, 100, 100]])
    np.testing.assert_allclose(found.scores, [1.0, 0.9, 0.7])
    assert len(clean(boxes, np.full(5, 0.5), 100, 100, BoxChoice(max_people=2))) == 2
    assert len(clean(boxes, np.full(5, 0.5), 100, 100, BoxChoice(min_score=0.6))) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_clean_blames_the_network_for_values_that_are_not_finite(bad: float) -> None:
    with pytest.raises(DetectionError, match="not finite"):
        clean(np.array([[0, 0, bad, 10.0]]), np.ones(1), 100, 100, BoxChoice())
    with pytest.raises(DetectionError, match="not finite"):
        clean(np.array([[0, 0, 10, 10.0]]), np.full(1, bad), 100, 100, BoxChoice())


@pytest.mark.parametrize(
    ("boxes", "scores", "message"),
    [
        (np.zeros((2, 3)), np.zeros(2), "boxes_px has"),
        (np.zeros((2, 4)), np.zeros(3), "scores has"),
        (np.array([[0, 0, np.nan, 1.0]]), np.ones(1), "not finite"),
        (np.array([[0, 0, 0, 1.0]]), np.ones(1), "no area"),
        (np.array([[5, 0, 1, 1.0]]), np.ones(1), "no area"),
        (np.array([[0, 0, 1, 1.0]]), np.full(1, 1.2), "outside 0..1"),
    ],
)
def test_impossible_detections_are_refused(boxes: np.ndarray, scores: np.ndarray, message: str) -> None:
    with pytest.raises(DetectionError, match=message):
        Detections(boxes, scores)


def test_selection_keeps_boxes_and_scores_together() -> None:
    found = Detections(np.array([[0, 0, 1, 2.0], [3, 3, 5, 5.0]]), np.array([0.2, 0.8]))
    strong = found[found.scores > 0.5]
    assert len(strong) == 1 and strong.scores[0] == 0.8 and strong.boxes_px[0].tolist() == [3, 3, 5, 5]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((0, 10, 3), np.uint8), "empty: 10x0"),
        (np.zeros((10, 0, 3), np.uint8), "empty: 0x10"),
        (np.zeros((10, 10), np.uint8), "RGB image"),
        (np.zeros((10, 10, 4), np.uint8), "RGB image"),
        (np.zeros((10, 10, 3), np.float32), "float32"),
        ([[1]], "list"),
    ],
)
def test_what_is_no_image_is_refused(image: np.ndarray, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        check_image(image)
