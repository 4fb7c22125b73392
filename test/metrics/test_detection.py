"""Average precision and recall against a slow version and cases done by hand."""

import math

import numpy as np
import pytest

from dualpose_ros.detection.detections import Detections
from dualpose_ros.metrics.detection import TrueBoxes, evaluate_detections
from dualpose_ros.metrics.poses import average_precision
from dualpose_ros.people import box_iou


def truth_of(*boxes: list[float], ignored: list[bool] | None = None) -> TrueBoxes:
    return TrueBoxes(np.array(boxes, dtype=float).reshape(-1, 4), np.array(ignored or [False] * len(boxes), dtype=bool))


def found_of(*rows: tuple[list[float], float]) -> Detections:
    return Detections(np.array([b for b, _ in rows], dtype=float), np.array([s for _, s in rows]))


A, B, FAR = [0.0, 0, 10, 20], [50.0, 0, 60, 20], [200.0, 0, 210, 20]


def test_perfect_detections() -> None:
    report = evaluate_detections([truth_of(A, B)], [found_of((A, 0.9), (B, 0.8))])
    assert (report.ap, report.recall, report.precision, report.people, report.images) == (1, 1, 1, 2, 1)


def test_a_half_found_and_a_false_one_by_hand() -> None:
    """Right at 0.9, wrong at 0.8, right at 0.3: precision 1 up to recall 1/2, then 2/3."""
    report = evaluate_detections([truth_of(A), truth_of(B)], [found_of((A, 0.9), (FAR, 0.8)), found_of((B, 0.3))])
    levels = np.linspace(0, 1, 101)
    assert report.ap == pytest.approx(np.mean(np.where(levels <= 0.5, 1, 2 / 3)))
    assert report.recall == 0.5 and report.precision == 0.5 and report.max_recall == 1


def test_a_second_box_on_one_person_is_wrong() -> None:
    report = evaluate_detections([truth_of(A)], [found_of((A, 0.9), ([0.0, 0, 10, 19], 0.8))])
    assert report.recall == 1 and report.precision == 0.5 and report.ap == 1


def test_ignored_people_neither_help_nor_hurt() -> None:
    crowd = [100.0, 0, 200, 100]
    truth = truth_of(A, crowd, ignored=[False, True])
    in_crowd = [([110.0, 10, 120, 30], 0.9), ([150.0, 10, 160, 30], 0.8)]
    report = evaluate_detections([truth], [found_of((A, 0.6), *in_crowd)])
    assert (report.ap, report.recall, report.precision, report.people) == (1, 1, 1, 1)


def test_nobody_there_and_nobody_found() -> None:
    empty = evaluate_detections([truth_of()], [Detections.empty()])
    assert math.isnan(empty.ap) and math.isnan(empty.recall) and math.isnan(empty.precision)
    missed = evaluate_detections([truth_of(A)], [Detections.empty()])
    assert missed.ap == 0 and missed.recall == 0
    with pytest.raises(ValueError, match="2 images, but detections of 1"):
        evaluate_detections([truth_of(), truth_of()], [Detections.empty()])


def slow_ap(truth: list[TrueBoxes], found: list[Detections], min_iou: float) -> float:
    """Precision and recall computed afresh for every score threshold."""
    people = sum(len(t.boxes_px) for t in truth)
    points = []
    for threshold in sorted({float(s) for f in found for s in f.scores}, reverse=True):
        right = total = 0
        for t, f in zip(truth, found, strict=True):
            taken: set[int] = set()
            for k in sorted(range(len(f)), key=lambda i: -f.scores[i]):
                if f.scores[k] < threshold:
                    continue
                total += 1
                free = [i for i in range(len(t.boxes_px)) if i not in taken]
                overlaps = {i: box_iou(f.boxes_px[k][None], t.boxes_px[i][None])[0, 0] for i in free}
                best = max(overlaps, key=lambda i: overlaps[i], default=None)
                if best is not None and overlaps[best] >= min_iou:
                    taken.add(best)
                    right += 1
        points.append((right / people, right / total))
    return float(np.mean([max((p for r, p in points if r >= x), default=0.0) for x in np.linspace(0, 1, 101)]))


@pytest.mark.parametrize("seed", range(5))
def test_random_scenes_equal_the_slow_version(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for _ in range(8):
        corner = rng.uniform(0, 200, (4, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(20, 60, (4, 2))], axis=1)
        guesses = np.concatenate([boxes[:3] + rng.normal(0, 5, (3, 4)), boxes[:1] + 300])
        truth.append(truth_of(*boxes.tolist()))
        found.append(Detections(guesses, rng.uniform(0, 1, 4)))
    assert evaluate_detections(truth, found).ap == pytest.approx(slow_ap(truth, found, 0.5), abs=1e-12)


def test_average_precision_does_not_depend_on_order() -> None:
    rng = np.random.default_rng(0)
    scores, right = rng.random(50), rng.random(50) < 0.6
    order = rng.permutation(50)
    assert average_precision(scores, right, 40) == average_precision(scores[order], right[order], 40)
