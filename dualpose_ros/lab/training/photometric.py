"""Random colour, light, blur, noise and compression for training images (H, W, 3) uint8 RGB.

Everything acts on pixel values only, so labels stay as they are. About 1 ms at 256 x 256 on one core.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from dualpose_ros.arrays import Float32s, Floats, RgbImage
from dualpose_ros.lab.synthetic.render import degrade

_LUMA = np.array([0.299, 0.587, 0.114])


def photometric(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    """A randomly changed copy of `image`, each step with its own probability, in the order of a camera."""
    if rng.random() < 0.25:
        image = shadow(image, rng)
    image = tone(image, rng)
    image = colour(image, rng)
    if rng.random() < 0.25:
        image = blur(image, rng)
    if rng.random() < 0.25:
        image = low_resolution(image, rng)
    if rng.random() < 0.35:
        image = noise(image, rng)
    if rng.random() < 0.35:
        image = jpeg(image, rng)
    return image


def tone(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    """Brightness, contrast, gamma and colour temperature as one table a channel; sometimes low light."""
    ramp = np.arange(256) / 255
    gamma = np.exp(np.clip(rng.normal(0, 0.22), -0.7, 0.7))
    gain = np.exp(np.clip(rng.normal(0, 0.18), -0.6, 0.5))
    if rng.random() < 0.04:
        gamma, gain = gamma * 1.3, gain * rng.uniform(0.25, 0.6)
    contrast, offset = rng.uniform(0.65, 1.4), rng.uniform(-0.12, 0.12)
    warmth, tint = rng.normal(0, 0.12), rng.normal(0, 0.04)
    white = np.exp([warmth, tint, -warmth])
    table = (ramp[:, None] * white) ** gamma * gain
    table = (table - 0.4) * contrast + 0.4 + offset
    lut = np.clip(np.rint(255 * table), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, lut.reshape(1, 256, 3)), np.uint8)


def colour(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    """Saturation, hue and a rare channel swap or grey picture as one 3 x 3 matrix."""
    saturation = 0.0 if rng.random() < 0.06 else rng.uniform(0.3, 1.6)
    angle = rng.normal(0, 0.2) if rng.random() < 0.5 else 0.0
    matrix = saturation * _hue_rotation(angle) + (1 - saturation) * np.tile(_LUMA, (3, 1))
    if rng.random() < 0.05:
        matrix = matrix[rng.permutation(3)]
    return np.asarray(cv2.transform(image, matrix.astype(np.float32)), np.uint8)


def _hue_rotation(angle: float) -> Floats:
    """Rotation of colours by `angle` radians about the grey axis."""
    return Rotation.from_rotvec(np.full(3, angle / np.sqrt(3))).as_matrix()


def blur(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    """Defocus, or motion along a line of up to a twentieth of the picture."""
    if rng.random() < 0.6:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 2.2))), np.uint8)
    length = int(rng.integers(3, max(4, image.shape[1] // 20)))
    angle = rng.uniform(0, np.pi)
    kernel = np.zeros((length | 1, length | 1), np.float32)
    middle = (len(kernel) - 1) / 2
    along = np.linspace(-middle, middle, 4 * len(kernel))
    rows, columns = np.rint(middle + along * np.sin(angle)), np.rint(middle + along * np.cos(angle))
    np.add.at(kernel, (rows.astype(int), columns.astype(int)), 1.0)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def low_resolution(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    """Down by up to four times and up again: people far away."""
    factor = float(np.exp(rng.uniform(np.log(1.3), np.log(4.0))))
    return degrade.coarsened(image, factor, (cv2.INTER_LINEAR, cv2.INTER_CUBIC)[int(rng.integers(2))])


@lru_cache(maxsize=1)
def _noise_pool() -> Float32s:
    """White noise to cut pictures of noise from: a fresh draw costs ten times more."""
    pool = np.random.default_rng(5).standard_normal(1 << 20, dtype=np.float32)
    pool.setflags(write=False)
    return pool


def noise(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    """Gaussian noise of up to 25 grey levels, in colour or equal in all channels."""
    height, width = image.shape[:2]
    deviation = min(float(rng.exponential(6.0)), 25.0)
    pool = _noise_pool()
    channels = 3 if rng.random() < 0.7 else 1
    count = height * width * channels
    repeats = -(-count // len(pool))
    start = int(rng.integers(len(pool)))
    cut = (
        np.tile(pool, repeats + 1)[start : start + count] if start + count > len(pool) else pool[start : start + count]
    )
    grain = cut.reshape(height, width, channels) * np.float32(deviation)
    grain = grain if channels == 3 else np.repeat(grain, 3, axis=2)
    return np.asarray(cv2.add(image, grain, dtype=cv2.CV_8U), np.uint8)


def jpeg(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    """A round trip through JPEG at quality 15 to 90."""
    return degrade.jpeg(image, int(rng.integers(15, 91)))


def shadow(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    """A cast shadow: a random polygon, or a smooth random field, darkens the picture."""
    height, width = image.shape[:2]
    if rng.random() < 0.5:
        corners = np.rint(rng.uniform(-0.3, 1.3, (4, 2)) * (width, height)).astype(np.int32)
        field = np.zeros((height // 4, width // 4), np.float32)
        cv2.fillPoly(field, [cv2.convexHull(corners // 4)], (1.0,))
        field = cv2.GaussianBlur(field, (0, 0), float(rng.uniform(0.5, 4.0)))
    else:
        field = rng.random((4, 4), dtype=np.float32)
    shade = 1 - np.float32(rng.uniform(0.2, 0.7)) * field
    full = np.clip(cv2.resize(shade, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)
    return np.asarray(cv2.multiply(image, cv2.merge([full, full, full]), dtype=cv2.CV_8U), np.uint8)
