"""The cached pyramid of surface tiles that backgrounds are painted with.

Made once a process from a seed of its own (about a second), so that a picture depends on the caller's
`rng` alone. Every tile is TILE px square, sRGB uint8, repeating; pictures (windows, doors, shelves) fill one tile.
"""

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from dualpose_ros.arrays import Float32s, RgbImage
from dualpose_ros.lab.synthetic.backdrop import material_pictures as pictures
from dualpose_ros.lab.synthetic.backdrop.material_noise import shaded, tile_noise, voronoi
from dualpose_ros.lab.synthetic.backdrop.sprites import SPRITES
from dualpose_ros.lab.synthetic.looks.noise import TILE
from dualpose_ros.lab.synthetic.looks.textures import CLOTH_KINDS, cloth_tile

Maker = Callable[[np.random.Generator], Float32s]

LEVELS = 5
_SEED = 4201


def _colour(rng: np.random.Generator, *choices: tuple[int, int, int]) -> Float32s:
    base = np.array(choices[int(rng.integers(len(choices)))], np.float32)
    return np.clip(base * rng.uniform(0.8, 1.15) + rng.normal(0, 5, 3), 0, 255).astype(np.float32)


def _planks(rng: np.random.Generator) -> Float32s:
    count = int(rng.choice([4, 8, 16]))
    width = TILE // count
    tile = np.zeros((TILE, TILE, 3), np.float32)
    wood = _colour(rng, (150, 108, 70), (110, 76, 50), (186, 148, 104), (84, 60, 46), (170, 160, 146))
    grain = tile_noise(rng, 1.0, stretch=8.0)
    for k in range(count):
        rows = slice(k * width, (k + 1) * width)
        shift = int(rng.integers(TILE))
        tone = np.roll(grain[rows], shift, axis=1) * 0.10 + rng.normal(0, 0.09)
        tile[rows] = wood * (1 + tone[..., None])
        tile[k * width] *= 0.55
        tile[rows, shift : shift + 2] *= 0.6
    return tile if rng.random() < 0.5 else np.ascontiguousarray(tile.transpose(1, 0, 2))


