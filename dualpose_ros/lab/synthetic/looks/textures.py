"""Cloth patterns as tileable pictures, and realistic colours of skin, hair and clothes (all sRGB).

A tile repeats without a seam in both directions: u runs along its width, v down its height, one tile for 1.0 of
each. Patterns are drawn upright, so that horizontal stripes run around a torso whose v is the body's height.
"""

from collections.abc import Callable
from functools import lru_cache, partial

import cv2
import numpy as np

from dualpose_ros.arrays import Float32s, Ints, RgbImage
from dualpose_ros.lab.synthetic.looks.noise import fractal_tile

_CLOTH_FAMILIES: tuple[tuple[float, tuple[tuple[int, int, int], ...]], ...] = (
    (0.24, ((18, 18, 20), (30, 30, 34), (42, 40, 42), (25, 22, 28))),
    (0.10, ((22, 28, 52), (30, 40, 78), (18, 30, 44))),
    (0.13, ((70, 72, 76), (110, 112, 114), (150, 150, 148), (88, 84, 80))),
    (0.16, ((236, 236, 234), (222, 220, 212), (246, 246, 248), (228, 224, 210))),
    (0.10, ((62, 84, 122), (88, 112, 150), (44, 60, 92), (126, 146, 172))),
    (0.11, ((168, 140, 104), (120, 92, 64), (196, 178, 146), (84, 62, 46), (102, 98, 66))),
    (0.11, ((196, 28, 36), (28, 88, 186), (20, 132, 66), (240, 196, 24), (236, 108, 24), (98, 40, 142), (0, 152, 196))),
    (0.05, ((232, 180, 190), (178, 208, 228), (196, 222, 190), (236, 224, 170), (206, 190, 226))),
)
_CLOTH_SUMS = np.cumsum([share for share, _ in _CLOTH_FAMILIES])
_SKIN_LIGHT_TO_DARK = np.array(
    [(244, 214, 196), (232, 192, 166), (216, 170, 138), (194, 144, 108), (164, 112, 78), (128, 84, 58), (92, 60, 44),
     (62, 42, 34)], np.float32,
)  # fmt: skip
_HAIR = np.array(
    [(16, 14, 14), (30, 24, 22), (52, 36, 28), (78, 54, 38), (110, 78, 50), (150, 114, 72), (200, 168, 116),
     (120, 58, 34), (128, 126, 124), (206, 204, 200)], np.float32,
)  # fmt: skip
_HAIR_SHARES = (0.26, 0.20, 0.15, 0.11, 0.07, 0.05, 0.05, 0.03, 0.05, 0.03)


def skin_tones(rng: np.random.Generator) -> Float32s:
    """One person's skin (3,) float32 sRGB in 0..255, from very light to very dark, slightly varied in hue."""
    place = rng.uniform(0, len(_SKIN_LIGHT_TO_DARK) - 1)
    low = int(place)
    high = min(low + 1, len(_SKIN_LIGHT_TO_DARK) - 1)
    tone = _SKIN_LIGHT_TO_DARK[low] + (place - low) * (_SKIN_LIGHT_TO_DARK[high] - _SKIN_LIGHT_TO_DARK[low])
    return np.clip(tone * rng.uniform(0.92, 1.06) * (1 + rng.normal(0, 0.025, 3)), 8, 255).astype(np.float32)


def hair_colours(rng: np.random.Generator) -> Float32s:
    """One person's hair (3,) float32 sRGB in 0..255: mostly dark, some fair, red, grey, white, rarely dyed."""
    if rng.random() < 0.02:
        return rng.uniform(20, 230, 3).astype(np.float32)
    base = _HAIR[int(rng.choice(len(_HAIR), p=_HAIR_SHARES))]
    return np.clip(base * rng.uniform(0.75, 1.25) + rng.normal(0, 3, 3), 2, 250).astype(np.float32)


def cloth_colour(rng: np.random.Generator) -> Float32s:
    """A colour that clothes have (3,) float32 sRGB in 0..255: dark, neutral and white far more often than bright."""
    place = int(np.searchsorted(_CLOTH_SUMS, rng.random() * _CLOTH_SUMS[-1], side="right"))
    family = _CLOTH_FAMILIES[place][1]
    colour = np.array(family[int(rng.integers(len(family)))], np.float32)
    return np.clip(colour * rng.uniform(0.8, 1.2) + rng.normal(0, 6, 3), 4, 252).astype(np.float32)


