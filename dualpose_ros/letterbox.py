"""Scaling an image of any shape into a network's input, and exactly back.

Two kinds of coordinates: points count from the centre of the first pixel, as `camera.py`
does; box edges count from the image's corner, 0 to W, as in COCO and RegionOfInterest.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats, RgbImage, UInt8s

PAD_VALUE = 114
AREA_SCALE = 0.6
"""Below this scale, linear interpolation would skip pixels, so areas are averaged instead."""


@dataclass(frozen=True)
class Letterbox:
    """Where an image lies in a network's input: scaled to inner size, top left, the rest padded.

    All sizes in pixels: the image's, the scaled image's (`inner`), and the network input's.
    ValueError on construction if a size is not positive or the inner size exceeds the outer.
    """

    image_width: int
    image_height: int
    inner_width: int
    inner_height: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if min(self.image_width, self.image_height, self.inner_width, self.inner_height) <= 0:
            raise ValueError(f"image size {self.image_width}x{self.image_height} is not positive")
        if self.inner_width > self.width or self.inner_height > self.height:
            raise ValueError(f"scaled image {self.inner_width}x{self.inner_height} exceeds {self.width}x{self.height}")

    @property
    def scale(self) -> Floats:
        """Network pixels per image pixel, (2,) for x and y: not quite equal, as sizes are whole pixels."""
        return np.array([self.inner_width / self.image_width, self.inner_height / self.image_height])

    @property
    def affine(self) -> Floats:
        """What `points_to_network` does, as a matrix (2, 3) for columns (x, y, 1)."""
        return np.column_stack([np.diag(self.scale), (self.scale - 1) / 2])

    def apply(self, image: RgbImage, pad_value: int = PAD_VALUE) -> UInt8s:
        """Network input (height, width, C) of an image (H, W, C); ValueError if its size is another."""
        if image.shape[:2] != (self.image_height, self.image_width):
            own = f"{self.image_width}x{self.image_height}"
            raise ValueError(f"image is {image.shape[1]}x{image.shape[0]}, the letterbox is for {own}")
        out = np.full((self.height, self.width, image.shape[2]), pad_value, np.uint8)
        inner = out[: self.inner_height, : self.inner_width]
        inner[:] = _resized(image, self.inner_width, self.inner_height).reshape(inner.shape)
        return out

    def boxes_to_network(self, boxes_px: AnyFloats) -> Floats:
        """Boxes (..., 4) of the image in network pixels."""
        return np.asarray(boxes_px, dtype=np.float64) * np.tile(self.scale, 2)

    def boxes_to_image(self, boxes_px: AnyFloats) -> Floats:
        """Boxes (..., 4) of the network in image pixels, not clipped."""
        return np.asarray(boxes_px, dtype=np.float64) / np.tile(self.scale, 2)

    def points_to_network(self, points_px: AnyFloats) -> Floats:
        """Points (..., 2) of the image in network pixels."""
        return (np.asarray(points_px, dtype=np.float64) + 0.5) * self.scale - 0.5

    def points_to_image(self, points_px: AnyFloats) -> Floats:
        """Points (..., 2) of the network in image pixels."""
        return (np.asarray(points_px, dtype=np.float64) + 0.5) / self.scale - 0.5


def _resized(image: RgbImage, width: int, height: int) -> UInt8s:
    """An image (H, W, C) at another size; halved first while it can be, which takes a tenth of the time of any other
    mean over areas."""
    result: UInt8s = image
    while 2 * width <= result.shape[1] and 2 * height <= result.shape[0]:
        half = (result.shape[1] // 2, result.shape[0] // 2)
        result = np.asarray(cv2.resize(result, half, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    if result.shape[:2] == (height, width):
        return result
    shrinks = min(width / result.shape[1], height / result.shape[0]) < AREA_SCALE
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(result, (width, height), interpolation=method), dtype=np.uint8)


def _inner_size(image_width: int, image_height: int, scale: float) -> tuple[int, int]:
    return max(round(image_width * scale), 1), max(round(image_height * scale), 1)


def fit_long_side(image_width: int, image_height: int, long_side: int, multiple: int = 32) -> Letterbox:
    """Letterbox whose image has a given long side.

    image_width, image_height: pixels of the image; long_side: pixels of its longer side in the network's input;
    multiple: the input is padded up to multiples of it, the network's stride.
    ValueError if a size is not positive.
    """
    if image_width <= 0 or image_height <= 0:
        raise ValueError(f"image size {image_width}x{image_height} is not positive")
    if long_side <= 0 or multiple <= 0:
        raise ValueError(f"long side {long_side} and multiple {multiple} must be positive")
    inner = _inner_size(image_width, image_height, long_side / max(image_width, image_height))
    width, height = (-(-size // multiple) * multiple for size in inner)
    return Letterbox(image_width, image_height, *inner, width, height)


def fit_inside(image_width: int, image_height: int, width: int, height: int) -> Letterbox:
    """Letterbox of the largest image of the same shape inside a fixed input.

    image_width, image_height: pixels of the image; width, height: pixels of the network's input.
    ValueError if the image's size is not positive.
    """
    if image_width <= 0 or image_height <= 0:
        raise ValueError(f"image size {image_width}x{image_height} is not positive")
    scale = min(width / image_width, height / image_height)
    inner_width, inner_height = _inner_size(image_width, image_height, scale)
    return Letterbox(image_width, image_height, min(inner_width, width), min(inner_height, height), width, height)
