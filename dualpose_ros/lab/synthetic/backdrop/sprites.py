"""Flat pictures with alpha that stand about in backgrounds: trees, plants, cars, lamps, animals, and what
could be taken for a person but is none (garments on hangers, busts, single limbs)."""

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from dualpose_ros.arrays import Floats, RgbImage, UInt8s
from dualpose_ros.lab.synthetic.looks.noise import TILE, fractal
from dualpose_ros.lab.synthetic.looks.textures import CLOTH_KINDS, cloth_colour, cloth_tile, hair_colours, skin_tones

Drawer = Callable[[np.random.Generator], RgbImage]


def _blank() -> RgbImage:
    return np.zeros((TILE, TILE, 4), np.uint8)


def _ink(colour: npt.ArrayLike) -> list[float]:
    return [*np.clip(np.asarray(colour, np.float64), 0, 255).tolist(), 255.0]


def _shape(image: RgbImage, points: npt.ArrayLike, colour: npt.ArrayLike) -> None:
    """Fill a polygon given in 0..1 of the tile."""
    cv2.fillPoly(image, [np.rint(np.asarray(points, np.float64) * TILE).astype(np.int32)], _ink(colour))


def _oval(image: RgbImage, x: float, y: float, rx: float, ry: float, colour: npt.ArrayLike, turn: float = 0.0) -> None:
    at, axes = (int(x * TILE), int(y * TILE)), (max(1, int(rx * TILE)), max(1, int(ry * TILE)))
    cv2.ellipse(image, at, axes, turn, 0, 360, _ink(colour), -1)


def _limb(image: RgbImage, a: npt.ArrayLike, b: npt.ArrayLike, width: float, colour: npt.ArrayLike) -> None:
    p, q = (tuple(int(c * TILE) for c in np.asarray(x, np.float64)) for x in (a, b))
    cv2.line(image, p, q, _ink(colour), max(1, int(width * TILE)))


def _shaded(rng: np.random.Generator, image: RgbImage, amount: float = 0.15) -> RgbImage:
    """Light from one side and some stain, over the opaque part."""
    side = np.linspace(1 - amount, 1 + amount, TILE, dtype=np.float32)[None, :: 1 if rng.random() < 0.5 else -1]
    gain = side * (1 + amount * 0.5 * fractal(rng, TILE, TILE))
    image[..., :3] = np.clip(image[..., :3] * gain[..., None], 0, 255)
    return image


def _leaves(
    rng: np.random.Generator, image: RgbImage, centre: tuple[float, float], radius: tuple[float, float], count: int
) -> None:
    """A crown: leaves scattered in clumps, light above and dark below."""
    green = np.array([(70, 104, 44), (96, 118, 50), (50, 84, 50), (150, 110, 40), (120, 130, 70)][int(rng.integers(5))])
    green = green * rng.uniform(0.7, 1.2)
    clumps = rng.normal(0, 0.45, (int(rng.integers(5, 14)), 2)) * radius + centre
    size = rng.uniform(0.008, 0.022)
    for k in range(count):
        clump = clumps[int(rng.integers(len(clumps)))]
        offset = rng.normal(0, 0.26, 2)
        x, y = clump + offset * radius
        tone = green * (0.35 + 0.6 * k / count - 0.5 * offset[1] + rng.normal(0, 0.12))
        _oval(image, x, y, size * rng.uniform(0.6, 1.4), size * rng.uniform(0.3, 0.9), tone, float(rng.uniform(0, 180)))


def _branch(
    rng: np.random.Generator, image: RgbImage, at: Floats, angle: float, length: float, bark: npt.ArrayLike
) -> None:
    if length < 0.03:
        return
    end = at + length * np.array([np.sin(angle), -np.cos(angle)])
    _limb(image, at, end, length * 0.16, np.asarray(bark) * rng.uniform(0.8, 1.2))
    for _ in range(int(rng.integers(2, 4))):
        _branch(rng, image, end, angle + rng.normal(0, 0.5), length * rng.uniform(0.55, 0.78), bark)


def tree(rng: np.random.Generator) -> RgbImage:
    image = _blank()
    bark = np.array([(80, 62, 46), (110, 100, 90), (50, 40, 34)][int(rng.integers(3))])
    _branch(rng, image, np.array([0.5, 1.0]), 0.0, rng.uniform(0.25, 0.36), bark)
    if rng.random() < 0.85:
        _leaves(rng, image, (0.5, rng.uniform(0.3, 0.42)), (rng.uniform(0.25, 0.42), 0.3), int(rng.integers(400, 1300)))
    return image


