"""Ideal network outputs of known people, made the slow and obvious way."""

import numpy as np

from dualpose_ros.arrays import Float32s, Floats
from dualpose_ros.skeleton import H36M17

# A standing figure, unit height, x to the right and y down, in the order of H36M17.
FIGURE = np.array(
    [
        [0.0, 0.53], [-0.1, 0.53], [-0.11, 0.76], [-0.11, 0.97], [0.1, 0.53], [0.11, 0.76], [0.11, 0.97],
        [0.0, 0.4], [0.0, 0.24], [0.0, 0.16], [0.0, 0.03], [0.13, 0.23], [0.18, 0.38], [0.2, 0.52],
        [-0.13, 0.23], [-0.18, 0.38], [-0.2, 0.52],
    ]
)  # fmt: skip


def figure(x: float, y: float, height: float) -> Floats:
    """Joints (K, 2) of a standing figure whose box's upper middle is at (x, y)."""
    return FIGURE * height + (x, y)


def figure_box(joints: Floats) -> Floats:
    """Box (4,) around joints."""
    return np.concatenate([joints.min(axis=0), joints.max(axis=0)])


def ideal_maps(
    people_px: list[Floats], tags: list[float], sigma: float = 2.0, size: int = 64, stride: int = 4
) -> tuple[Float32s, Float32s]:
    """Heatmaps and tag maps (K, h, w) of people (K, 2) in patch pixels; NaN marks a joint that isn't there."""
    heat = np.zeros((H36M17.num_joints, size, size), np.float32)
    tag = np.zeros_like(heat)
    rows, columns = np.mgrid[:size, :size]
    for joints, value in zip(people_px, tags, strict=True):
        for k, (x, y) in enumerate(joints):
            if not np.isfinite(x):
                continue
            u, v = (x - (stride - 1) / 2) / stride, (y - (stride - 1) / 2) / stride
            blob = np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / (2 * sigma**2)).astype(np.float32)
            tag[k][blob > np.maximum(heat[k], 1e-3)] = value
            heat[k] = np.maximum(heat[k], blob)
    return heat, tag
