"""YOLOX networks (Ge et al., "YOLOX: Exceeding YOLO Series in 2021") as person detectors: ours and published ones.

All put out one row per anchor: middle and log size relative to the anchor's cell, objectness, and one score a class, of
which ours has people alone. Ours takes RGB bytes, N x H x W x 3, of any size (see `network.py`), the published exports
BGR 0..255 in float, N x 3 x H x W. Exports that choose boxes
themselves, as MMDeploy writes them of YOLOX and RTMO, put out `dets` (1, N, 5), x0, y0, x1, y1 and score, and perhaps
`labels` (1, N).
"""

from __future__ import annotations

import numpy as np

from dualpose_ros.arrays import AnyArray, AnyFloats, Float32s, Floats, RgbImage
from dualpose_ros.camera import check_image
from dualpose_ros.detection.detections import BoxChoice, DetectionError, Detections, clean
from dualpose_ros.inference.engine import Engine
from dualpose_ros.letterbox import fit_inside, fit_long_side
from dualpose_ros.people import share_inside

STRIDES = (8, 16, 32)
PERSON = 0
"""Column of people among the class scores."""
CLASS_COLUMN = 5
FAR_PERSON_PX = 96
"""Longer side, in the second look, of boxes that it adds: larger ones the first look sees better, as a whole."""
SEEN_SCORE = 0.15
"""Score in the first look of people of whom the second adds nothing: it would take their halves for somebody."""
MAX_LOG_SIZE = 8.0
"""Keeps exp() finite where an anchor that saw nothing puts out nonsense."""