def conifer(rng: np.random.Generator) -> RgbImage:
    image = _blank()
    _limb(image, (0.5, 1.0), (0.5, 0.1), 0.04, (60, 46, 36))
    green = np.array((44, 74, 46)) * rng.uniform(0.6, 1.3)
    for y in np.linspace(0.06, 0.94, 60):
        for _ in range(14):
            x = 0.5 + rng.normal(0, 0.18) * y
            _limb(image, (x, y), (x + rng.normal(0, 0.03), y + 0.05), 0.012, green * rng.uniform(0.5, 1.3))
    return image


def bush(rng: np.random.Generator) -> RgbImage:
    image = _blank()
    _leaves(rng, image, (0.5, 0.66), (0.4, 0.34), 700)
    return image


def plant(rng: np.random.Generator) -> RgbImage:
    """A pot plant: long leaves out of a pot."""
    image = _blank()
    green = np.array((60, 110, 56)) * rng.uniform(0.6, 1.3)
    for _ in range(int(rng.integers(10, 40))):
        angle, length, width = rng.normal(0, 0.6), rng.uniform(0.3, 0.62), rng.uniform(0.012, 0.05)
        tip = np.array([0.5 + length * np.sin(angle), 0.72 - length * np.cos(angle)])
        bend = np.array([0.5 + 0.4 * length * np.sin(angle * 0.5), 0.72 - 0.6 * length])
        side = np.array([width, 0])
        _shape(image, [(0.5, 0.74), bend - side, tip, bend + side], green * rng.uniform(0.6, 1.4))
    pot = [(150, 84, 56), (220, 220, 216), (60, 60, 64), (120, 130, 140)][int(rng.integers(4))]
    _shape(image, [(0.34, 0.72), (0.66, 0.72), (0.6, 1.0), (0.4, 1.0)], pot)
    return _shaded(rng, image)


def lamp(rng: np.random.Generator) -> RgbImage:
    image = _blank()
    _limb(image, (0.5, 0.98), (0.5, 0.2), 0.015, cloth_colour(rng) * 0.6)
    _oval(image, 0.5, 0.98, 0.14, 0.02, (50, 50, 50))
    shade = (255, 240, 200) if rng.random() < 0.6 else cloth_colour(rng)
    top = rng.uniform(0.08, 0.2)
    _shape(image, [(0.5 - top, 0.03), (0.5 + top, 0.03), (0.74, 0.27), (0.26, 0.27)], shade)
    return image


def street_lamp(rng: np.random.Generator) -> RgbImage:
    image = _blank()
    grey = rng.uniform(30, 150)
    _limb(image, (0.5, 1.0), (0.5, 0.06), 0.03, (grey, grey, grey))
    if rng.random() < 0.5:
        _limb(image, (0.5, 0.06), (0.85, 0.03), 0.02, (grey, grey, grey))
        _oval(image, 0.88, 0.04, 0.1, 0.02, (230, 230, 220))
    else:
        _shape(image, [(0.2, 0.02), (0.8, 0.02), (0.8, 0.2), (0.2, 0.2)], rng.uniform(20, 240, 3))
    return image


def car(rng: np.random.Generator) -> RgbImage:
    """Side view; the tile stands for about 4.4 m by 1.6 m."""
    image = _blank()
    paint = np.array([(30, 30, 34), (200, 200, 204), (240, 240, 240), (150, 24, 28), (30, 60, 120), (110, 114, 118),
                      (220, 180, 40)][int(rng.integers(7))]) * rng.uniform(0.8, 1.1)  # fmt: skip
    hood, rear = rng.uniform(0.2, 0.32), rng.uniform(0.75, 0.96)
    _shape(image, [(hood, 0.45), (hood + 0.12, 0.1), (rear - 0.12, 0.1), (rear, 0.45)], paint)
    _shape(image, [(0.02, 0.52), (hood, 0.42), (rear, 0.42), (0.98, 0.55), (0.98, 0.84), (0.02, 0.84)], paint * 0.9)
    for a, b in ((hood + 0.05, 0.5), (0.52, rear - 0.05)):
        _shape(image, [(a, 0.43), (max(a, hood + 0.13), 0.16), (min(b, rear - 0.13), 0.16), (b, 0.43)], (40, 50, 58))
    _limb(image, (0.03, 0.66), (0.97, 0.66), 0.02, paint * 0.6)
    for x in (0.2, 0.79):
        _oval(image, x, 0.83, 0.095, 0.16, (22, 22, 24))
        _oval(image, x, 0.83, 0.05, 0.09, (140, 140, 144))
    _oval(image, 0.04, 0.6, 0.03, 0.05, (240, 236, 210))
    return _shaded(rng, image, 0.1)


