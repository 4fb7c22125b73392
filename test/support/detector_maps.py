"""What the detector's network ought to say of boxes, one box after the other."""

import numpy as np

from dualpose_ros.arrays import AnyFloats, Float32s, Mask
from dualpose_ros.detection.decode import ALMOST, STRIDE


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