def _floor_tiles(rng: np.random.Generator) -> Float32s:
    count = int(rng.choice([1, 2, 4, 8]))
    side = TILE // count
    base = _colour(rng, (200, 196, 188), (150, 140, 128), (90, 88, 86), (176, 130, 100), (226, 224, 220))
    other = _colour(rng, (60, 58, 58), (236, 234, 230), (140, 60, 50)) if rng.random() < 0.3 else base
    tile = np.zeros((TILE, TILE, 3), np.float32)
    for i in range(count):
        for j in range(count):
            tone = base if (i + j) % 2 == 0 else other
            tile[i * side : (i + 1) * side, j * side : (j + 1) * side] = tone * (1 + rng.normal(0, 0.03))
    tile = shaded(rng, tile, 0.06, smooth=True)
    grout = max(1, side // 40)
    mask = (np.arange(TILE) % side) < grout
    tile[mask] = tile[:, mask] = 0
    line = base * rng.uniform(0.5, 1.1)
    tile[mask] = line
    tile[:, mask] = line
    return tile


def _brick(rng: np.random.Generator) -> Float32s:
    rows, columns = int(rng.choice([8, 16])), int(rng.choice([2, 4]))
    high, wide = TILE // rows, TILE // columns
    base = _colour(rng, (150, 78, 60), (170, 120, 92), (200, 196, 190), (120, 96, 84), (96, 50, 42))
    tile = np.empty((TILE, TILE, 3), np.float32)
    tile[:] = _colour(rng, (190, 184, 176), (120, 116, 112))
    for i in range(rows):
        for j in range(columns):
            block = np.full((high - 2, wide - 3, 3), base * (1 + rng.normal(0, 0.12)), np.float32)
            x = (j * wide + (wide // 2 if i % 2 else 0)) % TILE
            cells = (np.arange(x, x + wide - 3)) % TILE
            tile[i * high : (i + 1) * high - 2, cells] = block
    return shaded(rng, tile, 0.10)


def _plaster(rng: np.random.Generator) -> Float32s:
    base = _colour(
        rng, (222, 216, 204), (190, 180, 164), (160, 160, 158), (196, 206, 210), (232, 224, 196), (150, 120, 100)
    )
    tile = np.full((TILE, TILE, 3), base, np.float32)
    return shaded(rng, shaded(rng, tile, rng.uniform(0.01, 0.05), smooth=True), rng.uniform(0.01, 0.04))


def _concrete(rng: np.random.Generator) -> Float32s:
    tile = np.full((TILE, TILE, 3), _colour(rng, (140, 138, 134), (110, 108, 106), (170, 166, 158)), np.float32)
    tile = shaded(rng, shaded(rng, tile, rng.uniform(0.02, 0.09), smooth=True), 0.07)
    if rng.random() < 0.5:
        tile[:: TILE // int(rng.choice([1, 2, 4]))] *= 0.6
    return tile


def _wallpaper(rng: np.random.Generator) -> Float32s:
    line = (np.arange(TILE, dtype=np.float32) + 0.5) / TILE
    u, v = line[None, :], line[:, None]
    count = int(rng.choice([4, 8, 16]))
    kind = int(rng.integers(3))
    if kind == 0:
        mask = np.broadcast_to(np.mod(u * count, 1) < rng.uniform(0.2, 0.7), (TILE, TILE))
    elif kind == 1:
        mask = np.sin(2 * np.pi * count * u) * np.sin(2 * np.pi * count * v) > rng.uniform(0.0, 0.7)
    else:
        wave = u + 0.1 * np.sin(2 * np.pi * v * count)
        mask = np.sin(2 * np.pi * count * wave) * np.cos(2 * np.pi * count * v) > 0.3
    first = _colour(rng, (220, 210, 190), (170, 180, 190), (200, 170, 160), (120, 130, 110), (80, 84, 100))
    second = np.clip(first * rng.uniform(0.7, 1.25), 0, 255)
    return shaded(rng, np.where(mask[..., None], first, second).astype(np.float32), 0.03)


def _carpet(rng: np.random.Generator) -> Float32s:
    base = _colour(rng, (120, 110, 100), (90, 40, 40), (60, 70, 90), (160, 150, 136), (80, 90, 70))
    tile = shaded(rng, np.full((TILE, TILE, 3), base, np.float32), 0.12)
    if rng.random() < 0.4:
        for _ in range(3):
            inset = int(rng.integers(4, 110))
            colour = _colour(rng, (160, 60, 50), (200, 180, 140), (40, 50, 80)).tolist()
            cv2.rectangle(tile, (inset, inset), (TILE - inset, TILE - inset), colour, int(rng.integers(2, 12)))
    return tile


def _grass(rng: np.random.Generator) -> Float32s:
    base = _colour(rng, (84, 120, 50), (60, 96, 44), (124, 132, 62), (150, 140, 84))
    tile = np.full((TILE, TILE, 3), base, np.float32)
    return shaded(rng, shaded(rng, tile, rng.uniform(0.03, 0.12), smooth=True), 0.24, colour=0.05)


def _ground(rng: np.random.Generator) -> Float32s:
    base = _colour(rng, (104, 102, 102), (80, 80, 82), (194, 170, 130), (140, 120, 96), (226, 230, 238), (120, 90, 66))
    tile = shaded(rng, np.full((TILE, TILE, 3), base, np.float32), rng.uniform(0.05, 0.2), colour=0.02)
    return shaded(rng, tile, rng.uniform(0.01, 0.06), smooth=True)


def _stones(rng: np.random.Generator) -> Float32s:
    label, edge = voronoi(rng, int(rng.integers(12, 160)))
    base = _colour(rng, (140, 134, 126), (120, 100, 84), (170, 166, 160))
    tone = 1 + rng.normal(0, 0.15, label.max() + 1).astype(np.float32)
    tile = base * tone[label][..., None] * np.clip(0.45 + edge * 0.25, 0, 1)[..., None]
    return shaded(rng, tile.astype(np.float32), 0.10)


def _foliage(rng: np.random.Generator) -> Float32s:
    """Many small leaves, lit from above, darker in the depth."""
    tile = np.full((TILE, TILE, 3), _colour(rng, (30, 44, 22), (24, 30, 20)), np.float32)
    leaf = _colour(rng, (84, 124, 52), (110, 130, 60), (60, 100, 60), (160, 120, 50), (140, 150, 90))
    radius = rng.uniform(4, 14)
    depth = tile_noise(rng, 1.4)
    for k in range(700):
        at = rng.integers(0, TILE, 2)
        tone = leaf * (0.35 + 0.75 * k / 700 + 0.22 * depth[at[1], at[0]] + rng.normal(0, 0.1))
        size = (max(1, int(radius * rng.uniform(0.5, 1.2))), max(1, int(radius * rng.uniform(0.2, 0.5))))
        angle, colour = float(rng.uniform(0, 180)), np.clip(tone, 0, 255).tolist()
        for dy in (-TILE, 0) if at[1] > TILE - 20 else (0,):
            for dx in (-TILE, 0) if at[0] > TILE - 20 else (0,):
                cv2.ellipse(tile, (int(at[0]) + dx, int(at[1]) + dy), size, angle, 0, 360, colour, -1)
    return tile


def _marble(rng: np.random.Generator) -> Float32s:
    veins = np.abs(tile_noise(rng, 1.6))
    base = _colour(rng, (226, 222, 216), (60, 60, 62), (170, 140, 120))
    return np.asarray(base * (0.7 + 0.3 * np.clip(veins * 3, 0, 1))[..., None], dtype=np.float32)


def _fabric(rng: np.random.Generator) -> Float32s:
    kinds = [kind for kind in CLOTH_KINDS if kind not in ("number", "print", "blocks")]
    return cloth_tile(rng, kinds[int(rng.integers(len(kinds)))], TILE).astype(np.float32)


def _metal(rng: np.random.Generator) -> Float32s:
    base = _colour(rng, (150, 152, 156), (90, 94, 98), (186, 186, 184), (60, 70, 84))
    return np.asarray(base * (1 + 0.08 * tile_noise(rng, 0.8, stretch=20.0))[..., None], dtype=np.float32)


def _water(rng: np.random.Generator) -> Float32s:
    base = _colour(rng, (70, 104, 124), (50, 84, 84), (90, 140, 160), (120, 130, 136))
    waves = tile_noise(rng, 1.2, stretch=3.0)
    return np.asarray(base * (1 + 0.18 * waves)[..., None] + 70 * np.clip(waves - 1.2, 0, 1)[..., None], np.float32)


def _curtain(rng: np.random.Generator) -> Float32s:
    u = (np.arange(TILE, dtype=np.float32) + 0.5) / TILE
    count = int(rng.integers(4, 14))
    folds = 0.8 + 0.2 * np.sin(2 * np.pi * (count * u + 0.8 * np.sin(2 * np.pi * 2 * u)))
    base = _colour(rng, (200, 190, 170), (120, 60, 56), (80, 100, 120), (220, 220, 216), (90, 100, 70))
    return shaded(rng, np.broadcast_to(base * folds[None, :, None], (TILE, TILE, 3)).copy(), 0.03)


def _noise_colours(rng: np.random.Generator) -> Float32s:
    exponent = rng.uniform(0.9, 1.7)
    tile = np.full((TILE, TILE, 3), rng.uniform(60, 190) + rng.normal(0, 15, 3), np.float32)
    hue = np.stack([tile_noise(rng, exponent) for _ in range(3)], axis=-1)
    return tile + rng.uniform(4, 22) * hue + rng.uniform(15, 45) * tile_noise(rng, exponent)[..., None]


MAKERS: dict[str, tuple[int, Maker]] = {
    "planks": (6, _planks), "floor_tiles": (6, _floor_tiles), "brick": (5, _brick), "plaster": (8, _plaster),
    "concrete": (4, _concrete), "wallpaper": (6, _wallpaper), "carpet": (5, _carpet), "grass": (5, _grass),
    "ground": (7, _ground), "stones": (4, _stones), "foliage": (6, _foliage), "marble": (3, _marble),
    "fabric": (10, _fabric), "metal": (3, _metal), "water": (3, _water), "curtain": (4, _curtain),
    "noise": (6, _noise_colours), "facade": (8, pictures.facade), "bookshelf": (5, pictures.bookshelf),
    "goods": (5, pictures.goods), "window": (6, pictures.window), "door": (4, pictures.door),
    "painting": (8, pictures.painting), "poster": (6, pictures.poster), "screen": (4, pictures.screen),
    "cabinet": (5, pictures.cabinet), "blinds": (3, pictures.blinds), "crowd": (4, pictures.crowd),
    "shop": (4, pictures.shop),
}  # fmt: skip
"""Kinds of material: how many variants are made, and by what."""


@lru_cache(maxsize=1)
def _library() -> tuple[tuple[RgbImage, ...], dict[str, tuple[int, ...]]]:
    rng = np.random.default_rng(_SEED)
    tiles: list[RgbImage] = []
    places: dict[str, tuple[int, ...]] = {}
    for kind, (count, maker) in MAKERS.items():
        places[kind] = tuple(range(len(tiles), len(tiles) + count))
        for _ in range(count):
            tile = np.clip(maker(rng), 0, 255).astype(np.uint8)
            tiles.append(np.dstack([tile, np.full((TILE, TILE), 255, np.uint8)]))
    for kind, (count, drawer) in SPRITES.items():
        places[kind] = tuple(range(len(tiles), len(tiles) + count))
        tiles.extend(drawer(rng) for _ in range(count))
    pyramid = [np.stack(tiles)]
    while len(pyramid) < LEVELS:
        pyramid.append(_halved(pyramid[-1]))
    for array in pyramid:
        array.setflags(write=False)
    return tuple(pyramid), places


def _halved(level: RgbImage) -> RgbImage:
    """RGBA tiles (n, s, s, 4) at half the size; colours weigh by alpha, so that no fringe appears."""
    result = np.empty((len(level), level.shape[1] // 2, level.shape[2] // 2, 4), np.uint8)
    for k, tile in enumerate(level.astype(np.float32)):
        alpha = tile[..., 3:] + 1e-3
        weighted = np.concatenate([tile[..., :3] * alpha, alpha], axis=-1)
        mean = cv2.resize(weighted, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        result[k, ..., :3] = mean[..., :3] / mean[..., 3:]
        result[k, ..., 3] = mean[..., 3]
    return result


def atlas() -> tuple[RgbImage, ...]:
    """The pyramid: LEVELS arrays (n, s, s, 4) uint8 RGBA, s halving from TILE."""
    return _library()[0]


@lru_cache(maxsize=1)
def packed() -> tuple[npt.NDArray[np.uint32], int, int]:
    """The pyramid as the painter reads it: RGBA words (all,), level after level; the number of tiles; TILE."""
    levels = atlas()
    words = np.concatenate([level.reshape(-1).view("<u4") for level in levels])
    return words, len(levels[0]), TILE


@lru_cache(maxsize=512)
def _options(kinds: tuple[str, ...]) -> tuple[int, ...]:
    places = _library()[1]
    return tuple(index for kind in kinds for index in places[kind])


def pick(rng: np.random.Generator, *kinds: str) -> int:
    """A random tile's index among those of the given kinds; KeyError for an unknown kind."""
    options = _options(kinds)
    return options[int(rng.random() * len(options))]
