"""Our own person detector: the exported network behind an inference engine."""

from __future__ import annotations

import numpy as np

from dualpose_ros.arrays import AnyArray, AnyFloats, Float32s, Floats, RgbImage
from dualpose_ros.camera import check_image
from dualpose_ros.detection.decode import STRIDE, decode_boxes
from dualpose_ros.detection.detections import DetectionError, Detections, clean
from dualpose_ros.inference.engine import Engine
from dualpose_ros.letterbox import Letterbox, fit_long_side
from dualpose_ros.people import box_iou

MULTIPLE = 32
CHANNELS = {"centre": 1, "size": 2, "offset": 2}


NEAR_FROM, FAR_TO = 0.2, 0.6
"""Of two passes, the coarse one finds people whose longer side is more of the image's, the fine one those of less."""

OTHER_WEIGHT, SIZE_WEIGHT, NEUTRAL_SIZE = 0.13, 0.15, 0.2
"""Chosen on validation photographs and rendered frames: how much of a score's log odds the other pass has a say in; by
how much they rise with the logarithm of a box's size, which is neutral at that share of the image."""

WEAKEST_SAY, MOST_SURE = 0.1, 0.98
"""Weakest box of the other pass that has a say, and the score beyond which nothing is surer."""


class CentreDetector:
    """Finds people by the peaks of a centre heatmap.

    engine: a network with input `image` and outputs `centre`, `size`, `offset` (see `network.py`).
    input_long_side: pixels that the image's long side is scaled to; near_long_side: the same of a second, coarse pass
    for near people, who fill more of the picture than the network sees at once in the first; 0: no second pass.
    min_score: weakest box to return; a score is the square root of its peak.
    DetectionError on construction if the network's inputs or outputs have other names.
    """

    def __init__(
        self,
        engine: Engine,
        input_long_side: int = 384,
        min_score: float = 0.1,
        nms_iou: float = 0.6,
        max_people: int = 50,
        near_long_side: int = 0,
    ) -> None:
        missing = sorted(set(CHANNELS) - set(engine.outputs))
        if "image" not in engine.inputs or missing:
            raise DetectionError(
                f"this ONNX file is no centre detector: it takes {', '.join(engine.inputs)} and puts out "
                f"{', '.join(engine.outputs)} instead of image and {', '.join(CHANNELS)}"
            )
        self._engine = engine
        self._input_long_side, self._near_long_side = input_long_side, near_long_side
        self._min_score, self._nms_iou, self._max_people = min_score, nms_iou, max_people

    def __call__(self, image: RgbImage) -> Detections:
        """Detections in an RGB image; ImageError or DetectionError if it, or the network's output, is unusable."""
        check_image(image)
        height, width = image.shape[:2]
        if self._near_long_side:
            boxes, scores = self._look_twice(image)
        else:
            boxes, scores = self._look(image, self._input_long_side, self._min_score)
        return clean(boxes, scores, width, height, self._nms_iou, self._max_people)

    def _look_twice(self, image: RgbImage) -> tuple[Floats, Floats]:
        """Boxes (N, 4) in image pixels of both passes, each of the people it finds, and their scores as judged."""
        longer, weakest = max(image.shape[:2]), min(WEAKEST_SAY, self._min_score)
        boxes, scores = self._look(image, self._input_long_side, weakest)
        near_boxes, near_scores = self._look(image, self._near_long_side, weakest)
        alike = box_iou(boxes, near_boxes)
        far, near = _extent(boxes) < FAR_TO * longer, _extent(near_boxes) > NEAR_FROM * longer
        others = ((alike * near_scores).max(axis=1, initial=0)[far], (alike.T * scores).max(axis=1, initial=0)[near])
        boxes = np.concatenate([boxes[far], near_boxes[near]])
        judged = judge(
            np.concatenate([scores[far], near_scores[near]]), np.concatenate(others), _extent(boxes) / longer
        )
        kept = judged >= self._min_score
        return boxes[kept], judged[kept]

    def _look(self, image: RgbImage, long_side: int, min_score: float) -> tuple[Floats, Floats]:
        """Boxes (N, 4) in image pixels and their scores, of one pass."""
        box = fit_long_side(image.shape[1], image.shape[0], long_side, MULTIPLE)
        outputs = self._engine.run({"image": box.apply(image)[None]})
        centre, size, offset = _checked(outputs, box)
        boxes, peaks = decode_boxes(centre[0], size, offset, min_score**2)
        # A focal loss leaves peaks low; their square root means about what other detectors' scores mean.
        return box.boxes_to_image(boxes), np.sqrt(peaks)


def judge(scores: AnyFloats, other_scores: AnyFloats, sizes: AnyFloats) -> Floats:
    """Scores (N,) by what another pass says of the same boxes and by their size.

    scores: (N,); other_scores: (N,) of the other pass's best box there, times its overlap; 0 for none. sizes: (N,),
    boxes' longer sides over the image's.
    """
    own, other = (_log_odds(np.clip(given, WEAKEST_SAY / 5, MOST_SURE)) for given in (scores, other_scores))
    size = np.log(np.maximum(sizes, 1e-6) / NEUTRAL_SIZE)
    return np.asarray(1 / (1 + np.exp(-own - OTHER_WEIGHT * (other - own) - SIZE_WEIGHT * size)))


def _log_odds(share: AnyFloats) -> Floats:
    return np.asarray(np.log(share / (1 - share)), dtype=np.float64)


def _extent(boxes_px: Floats) -> Floats:
    """Longer sides (N,) of boxes."""
    return np.asarray((boxes_px[:, 2:] - boxes_px[:, :2]).max(axis=1, initial=0.0))


def _checked(outputs: dict[str, AnyArray], box: Letterbox) -> list[Float32s]:
    """The three maps (C, h, w) of the first image; DetectionError names one that is missing, misshapen or NaN."""
    maps = []
    for name, channels in CHANNELS.items():
        expected = (1, channels, box.height // STRIDE, box.width // STRIDE)
        found = outputs.get(name)
        if found is None or found.shape != expected:
            what = "missing" if found is None else f"{found.shape}"
            raise DetectionError(
                f"this ONNX file is no centre detector: its output '{name}' is {what} instead of {expected}"
            )
        if not np.all(np.isfinite(found)):
            raise DetectionError(f"output '{name}' of the detector is not finite: its weights are damaged")
        maps.append(np.asarray(found[0], dtype=np.float32))
    return maps
