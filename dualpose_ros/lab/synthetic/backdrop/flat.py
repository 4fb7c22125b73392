"""Backgrounds without perspective, and what is strewn over others: dead leaves, bokeh, text, false people."""

import math

import cv2
import numpy as np

from dualpose_ros.arrays import Floats, RgbImage
from dualpose_ros.lab.synthetic.backdrop.material_pictures import FONTS, LETTERS
from dualpose_ros.lab.synthetic.backdrop.paint import Look, Scene, make_view
from dualpose_ros.lab.synthetic.backdrop.rooms import look, picture
from dualpose_ros.lab.synthetic.looks.textures import cloth_colour, hair_colours, skin_tones

_SURFACES = (
    "planks", "floor_tiles", "brick", "plaster", "wallpaper", "carpet", "grass", "foliage", "marble", "fabric",
    "fabric", "metal", "noise", "facade", "bookshelf", "goods", "painting", "poster", "cabinet", "curtain", "stones",
    "shop", "screen",
)  # fmt: skip
_SPRITES = (
    "vessel",
    "plant",
    "bush",
    "tree",
    "chair",
    "animal",
    "bust",
    "garment",
    "bicycle",
    "car",
    "limbs",
    "parasol",
)
_BATCHES = 4


class _Flat:
    """A scene whose coordinates are pixels: everything lies at depth one, what is added later covers."""

    def __init__(self, image: RgbImage) -> None:
        height, width = image.shape[:2]
        self.image = image
        self.scene = Scene(make_view(height, width, 0.5, 0.0, 0.0))

    def patch(self, x: float, y: float, w: float, h: float, angle: float, look: Look, tiles: float) -> None:
        """A w x h px rectangle about (x, y), turned by `angle`, its texture repeated `tiles` times across."""
        view = self.scene.view
        scale = 1 / view.focal_px
        c, s = math.cos(angle) * scale, math.sin(angle) * scale
        ax, ay, bx, by = c * w, -s * w, -s * h, -c * h
        x0, y0 = (x - view.centre_px[0]) * scale, -(y - view.centre_px[1]) * scale
        corner = (x0 - (ax + bx) / 2, y0 - (ay + by) / 2, 1.0)
        # a sprite or picture fills its rectangle once, a material keeps its texture square
        repeats = (tiles, tiles * h / w) if tiles > 0 else (1.0, 1.0)
        self.scene.plane(corner, (ax, ay, 0.0), (bx, by, 0.0), repeats, look, 1.0)
        self.scene.next_layer()

    def paint(self) -> None:
        self.scene.paint(self.image)
        self.scene = Scene(self.scene.view)


def dead_leaves(rng: np.random.Generator, image: RgbImage, count: int) -> None:
    """Overlapping textured shapes whose sizes follow a power law, in place.

    The dead leaves model (Lee, Mumford and Huang, IJCV 2001) shares edge and scale statistics with photographs.
    """
    height, width = image.shape[:2]
    side = max(height, width)
    low, high = 0.05, 0.9
    # inverse transform of a density ~ r^-3 between low and high
    sizes = side / np.sqrt(rng.uniform(1 / high**2, 1 / low**2, count))
    order = np.argsort(-sizes * rng.uniform(0.4, 1.6, count))
    upright = rng.random() < 0.5
    for batch in np.array_split(sizes[order], _BATCHES):
        flat = _Flat(image)
        for size in batch:
            x, y = rng.uniform(-0.05, 1.05) * width, rng.uniform(-0.05, 1.05) * height
            angle = rng.normal(0, 0.05) if upright else rng.uniform(-np.pi, np.pi)
            stretch = float(np.exp(rng.normal(0, 0.6)))
            light = float(np.exp(rng.normal(-0.25, 0.4)))
            w, h = float(size) * stretch**0.5, float(size) / stretch**0.5
            if rng.random() < 0.25:
                flat.patch(x, y, w, h, float(rng.normal(0, 0.2)), picture(rng, *_SPRITES, light=light), 0)
            else:
                tiles = float(rng.uniform(0.15, 2.0)) * max(0.2, float(size) / side)
                flat.patch(x, y, w, h, float(angle), look(rng, *_SURFACES, light=light, spread=0.2), tiles)
        flat.paint()
        for size in batch[:: int(rng.integers(3, 9))]:
            _plain_shape(rng, image, float(size) * 0.6)


