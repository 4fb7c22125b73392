"""The maps that a perfect bottom-up network would answer, drawn from ground truth.

What they give back is the best that decoding can do; evaluation and tests compare with it. P people, K joints,
h x w cells of 4 x 4 network pixels.
"""

import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats
from dualpose_ros.bottom_up.decode import DEPTH_SCALE, BottomUpMaps
from dualpose_ros.grouping import HEATMAP_STRIDE, pixels_to_cells
from dualpose_ros.skeleton import H36M17

TAG_STEP = 3.0
"""Between the tags of two people: far more than a person's own joints are apart."""

_LOG_STDDEV = -5.0
_REACH = 0.01
"""Where a person's Gaussian is lower than this, a cell belongs to nobody."""


def truth_maps(
    joints_px: AnyFloats, joints_cam: AnyFloats, focal_px: float, size: tuple[int, int], sigma: float = 2.0
) -> BottomUpMaps:
    """Exact maps of people with joints (P, K, 2) in network pixels and (P, K, 3) in the camera frame in metres.

    size is the network input's (H, W), focal_px the focal length in its pixels, sigma that of the Gaussians in
    cells. A joint outside the input, or whose pixel is NaN, is not drawn. A cell has the tag and relative depth of
    the person whose joint is nearest to it, and in the root's channel the depth of the person any joint of whom is.
    """
    joints_px = np.asarray(joints_px, dtype=np.float64).reshape(-1, H36M17.num_joints, 2)
    joints_cam = np.asarray(joints_cam, dtype=np.float64).reshape(-1, H36M17.num_joints, 3)
    height, width = size[0] // HEATMAP_STRIDE, size[1] // HEATMAP_STRIDE
    heatmaps = np.zeros((H36M17.num_joints, height, width))
    tags, depths = np.zeros_like(heatmaps), np.zeros_like(heatmaps)
    root_code, nearest = np.zeros((height, width)), np.full((height, width), _REACH)
    with np.errstate(invalid="ignore"):
        drawn = np.all((joints_px >= -0.5) & (joints_px <= np.array([size[1], size[0]]) - 0.5), axis=-1)
    place = pixels_to_cells(np.where(drawn[..., None], joints_px, 0.0))
    root_depth = joints_cam[:, H36M17.root, 2]
    for n in range(len(joints_px)):
        blobs = _gaussians(place[n], (height, width), sigma) * drawn[n, :, None, None]
        own, closest = blobs > np.maximum(heatmaps, _REACH), blobs.max(axis=0)
        tags = np.where(own, TAG_STEP * n, tags)
        depths = np.where(own, (joints_cam[n, :, 2] - root_depth[n])[:, None, None], depths)
        root_code = np.where(closest > nearest, np.log(DEPTH_SCALE * root_depth[n] / focal_px), root_code)
        heatmaps, nearest = np.maximum(heatmaps, blobs), np.maximum(nearest, closest)
    depths[H36M17.root] = root_code
    return BottomUpMaps(*(m.astype(np.float32) for m in (heatmaps, tags, depths, np.full_like(depths, _LOG_STDDEV))))


def _gaussians(cells: AnyFloats, size: tuple[int, int], sigma: float) -> Floats:
    """Gaussians (K, h, w) around fractional cells (K, 2), of height 1 at their exact middle."""
    down = np.exp(-((np.arange(size[0]) - cells[:, 1:]) ** 2) / (2 * sigma**2))
    across = np.exp(-((np.arange(size[1]) - cells[:, :1]) ** 2) / (2 * sigma**2))
    return np.asarray(down[:, :, None] * across[:, None, :], dtype=np.float64)
