"""What every detector takes and returns, and non-maximum suppression."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats, Indices, RgbImage, Rows, rows_of
from dualpose_ros.people import box_area, box_iou, share_inside

_SMALLEST_PART = 0.15
"""Halves of people that a detector takes for somebody are no smaller, as a share of the person's box."""


class DetectionError(ValueError):
    """A detector's file or its output that nothing can be detected with."""


@dataclass(frozen=True, eq=False)
class Detections(Rows):
    """The people found in one image: boxes_px (N, 4) as (x0, y0, x1, y1), scores (N,) in 0..1.

    DetectionError on construction for other shapes, values that are not finite, boxes
    without area, or scores outside 0..1.
    """

    boxes_px: Floats = field(metadata=rows_of(4))
    scores: Floats = field(metadata=rows_of())

    def __post_init__(self) -> None:
        try:
            super().__post_init__()
        except ValueError as error:
            raise DetectionError(str(error)) from error
        if not (np.all(np.isfinite(self.boxes_px)) and np.all(np.isfinite(self.scores))):
            raise DetectionError("a detection holds a value that is not finite")
        if np.any(box_area(self.boxes_px) <= 0):
            raise DetectionError("a detected box has no area: x1 > x0 and y1 > y0 are expected")
        if np.any((self.scores < 0) | (self.scores > 1)):
            raise DetectionError("a detection score lies outside 0..1")


@dataclass(frozen=True)
class BoxChoice:
    """Which of a network's boxes are people: from min_score on, no one of whom more overlaps a better one than nms_iou
    (intersection over union), or lies within it than nms_inside (share of itself); the best max_people."""

    min_score: float = 0.1
    nms_iou: float = 0.52
    nms_inside: float = 0.9
    max_people: int = 50


class Detector(Protocol):
    """Finds people in an RGB image (H, W, 3) uint8; ImageError if it is none.

    Scores go down to a low threshold on purpose: the tracker uses weak boxes too. far: whether to look for people who
    are far as well, where that is work of its own.
    """

    def __call__(self, image: RgbImage, far: bool = True) -> Detections: ...


def nms(boxes_px: AnyFloats, scores: AnyFloats, max_iou: float, max_inside: float = 1.0) -> Indices:
    """Boxes without those that overlap a better one, or show a part of its person.

    boxes_px: (N, 4); scores: (N,); max_iou: overlap from which a box goes; max_inside: share of itself within a better
    one from which it goes, unless it is so small that it shows somebody far.
    Returns indices of those to keep, best score first.
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    boxes = np.asarray(boxes_px, dtype=np.float64)[order]
    area = box_area(boxes)
    inside = share_inside(boxes, boxes).T
    is_part = (inside > max_inside) & (area > _SMALLEST_PART * area[:, None])
    goes = (box_iou(boxes, boxes) > max_iou) | is_part
    alive = np.ones(len(order), dtype=bool)
    for i in range(len(order)):
        if alive[i]:
            alive[i + 1 :] &= ~goes[i, i + 1 :]
    return order[alive]


def clean(boxes_px: AnyFloats, scores: AnyFloats, width: int, height: int, choice: BoxChoice) -> Detections:
    """A network's raw boxes made into detections: clipped to the image, non-maxima and slivers dropped.

    boxes_px: (N, 4) in image pixels; scores: (N,); width, height: of the image; choice: which are people.
    DetectionError if a value is not finite, which only a broken network puts out.
    """
    boxes, confidence = np.asarray(boxes_px, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if not (np.all(np.isfinite(boxes)) and np.all(np.isfinite(confidence))):
        raise DetectionError("the detector's network put out values that are not finite: its weights are damaged")
    boxes = np.clip(boxes, 0, np.array([width, height, width, height], dtype=np.float64))
    is_person = np.all(boxes[:, 2:] - boxes[:, :2] >= 1, axis=1) & (confidence >= choice.min_score)
    boxes, confidence = boxes[is_person], np.clip(confidence[is_person], 0, 1)
    keep = nms(boxes, confidence, choice.nms_iou, choice.nms_inside)[: choice.max_people]
    return Detections(boxes[keep], confidence[keep])
