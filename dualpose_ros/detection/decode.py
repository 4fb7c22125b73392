"""Peaks of a centre heatmap into boxes (Zhou, Wang, Kraehenbuehl, "Objects as Points", 2019), in NumPy.

h x w cells at stride 4. Cell (row i, column j) stands for the box coordinate
(4 j + 2, 4 i + 2): the cell's middle, counted from the corner of the network's input.
"""

from __future__ import annotations

import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats
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