def anchor_grid(height: int, width: int) -> tuple[Float32s, Float32s]:
    """Cells (A, 2) as (column, row), and strides (A, 1), of all anchors in the order of the network's rows."""
    cells, strides = [], []
    for stride in STRIDES:
        x, y = np.meshgrid(np.arange(width // stride), np.arange(height // stride))
        cells.append(np.stack([x.reshape(-1), y.reshape(-1)], axis=1))
        strides.append(np.full((x.size, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


def decode_people(rows: AnyFloats, height: int, width: int, min_score: float) -> tuple[Floats, Floats]:
    """People of the rows that a YOLOX network puts out.

    rows: (A, 5 + classes); height, width: of the network's input in pixels; min_score: weakest box to return.
    Returns boxes (P, 4) in pixels of the network's input, and scores (P,).
    """
    cells, strides = anchor_grid(height, width)
    scores = rows[:, 4] * rows[:, CLASS_COLUMN + PERSON]
    kept = scores >= min_score
    middle = (rows[kept, :2] + cells[kept]) * strides[kept]
    half = np.exp(np.minimum(rows[kept, 2:4], MAX_LOG_SIZE)) * strides[kept] / 2
    return np.concatenate([middle - half, middle + half], axis=1).astype(np.float64), scores[kept].astype(np.float64)


class YoloxDetector:
    """Finds people with a YOLOX network behind an inference engine.

    engine: one of ours or a published one. An image's long side is scaled to `input_long_side` pixels, or the image
    fitted into the network's own size where that is fixed. far_long_side: pixels of a second look at images that have
    more of them, for those who are small in it; 0: none. choice: which boxes are people.
    DetectionError on construction if the network's inputs are not those of YOLOX, or, where its size is fixed, its
    answer to a black image is not.
    """

    def __init__(
        self, engine: Engine, choice: BoxChoice | None = None, input_long_side: int = 416, far_long_side: int = 0
    ) -> None:
        self._engine, self._choice = engine, choice or BoxChoice()
        self._long_side, self._far_long_side = input_long_side, far_long_side
        self._input, self._size = _input_of(engine)
        self._takes_bytes = engine.inputs[self._input].dtype == np.uint8
        if self._size is not None:
            self._look(np.zeros((*self._size[::-1], 3), np.uint8), input_long_side)

    def __call__(self, image: RgbImage, far: bool = True) -> Detections:
        """Detections in an RGB image, with the second look or without; ImageError or DetectionError if it, or the
        network's output, is unusable."""
        check_image(image)
        height, width = image.shape[:2]
        boxes, scores = self._look(image, self._long_side)
        far_side = min(self._far_long_side, max(width, height))
        if far and self._size is None and far_side > self._long_side:
            found, certain = self._look(image, far_side)
            most_px = FAR_PERSON_PX / far_side * max(width, height)
            is_new = (found[:, 2:] - found[:, :2]).max(axis=1, initial=0) < most_px
            is_new &= share_inside(found, boxes[scores >= SEEN_SCORE]).max(axis=1, initial=0) < 0.5
            boxes, scores = np.concatenate([boxes, found[is_new]]), np.concatenate([scores, certain[is_new]])
        return clean(boxes, scores, width, height, self._choice)

    def _look(self, image: RgbImage, long_side: int) -> tuple[Floats, Floats]:
        """Boxes (P, 4) in image pixels, and scores (P,), of the image at a size; DetectionError."""
        height, width = image.shape[:2]
        if self._size is None:
            box = fit_long_side(width, height, long_side, STRIDES[-1])
        else:
            box = fit_inside(width, height, *self._size)
        picture = box.apply(image)
        if not self._takes_bytes:
            picture = np.ascontiguousarray(picture[..., ::-1].transpose(2, 0, 1), dtype=np.float32)
        outputs = self._engine.run({self._input: picture[None]})
        if "dets" in outputs:
            boxes, scores = _chosen_people(outputs, self._choice.min_score)
        else:
            rows = _checked_rows(outputs, box.height, box.width)
            boxes, scores = decode_people(rows, box.height, box.width, self._choice.min_score)
        return box.boxes_to_image(boxes), scores


def _input_of(engine: Engine) -> tuple[str, tuple[int, int] | None]:
    """Name of the image input and its (width, height), None where they are dynamic; DetectionError if unlike YOLOX."""
    specs = list(engine.inputs.values())
    wanted = "one float32 input (N, 3, H, W), H and W multiples of 32, or uint8 (N, H, W, 3) of any size"
    if len(specs) == 1 and specs[0].dtype == np.uint8 and specs[0].shape[3:] == (3,):
        if any(isinstance(size, int) for size in specs[0].shape[1:3]):
            raise DetectionError(f"this ONNX file is no YOLOX network: it takes {specs[0]} instead of {wanted}")
        return specs[0].name, None
    if len(specs) != 1 or len(specs[0].shape) != 4 or specs[0].dtype != np.float32 or specs[0].shape[1] != 3:
        found = ", ".join(f"{spec.name} {spec}" for spec in specs)
        raise DetectionError(f"this ONNX file is no YOLOX network: it takes {found} instead of {wanted}")
    height, width = specs[0].shape[2:]
    if isinstance(height, str) or isinstance(width, str):
        return specs[0].name, None
    if height % STRIDES[-1] or width % STRIDES[-1]:
        raise DetectionError(f"this ONNX file is no YOLOX network: it takes {specs[0]} instead of {wanted}")
    return specs[0].name, (width, height)


def _chosen_people(outputs: dict[str, AnyArray], min_score: float) -> tuple[Floats, Floats]:
    """People (P, 4) and their scores (P,) of a network that chooses boxes itself; DetectionError for another shape, or
    what is not finite."""
    found = np.asarray(outputs["dets"], dtype=np.float64)
    labels = np.asarray(outputs.get("labels", np.full(found.shape[:2], PERSON)))
    if found.ndim != 3 or found.shape[0] != 1 or found.shape[2] != 5 or labels.shape != found.shape[:2]:
        raise DetectionError(
            f"this ONNX file is no detector: it puts out dets {found.shape} and labels {labels.shape} instead of "
            "(1, N, 5) and (1, N)"
        )
    if not np.all(np.isfinite(found)):
        raise DetectionError("the detector's output is not finite: its weights are damaged")
    kept = (labels[0] == PERSON) & (found[0, :, 4] >= min_score)
    return found[0, kept, :4], found[0, kept, 4]


def _checked_rows(outputs: dict[str, AnyArray], height: int, width: int) -> AnyFloats:
    """The rows (A, 5 + classes) of the only image; DetectionError if the output has another shape or isn't finite."""
    anchors = sum((height // stride) * (width // stride) for stride in STRIDES)
    found = next(iter(outputs.values()))
    if len(outputs) != 1 or found.ndim != 3 or found.shape[:2] != (1, anchors) or found.shape[2] <= CLASS_COLUMN:
        shapes = ", ".join(f"{name} {value.shape}" for name, value in outputs.items())
        raise DetectionError(
            f"this ONNX file is no YOLOX network: it puts out {shapes} instead of (1, {anchors}, 5 + classes)"
        )
    rows = np.asarray(found[0], dtype=np.float32)
    if not np.all(np.isfinite(rows)):
        raise DetectionError("the YOLOX network's output is not finite: its weights are damaged")
    return rows
