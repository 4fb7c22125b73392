"""How well boxes are found: average precision and recall, matched as COCO does it.

Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, with 101 recall levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats, Mask
from dualpose_ros.metrics.poses import average_precision
from dualpose_ros.people import box_iou, share_inside

RIGHT_IOU = 0.5
"""From this overlap on a box is right."""

SURE = 0.9
"""The share of right detections at which `DetectionReport.recall_sure` is read."""


class FoundBoxes(Protocol):
    """Detections in one image: boxes_px (M, 4) and scores (M,), as `detection.detections.Detections` has them."""

    @property
    def boxes_px(self) -> Floats: ...

    @property
    def scores(self) -> Floats: ...


@dataclass(frozen=True)
class TrueBoxes:
    """The people of one image: boxes_px (N, 4), and ignored (N,), where a detection is neither right nor wrong.

    Ignored are crowds and people of whom next to nothing is seen.
    """

    boxes_px: AnyFloats
    ignored: Mask


@dataclass(frozen=True)
class DetectionReport:
    """Figures over a set of images; NaN where nobody is there to be found, precision also where nobody was found.

    ap: average precision at the IoU of matching. recall and precision: of detections at `score` or
    more. max_recall: with every detection. recall_sure: the largest recall at which SURE of all that is found is
    right. people, images: how many were counted.
    """

    ap: float
    recall: float
    precision: float
    max_recall: float
    score: float
    people: int
    images: int
    recall_sure: float


def evaluate_detections(truth: Sequence[TrueBoxes], found: Sequence[FoundBoxes], score: float = 0.5) -> DetectionReport:
    """Compare detections with the true boxes, image by image.

    truth, found: of each image; score: from which recall and precision count boxes, which are right from RIGHT_IOU on.
    ValueError if the numbers of images differ.
    """
    if len(truth) != len(found):
        raise ValueError(f"true boxes of {len(truth)} images, but detections of {len(found)}")
    people = sum(int(np.sum(~t.ignored)) for t in truth)
    outcomes = [match_image(t, f, RIGHT_IOU) for t, f in zip(truth, found, strict=True)]
    scores = np.concatenate([s for s, _ in outcomes]) if outcomes else np.zeros(0)
    right = np.concatenate([r for _, r in outcomes]) if outcomes else np.zeros(0, dtype=bool)
    sure = scores >= score
    correct = int(right[sure].sum())
    return DetectionReport(
        ap=average_precision(scores, right, people),
        recall=correct / people if people else float("nan"),
        precision=correct / int(sure.sum()) if sure.any() else float("nan"),
        max_recall=int(right.sum()) / people if people else float("nan"),
        score=score,
        people=people,
        images=len(truth),
        recall_sure=recall_at_precision(scores, right, people, SURE),
    )


def recall_at_precision(scores: AnyFloats, right: Mask, people: int, precision: float) -> float:
    """The largest recall that a threshold gives at which detections are right in so large a share; 0 if none does.

    scores: (M,) of all detections that count; right: (M,) which of them are right; people: how many there were to find;
    NaN is returned for none. precision: the share, 0..1.
    """
    if people == 0:
        return float("nan")
    order = np.argsort(-np.asarray(scores), kind="stable")
    ranked, correct = np.asarray(scores)[order], np.cumsum(np.asarray(right, bool)[order])
    # A threshold lets in all detections of one score.
    last = np.append(ranked[1:] != ranked[:-1], True)[: len(ranked)]
    reached = last & (correct >= precision * np.arange(1, len(ranked) + 1))
    return float(correct[reached].max(initial=0)) / people


def match_image(truth: TrueBoxes, found: FoundBoxes, min_iou: float) -> tuple[Floats, Mask]:
    """Scores (M,) of one image's detections that count, and which of them are right, best score first.

    Each detection in turn takes the free true box that it overlaps most. One that takes none, but
    lies within an ignored box (by share of its own area), is left out.
    """
    order = np.argsort(-found.scores, kind="stable")
    boxes, scores = found.boxes_px[order], found.scores[order]
    real = truth.boxes_px[~truth.ignored]
    overlaps = box_iou(boxes, real)
    excused = share_inside(boxes, truth.boxes_px[truth.ignored]).max(axis=1, initial=0) >= min_iou
    right, counts = np.zeros(len(boxes), dtype=bool), np.ones(len(boxes), dtype=bool)
    free = np.ones(len(real), dtype=bool)
    for i in range(len(boxes)):
        candidates = np.where(free, overlaps[i], -1.0)
        best = int(np.argmax(candidates)) if len(real) else -1
        if best >= 0 and candidates[best] >= min_iou:
            free[best], right[i] = False, True
        else:
            counts[i] = not excused[i]
    return scores[counts], right[counts]
