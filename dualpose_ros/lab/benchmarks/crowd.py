"""Frames with as many people as one likes: those of the demo's clip, cut out and put side by side.

They are all of one size, so that nothing but their number changes. Seams between them are no matter: what is timed
finds people or does not, and says how many.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from dualpose_ros.arrays import RgbImage
from dualpose_ros.datasets.clip import ClipTruth

COLUMNS, ROWS = 8, 2
MOST = COLUMNS * ROWS
_MARGIN = 1.15
_SHIFT_FRAMES = 37
_LEAST_VISIBLE = 0.7


def crowd_frames(frames: Sequence[RgbImage], truth: ClipTruth, people: int) -> Iterator[RgbImage]:
    """The clip's frames with so many people in them, MOST at the most, each in a cell of its own."""
    height, width = frames[0].shape[:2]
    across, down = width // COLUMNS, height // ROWS
    empty = cv2.blur(np.median(np.stack(frames[:: max(len(frames) // 9, 1)]), axis=0).astype(np.uint8), (31, 31))
    last: dict[int, RgbImage] = {}
    for index in range(len(frames)):
        canvas = empty.copy()
        for n in range(people):
            at, person = (index + _SHIFT_FRAMES * (n // truth.num_people)) % len(frames), n % truth.num_people
            if truth.present[at, person] and truth.visible_fraction[at, person] >= _LEAST_VISIBLE:
                last[n] = _cut_out(frames[at], truth.boxes_px[at, person], across, down)
            if n in last:
                x, y = n % COLUMNS * across, n // COLUMNS * down
                canvas[y : y + down, x : x + across] = last[n]
        yield canvas


def _cut_out(frame: RgbImage, box_px: np.ndarray, across: int, down: int) -> RgbImage:
    """Somebody of a frame, in a picture of so many pixels across and down."""
    middle, height = (box_px[:2] + box_px[2:]) / 2, _MARGIN * (box_px[3] - box_px[1])
    scale = down / max(height, 1.0)
    matrix = np.array([[scale, 0, across / 2 - scale * middle[0]], [0, scale, down / 2 - scale * middle[1]]])
    return np.asarray(cv2.warpAffine(frame, matrix, (across, down), borderMode=cv2.BORDER_REPLICATE), dtype=np.uint8)