def cloth_atlas(rng: np.random.Generator, count: int, size: int = 128) -> RgbImage:
    """`count` tileable cloths (count, size, size, 3) uint8 sRGB, kinds drawn with natural frequencies."""
    names = list(CLOTH_KINDS)
    shares = np.array([CLOTH_KINDS[name][0] for name in names])
    kinds = rng.choice(len(names), size=count, p=shares / shares.sum())
    tiles = [cloth_tile(rng, names[int(kind)], size) for kind in kinds]
    return np.stack(tiles) if tiles else np.zeros((0, size, size, 3), np.uint8)


def cloth_tile(rng: np.random.Generator, kind: str, size: int = 128) -> RgbImage:
    """One tileable cloth (size, size, 3) uint8 of a kind of CLOTH_KINDS; ValueError names the kinds if it's none."""
    if kind not in CLOTH_KINDS:
        raise ValueError(f"no cloth kind '{kind}'; there are {', '.join(CLOTH_KINDS)}")
    tile = CLOTH_KINDS[kind][1](rng, size)
    shade = 1 + float(rng.uniform(0.01, 0.05)) * _noise(rng, size, fine=True)
    shade = shade + float(rng.uniform(0.0, 0.07)) * _noise(rng, size, fine=False)
    return np.asarray(np.clip(tile * shade[..., None], 0, 255), dtype=np.uint8)


@lru_cache(maxsize=4)
def _noise_tiles(size: int) -> Float32s:
    rng = np.random.default_rng(17)
    fine = [fractal_tile(rng, size, exponent) for exponent in (0.0, 0.3, 0.6)]
    coarse = [fractal_tile(rng, size, exponent) for exponent in (1.2, 1.6, 2.0, 2.4)]
    return np.stack(fine + coarse)


def _noise(rng: np.random.Generator, size: int, *, fine: bool) -> Float32s:
    """Tileable unit noise (size, size), rolled to a random place."""
    tiles = _noise_tiles(size)
    tile = tiles[int(rng.integers(0, 3) if fine else rng.integers(3, 7))]
    rolled = np.roll(tile, tuple(int(v) for v in rng.integers(0, size, 2)), axis=(0, 1))
    return rolled.T if rng.random() < 0.5 else rolled


def _axes(size: int) -> tuple[Float32s, Float32s]:
    """Periodic coordinates v (size, 1) and u (1, size) in 0..1."""
    line = ((np.arange(size) + 0.5) / size).astype(np.float32)
    return line[:, None], line[None, :]


def _full(size: int, colour: Float32s) -> Float32s:
    return np.full((size, size, 3), colour, np.float32)


def _blend(mask: Float32s, inside: Float32s | Float32s, outside: Float32s | Float32s) -> Float32s:
    weight = mask[..., None]
    return np.asarray(outside + weight * (np.asarray(inside) - outside), dtype=np.float32)


def _contrasting(rng: np.random.Generator, colour: Float32s) -> Float32s:
    """A second cloth colour that can be told from the first."""
    other = cloth_colour(rng)
    if np.abs(other - colour).max() < 50:
        other = np.asarray(255 - other if colour.mean() > 90 else other + 120, dtype=np.float32)
    return np.clip(other, 0, 255).astype(np.float32)


def _plain(rng: np.random.Generator, size: int) -> Float32s:
    return _full(size, cloth_colour(rng))


