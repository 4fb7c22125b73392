"""Tileable 1/f noise and smooth random fields, computed once a process and cut from there.

The tiles come from a seed of their own, so that what a caller's `rng` draws is the same in every process.
"""

from functools import lru_cache

import cv2
import numpy as np

from dualpose_ros.arrays import Float32s

TILE = 256
"""Side of a noise tile in pixels."""

_EXPONENTS = (0.5, 0.75, 1.0, 1.0, 1.2, 1.4, 1.6, 2.0)
_ATLAS_SEED = 71


def fractal_tile(rng: np.random.Generator, size: int, exponent: float, stretch: float = 1.0) -> Float32s:
    """Tileable noise (size, size) of amplitude f^-exponent, zero mean, unit deviation.

    `stretch` > 1 draws the pattern out along x (wood, water), < 1 along y.
    """
    fy = np.fft.fftfreq(size)[:, None]
    fx = np.fft.rfftfreq(size)[None, :]
    radius = np.hypot(fx * stretch, fy / stretch)
    radius[0, 0] = 1.0
    spectrum = rng.standard_normal(radius.shape) + 1j * rng.standard_normal(radius.shape)
    spectrum *= radius**-exponent
    spectrum[0, 0] = 0.0
    tile = np.fft.irfft2(spectrum, s=(size, size))
    return np.asarray(tile / tile.std(), dtype=np.float32)


@lru_cache(maxsize=1)
def noise_atlas() -> Float32s:
    """All cached tiles, doubled in both directions so that any crop up to TILE needs no wrapping: (n, 2T, 2T)."""
    rng = np.random.default_rng(_ATLAS_SEED)
    tiles = [fractal_tile(rng, TILE, exponent) for exponent in _EXPONENTS for _ in range(2)]
    atlas = np.stack([np.tile(tile, (2, 2)) for tile in tiles])
    atlas.setflags(write=False)
    return atlas


def fractal(rng: np.random.Generator, height: int, width: int, *, smooth: bool = False) -> Float32s:
    """A random crop of 1/f noise (height, width), about zero mean and unit deviation.

    `smooth` picks the steepest spectra (clouds, stains); otherwise any exponent of 0.5 to 2.
    """
    atlas = noise_atlas()
    low = len(atlas) // 2 if smooth else 0
    tile = atlas[int(rng.integers(low, len(atlas)))]
    y, x = (int(v) for v in rng.integers(0, TILE, 2))
    if rng.random() < 0.5:
        tile = tile.T
    scale = max(height, width) / TILE
    if scale <= 1:
        crop = tile[y : y + height, x : x + width]
        return np.ascontiguousarray(crop)
    rows, columns = min(TILE, int(height / scale) + 1), min(TILE, int(width / scale) + 1)
    return cv2.resize(tile[y : y + rows, x : x + columns], (width, height), interpolation=cv2.INTER_LINEAR)


def smooth_field(rng: np.random.Generator, height: int, width: int, cells: int = 3) -> Float32s:
    """A smooth field (height, width) of values around zero, about unit deviation, varying over 1/cells of the image."""
    grid = rng.standard_normal((cells + 1, cells + 1)).astype(np.float32)
    return np.asarray(cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
