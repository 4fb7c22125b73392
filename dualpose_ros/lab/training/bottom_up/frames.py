"""Frames to train the bottom-up network on: any zoom, with the guidance that the top-down branch would give.

The top-down network itself makes the guidance, from boxes as detectors get them right and wrong, so that the
bottom-up network learns to trust it as far as it deserves. P people, K joints, H x W pixels of the network's input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from dualpose_ros.arrays import AnyFloats, Float32s, Floats, RgbImage, UInt8s
from dualpose_ros.bottom_up.guidance import guidance_maps, no_guidance
from dualpose_ros.datasets.labels import OUTSIDE, VISIBLE, LabelledImage, People
from dualpose_ros.heatmap import Heatmaps
from dualpose_ros.lab.training.geometry import moved
from dualpose_ros.lab.training.losses import ABSENT
from dualpose_ros.lab.training.photometric import photometric
from dualpose_ros.letterbox import PAD_VALUE
from dualpose_ros.people import box_iou
from dualpose_ros.settings import Settings, setting, share
from dualpose_ros.skeleton import H36M17

Guide = Callable[[RgbImage, AnyFloats], Heatmaps]
"""Combined heatmaps that the top-down branch makes of an RGB image and boxes (N, 4)."""
Detector = Callable[[RgbImage], AnyFloats]
"""Boxes (N, 4) that a detector finds in an RGB image."""


@dataclass(frozen=True)
class FrameConfig(Settings):
    """How frames vary."""

    width: int = setting(320, "width of training pictures", unit="px", least=32, most=8192, step=32)
    height: int = setting(256, "height of training pictures", unit="px", least=32, most=8192, step=32)
    long_side: int = setting(384, "longer side of a whole frame in live use", unit="px", least=32, most=8192)
    zoom: tuple[float, float] = setting((0.75, 1.6), "range of what that is multiplied by", above=0)
    on_person: float = share(0.5, "share of frames cut around somebody")
    unguided: float = share(0.15, "share of frames without top-down heatmaps")
    detected: float = share(0.35, "share of frames whose heatmaps are from boxes of the detector; else from true ones")
    missed: float = share(0.7, "of the true boxes, in half of the frames up to this share is left out")
    merged: float = share(0.15, "share of true boxes that are merged with a neighbour's")
    shifted: float = share(0.12, "share of true boxes that are shifted")
    empty: float = share(0.1, "share of frames with a box where nobody is")
    photometric: float = share(0.7, "share of frames whose light, colours and sharpness change")
    hidden_weight: float = share(0.3, "weight of joints behind something")
    min_visible: float = share(0.15, "people of whom less is in view are neither learnt nor punished")


@dataclass(frozen=True)
class TrainingFrame:
    """image uint8 (H, W, 3); guidance uint8 (K, H/4, W/4); joints_px (P, K, 2) and weights (P, K) as in
    `training.losses`; root_depth (P,) and rel_depth (P, K) in metres; focal_px of the picture."""

    image: RgbImage
    guidance: UInt8s
    joints_px: Float32s
    weights: Float32s
    root_depth: Float32s
    rel_depth: Float32s
    focal_px: float


def training_frame(
    sample: LabelledImage, rng: np.random.Generator, config: FrameConfig, guide: Guide, detector: Detector | None
) -> TrainingFrame:
    """A random view of a labelled frame, with guidance from correct and faulty boxes."""
    if rng.random() < 0.5:
        sample = mirrored(sample)
    if rng.random() < config.photometric:
        sample = replace(sample, image=photometric(sample.image, rng))
    heatmaps = None
    if rng.random() >= config.unguided:
        by_detector = detector is not None and rng.random() < config.detected
        boxes = detector(sample.image) if by_detector and detector is not None else faulty_boxes(sample, rng, config)
        heatmaps = guide(sample.image, boxes)
    return _cut(sample, heatmaps, random_view(sample, rng, config), config)


def plain_frame(sample: LabelledImage, config: FrameConfig, guide: Guide) -> TrainingFrame:
    """The whole frame as it would reach the live network, but for its size, guided from true boxes."""
    height, width = sample.image.shape[:2]
    scale = min(config.width / width, config.height / height)
    view = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2]])
    seen = sample.people.visible_fraction >= config.min_visible
    heatmaps = guide(sample.image, sample.people.boxes_px[seen])
    return _cut(sample, heatmaps, view, config)


def mirrored(sample: LabelledImage) -> LabelledImage:
    """The frame as a mirror shows it, left and right exchanged in image, joints and camera."""
    width, mirror = sample.image.shape[1], list(H36M17.mirror)
    people = sample.people
    joints_px, joints_cam = people.joints_px[:, mirror].copy(), people.joints_cam[:, mirror].copy()
    joints_px[..., 0] = width - 1 - joints_px[..., 0]
    joints_cam[..., 0] *= -1
    boxes = people.boxes_px.copy()
    boxes[:, [0, 2]] = width - people.boxes_px[:, [2, 0]]
    turned = replace(
        people, boxes_px=boxes, joints_px=joints_px, joints_cam=joints_cam, visibility=people.visibility[:, mirror]
    )
    camera = replace(sample.camera, cx=width - 1 - sample.camera.cx)
    image, mask = (np.ascontiguousarray(part[:, ::-1]) for part in (sample.image, sample.mask))
    return LabelledImage(image, mask, turned, camera)


def faulty_boxes(sample: LabelledImage, rng: np.random.Generator, config: FrameConfig) -> Floats:
    """Boxes (N, 4) of people in view with detectors' mistakes: inexact, missed, merged, shifted, of nobody."""
    boxes = sample.people.boxes_px[sample.people.visible_fraction >= config.min_visible].astype(np.float64)
    missed = rng.uniform(0, config.missed) if rng.random() < 0.5 else 0.0
    boxes = boxes[rng.random(len(boxes)) >= missed]
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2] + 2).all(axis=1)]
    near = (box_iou(boxes, boxes) > 0.1) & ~np.eye(len(boxes), dtype=bool)
    for first, second in np.argwhere(np.triu(near)):
        if rng.random() < config.merged:
            low, high = (fold(boxes[[first, second]], axis=0) for fold in (np.min, np.max))
            boxes[[first, second]] = np.concatenate([low[:2], high[2:]])
    size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    boxes = boxes + np.clip(rng.normal(0, 0.05, boxes.shape), -0.15, 0.15) * size
    shifted = rng.random(len(boxes)) < config.shifted
    boxes += np.where(shifted[:, None], np.tile(rng.uniform(-0.35, 0.35, (len(boxes), 2)), 2) * size, 0)
    if rng.random() < config.empty:
        height, width = sample.image.shape[:2]
        extent = rng.uniform(0.1, 0.6) * height * np.array([rng.uniform(0.3, 0.7), 1.0])
        corner = rng.uniform(0, 1, 2) * np.maximum(np.array([width, height]) - extent, 1)
        boxes = np.concatenate([boxes, [[*corner, *(corner + extent)]]])
    return boxes


