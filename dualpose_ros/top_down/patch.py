"""Square patches around tracks, and the exact maps between image, patch and heatmap cells.

N patches of S x S pixels, S as the network has it. Pixel centres lie at integer coordinates everywhere. An affine
(2, 3) maps column vectors (x, y, 1). Cell (i, j) of a heatmap with stride 4 has its centre at patch
pixel (4j + 1.5, 4i + 1.5).
"""

import cv2
import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats, RgbImage, UInt8s
from dualpose_ros.grouping import HEATMAP_STRIDE

ENLARGE = 1.25
"""Side of a patch over the longer side of the box that it is made for. A tighter one pays only where boxes are exact:
with a detector's, OKS on photographs is 0.869 here and 0.866 at 1.12, and people are put at worse depths."""

_MIN_SIDE_PX = 8.0


def patch_affines(boxes_px: AnyFloats, size: int, enlarge: float = ENLARGE, aspect: float = 1.0) -> Floats:
    """Image-to-patch affines of square patches around boxes.

    boxes_px: (N, 4); size: side of a patch in its pixels; enlarge: side over the longer side of the box; aspect: width
    over height of what is looked at in the patch's middle; the box is to fit into that.
    Returns (N, 2, 3).
    ValueError names a box that is not finite or is inside out.
    """
    boxes = np.asarray(boxes_px, dtype=np.float64).reshape(-1, 4)
    bad = ~np.isfinite(boxes).all(axis=1) | (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    if bad.any():
        raise ValueError(f"box {boxes[np.argmax(bad)].tolist()} is not (x0, y0, x1, y1) with x0 <= x1 and y0 <= y1")
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    side = np.maximum(enlarge * ((boxes[:, 2:] - boxes[:, :2]) / (aspect, 1.0)).max(axis=1, initial=0.0), _MIN_SIDE_PX)
    affines = np.zeros((len(boxes), 2, 3))
    affines[:, 0, 0] = affines[:, 1, 1] = size / side
    affines[:, :, 2] = (size - 1) / 2 - centre * (size / side)[:, None]
    return affines


def invert_affines(affines: Floats) -> Floats:
    """Inverses (..., 2, 3) of affines (..., 2, 3)."""
    linear = np.linalg.inv(affines[..., :2])
    return np.concatenate([linear, -linear @ affines[..., 2:]], axis=-1)


def compose_affines(outer: Floats, inner: Floats) -> Floats:
    """The affines (..., 2, 3) that apply `inner` first and `outer` then."""
    shift = outer[..., :2] @ inner[..., 2:] + outer[..., 2:]
    return np.concatenate([outer[..., :2] @ inner[..., :2], shift], axis=-1)


def apply_affines(affines: Floats, points: AnyFloats) -> Floats:
    """Points (..., M, 2) mapped by affines (..., 2, 3)."""
    return np.asarray(points @ np.swapaxes(affines[..., :2], -1, -2) + affines[..., None, :, 2], dtype=np.float64)


def cell_to_patch(stride: int = HEATMAP_STRIDE) -> Floats:
    """Affine (2, 3) from heatmap cells to the patch pixels of their centres."""
    return np.array([[stride, 0.0, (stride - 1) / 2], [0.0, stride, (stride - 1) / 2]])


def extract_patches(image: RgbImage, image_to_patch: Floats, size: int) -> UInt8s:
    """Patches of an image; black where one reaches beyond it.

    Patches that shrink the image twofold or more are sampled from a halved image (area average,
    as often as it takes), so that fine texture doesn't alias.

    image: RGB (H, W, 3) uint8; image_to_patch: (N, 2, 3); size: side of a patch in its pixels.
    Returns (N, S, S, 3) uint8.
    """
    affines = np.asarray(image_to_patch, dtype=np.float64).reshape(-1, 2, 3)
    patches = np.empty((len(affines), size, size, 3), dtype=np.uint8)
    # OpenCV samples pixels of four bytes almost three times as fast as those of three.
    pyramid = [np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2RGBA), dtype=np.uint8)] if len(affines) else []
    for patch, affine in zip(patches, affines, strict=True):
        shrink = 1 / np.sqrt(abs(np.linalg.det(affine[:, :2])))
        level = int(max(np.floor(np.log2(shrink) + 1e-9), 0))
        while len(pyramid) <= level and min(pyramid[-1].shape[:2]) >= 4:
            pyramid.append(_halve(pyramid[-1]))
        level = min(level, len(pyramid) - 1)
        step = 2.0**level
        # A pixel of the halved image is centred between the two that it averages.
        from_level = np.array([[step, 0.0, (step - 1) / 2], [0.0, step, (step - 1) / 2]])
        matrix = compose_affines(affine, from_level)
        sampled = cv2.warpAffine(
            pyramid[level], matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
        )
        cv2.cvtColor(sampled, cv2.COLOR_RGBA2RGB, dst=patch)
    return patches


def _halve(image: RgbImage) -> UInt8s:
    """The image at half size by exact 2 x 2 averages; an odd last row or column is dropped."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    even = image[: 2 * height, : 2 * width]
    return np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
