"""Tileable noise of the size of a material tile, and what is made from it."""

import cv2
import numpy as np

from dualpose_ros.arrays import Float32s, Int32s
from dualpose_ros.lab.synthetic.looks.noise import TILE, fractal_tile, noise_atlas


def tile_noise(rng: np.random.Generator, exponent: float, stretch: float = 1.0) -> Float32s:
    """Unit noise (TILE, TILE) of amplitude f^-exponent, drawn out along x by `stretch`."""
    return fractal_tile(rng, TILE, exponent, stretch)


def cached_noise(rng: np.random.Generator, *, smooth: bool) -> Float32s:
    """Unit noise (TILE, TILE) cut from the process's atlas: cheaper than `tile_noise`."""
    atlas = noise_atlas()
    half = len(atlas) // 2
    tile = atlas[int(rng.integers(half, len(atlas)) if smooth else rng.integers(0, half))]
    y, x = (int(v) for v in rng.integers(0, TILE, 2))
    return tile[y : y + TILE, x : x + TILE]


def shaded(
    rng: np.random.Generator, tile: Float32s, amount: float, *, smooth: bool = False, colour: float = 0.0
) -> Float32s:
    """The tile (TILE, TILE, 3) times 1 + amount * noise; `colour` adds noise that differs between channels."""
    gain = 1 + amount * cached_noise(rng, smooth=smooth)[..., None]
    if colour:
        gain = gain + colour * np.stack([cached_noise(rng, smooth=smooth) for _ in range(3)], axis=-1)
    return np.asarray(tile * gain, dtype=np.float32)


def voronoi(rng: np.random.Generator, count: int) -> tuple[Int32s, Float32s]:
    """Tileable cells around `count` points: label (TILE, TILE) and distance to the border, about in pixels."""
    points = rng.integers(0, TILE, (count, 2))
    seeds = np.full((3 * TILE, 3 * TILE), 255, np.uint8)
    owner = np.zeros((3 * TILE, 3 * TILE), np.int32)
    for dy in range(3):
        for dx in range(3):
            y, x = points[:, 1] + dy * TILE, points[:, 0] + dx * TILE
            seeds[y, x] = 0
            owner[y, x] = np.arange(count)
    _, nearest = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    lookup = np.zeros(int(nearest.max()) + 1, np.int32)
    lookup[nearest[seeds == 0]] = owner[seeds == 0]
    label = lookup[nearest]
    border = np.zeros_like(seeds)
    border[:-1] |= (label[:-1] != label[1:]).astype(np.uint8)
    border[:, :-1] |= (label[:, :-1] != label[:, 1:]).astype(np.uint8)
    edge = cv2.distanceTransform(1 - border, cv2.DIST_L2, 3)
    middle = slice(TILE, 2 * TILE)
    return label[middle, middle], edge[middle, middle].astype(np.float32)
