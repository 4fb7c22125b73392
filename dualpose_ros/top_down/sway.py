"""How a camera sways about its mean attitude, from how what stands behind people moves in its images.

N points. A robot that drives or walks pitches by a degree or two; feet five metres away then seem a tenth nearer and
farther, which is more than people's sizes differ. Camera optical frame (x right, y down, z forward).
"""

import cv2
import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats, RgbImage, UInt8s
from dualpose_ros.camera import Camera

_WIDTH = 160
"""Pixels of the small images that are compared."""

_POINTS, _APART_PX, _QUALITY = 50, 6, 0.01
_WINDOW, _LEVELS = (11, 11), 2
_FEWEST, _AGREEING = 12, 0.5
"""Points, and the share of them that move as one, by which a motion is believed."""

_OFF_PX = 0.7
_MARGIN = 0.1
_SECONDS = 2.0
"""Time in which an attitude becomes the mean one: driving can look like slow pitching."""

_SHORTEST_S, _LONGEST_S = 0.05, 1.0
"""Times between two frames that are compared: cameras sway once or twice a second."""


class Sway:
    """Follows the camera from frame to frame."""

    def __init__(self) -> None:
        self._last: tuple[int, UInt8s] | None = None
        self._angles = np.zeros(2)

    def is_due(self, stamp_ns: int) -> bool:
        """Whether a frame of this stamp should be compared, or comes too soon after the last one that was."""
        return self._last is None or not 0 <= stamp_ns - self._last[0] < int(_SHORTEST_S * 1e9)

    def update(
        self, stamp_ns: int, image: RgbImage, camera: Camera, boxes_px: AnyFloats, horizon: float = 0.0
    ) -> Floats:
        """Rotation (3, 3) from this frame's camera to one of the mean attitude of the last seconds.

        stamp_ns: of the image; image: RGB (H, W, 3) uint8; camera: of the image; boxes_px: (P, 4), people, who move by
        themselves; horizon: how far below the optical axis it is, in focal lengths. The identity after a gap, and where
        too little can be made out or moves as one.
        """
        height = max(round(_WIDTH * camera.height / camera.width), 16)
        shrunk = cv2.resize(image, (_WIDTH, height), interpolation=cv2.INTER_AREA)
        small = np.asarray(cv2.cvtColor(shrunk, cv2.COLOR_RGB2GRAY), np.uint8)
        last, self._last = self._last, (stamp_ns, small)
        seconds = np.inf if last is None else (stamp_ns - last[0]) * 1e-9
        if last is None or not 0 < seconds <= _LONGEST_S or last[1].shape != small.shape:
            self._angles = np.zeros(2)
            return np.eye(3)
        scale = np.array([_WIDTH / camera.width, height / camera.height])
        mask = _background(small.shape, np.asarray(boxes_px, np.float64).reshape(-1, 4) * np.tile(scale, 2))
        # Who drives over the floor moves nothing on the horizon, whatever comes nearer below it.
        middle = np.array([camera.cx, camera.cy + horizon * camera.fy]) * scale
        turned = turn_between(last[1], small, mask, middle, camera.fy * scale[1])
        self._angles = self._angles * np.exp(-seconds / _SECONDS) + turned
        return rotation(*self._angles)


def turn_between(before: UInt8s, after: UInt8s, mask: UInt8s, centre_px: Floats, focal_px: float) -> Floats:
    """Angles (2,) by which a camera pitched up and rolled clockwise between two images (H, W); zeros if unknown.

    mask: (H, W), 0 where people are in the first; centre_px: (2,), a point that a camera which drives does not move;
    focal_px: focal length in their pixels.
    """
    points = cv2.goodFeaturesToTrack(before, _POINTS, _QUALITY, _APART_PX, mask=mask)
    if points is None or len(points) < _FEWEST:
        return np.zeros(2)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(before, after, points, None, winSize=_WINDOW, maxLevel=_LEVELS)  # type: ignore[call-overload]
    followed = found.ravel() == 1
    if followed.sum() < _FEWEST:
        return np.zeros(2)
    first, second = points.reshape(-1, 2)[followed] - centre_px, moved.reshape(-1, 2)[followed] - centre_px
    motion, agree = cv2.estimateAffinePartial2D(first, second, ransacReprojThreshold=_OFF_PX)
    if motion is None or agree.sum() < max(_FEWEST, _AGREEING * len(first)):
        return np.zeros(2)
    return np.array([np.arctan(motion[1, 2] / focal_px), -np.arctan2(motion[1, 0], motion[0, 0])])


def rotation(pitch_rad: float, roll_rad: float) -> Floats:
    """Rotation (3, 3) from a camera pitched up and rolled clockwise by so much to one that is not."""
    (cp, sp), (cr, sr) = ((np.cos(angle), np.sin(angle)) for angle in (pitch_rad, roll_rad))
    pitched = np.array([[1.0, 0.0, 0.0], [0.0, cp, -sp], [0.0, sp, cp]])
    return np.asarray(pitched @ np.array([[cr, -sr, 0.0], [sr, cr, 0.0], [0.0, 0.0, 1.0]]))


def _background(shape: tuple[int, ...], boxes_px: Floats) -> UInt8s:
    mask = np.full(shape, 255, np.uint8)
    for x0, y0, x1, y1 in boxes_px:
        x, y = _MARGIN * (x1 - x0), _MARGIN * (y1 - y0)
        left, top, right, bottom = np.clip([x0 - x, y0 - y, x1 + x + 1, y1 + y + 1], 0, (*shape[::-1], *shape[::-1]))
        mask[int(top) : int(bottom), int(left) : int(right)] = 0
    return mask
