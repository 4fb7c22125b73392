"""Training patches for the top-down network: one target and all who overlap with it."""

from dataclasses import replace

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.camera import Camera
from dualpose_ros.datasets.labels import HIDDEN, OCCLUDER, OUTSIDE, RENDERED_ORIGIN, VISIBLE, LabelledImage, People
from dualpose_ros.lab.synthetic.backdrop.backgrounds import background
from dualpose_ros.lab.synthetic.render.degrade import degrade
from dualpose_ros.lab.synthetic.render.render import View, paint, random_lighting, trace
from dualpose_ros.lab.synthetic.scenes.placing import furnish, look_at, place_group
from dualpose_ros.lab.synthetic.scenes.world import World
from dualpose_ros.lab.synthetic.things.occluders import foreground_occluder

_GROUP_SIZES = (1, 2, 3, 4, 5, 6, 7, 8)
_GROUP_SHARES = (0.42, 0.24, 0.12, 0.09, 0.05, 0.04, 0.02, 0.02)
CONTEXT = 1.5
"""Side of a stored patch over the longer side of the target's box: room for shifts and zooms in training."""

_MAX_TRIES = 40
_MIN_VISIBLE = 4
_DEGRADATION = 0.7

PATCH_SIDE = 288
"""Pixels."""


def is_patch(image: LabelledImage) -> bool:
    """Whether a labelled image is a patch as `make_patch` draws them, not a frame, of whose people each has one."""
    size = (image.camera.width, image.camera.height)
    return image.origin.source == RENDERED_ORIGIN.source and size == (PATCH_SIDE, PATCH_SIDE)


def make_patch(world: World, rng: np.random.Generator, size: int = PATCH_SIDE) -> LabelledImage:
    """Draw one labelled patch (size x size); person 0 is the target that it is centred on."""
    for _ in range(_MAX_TRIES):
        sample = _try_patch(world, rng, size)
        if sample is not None:
            return sample
    raise RuntimeError(f"no usable patch in {_MAX_TRIES} tries")


def _camera_place(rng: np.random.Generator, close: bool) -> Floats:
    """Where the camera stands, relative to the target's place on the floor."""
    distance = rng.uniform(0.7, 2.5) if close else rng.uniform(2.0, 9.0)
    azimuth = rng.uniform(0, 2 * np.pi)
    height = rng.choice([rng.uniform(0.3, 1.2), rng.uniform(1.2, 1.9), rng.uniform(1.9, 4.0)], p=[0.25, 0.55, 0.2])
    if close:
        height = rng.uniform(0.7, 2.0)
    return np.array([distance * np.sin(azimuth), height, distance * np.cos(azimuth)])


def _try_patch(world: World, rng: np.random.Generator, size: int) -> LabelledImage | None:
    kind = str(rng.choice(["full", "upper", "seated"], p=[0.5, 0.27, 0.23]))
    count = int(rng.choice(_GROUP_SIZES, p=_GROUP_SHARES))
    seated = 0.9 if kind == "seated" else 0.12
    actors = place_group(world, rng, count, seated, rng.uniform(0.35, 1.0))
    camera_at = _camera_place(rng, close=kind != "full" and rng.random() < 0.6)
    target = actors[0].joints_m
    rotation, translation = look_at(camera_at, target.mean(0) + rng.normal(0, 0.12, 3), rng.normal(0, 0.07))
    joints_cam = target @ rotation.T + translation
    if joints_cam[:, 2].min() < 0.25:
        return None
    frame, crop = _frame_and_crop(rng, joints_cam, cut=kind == "upper")
    if frame is None or crop is None:
        return None
    focal = size / (crop[2] - crop[0])
    camera = Camera(size, size, focal, focal, -crop[0] * focal - 0.5, -crop[1] * focal - 0.5)
    frame_px = _frame_pixels(camera, frame)
    props = furnish(world, rng, actors, camera_at, {"full": 0.12, "upper": 0.15, "seated": 0.6}[kind])
    traced = trace(actors, props, View(camera, rotation, translation))
    if not _is_usable(_cut_labels(traced.people, frame_px)):
        return None  # before the dearer half of the work
    sample = paint(traced, background(rng, size, size), world.textures, random_lighting(rng))
    if rng.random() < 0.2:
        sample = _paste_occluder(rng, sample)
    sample = replace(sample, image=degrade(rng, sample.image, _DEGRADATION))
    sample = _cut_to_frame(sample, frame_px)
    return sample if _is_usable(sample.people) else None


