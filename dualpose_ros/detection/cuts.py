"""Where a film cuts to another shot, told from small copies of the frames that are worked on.

Colours alone mistake flashes and pans for cuts, differences of pixels whatever moves. So a frame whose colours are
others is searched for points of those before: in one shot some are found again, moved as one, however the camera pans,
shakes or zooms and whoever walks in front. A frame that is brighter or darker everywhere, or shows hardly any points,
may be a flash or a dark moment: it is passed over until the shot is back, or is not for a while.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from dualpose_ros.arrays import Floats, RgbImage, UInt8s

OTHER_COLOURS = 0.25
"""Share of its colours that a frame has to have exchanged to be looked at closely."""
SAME_POINTS = 12
"""Points that move as one between frames of one shot. Unlike pictures had 10 at most in 98 of 100 pairs, views of one
scene in which the camera shakes or somebody fills the picture 19 and more."""
FLASH_SHARE = 0.93
"""Share of the pixels that a flash brightens, or its end darkens."""
LONGEST_FLASH_S = 0.3
REMEMBERED = 6
"""Frames: a flash that was taken for the shot itself must not hide what was before it."""

_LONG_SIDE, _COLOUR_STEP = 320, 4
_MOST_POINTS, _FEWEST_POINTS = 400, 40
_ALIKE_BITS, _TOGETHER_PX = 64, 5.0
_NOISE = 3


@dataclass(frozen=True)
class _Look:
    """What is kept of a frame: its grey copy (h, w), and the share (512,) that each colour has of it."""

    grey: UInt8s
    colours: Floats

    @cached_property
    def points(self) -> tuple[Any, Any]:
        """Corners and what is about each (cv2's key points, their descriptors)."""
        orb = cv2.ORB_create(_MOST_POINTS, nlevels=6, edgeThreshold=15, patchSize=21, fastThreshold=7)  # type: ignore[attr-defined]
        found: tuple[Any, Any] = orb.detectAndCompute(self.grey, None)
        return found


class CutWatch:
    """Looks at each frame that is worked on, in the order of stamps; says which begins another shot."""

    def __init__(self) -> None:
        self._before: deque[_Look] = deque(maxlen=REMEMBERED)
        self._stamp_ns = 0
        self._doubted_ns: int | None = None

    def is_cut(self, image: RgbImage, stamp_ns: int) -> bool:
        """Whether an RGB image (H, W, 3) uint8 is of another shot than those before; False for the first, and after
        time was set back. A cut to a frame that may be a flash is said up to LONGEST_FLASH_S later."""
        now, doubted_ns = _look(image), self._doubted_ns
        if stamp_ns < self._stamp_ns:
            self._before.clear()
        self._stamp_ns = stamp_ns
        cut = bool(self._before) and not self._is_same_shot(now)
        if cut and _may_be_flash(self._before[-1], now):
            self._doubted_ns = stamp_ns if doubted_ns is None else doubted_ns
            if doubted_ns is None or stamp_ns - doubted_ns < LONGEST_FLASH_S * 1e9:
                return False
        if cut:
            self._before.clear()
        self._before.append(now)
        self._doubted_ns = None
        return cut

    def _is_same_shot(self, now: _Look) -> bool:
        alike = [before for before in self._before if before.grey.shape == now.grey.shape]
        if any(np.abs(before.colours - now.colours).sum() / 2 <= OTHER_COLOURS for before in alike):
            return True
        # The newest, and one from before a flash.
        return any(common_points(before.points, now.points) >= SAME_POINTS for before in (*alike[-1:], *alike[:-1][:1]))


def common_points(before: tuple[Any, Any], now: tuple[Any, Any]) -> int:
    """Points of one image that another has too, all of them moved, turned and zoomed alike."""
    (points, about), (other_points, about_others) = before, now
    if min(len(points), len(other_points)) < SAME_POINTS:
        return 0
    matches = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(about, about_others)
    pairs = [(points[m.queryIdx].pt, other_points[m.trainIdx].pt) for m in matches if m.distance < _ALIKE_BITS]
    if len(pairs) < SAME_POINTS:
        return 0
    here, there = np.array(list(zip(*pairs, strict=True)), dtype=np.float32)
    _, together = cv2.estimateAffinePartial2D(here, there, ransacReprojThreshold=_TOGETHER_PX, maxIters=500)
    return 0 if together is None else int(together.sum())


def _look(image: RgbImage) -> _Look:
    height, width = image.shape[:2]
    scale = _LONG_SIDE / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    # A true mean costs ten times as much for large images.
    small = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    few = small[::_COLOUR_STEP, ::_COLOUR_STEP].astype(np.int64) >> 5
    counts = np.bincount((few @ (64, 8, 1)).ravel(), minlength=512)
    return _Look(np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.uint8), counts / counts.sum())


def _may_be_flash(before: _Look, now: _Look) -> bool:
    """Whether a frame is the one before everywhere brighter or darker, or shows next to nothing."""
    if before.grey.shape != now.grey.shape:
        return False
    difference = now.grey.astype(np.int16) - before.grey
    changed = max(float((difference >= -_NOISE).mean()), float((difference <= _NOISE).mean()))
    return changed > FLASH_SHARE or len(now.points[0]) < _FEWEST_POINTS
