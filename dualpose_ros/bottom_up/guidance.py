"""The top-down branch's heatmaps as the bottom-up network takes them: laid onto the cells of its input.

Paper, section 3.2: the combined heatmaps, made on patches of normalised size, free the network that sees the
whole frame from telling how large people are. K joints.
"""

import cv2
import numpy as np

from dualpose_ros.arrays import AnyFloats, UInt8s
from dualpose_ros.grouping import HEATMAP_STRIDE
from dualpose_ros.heatmap import Heatmaps, peak_kernel
from dualpose_ros.skeleton import H36M17


def no_guidance(size: tuple[int, int]) -> UInt8s:
    """What stands for heatmaps that are not there: zeros (K, H / 4, W / 4) for an input of (H, W) pixels."""
    return np.zeros((H36M17.num_joints, size[0] // HEATMAP_STRIDE, size[1] // HEATMAP_STRIDE), np.uint8)


def guidance_maps(heatmaps: Heatmaps, image_to_network: AnyFloats, size: tuple[int, int]) -> UInt8s:
    """Combined heatmaps of an image on the cells of a network input.

    Where a cell spans several of the heatmaps' it takes their largest, so that small people keep their peaks.

    heatmaps: of the image; image_to_network: (2, 3), from image pixels to those of the input; size: (H, W) of the input
    in pixels.
    Returns (K, H / 4, W / 4) uint8, 255 = 1.
    ValueError if the channels are not the skeleton's joints.
    """
    if heatmaps.channels != H36M17.joint_names:
        found = ", ".join(heatmaps.channels)
        raise ValueError(f"heatmaps have the channels {found}; needed are the joints of {H36M17.name}")
    rows, columns = size[0] // HEATMAP_STRIDE, size[1] // HEATMAP_STRIDE
    shift = np.array([(HEATMAP_STRIDE - 1) / 2] * 2)
    to_cells = np.asarray(image_to_network, dtype=np.float64) @ np.vstack([heatmaps.to_image, [0, 0, 1]])
    to_cells[:, 2] -= shift
    to_cells /= HEATMAP_STRIDE
    kernel = peak_kernel(to_cells, heatmaps.data.shape[1:], slack=0.05)
    out = np.empty((len(heatmaps.channels), rows, columns), np.uint8)
    for target, channel in zip(out, heatmaps.data, strict=True):
        source = channel if kernel is None else cv2.dilate(channel, kernel)
        cv2.warpAffine(source, to_cells, (columns, rows), dst=target, flags=cv2.INTER_LINEAR)
    if not np.isclose(heatmaps.scale, 1 / 255, rtol=1e-4):
        out = np.clip(np.rint(out * (255 * heatmaps.scale)), 0, 255).astype(np.uint8)
    return out
