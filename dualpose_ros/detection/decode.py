"""Peaks of a centre heatmap into boxes (Zhou, Wang, Kraehenbuehl, "Objects as Points", 2019), in NumPy.

h x w cells at stride 4. Cell (row i, column j) stands for the box coordinate
(4 j + 2, 4 i + 2): the cell's middle, counted from the corner of the network's input.
"""

from __future__ import annotations

import numpy as np

from dualpose_ros.arrays import AnyFloats, Float32s, Floats, Mask
from dualpose_ros.heatmap import local_maxima

STRIDE = 4
ALMOST = np.float32(0.95)
"""Height of an ignored box's bump: no peak to learn, and (1 - 0.95)^4 of the usual penalty."""


def decode_boxes(
    centre: AnyFloats, size: AnyFloats, offset: AnyFloats, min_score: float, max_peaks: int = 100
) -> tuple[Floats, Floats]:
    """Boxes of the network's maps, best first, overlaps not yet suppressed.

    centre: (h, w) in 0..1; size: (2, h, w), the box's width and height in network pixels; offset: (2, h, w), from the
    cell's middle to the box's in network pixels; min_score: weakest box to return; max_peaks: most of them.
    Returns boxes (P, 4) in network pixels, and scores (P,).
    """
    _, row, column, scores = local_maxima(np.asarray(centre)[None], min_score, max_peaks)
    middle = STRIDE * (np.stack([column, row], axis=1) + 0.5) + offset[:, row, column].T
    half = size[:, row, column].T / 2
    return np.concatenate([middle - half, middle + half], axis=1), scores


def encode_boxes(
    boxes_px: AnyFloats, height: int, width: int, ignored: Mask | None = None, spread: float = 0.54
) -> tuple[Float32s, Float32s, Float32s, Float32s]:
    """Training targets of boxes (N, 4) in network pixels on a grid of height x width cells.

    Returns centre (1, h, w), size (2, h, w), offset (2, h, w) and weight (1, h, w): where size
    and offset are defined, the gaussian of the box that owns the cell, each box's weights summing
    to at most one. Gaussians are elliptic, sigma = spread * size / 6 (Liu et al., "Training-Time-Friendly
    Network for Real-Time Object Detection", AAAI 2020), so every box teaches many cells; where
    they overlap the smaller box owns the cell. An ignored box (N,) only keeps the focal loss from
    punishing a peak there.
    """
    centre = np.zeros((height, width), np.float32)
    size, offset = np.zeros((2, height, width), np.float32), np.zeros((2, height, width), np.float32)
    weight = np.zeros((height, width), np.float32)
    boxes = np.asarray(boxes_px, dtype=np.float64).reshape(-1, 4)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    is_ignored = np.zeros(len(boxes), dtype=bool) if ignored is None else ignored
    for index in np.argsort(-areas, kind="stable"):
        box = boxes[index]
        extent = box[2:] - box[:2]
        middle = (box[:2] + box[2:]) / 2
        peak = np.clip(np.floor(middle / STRIDE), 0, [width - 1, height - 1]).astype(int)
        sigma = np.maximum(spread * extent / STRIDE / 6, 0.4)
        radius = np.ceil(3 * sigma).astype(int)
        low, high = np.maximum(peak - radius, 0), np.minimum(peak + radius + 1, [width, height])
        x, y = np.arange(low[0], high[0]), np.arange(low[1], high[1])
        bump = np.outer(
            np.exp(-((y - peak[1]) ** 2) / (2 * sigma[1] ** 2)), np.exp(-((x - peak[0]) ** 2) / (2 * sigma[0] ** 2))
        ).astype(np.float32)
        window = np.s_[low[1] : high[1], low[0] : high[0]]
        np.maximum(centre[window], bump * (ALMOST if is_ignored[index] else 1), out=centre[window])
        if is_ignored[index]:
            continue
        owned = bump > 0.05
        weight[window][owned] = (bump / bump[owned].sum())[owned]
        for axis, cells in ((0, x[None, :]), (1, y[:, None])):
            size[axis][window][owned] = extent[axis]
            shift = np.broadcast_to(middle[axis] - (cells * STRIDE + STRIDE / 2), owned.shape)
            offset[axis][window][owned] = shift[owned]
    return centre[None], size, offset, weight[None]
