"""Procedural backgrounds: rooms, streets, nature, sports grounds, clutter, bokeh, bare walls, and what could be
mistaken for a person. There is nobody in them but spectators too small to be labelled."""

from collections.abc import Callable

import cv2
import numpy as np

from dualpose_ros.arrays import Float32s, RgbImage
from dualpose_ros.lab.synthetic.backdrop import outdoors as scene_outdoors
from dualpose_ros.lab.synthetic.backdrop import rooms as scene_rooms
from dualpose_ros.lab.synthetic.backdrop.flat import bokeh, dead_leaves, distractors
from dualpose_ros.lab.synthetic.backdrop.materials import atlas, pick
from dualpose_ros.lab.synthetic.backdrop.paint import Scene, View
from dualpose_ros.lab.synthetic.looks.noise import TILE, fractal, smooth_field

KINDS: dict[str, float] = {
    "room": 0.36, "street": 0.18, "nature": 0.12, "sports": 0.11, "clutter": 0.10, "studio": 0.09, "bokeh": 0.04,
}  # fmt: skip
"""Kinds of background and how often each is drawn."""

_OUTDOORS: dict[str, Callable[[np.random.Generator, View, tuple[float, float, float]], Scene]] = {
    "street": scene_outdoors.street,
    "nature": scene_outdoors.nature,
    "sports": scene_outdoors.sports,
}


def background(
    rng: np.random.Generator, height: int, width: int, kind: str | None = None, view: View | None = None
) -> RgbImage:
    """A background (height, width, 3) uint8 sRGB of a random kind, or of the given one.

    `view` (world y up, floor y = 0) makes the floor and walls agree with what is drawn in front; it is drawn at
    random otherwise. Depends on `rng` alone. Raises ValueError for an unknown kind or an empty size.
    """
    if height < 1 or width < 1:
        raise ValueError(f"background size {width}x{height} is not positive")
    if kind is None:
        kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    if kind not in KINDS:
        raise ValueError(f"no background kind '{kind}'; there are {', '.join(KINDS)}")
    image = np.empty((height, width, 3), np.uint8)
    if kind in _OUTDOORS:
        view = view or scene_outdoors.outdoor_view(rng, height, width)
        horizon = scene_outdoors.paint_sky(rng, image, view)
        _OUTDOORS[kind](rng, view, horizon).paint(image)
    elif kind in ("room", "studio"):
        view = view or scene_rooms.indoor_view(rng, height, width)
        _plain(rng, image)
        scene = scene_rooms.room(rng, view) if kind == "room" else scene_rooms.studio(rng, view)
        scene.paint(image)
    elif kind == "clutter":
        _plain(rng, image)
        dead_leaves(rng, image, int(rng.integers(40, 140)))
    else:
        _plain(rng, image)
        bokeh(rng, image)
    if kind != "bokeh" and rng.random() < 0.2:
        distractors(rng, image)
    return _finish(rng, image)


def _plain(rng: np.random.Generator, image: RgbImage) -> None:
    """Fill with one material at a random scale."""
    height, width = image.shape[:2]
    tile = atlas()[1][pick(rng, "plaster", "noise", "fabric", "foliage", "concrete")][..., :3]
    image[:] = cv2.resize(tile, (width, height), interpolation=cv2.INTER_LINEAR)


def _finish(rng: np.random.Generator, image: RgbImage) -> RgbImage:
    """Uneven light, faint texture everywhere, and the lens's depth of field."""
    height, width = image.shape[:2]
    small_h, small_w = min(height, TILE), min(width, TILE)
    gain: Float32s = 1 + float(rng.uniform(0.02, 0.16)) * smooth_field(rng, small_h, small_w, int(rng.integers(1, 5)))
    gain += float(rng.uniform(0.0, 0.035)) * fractal(rng, small_h, small_w)
    if (small_h, small_w) != (height, width):
        gain = np.asarray(cv2.resize(gain, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    image = np.asarray(cv2.multiply(image, cv2.merge([gain, gain, gain]), dtype=cv2.CV_8U), dtype=np.uint8)
    kind = rng.random()
    scale = max(height, width) / 256
    if kind < 0.45:
        sigma = float(rng.uniform(0.3, 0.9))
    elif kind < 0.75:
        sigma = float(rng.uniform(0.9, 2.2)) * scale
    elif kind < 0.85:
        sigma = float(rng.uniform(2.2, 7)) * scale
    else:
        return image
    return soften(image, sigma)


def soften(image: RgbImage, sigma_px: float) -> RgbImage:
    """Gaussian blur; wide ones on a reduced copy, which looks the same and costs far less."""
    if sigma_px < 2.5:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px), dtype=np.uint8)
    height, width = image.shape[:2]
    factor = min(sigma_px / 1.2, min(height, width) / 4)
    small = (max(2, round(width / factor)), max(2, round(height / factor)))
    reduced = cv2.GaussianBlur(cv2.resize(image, small, interpolation=cv2.INTER_AREA), (0, 0), sigma_px / factor)
    return np.asarray(cv2.resize(reduced, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
