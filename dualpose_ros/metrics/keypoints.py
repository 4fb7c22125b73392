"""How well people's joints are found on pictures: COCO's average precision by object keypoint similarity (OKS).

Ronchi, Perona, "Benchmarking and error diagnosis in multi-instance pose estimation", ICCV 2017, and the data set's own
evaluation: ten similarities from 0.5 to 0.95, 101 recall levels, the twenty best answers of a picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats, Mask, Rows, rows_of
from dualpose_ros.metrics.poses import average_precision

SIMILARITIES = np.linspace(0.5, 0.95, 10)
MOST_ANSWERS = 20


@dataclass(frozen=True, eq=False)
class TrueKeypoints(Rows):
    """The N people of one picture: joints_px (N, J, 2); labelled (N, J); area_px (N,); boxes_px (N, 4) as x, y, width,
    height; crowd (N,): many people in one."""

    joints_px: Floats
    labelled: Mask
    area_px: Floats = field(metadata=rows_of())
    boxes_px: Floats = field(metadata=rows_of(4))
    crowd: Mask = field(metadata=rows_of(dtype=np.bool_))

    @property
    def ignored(self) -> Mask:
        """Whom nobody has to find (N,): crowds, and people without a labelled joint."""
        return np.asarray(self.crowd | ~self.labelled.any(axis=1), dtype=bool)


@dataclass(frozen=True, eq=False)
class FoundKeypoints(Rows):
    """The M people found in one picture: joints_px (M, J, 2), NaN where a joint was not found, and scores (M,)."""

    joints_px: Floats
    scores: Floats = field(metadata=rows_of())


def similarities(truth: TrueKeypoints, joints_px: AnyFloats, sigmas: AnyFloats) -> Floats:
    """OKS (M, N) of found joints (M, J, 2) with every true person, over the joints that are labelled.

    A joint that was not found is not similar. Of a person without a labelled joint, joints count that lie within
    twice the box on each side, as the data set's own evaluation has it.
    """
    spread = 2 * (2 * np.asarray(sigmas, dtype=np.float64)) ** 2
    offset = joints_px[:, None] - truth.joints_px[None]
    x, y, width, height = truth.boxes_px.T
    low, high = np.stack([x - width, y - height], axis=1), np.stack([x + 2 * width, y + 2 * height], axis=1)
    outside = np.maximum(0, low[None, :, None] - joints_px[:, None]) + np.maximum(
        0, joints_px[:, None] - high[None, :, None]
    )
    blank: Mask = np.asarray(~truth.labelled.any(axis=1))
    offset = np.where(blank[None, :, None, None], outside, offset)
    alike = np.exp(-np.sum(offset**2, axis=-1) / (spread * (truth.area_px[:, None] + np.spacing(1))))
    counted = truth.labelled | blank[:, None]
    return np.asarray(np.where(counted, np.nan_to_num(alike), 0.0).sum(axis=-1) / counted.sum(axis=-1))


def match_keypoints(truth: TrueKeypoints, found: FoundKeypoints, sigmas: AnyFloats) -> tuple[Floats, Mask, Mask]:
    """Scores (M,) of a picture's best answers, and by similarity which are right (10, M) and which count (10, M).

    Each answer in turn takes the free person most similar to it; people who are ignored only if nobody else is.
    """
    order = np.argsort(-found.scores, kind="stable")[:MOST_ANSWERS]
    alike = similarities(truth, found.joints_px[order], sigmas)
    right = np.zeros((len(SIMILARITIES), len(order)), dtype=bool)
    counts = np.ones_like(right)
    ignored = truth.ignored
    groups: tuple[Mask, Mask] = (~ignored, ignored)
    for level, limit in enumerate(SIMILARITIES):
        free = np.ones(len(truth), dtype=bool)
        for answer in range(len(order)):
            for group in groups:
                possible = np.flatnonzero(group & (free | truth.crowd) & (alike[answer] >= min(limit, 1 - 1e-10)))
                if len(possible):
                    # The last of equals, as in the data set's own evaluation.
                    best = possible[::-1][np.argmax(alike[answer, possible[::-1]])]
                    free[best] = False
                    right[level, answer] = counts[level, answer] = not ignored[best]
                    break
    return found.scores[order], right, counts


def keypoint_figures(
    truth: Sequence[TrueKeypoints], found: Sequence[FoundKeypoints], sigmas: AnyFloats
) -> dict[str, Any]:
    """AP, AP50, AP75 and AR (0..1) over pictures; NaN where nobody is to be found.

    ValueError if the numbers of pictures differ.
    """
    people = sum(int((~picture.ignored).sum()) for picture in truth)
    outcomes = [match_keypoints(t, f, sigmas) for t, f in zip(truth, found, strict=True)]
    scores = np.concatenate([o[0] for o in outcomes] or [np.zeros(0)])
    right, counts = (
        np.concatenate([o[part] for o in outcomes] or [np.zeros((10, 0), bool)], axis=1) for part in (1, 2)
    )
    precise = [average_precision(scores[c], r[c], people) for r, c in zip(right, counts, strict=True)]
    recall = right.sum(axis=1) / people if people else np.full(len(SIMILARITIES), np.nan)
    return {
        "ap": float(np.mean(precise)),
        "ap50": precise[0],
        "ap75": precise[5],
        "ar": float(np.mean(recall)),
        "people": people,
        "pictures": len(truth),
    }
