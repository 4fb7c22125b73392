"""Training pictures for the detector: zoom, crop, flip, people pasted from other pictures, erasing, colour.

Boxes (N, 4) are of the whole body clipped to the picture, as the labels have them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dualpose_ros.arrays import AnyFloats, Float32s, Floats, Mask, RgbImage
from dualpose_ros.datasets.labels import OCCLUDER, LabelledImage
from dualpose_ros.detection.detections import nms
from dualpose_ros.lab.training.geometry import about, moved, turn
from dualpose_ros.lab.training.photometric import colour, photometric, tone
from dualpose_ros.letterbox import PAD_VALUE, fit_inside
from dualpose_ros.people import box_area
from dualpose_ros.settings import Settings, setting, share


@dataclass(frozen=True)
class AugmentConfig(Settings):
    """How pictures vary."""

    flip: float = share(0.5, "share of pictures that are mirrored")
    zoom: tuple[float, float] = setting((0.8, 2.2), "range of scales; 1: the whole image fills the picture", above=0)
    zoom_on_person: float = share(0.5, "share of pictures that are scaled by person_zoom instead")
    person_zoom: tuple[float, float] = setting(
        (0.12, 1.6), "range of picture heights that a person's height becomes", above=0
    )
    stretch: float = setting(0.12, "largest change of the ratio of the sides", least=0, below=1)
    rotate: float = setting(0.06, "largest rotation", unit="rad", least=0, most=3.2)
    paste: float = share(0.3, "share of pictures with people of another image pasted in")
    erase: float = share(0.4, "share of pictures of which parts are erased")
    degrade: float = share(0.5, "share of pictures with blur, noise, compression and shadow besides other colours")
    min_visible: float = share(0.15, "people of whom less is seen are neither learnt nor punished")
    min_inside: float = share(0.15, "the same for the share of their box that lies within the picture")
    min_side_px: float = setting(6.0, "the same for the smaller side of their box", unit="px", least=0)


@dataclass(frozen=True)
class DetectorSample:
    """A picture (H, W, 3) uint8 with its boxes_px (N, 4) float32 and which of them are ignored (N,)."""

    image: RgbImage
    boxes_px: Float32s
    ignored: Mask


def plain_sample(source: LabelledImage, width: int, height: int, config: AugmentConfig) -> DetectorSample:
    """The image as it would reach the live detector, for validation."""
    box = fit_inside(source.image.shape[1], source.image.shape[0], width, height)
    boxes = box.boxes_to_network(source.people.boxes_px)
    ignored = source.people.visible_fraction < config.min_visible
    return _finish(box.apply(source.image), boxes, ignored, config)


def augmented_sample(
    source: LabelledImage,
    width: int,
    height: int,
    config: AugmentConfig,
    rng: np.random.Generator,
    other: LabelledImage | None = None,
) -> DetectorSample:
    """A random picture of width x height from an image, with the people of `other` pasted in where given."""
    warp = random_warp(source, width, height, config, rng)
    pad = (PAD_VALUE,) * 3 if rng.random() < 0.5 else tuple(int(v) for v in rng.integers(0, 256, 3))
    size = (width, height)
    image = np.asarray(cv2.warpAffine(source.image, warp, size, flags=cv2.INTER_LINEAR, borderValue=pad), np.uint8)
    boxes = warp_boxes(source.people.boxes_px, warp)
    ignored = source.people.visible_fraction < config.min_visible
    if other is not None:
        warp = random_warp(other, width, height, config, rng)
        mask = np.asarray(cv2.warpAffine(_person_mask(other), warp, size, flags=cv2.INTER_NEAREST), np.uint8)
        cv2.copyTo(cv2.warpAffine(other.image, warp, size, flags=cv2.INTER_LINEAR), mask, image)
        ignored = ignored | (covered_share(boxes, mask) > 1 - config.min_visible)
        boxes = np.concatenate([boxes, warp_boxes(other.people.boxes_px, warp)])
        ignored = np.concatenate([ignored, other.people.visible_fraction < config.min_visible])
    if rng.random() < config.erase:
        erase(image, boxes, rng)
    image = photometric(image, rng) if rng.random() < config.degrade else colour(tone(image, rng), rng)
    return _finish(image, boxes, ignored, config)


def random_warp(
    source: LabelledImage, width: int, height: int, config: AugmentConfig, rng: np.random.Generator
) -> Floats:
    """Affine map (2, 3) from image to picture pixels: random zoom, stretch, small rotation, flip and place."""
    image_height, image_width = source.image.shape[:2]
    boxes = source.people.boxes_px
    fit = min(width / image_width, height / image_height)
    focus = rng.uniform((0, 0), (image_width, image_height))
    scale = fit * np.exp(rng.uniform(*np.log(config.zoom)))
    spread = np.maximum(np.array([image_width, image_height]) * scale - (width, height), 0) / 2
    target = np.array([width, height]) / 2
    if len(boxes) and rng.random() < config.zoom_on_person:
        box = boxes[rng.integers(len(boxes))].astype(np.float64)
        focus = (box[:2] + box[2:]) / 2
        wanted = np.exp(rng.uniform(*np.log(config.person_zoom))) * height
        # Blowing few pixels up to a portrait would teach blur; shrinking a portrait leaves mere padding.
        scale = float(np.clip(wanted / max(box[3] - box[1], 1.0), config.zoom[0] * fit, 4 * fit))
        target = rng.uniform(0.15, 0.85, 2) * (width, height)
    else:
        focus = np.array([image_width, image_height]) / 2 + rng.uniform(-1, 1, 2) * spread / scale
        slack = np.maximum((width, height) - np.array([image_width, image_height]) * scale, 0) / 2
        target = target + rng.uniform(-1, 1, 2) * slack
    angle = rng.normal(0, config.rotate)
    stretch = np.exp(rng.normal(0, config.stretch) * np.array([0.5, -0.5]))
    mirror = -1.0 if rng.random() < config.flip else 1.0
    return about(turn(angle) @ np.diag(scale * stretch * (mirror, 1.0)), focus, target)


def warp_boxes(boxes_px: AnyFloats, warp: AnyFloats) -> Floats:
    """Boxes (N, 4) through an affine map (2, 3) of pixel centres, not clipped.

    A rotated box is bounded by its inscribed ellipse's extent, which a body fills better than the corners.
    """
    boxes = np.asarray(boxes_px, dtype=np.float64).reshape(-1, 4)
    middle = moved((boxes[:, :2] + boxes[:, 2:]) / 2 - 0.5, warp) + 0.5
    half = np.sqrt(((boxes[:, 2:] - boxes[:, :2]) / 2) ** 2 @ (warp[:, :2] ** 2).T)
    return np.concatenate([middle - half, middle + half], axis=1)


def _person_mask(source: LabelledImage) -> RgbImage:
    """255 where a person is in view (H, W)."""
    return ((source.mask > 0) & (source.mask != OCCLUDER)).astype(np.uint8) * 255


def covered_share(boxes_px: AnyFloats, mask: RgbImage) -> Floats:
    """Share (N,) of each box within the picture that mask (H, W) covers; zero for boxes outside it."""
    height, width = mask.shape
    table = cv2.integral((mask > 0).astype(np.uint8))
    corners = np.clip(np.round(boxes_px), 0, [width, height, width, height]).astype(np.intp)
    x0, y0, x1, y1 = corners.T
    count = table[y1, x1] - table[y0, x1] - table[y1, x0] + table[y0, x0]
    return np.asarray(count / np.maximum((x1 - x0) * (y1 - y0), 1), dtype=np.float64)


def erase(image: RgbImage, boxes_px: AnyFloats, rng: np.random.Generator) -> None:
    """Paint one to three rectangles of plain colour or noise over `image` in place, some of them onto people.

    A rectangle on a person covers at most 60 % of the box, so that the person can still be told.
    """
    height, width = image.shape[:2]
    for _ in range(int(rng.integers(1, 4))):
        if len(boxes_px) and rng.random() < 0.6:
            box = boxes_px[rng.integers(len(boxes_px))]
            extent = (box[2:] - box[:2]) * rng.uniform(0.2, 0.75, 2)
            corner = box[:2] + rng.uniform(0, 1, 2) * (box[2:] - box[:2] - extent)
        else:
            extent = rng.uniform(0.03, 0.25, 2) * (width, height)
            corner = rng.uniform(0, 1, 2) * ((width, height) - extent)
        x0, y0 = np.clip(np.round(corner), 0, (width, height)).astype(int)
        x1, y1 = np.clip(np.round(corner + extent), 0, (width, height)).astype(int)
        patch = image[y0:y1, x0:x1]
        if rng.random() < 0.5 or patch.size == 0:
            patch[:] = rng.integers(0, 256, 3)
        else:
            coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            patch[:] = cv2.resize(coarse, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)


def _finish(image: RgbImage, boxes_px: AnyFloats, ignored: Mask, config: AugmentConfig) -> DetectorSample:
    """Clip boxes to the picture, drop those outside, ignore slivers and all but one of nearly equal boxes."""
    height, width = image.shape[:2]
    boxes = np.clip(boxes_px, 0, [width, height, width, height])
    side = (boxes[:, 2:] - boxes[:, :2]).min(axis=1)
    inside = box_area(boxes) / np.maximum(box_area(boxes_px), 1e-9)
    ignored = ignored | (inside < config.min_inside) | (side < config.min_side_px)
    kept = box_area(boxes) > 0
    boxes, ignored = boxes[kept], ignored[kept]
    # Two boxes in one place share their peak: one of them is all that can be learned.
    alone = np.zeros(len(boxes), dtype=bool)
    alone[nms(boxes, box_area(boxes), 0.9)] = True
    return DetectorSample(image, boxes.astype(np.float32), ignored | ~alone)
