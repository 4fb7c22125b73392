"""Backgrounds to put behind labelled people, taken from labelled images or a folder of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from dualpose_ros.arrays import Float32s, RgbImage
from dualpose_ros.datasets.labels import LabelledImage

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")


class LabelledImages(Protocol):
    """Labelled images by index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> LabelledImage: ...


class BackgroundPool:
    """A pool of RGB pictures (M, S, S, 3); calling it with a generator draws one."""

    def __init__(self, pictures: Sequence[RgbImage], size: int = 256) -> None:
        """Keep `pictures`, centre-cropped to squares and resized; ValueError if there are none."""
        if not pictures:
            raise ValueError("a pool of backgrounds needs at least one picture")
        self.pictures = np.stack([_square(picture, size) for picture in pictures])

    def __len__(self) -> int:
        return len(self.pictures)

    def __call__(self, rng: np.random.Generator) -> RgbImage:
        return np.asarray(self.pictures[int(rng.integers(len(self.pictures)))], np.uint8)


def pool_from_samples(samples: LabelledImages, count: int = 1500, size: int = 256, seed: int = 0) -> BackgroundPool:
    """A pool of up to `count` labelled images with their people filled in by what surrounds them."""
    order = np.random.default_rng(seed).permutation(len(samples))[:count]
    return BackgroundPool([without_people(samples[int(i)]) for i in order], size)


def pool_from_folder(folder: Path, count: int = 3000, size: int = 256) -> BackgroundPool:
    """A pool of up to `count` pictures without people from a folder; FileNotFoundError if it holds none."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES)[:count]
    pictures = [picture for picture in (cv2.imread(str(p), cv2.IMREAD_COLOR) for p in paths) if picture is not None]
    if not pictures:
        raise FileNotFoundError(2, "no readable .jpg or .png picture in this folder", str(folder))
    return BackgroundPool([np.ascontiguousarray(np.asarray(p, np.uint8)[..., ::-1]) for p in pictures], size)


def without_people(sample: LabelledImage) -> RgbImage:
    """The image with all that isn't background filled by a smooth blend of the background around it."""
    foreground = cv2.dilate((sample.mask != 0).astype(np.uint8), np.ones((5, 5), np.uint8))
    known = (1 - foreground).astype(np.float32)
    if not known.any():
        return sample.image
    return _fill(sample.image, known)


def _fill(image: RgbImage, known: Float32s) -> RgbImage:
    """Push-pull: average what is known at ever coarser scales, then take the finest scale that knows each pixel."""
    colours: list[Float32s] = [image.astype(np.float32) * known[..., None]]
    weights: list[Float32s] = [known]
    while min(weights[-1].shape) > 2:
        half = (max(weights[-1].shape[1] // 2, 1), max(weights[-1].shape[0] // 2, 1))
        weights.append(np.asarray(cv2.resize(weights[-1], half, interpolation=cv2.INTER_AREA), np.float32))
        colours.append(np.asarray(cv2.resize(colours[-1], half, interpolation=cv2.INTER_AREA), np.float32))
    filled = np.broadcast_to(colours[-1].mean(axis=(0, 1)) / max(weights[-1].mean(), 1e-6), colours[-1].shape)
    for colour, weight in zip(reversed(colours), reversed(weights), strict=True):
        coarse = cv2.resize(np.ascontiguousarray(filled), weight.shape[::-1], interpolation=cv2.INTER_LINEAR)
        # colour is already multiplied by weight.
        filled = colour + (1 - weight[..., None]) * coarse
    return np.clip(np.rint(filled), 0, 255).astype(np.uint8)


def _square(picture: RgbImage, size: int) -> RgbImage:
    height, width = picture.shape[:2]
    side = min(height, width)
    y, x = (height - side) // 2, (width - side) // 2
    crop = np.ascontiguousarray(picture[y : y + side, x : x + side])
    return np.asarray(cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