def _plain_shape(rng: np.random.Generator, image: RgbImage, size: float) -> None:
    """A polygon, ellipse or strip of one colour."""
    height, width = image.shape[:2]
    colour = _some_colour(rng)
    at = rng.uniform(0, 1, 2) * (width, height)
    kind = rng.random()
    if kind < 0.4:
        points = at + size * 0.5 * rng.normal(0, 1, (int(rng.integers(3, 7)), 2))
        cv2.fillConvexPoly(image, cv2.convexHull(points.astype(np.int32)), colour, cv2.LINE_AA)
    elif kind < 0.75:
        axes = (max(1, int(size * rng.uniform(0.2, 0.6))), max(1, int(size * rng.uniform(0.2, 0.6))))
        cv2.ellipse(image, _point(at), axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    else:
        end = at + rng.normal(0, 1, 2) * size * 1.5
        cv2.line(image, _point(at), _point(end), colour, max(1, int(size * rng.uniform(0.02, 0.2))), cv2.LINE_AA)


def _point(at: Floats) -> tuple[int, int]:
    return int(at[0]), int(at[1])


def _some_colour(rng: np.random.Generator) -> list[float]:
    kind = rng.random()
    if kind < 0.6:
        return [float(c) for c in cloth_colour(rng)]
    if kind < 0.75:
        return [float(c) for c in skin_tones(rng)]
    return [float(c) for c in np.clip(rng.uniform(10, 245) + rng.normal(0, 25, 3), 0, 255)]


def bokeh(rng: np.random.Generator, image: RgbImage) -> None:
    """A far background out of focus: soft fields of light and discs of lamps, in place."""
    height, width = image.shape[:2]
    h, w = max(8, height // 8), max(8, width // 8)
    dead_small = np.array(cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    dead_leaves(rng, dead_small, int(rng.integers(20, 70)))
    soft = cv2.GaussianBlur(dead_small, (0, 0), float(rng.uniform(0.6, 2.0)) * max(h, w) / 32)
    image[:] = cv2.resize(soft, (width, height), interpolation=cv2.INTER_CUBIC)
    radius = max(2.0, max(height, width) * float(rng.uniform(0.01, 0.05)))
    layer = np.zeros_like(image)
    for _ in range(int(rng.integers(0, 40))):
        at = rng.uniform(0, 1, 2) * (width, height)
        warm = np.array((255, 220, 160)) if rng.random() < 0.6 else rng.uniform(80, 255, 3)
        colour = (warm * rng.uniform(0.1, 0.6)).tolist()
        cv2.circle(layer, _point(at), int(radius * rng.uniform(0.5, 1.3)), colour, -1, cv2.LINE_AA)
    cv2.add(image, cv2.GaussianBlur(layer, (0, 0), radius * 0.12 + 0.3), dst=image)


def distractors(rng: np.random.Generator, image: RgbImage) -> None:
    """Strew what could be taken for a person and is none: garments, limbs, skin-coloured patches, text; in place."""
    height, width = image.shape[:2]
    side = max(height, width)
    flat = _Flat(image)
    for _ in range(int(rng.integers(1, 6))):
        size = float(rng.uniform(0.08, 0.5)) * side
        surface = picture(rng, "garment", "garment", "bust", "limbs", "limbs", light=float(rng.uniform(0.5, 1.1)))
        x, y = float(rng.uniform(0, width)), float(rng.uniform(0.2, 1.0) * height)
        flat.patch(x, y, size * float(rng.uniform(0.5, 1.0)), size, float(rng.normal(0, 0.25)), surface, 0)
    flat.paint()
    for _ in range(int(rng.integers(0, 5))):
        _false_limb(rng, image, side)
    if rng.random() < 0.3:
        for _ in range(int(rng.integers(1, 4))):
            text = "".join(LETTERS[int(k)] for k in rng.integers(0, len(LETTERS), int(rng.integers(2, 9))))
            at = _point(rng.uniform(0, 1, 2) * (width * 0.8, height))
            font, size = FONTS[int(rng.integers(len(FONTS)))], float(rng.uniform(0.3, 2.0)) * side / 256
            cv2.putText(image, text, at, font, size, _some_colour(rng), max(1, int(size * 2)), cv2.LINE_AA)


def _false_limb(rng: np.random.Generator, image: RgbImage, side: int) -> None:
    """A bent stick of skin or cloth, an oval like a face without features, or a tuft like hair."""
    height, width = image.shape[:2]
    at, kind = rng.uniform(0, 1, 2) * (width, height), rng.random()
    skin, shade = skin_tones(rng), float(rng.uniform(0.6, 1.05))
    if kind < 0.6:
        colours = [skin * shade, (skin if rng.random() < 0.5 else cloth_colour(rng)) * shade * 0.9]
        thick = rng.uniform(0.015, 0.06) * side
        for colour in colours:
            end = at + rng.normal(0, 1, 2) * side * 0.12
            cv2.line(image, _point(at), _point(end), colour.tolist(), max(2, int(thick)), cv2.LINE_AA)
            at, thick = end, thick * 0.8
    else:
        size = rng.uniform(0.02, 0.08) * side
        axes = (max(1, int(size)), max(1, int(size * rng.uniform(0.9, 1.6))))
        colour = skin * shade if kind < 0.85 else hair_colours(rng)
        cv2.ellipse(image, _point(at), axes, float(rng.normal(0, 20)), 0, 360, colour.tolist(), -1, cv2.LINE_AA)