def bicycle(rng: np.random.Generator) -> RgbImage:
    image = _blank()
    for x in (0.22, 0.78):
        cv2.circle(image, (int(x * TILE), int(0.72 * TILE)), int(0.2 * TILE), _ink((24, 24, 26)), 6)
        cv2.circle(image, (int(x * TILE), int(0.72 * TILE)), int(0.2 * TILE), _ink((150, 150, 150)), 1)
    frame = cloth_colour(rng)
    joints = {
        "rear": (0.22, 0.72),
        "crank": (0.45, 0.74),
        "seat": (0.38, 0.35),
        "head": (0.68, 0.36),
        "front": (0.78, 0.72),
    }
    for a, b in (
        ("rear", "crank"),
        ("rear", "seat"),
        ("crank", "seat"),
        ("crank", "head"),
        ("seat", "head"),
        ("head", "front"),
    ):
        _limb(image, joints[a], joints[b], 0.02, frame)
    _limb(image, (0.32, 0.3), (0.45, 0.3), 0.03, (20, 20, 20))
    _limb(image, (0.68, 0.36), (0.66, 0.24), 0.02, (40, 40, 40))
    _limb(image, (0.58, 0.22), (0.74, 0.26), 0.02, (30, 30, 30))
    return image


def chair(rng: np.random.Generator) -> RgbImage:
    image = _blank()
    wood, seat = cloth_colour(rng), cloth_colour(rng)
    for x in (0.22, 0.3, 0.68, 0.78):
        _limb(image, (x, 0.56), (x + rng.normal(0, 0.02), 0.98), 0.03, wood * 0.8)
    _shape(image, [(0.18, 0.52), (0.82, 0.52), (0.86, 0.62), (0.14, 0.62)], seat)
    if rng.random() < 0.5:
        _shape(image, [(0.2, 0.04), (0.8, 0.04), (0.8, 0.46), (0.2, 0.46)], seat * 0.9)
    else:
        for x in np.linspace(0.22, 0.78, int(rng.integers(3, 7))):
            _limb(image, (x, 0.05), (x, 0.54), 0.025, wood)
        _limb(image, (0.2, 0.08), (0.8, 0.08), 0.06, wood)
    return _shaded(rng, image)


def animal(rng: np.random.Generator) -> RgbImage:
    """Four legs, a trunk, a head: a dog, horse, cow or sheep from the side."""
    image = _blank()
    fur = np.array([(90, 64, 44), (40, 36, 34), (200, 190, 176), (150, 110, 70), (226, 222, 216)][int(rng.integers(5))])
    back, belly = rng.uniform(0.3, 0.42), rng.uniform(0.58, 0.72)
    for x in (0.24, 0.31, 0.64, 0.71):
        knee = (x + rng.normal(0, 0.03), 0.8)
        _limb(image, (x, belly - 0.06), knee, 0.06, fur * 0.8)
        _limb(image, knee, (x + rng.normal(0, 0.03), 0.98), 0.04, fur * 0.75)
    _oval(image, 0.48, (back + belly) / 2, 0.29, (belly - back) / 2, fur)
    head_y = rng.uniform(0.1, back + 0.05)
    _limb(image, (0.7, back + 0.1), (0.82, head_y + 0.05), 0.13, fur)
    _oval(image, 0.86, head_y + 0.04, 0.1, 0.065, fur * 1.05, float(rng.uniform(0, 40)))
    _limb(image, (0.2, back + 0.08), (0.1, rng.uniform(back - 0.1, 0.75)), 0.03, fur * 0.9)
    for _ in range(int(rng.integers(0, 7))):
        _oval(
            image, rng.uniform(0.25, 0.7), rng.uniform(back + 0.04, belly - 0.04), 0.05, 0.03, rng.uniform(20, 240, 3)
        )
    image[image[..., 3] == 0] = 0
    return _shaded(rng, image, 0.2)


def _cloth_over(rng: np.random.Generator, image: RgbImage, mask: UInt8s) -> None:
    kinds = list(CLOTH_KINDS)
    tile = cloth_tile(rng, kinds[int(rng.integers(len(kinds)))], TILE)
    image[mask > 0, :3] = tile[mask > 0]
    image[mask > 0, 3] = 255


def garment(rng: np.random.Generator) -> RgbImage:
    """A shirt, coat or dress on a hanger or tailor's dummy: clothes without anybody in them."""
    image, mask = _blank(), np.zeros((TILE, TILE), np.uint8)
    hem, waist = rng.uniform(0.55, 0.98), rng.uniform(0.16, 0.26)
    body = [(0.4, 0.1), (0.6, 0.1), (0.78, 0.17), (0.5 + waist, 0.5), (0.5 + waist + rng.uniform(-0.04, 0.14), hem),
            (0.5 - waist - rng.uniform(-0.04, 0.14), hem), (0.5 - waist, 0.5), (0.22, 0.17)]  # fmt: skip
    sleeve = rng.uniform(0.28, 0.66)
    parts = [body, [(0.22, 0.17), (0.32, 0.24), (0.24, sleeve), (0.12, sleeve)],
             [(0.78, 0.17), (0.68, 0.24), (0.76, sleeve), (0.88, sleeve)]]  # fmt: skip
    for part in parts:
        cv2.fillPoly(mask, [(np.array(part) * TILE).astype(np.int32)], 255)
    _cloth_over(rng, image, mask)
    _limb(image, (0.5, 0.1), (0.5, 0.02), 0.02, (120, 120, 120))
    return _shaded(rng, image, 0.25)