def random_view(sample: LabelledImage, rng: np.random.Generator, config: FrameConfig) -> Floats:
    """Affine (2, 3) from image pixels to those of the network's input: a random zoom and place, never turned."""
    height, width = sample.image.shape[:2]
    scale = config.long_side / max(height, width) * np.exp(rng.uniform(*np.log(config.zoom)))
    size, target = np.array([width, height]), np.array([config.width, config.height])
    boxes = sample.people.boxes_px
    if len(boxes) and rng.random() < config.on_person:
        box = boxes[rng.integers(len(boxes))].astype(np.float64)
        shift = rng.uniform(0.2, 0.8, 2) * target - scale * (box[:2] + box[2:]) / 2
    else:
        shift = rng.uniform(0, 1, 2) * (target - scale * size)
    slack = target - scale * size
    shift = np.clip(shift, np.minimum(slack, 0), np.maximum(slack, 0))
    # A whole frame lies top left, as the letterbox puts it.
    shift = np.where(slack > 0, np.where(rng.random(2) < 0.5, 0, shift), shift)
    return np.column_stack([scale * np.eye(2), shift + (scale - 1) / 2])


def _cut(sample: LabelledImage, heatmaps: Heatmaps | None, view: Floats, config: FrameConfig) -> TrainingFrame:
    """The view of a frame, its guidance and its labels."""
    size, scale = (config.width, config.height), view[0, 0]
    image, matrix = sample.image, view
    if scale < 0.5:
        image = np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
        matrix = view @ np.array([[2.0, 0, 0.5], [0, 2.0, 0.5], [0, 0, 1]])
    picture = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderValue=(PAD_VALUE,) * 3)
    people = sample.people
    joints = moved(people.joints_px, view)
    weights = joint_weights(people, joints, config)
    kept = (weights > ABSENT / 2).any(axis=1)
    z = people.joints_cam[..., 2]
    guidance = no_guidance(size[::-1]) if heatmaps is None else guidance_maps(heatmaps, view, size[::-1])
    return TrainingFrame(
        np.asarray(picture, np.uint8),
        guidance,
        joints[kept].astype(np.float32),
        weights[kept],
        z[kept, H36M17.root],
        (z - z[:, H36M17.root : H36M17.root + 1])[kept],
        float(np.sqrt(sample.camera.fx * sample.camera.fy)) * float(scale),
    )


def joint_weights(people: People, joints_px: AnyFloats, config: FrameConfig) -> Float32s:
    """How each joint (P, K) is supervised: 1 in view, `hidden_weight` behind something, ABSENT outside, 0 masked."""
    weights = np.where(people.visibility == VISIBLE, 1.0, config.hidden_weight).astype(np.float32)
    weights[people.visible_fraction < config.min_visible] = 0.0
    outside = ((joints_px < 0) | (joints_px > (config.width - 1, config.height - 1))).any(axis=-1)
    weights[outside | (people.visibility == OUTSIDE)] = ABSENT
    return weights