def _weave(rng: np.random.Generator, size: int) -> Float32s:
    v, u = _axes(size)
    count = int(rng.integers(size // 8, size // 3))
    twill = np.sin(2 * np.pi * count * (u + v * int(rng.integers(0, 2))))
    return cloth_colour(rng) * (1 + float(rng.uniform(0.03, 0.12)) * twill * np.cos(2 * np.pi * count * v))[..., None]


def _denim(rng: np.random.Generator, size: int) -> Float32s:
    v, u = _axes(size)
    base = np.array([(58, 78, 116), (38, 50, 82), (120, 140, 168), (34, 36, 44)][int(rng.integers(4))], np.float32)
    twill = np.sin(2 * np.pi * (size // 4) * (u + v)) * 0.08
    worn = 0.12 * _noise(rng, size, fine=False) + 0.06 * _noise(rng, size, fine=True)
    return base * (1.05 + twill + worn)[..., None]


def _knit(rng: np.random.Generator, size: int) -> Float32s:
    v, u = _axes(size)
    rows, columns = int(rng.integers(10, 28)), int(rng.integers(8, 24))
    zigzag = np.abs(2 * ((u * columns) % 1) - 1) * 0.5
    ribs = np.sin(2 * np.pi * columns * u) * 0.10 + np.sin(2 * np.pi * (rows * v + zigzag)) * 0.12
    return cloth_colour(rng) * (1 + ribs)[..., None]


def _leather(rng: np.random.Generator, size: int) -> Float32s:
    base = np.array([(24, 20, 20), (70, 44, 28), (110, 70, 42), (44, 24, 22)][int(rng.integers(4))], np.float32)
    creases = np.abs(_noise(rng, size, fine=False))
    gloss = np.clip(1 - creases, 0, 1) ** 3
    return base * (0.9 + 0.25 * np.tanh(creases))[..., None] + 38 * gloss[..., None]


def _stripes(rng: np.random.Generator, size: int, direction: str) -> Float32s:
    v, u = _axes(size)
    count = int(rng.choice([2, 3, 4, 6, 8, 12, 16], p=[0.12, 0.16, 0.22, 0.2, 0.15, 0.1, 0.05]))
    lean = int(rng.choice([-1, 1])) * max(1, count // int(rng.integers(1, 3)))
    phase = {"horizontal": v + 0 * u, "vertical": u + 0 * v, "diagonal": v + u * lean / count}[direction] * count
    first = cloth_colour(rng)
    width = rng.uniform(0.15, 0.6)
    mask = (np.mod(phase, 1) < width).astype(np.float32)
    tile = _blend(mask, _contrasting(rng, first), first)
    if rng.random() < 0.3:
        thin = (np.abs(np.mod(phase, 1) - (width + 1) / 2) < 0.05).astype(np.float32)
        tile = _blend(thin, cloth_colour(rng), tile)
    return tile


def _plaid(rng: np.random.Generator, size: int) -> Float32s:
    v, u = _axes(size)
    count = int(rng.integers(1, 7))
    tile = _full(size, cloth_colour(rng))
    for _ in range(int(rng.integers(1, 4))):
        colour, place, width = cloth_colour(rng), rng.uniform(), rng.uniform(0.04, 0.3)
        for axis in (u + 0 * v, v + 0 * u):
            band = (np.mod(axis * count + place, 1) < width).astype(np.float32)
            tile = _blend(0.5 * band, colour, tile)
    return tile


def _checks(rng: np.random.Generator, size: int) -> Float32s:
    v, u = _axes(size)
    count = 2 * int(rng.integers(1, 9))
    mask = ((np.floor(u * count) + np.floor(v * count)) % 2).astype(np.float32)
    first = cloth_colour(rng)
    return _blend(mask, _contrasting(rng, first), first)


def _dots(rng: np.random.Generator, size: int) -> Float32s:
    v, u = _axes(size)
    count = int(rng.integers(3, 13))
    row = np.floor(v * 2 * count)
    du = np.mod(u * count + 0.5 * (row % 2), 1) - 0.5
    dv = (np.mod(v * 2 * count, 1) - 0.5) / 2
    first = cloth_colour(rng)
    return _blend((np.hypot(du, dv) < rng.uniform(0.1, 0.24)).astype(np.float32), _contrasting(rng, first), first)


def _camouflage(rng: np.random.Generator, size: int) -> Float32s:
    palette = ((84, 88, 58), (54, 60, 40), (120, 108, 76), (36, 34, 30)) if rng.random() < 0.7 else (
        (120, 124, 128), (70, 74, 80), (180, 182, 184), (36, 38, 42))  # fmt: skip
    tile = _full(size, np.array(palette[0], np.float32))
    for colour in palette[1:]:
        mask = (_noise(rng, size, fine=False) > rng.uniform(0.2, 0.8)).astype(np.float32)
        tile = _blend(mask, np.array(colour, np.float32), tile)
    return tile


def _tie_dye(rng: np.random.Generator, size: int) -> Float32s:
    tile = _full(size, cloth_colour(rng))
    for _ in range(int(rng.integers(1, 4))):
        tile = _blend(np.clip(0.5 + _noise(rng, size, fine=False), 0, 1), cloth_colour(rng), tile)
    return tile


def _wrapped(tile: RgbImage, draw: Callable[[RgbImage, tuple[int, int]], object], at: Ints) -> None:
    """Draw a mark at `at` (2,) and wherever it would come back in on the other side of the tile."""
    size = tile.shape[0]
    for dy in (-size, 0, size):
        for dx in (-size, 0, size):
            draw(tile, (int(at[0]) + dx, int(at[1]) + dy))


def _tuple(colour: Float32s) -> tuple[float, float, float]:
    return float(colour[0]), float(colour[1]), float(colour[2])


def _ellipse(
    image: RgbImage, centre: tuple[int, int], axes: tuple[int, int], angle: float, colour: tuple[float, float, float]
) -> None:
    cv2.ellipse(image, centre, axes, angle, 0, 360, colour, -1)


def _floral(rng: np.random.Generator, size: int) -> Float32s:
    base = cloth_colour(rng)
    tile = _full(size, base).astype(np.uint8)
    palette = [_contrasting(rng, base) for _ in range(3)]
    for _ in range(int(rng.integers(6, 26))):
        colour, radius = _tuple(palette[int(rng.integers(3))]), rng.uniform(0.02, 0.09) * size
        axes = (max(1, int(radius)), max(1, int(radius * 0.5)))
        place, turn, petals = rng.integers(0, size, 2), rng.uniform(0, 2 * np.pi), int(rng.integers(1, 7))
        for angle in turn + 2 * np.pi * np.arange(petals) / petals:
            at = place + (radius * np.array([np.cos(angle), np.sin(angle)])).astype(int)
            _wrapped(tile, partial(_ellipse, axes=axes, angle=float(np.degrees(angle)), colour=colour), at)
    return tile.astype(np.float32)


def _printed(rng: np.random.Generator, size: int, number: bool) -> Float32s:
    """A plain or two-coloured shirt with one print in the middle of the tile: a word, a number, a badge."""
    base = cloth_colour(rng)
    if number and rng.random() < 0.5:
        tile = _stripes(rng, size, "vertical" if rng.random() < 0.6 else "horizontal").astype(np.uint8)
        base = tile.reshape(-1, 3).mean(axis=0).astype(np.float32)
    else:
        tile = _full(size, base).astype(np.uint8)
    ink = _tuple(_contrasting(rng, base))
    if not number and rng.random() < 0.5:
        centre = (size // 2, int(size * rng.uniform(0.35, 0.6)))
        axes = (int(size * rng.uniform(0.06, 0.22)), int(size * rng.uniform(0.06, 0.2)))
        cv2.ellipse(tile, centre, axes, rng.uniform(0, 180), 0, 360, _tuple(cloth_colour(rng)), -1, cv2.LINE_AA)
    word = "".join(rng.choice(list("ABCDEHKLMNOPRSTUX"), rng.integers(2, 7)))
    text = str(int(rng.integers(1, 100))) if number else word
    font = cv2.FONT_HERSHEY_DUPLEX
    thickness = max(1, int(size * (0.05 if number else 0.02)))
    (width, height), _ = cv2.getTextSize(text, font, 1.0, thickness)
    scale = min(0.6 * size / width, (0.5 if number else 0.3) * size / height) * rng.uniform(0.6, 1.0)
    at = (int((size - width * scale) / 2), int((size + height * scale) / 2))
    cv2.putText(tile, text, at, font, scale, ink, thickness, cv2.LINE_AA)
    return tile.astype(np.float32)


def _gradient(rng: np.random.Generator, size: int) -> Float32s:
    v, u = _axes(size)
    first = cloth_colour(rng)
    wave = 0.5 - 0.5 * np.cos(2 * np.pi * (v + 0 * u))
    return _blend(wave.astype(np.float32), _contrasting(rng, first), first)


def _blocks(rng: np.random.Generator, size: int) -> Float32s:
    """A sports shirt of two or three large fields."""
    v, u = _axes(size)
    tile = _full(size, cloth_colour(rng))
    for _ in range(int(rng.integers(1, 3))):
        axis = u + 0 * v if rng.random() < 0.4 else v + 0 * u
        low = rng.uniform(0, 0.8)
        tile = _blend(((axis > low) & (axis < low + rng.uniform(0.1, 0.5))).astype(np.float32), cloth_colour(rng), tile)
    return tile


CLOTH_KINDS: dict[str, tuple[float, Callable[[np.random.Generator, int], Float32s]]] = {
    "plain": (0.30, _plain),
    "weave": (0.09, _weave),
    "denim": (0.10, _denim),
    "knit": (0.05, _knit),
    "leather": (0.03, _leather),
    "stripes_horizontal": (0.07, partial(_stripes, direction="horizontal")),
    "stripes_vertical": (0.03, partial(_stripes, direction="vertical")),
    "stripes_diagonal": (0.015, partial(_stripes, direction="diagonal")),
    "plaid": (0.06, _plaid),
    "checks": (0.02, _checks),
    "dots": (0.025, _dots),
    "camouflage": (0.025, _camouflage),
    "tie_dye": (0.02, _tie_dye),
    "floral": (0.04, _floral),
    "print": (0.06, partial(_printed, number=False)),
    "number": (0.05, partial(_printed, number=True)),
    "gradient": (0.02, _gradient),
    "blocks": (0.04, _blocks),
}
"""Cloth kinds: natural frequency and how to draw a tile of them."""
