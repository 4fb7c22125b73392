"""What a person wears, as a colour histogram of the upper body: a cue where motion alone is ambiguous."""

from __future__ import annotations

import cv2
import numpy as np

from dualpose_ros.arrays import AnyFloats, Float32s, Floats, RgbImage

SIDE_PX = 32
BINS = (8, 6, 6)
"""Bins of lightness, and of the two colour axes of CIE Lab: lightness counts, as many clothes are grey."""
RANGES = (0.0, 256.0, 96.0, 176.0, 96.0, 176.0)
UPPER_BODY = (0.2, 0.1, 0.8, 0.55)
"""Part of the box, in box widths and heights, where mostly clothes are seen and little background."""


def describe_people(image: RgbImage, boxes_px: AnyFloats) -> Float32s:
    """Histograms (N, B) of boxes (N, 4) in an RGB image, each summing to one, or NaN for a box outside it.

    A blur over neighbouring bins keeps a small change of light from emptying one bin into the next.
    """
    boxes = np.asarray(boxes_px, dtype=np.float64)
    out = np.full((len(boxes), int(np.prod(BINS))), np.nan, np.float32)
    height, width = image.shape[:2]
    upper = np.tile(boxes[:, :2], 2) + np.tile(boxes[:, 2:] - boxes[:, :2], 2) * UPPER_BODY
    corners = np.round(upper).astype(int).clip(0, (width, height, width, height))
    for row, (x0, y0, x1, y1) in zip(out, corners.tolist(), strict=True):
        if x1 <= x0 or y1 <= y0:
            continue
        crop = cv2.resize(image[y0:y1, x0:x1], (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
        lab = cv2.cvtColor(crop, cv2.COLOR_RGB2LAB).reshape(-1, 3).T
        # Pixels last: products over them are long runs of memory.
        # And nothing is out of the tables' range: bytes are their indices.
        light, green, blue = (
            np.take(shares, values, axis=1, mode="clip") for shares, values in zip(_SHARES, lab, strict=True)
        )
        row[:] = ((light[:, None] * green).reshape(-1, lab.shape[1]) @ blue.T).reshape(-1) / lab.shape[1]
    return out


def _shares(axis: int) -> Float32s:
    """What of a pixel of each value 0..255 belongs to each bin (B, 256) of an axis: shared between the nearest two."""
    low, high, count = RANGES[2 * axis], RANGES[2 * axis + 1], BINS[axis]
    position = (np.arange(256) - low) / (high - low) * count - 0.5
    lower = np.floor(position).astype(np.intp)
    shares, part = np.zeros((count, 256), np.float32), position - lower
    for bins, weight in ((lower, 1 - part), (lower + 1, part)):
        np.add.at(shares, (bins.clip(0, count - 1), np.arange(256)), weight.astype(np.float32))
    return shares


_SHARES = tuple(_shares(axis) for axis in range(3))


def appearance_distances(a: AnyFloats, b: AnyFloats) -> Floats:
    """Hellinger distance (N, M) in 0..1 of histograms a (N, B) and b (M, B); 0.5 where one is unknown (NaN)."""
    similarity = np.sqrt(np.asarray(a, dtype=np.float64)) @ np.sqrt(np.asarray(b, dtype=np.float64)).T
    distance = np.sqrt(np.clip(1 - similarity, 0, 1))
    return np.where(np.isnan(distance), 0.5, distance)