def _is_usable(people: People) -> bool:
    """Whether enough of the target is in view to learn from."""
    return bool(np.sum(people.visibility[0] == VISIBLE) >= _MIN_VISIBLE)


def _frame_pixels(camera: Camera, frame: Floats) -> Floats:
    """The photograph's border (4,) in pixels of the patch, no wider than the patch, from normalised rays."""
    scale, centre = np.tile([camera.fx, camera.fy], 2), np.tile([camera.cx, camera.cy], 2)
    limit = np.array([camera.width - 1.0, camera.height - 1.0])
    border = frame * scale + centre
    return np.concatenate([np.maximum(border[:2], 0.0), np.minimum(border[2:], limit)])


def _frame_and_crop(rng: np.random.Generator, joints_cam: Floats, cut: bool) -> tuple[Floats | None, Floats | None]:
    """The photograph's border and the patch's square, both (4,) on the plane of normalised rays.

    Cut-off people lose their legs most often, sometimes a side or the head, as in photographs.
    """
    rays = joints_cam[:, :2] / joints_cam[:, 2:]
    margin = 0.1 / float(np.median(joints_cam[:, 2]))
    low, high = rays.min(0) - margin, rays.max(0) + margin
    frame = np.array([-np.inf, -np.inf, np.inf, np.inf])
    if cut or rng.random() < 0.12:
        hips, top = rays[[1, 4], 1].mean(), rays[10, 1]
        frame[3] = hips + (hips - top) * rng.uniform(-0.55, 0.75)
    for side in range(4):
        if rng.random() < 0.06:
            edge = rng.uniform(0.05, 0.45)
            axis = side % 2
            frame[side] = low[axis] + edge * (high - low)[axis] if side < 2 else high[axis] - edge * (high - low)[axis]
    box = np.concatenate([np.maximum(low, frame[:2]), np.minimum(high, frame[2:])])
    extent = box[2:] - box[:2]
    if extent.min() < 0.02 or extent.max() > 2.4:
        return None, None
    half = CONTEXT * extent.max() / 2
    centre = (box[:2] + box[2:]) / 2
    return frame, np.concatenate([centre - half, centre + half])


def _paste_occluder(rng: np.random.Generator, sample: LabelledImage) -> LabelledImage:
    """Lay something close to the camera over the picture and hide the joints behind it."""
    height, width = sample.mask.shape
    colour, alpha = foreground_occluder(rng, height, width)
    image = sample.image + (colour.astype(np.float32) - sample.image) * alpha[..., None]
    mask = np.where(alpha > 0.5, np.uint8(OCCLUDER), sample.mask)
    people = sample.people
    x = np.clip(np.round(people.joints_px[..., 0]), 0, width - 1).astype(int)
    y = np.clip(np.round(people.joints_px[..., 1]), 0, height - 1).astype(int)
    hidden = (people.visibility == VISIBLE) & (alpha[y, x] > 0.5)
    left, before = (np.bincount(m.ravel(), minlength=256)[1 : len(people) + 1] for m in (mask, sample.mask))
    people = replace(
        people,
        visibility=np.where(hidden, HIDDEN, people.visibility).astype(np.uint8),
        visible_fraction=(people.visible_fraction * left / np.maximum(before, 1)).astype(np.float32),
    )
    return replace(sample, image=image.astype(np.uint8), mask=mask, people=people)


def _cut_labels(people: People, frame_px: Floats) -> People:
    """Clip boxes to the photograph's border and mark the joints beyond it."""
    low, high = frame_px[:2], frame_px[2:]
    beyond = ((people.joints_px < low) | (people.joints_px > high)).any(-1)
    boxes = np.clip(people.boxes_px, np.tile(low, 2), np.tile(high, 2)).astype(np.float32)
    visibility = np.where(beyond, OUTSIDE, people.visibility).astype(np.uint8)
    return replace(people, boxes_px=boxes, visibility=visibility)


def _cut_to_frame(sample: LabelledImage, frame_px: Floats) -> LabelledImage:
    """Blacken what lies outside the photograph, as patch extraction does, and cut the labels to it."""
    x0, y0, x1, y1 = (int(np.round(v)) for v in frame_px)
    image, mask = np.zeros_like(sample.image), np.full_like(sample.mask, OCCLUDER)
    inside = slice(y0, y1 + 1), slice(x0, x1 + 1)
    image[inside], mask[inside] = sample.image[inside], sample.mask[inside]
    return replace(sample, image=image, mask=mask, people=_cut_labels(sample.people, frame_px))