def bust(rng: np.random.Generator) -> RgbImage:
    """A statue's or dummy's head and shoulders in stone, plaster or bronze, on a block."""
    image = _blank()
    stone = np.array([(200, 198, 192), (110, 108, 104), (90, 70, 50), (230, 226, 220)][int(rng.integers(4))])
    _oval(image, 0.5, 0.28, 0.13, 0.18, stone)
    _limb(image, (0.5, 0.4), (0.5, 0.55), 0.13, stone * 0.9)
    _shape(image, [(0.24, 0.6), (0.42, 0.5), (0.58, 0.5), (0.76, 0.6), (0.66, 0.78), (0.34, 0.78)], stone * 0.95)
    _shape(image, [(0.3, 0.78), (0.7, 0.78), (0.72, 1.0), (0.28, 1.0)], stone * rng.uniform(0.4, 0.9))
    return _shaded(rng, image, 0.3)


def limbs(rng: np.random.Generator) -> RgbImage:
    """Skin- and cloth-coloured sticks that hang together in no human way."""
    image = _blank()
    colours = [skin_tones(rng), cloth_colour(rng), cloth_colour(rng), hair_colours(rng)]
    for _ in range(int(rng.integers(2, 7))):
        at, width = rng.uniform(0.15, 0.85, 2), rng.uniform(0.04, 0.12)
        end = np.clip(at + rng.normal(0, 0.25, 2), 0.1, 0.9)
        _limb(image, at, end, width, colours[int(rng.integers(4))] * rng.uniform(0.8, 1.1))
    if rng.random() < 0.5:
        x, y, rx, ry = rng.uniform((0.2, 0.2, 0.05, 0.05), (0.8, 0.8, 0.14, 0.14))
        _oval(image, x, y, rx, ry, colours[0])
    return _shaded(rng, image, 0.25)


def vessel(rng: np.random.Generator) -> RgbImage:
    """A bottle, vase, jug or ball."""
    image = _blank()
    glaze = rng.uniform(20, 240, 3)
    y = np.linspace(0.05, 1.0, 24)
    knots = rng.uniform(0.08, 0.42, 5)
    radius = np.interp(y, np.linspace(0.05, 1.0, 5), knots)
    _shape(image, np.concatenate([np.stack([0.5 + radius, y], 1), np.stack([0.5 - radius, y], 1)[::-1]]), glaze)
    _limb(image, (0.42, 0.3), (0.42, 0.8), 0.03, glaze + 70)
    return _shaded(rng, image, 0.3)


def cloud(rng: np.random.Generator) -> RgbImage:
    image = _blank()
    line = np.linspace(-1, 1, TILE, dtype=np.float32)
    fall = 1.3 - 1.8 * np.hypot(line[None, :], line[:, None] * 1.2)
    body = np.clip(fall + 0.35 * fractal(rng, TILE, TILE, smooth=True), 0, 1)
    tone = 225 + 25 * np.clip(-line[:, None] + 0.4 * fractal(rng, TILE, TILE, smooth=True), -1, 1)
    image[..., :3] = np.clip(tone, 0, 255)[..., None]
    image[..., 3] = 235 * body
    return image


def parasol(rng: np.random.Generator) -> RgbImage:
    image = _blank()
    _limb(image, (0.5, 0.2), (0.5, 1.0), 0.02, (90, 80, 70))
    first, second = cloth_colour(rng), cloth_colour(rng)
    edges = np.linspace(0.04, 0.96, int(rng.integers(4, 9)))
    for k, (a, b) in enumerate(pairwise(edges)):
        _shape(image, [(0.5, 0.04), (a, 0.36), (b, 0.36)], first if k % 2 else second)
    return _shaded(rng, image)


SPRITES: dict[str, tuple[int, Drawer]] = {
    "tree": (8, tree), "conifer": (3, conifer), "bush": (4, bush), "plant": (6, plant), "lamp": (3, lamp),
    "street_lamp": (4, street_lamp), "car": (8, car), "bicycle": (3, bicycle), "chair": (6, chair),
    "animal": (6, animal), "garment": (8, garment), "bust": (4, bust), "limbs": (8, limbs), "vessel": (6, vessel),
    "cloud": (5, cloud), "parasol": (3, parasol),
}  # fmt: skip
"""Kinds of flat pictures: how many variants are made, and by what."""
