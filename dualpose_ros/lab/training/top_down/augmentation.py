"""Random views of labelled patches for training: geometry, backgrounds, occluders, photometry.

P people, K joints, S x S pixels of the network patch. Networks trained on rendered images meet real
ones only through variety, so each step here is wide; all of it is OpenCV on one core.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from dualpose_ros.arrays import AnyFloats, Float32s, Floats, Indices, Mask, RgbImage, UInt8s
from dualpose_ros.datasets.labels import HIDDEN, OCCLUDER, OUTSIDE, VISIBLE, LabelledImage, People
from dualpose_ros.lab.training.geometry import about, moved, turn
from dualpose_ros.lab.training.losses import ABSENT
from dualpose_ros.lab.training.photometric import photometric
from dualpose_ros.settings import Settings, setting, share
from dualpose_ros.skeleton import H36M17

BackgroundSource = Callable[[np.random.Generator], RgbImage]
"""Draws one RGB image (H, W, 3) of any size to put behind people."""

_NOWHERE, _FRAME = 254, 253
"""Mask values of patch pixels that lie outside the source image, and in its black margin."""
_UPPER = tuple(H36M17.index(n) for n in ("spine", "thorax", "neck", "head_top", "left_shoulder", "right_shoulder"))
_ARMS = tuple(H36M17.index(n) for n in ("left_elbow", "right_elbow", "left_wrist", "right_wrist"))
_HIPS = tuple(H36M17.index(n) for n in ("pelvis", "left_hip", "right_hip"))
_LEGS = tuple(H36M17.index(n) for n in ("left_knee", "right_knee", "left_ankle", "right_ankle"))


@dataclass(frozen=True)
class AugmentationConfig(Settings):
    """How far each random change goes."""

    geometry: bool = setting(True, "vary the view; without it patches are those of the live stage")
    rotation_deg: float = setting(40.0, "largest rotation", unit="degrees", least=0, most=180)
    scale: tuple[float, float] = setting(
        (0.65, 1.5), "range of the patch's side over what the live stage would take", above=0
    )
    shift: float = setting(0.07, "deviation of shifts, as a share of the box's longer side", least=0)
    bad_shift: float = setting(0.3, "a seventh of the patches are shifted anywhere up to this", least=0)
    half_body: float = share(0.2, "share of patches of half a body")
    image_border: float = share(0.2, "share of patches cut by an image's border")
    background_swap: float = share(0.5, "share of patches with another background")
    occluders: float = share(0.5, "share of patches with something in front")
    photometric: float = share(0.9, "share of patches whose light, colours and sharpness change")
    hidden_weight: float = share(0.5, "weight of joints behind something")
    min_visible_fraction: float = share(0.2, "people of whom less is in view are neither learnt nor punished")


@dataclass(frozen=True)
class View:
    """A patch to be cut: source-to-patch affine (2, 3), whether it mirrors, and the patch rectangle kept."""

    matrix: Floats
    mirrored: bool
    keep_px: tuple[float, float, float, float]


@dataclass(frozen=True)
class TrainingPatch:
    """image uint8 (S, S, 3); joints_px (P, K, 2) and weights (P, K) as in `training.losses`; box_px (4,) of person 0.

    Person 0 is the one that the patch is made for; mirrored people have their sides exchanged.
    """

    image: RgbImage
    joints_px: Float32s
    weights: Float32s
    box_px: Float32s


def augment(
    sample: LabelledImage,
    rng: np.random.Generator,
    config: AugmentationConfig,
    background: BackgroundSource | None = None,
    size: int = 192,
    enlarge: float = 1.25,
    max_people: int = 10,
) -> TrainingPatch:
    """Cut and change one training patch around person 0 of `sample`; ValueError if it holds no people."""
    people = sample.people
    if len(people) == 0:
        raise ValueError("a training patch needs at least one person; this sample has none")
    view = draw_view(people, rng, config, size, enlarge)
    image, mask = _cut(sample, view, size)
    nowhere, margin = mask == _NOWHERE, mask == _FRAME
    joints, visibility = _move_people(people, view)
    if background is not None:
        swapped = rng.random() < config.background_swap
        kept = ~nowhere & (mask != 0) if swapped else ~nowhere
        if swapped or nowhere.any():
            alpha = np.asarray(cv2.blur(kept.astype(np.float32), (3, 3)), np.float32)
            backdrop = _draw_backdrop(background, rng, size)
            image = np.asarray(cv2.blendLinear(image, backdrop, alpha, 1 - alpha), np.uint8)
        # Seldom black, unless the image ends here: the live stage's black margins have no slanted edges.
        nowhere &= bool(margin.any()) or rng.random() < 0.2
    if config.occluders > 0 and rng.random() < config.occluders:
        covered = draw_occluders(image, rng, joints[0], background)
        visibility = _hide_covered(joints, visibility, covered)
    if config.photometric > 0 and rng.random() < config.photometric:
        image = photometric(image, rng)
    black = nowhere | margin | _beyond(view.keep_px, size)
    image[black] = 0
    weights = joint_weights(people, joints, visibility, black, config)
    chosen = _choose_people(weights, max_people)
    padded_joints = np.zeros((max_people, *joints.shape[1:]), np.float32)
    padded_weights = np.full((max_people, joints.shape[1]), ABSENT, np.float32)
    padded_joints[: len(chosen)] = joints[chosen]
    padded_weights[: len(chosen)] = weights[chosen]
    return TrainingPatch(image, padded_joints, padded_weights, _moved_box(people.boxes_px[0], view))


def draw_view(people: People, rng: np.random.Generator, config: AugmentationConfig, size: int, enlarge: float) -> View:
    """Draw where the patch lies: around person 0's box, or around half of the body, turned, scaled and shifted."""
    box: AnyFloats = np.asarray(people.boxes_px[0], np.float64)
    everything = (-1.0, -1.0, float(size), float(size))
    if not config.geometry:
        return View(_similarity(box, enlarge, 0.0, (0.0, 0.0), False, size), False, everything)
    half = rng.random() < config.half_body
    if half:
        box, half = _half_body_box(people, box, rng)
    scale = float(np.clip(np.exp(rng.normal(0, 0.22)), *config.scale))
    if rng.random() < 0.15:
        scale = float(np.exp(rng.uniform(*np.log(config.scale))))
    badly = rng.random() < 0.15
    shift = rng.uniform(-1, 1, 2) * config.bad_shift if badly else np.clip(rng.normal(0, config.shift, 2), -0.3, 0.3)
    limit = np.radians(config.rotation_deg)
    angle = float(np.clip(rng.normal(0, limit / 2), -limit, limit)) if rng.random() < 0.6 else 0.0
    mirrored = bool(rng.random() < 0.5)
    longest = float(max(box[2] - box[0], box[3] - box[1]))
    matrix = _similarity(box, enlarge * scale, angle, (shift[0] * longest, shift[1] * longest), mirrored, size)
    if half and rng.random() < 0.5:
        return View(matrix, mirrored, _cut_at_box(box, longest * enlarge * scale, rng, size))
    if rng.random() < config.image_border:
        return View(matrix, mirrored, _cut_one_side(rng, size))
    return View(matrix, mirrored, everything)


def _similarity(
    box: AnyFloats, enlarge: float, angle: float, shift: tuple[float, float], mirrored: bool, size: int
) -> Floats:
    side = max(enlarge * float(max(box[2] - box[0], box[3] - box[1])), 8.0)
    centre = (box[:2] + box[2:]) / 2 + shift
    scale = size / side
    linear = scale * turn(angle)
    if mirrored:
        linear = np.diag([-1.0, 1.0]) @ linear
    return about(linear, centre, np.full(2, (size - 1) / 2))


def _half_body_box(people: People, box: AnyFloats, rng: np.random.Generator) -> tuple[AnyFloats, bool]:
    """Box around some of person 0's joints in view, and whether there were enough of them."""
    subsets = (_UPPER + _ARMS, _UPPER + _ARMS + _HIPS, _UPPER + _ARMS + _HIPS + _LEGS[:2], _LEGS + _HIPS, _UPPER)
    subset = list(subsets[rng.choice(5, p=(0.3, 0.3, 0.15, 0.15, 0.1))])
    points = people.joints_px[0, subset][people.visibility[0, subset] != OUTSIDE]
    if len(points) < 4:
        return box, False
    low, high = points.min(axis=0), points.max(axis=0)
    pad = rng.uniform(0.05, 0.25) * float((high - low).max())
    half_box = np.concatenate([np.maximum(low - pad, box[:2]), np.minimum(high + pad, box[2:])])
    large_enough = float((half_box[2:] - half_box[:2]).max()) > 0.2 * float((box[2:] - box[:2]).max())
    return (half_box, True) if large_enough else (box, False)


def _cut_at_box(box: AnyFloats, side: float, rng: np.random.Generator, size: int) -> tuple[float, float, float, float]:
    """Rectangle kept when the picture ends where the half body does, below it and perhaps beside it."""
    half_w, half_h = (box[2:] - box[:2]) / 2 * size / side
    middle = (size - 1) / 2
    bottom = middle + half_h * rng.uniform(0.95, 1.1)
    left = middle - half_w * rng.uniform(0.9, 1.2) if rng.random() < 0.25 else -1.0
    right = middle + half_w * rng.uniform(0.9, 1.2) if rng.random() < 0.25 else float(size)
    return (float(left), -1.0, float(right), float(bottom))


def _cut_one_side(rng: np.random.Generator, size: int) -> tuple[float, float, float, float]:
    """Rectangle kept when the image ends inside the patch, most often at the bottom."""
    keep = [-1.0, -1.0, float(size), float(size)]
    side = int(rng.choice(4, p=(0.2, 0.2, 0.2, 0.4)))
    depth = rng.uniform(0.03, 0.3) * size
    keep[side] = depth if side < 2 else size - depth
    return (keep[0], keep[1], keep[2], keep[3])


def _cut(sample: LabelledImage, view: View, size: int) -> tuple[RgbImage, RgbImage]:
    image, mask, matrix = sample.image, _mark_margin(sample), view.matrix
    if abs(np.linalg.det(matrix[:, :2])) < 0.4:
        # Area-averaging first keeps strongly shrunk patches from aliasing, as the live stage does.
        half = np.array([[2.0, 0.0, 0.5], [0.0, 2.0, 0.5]])
        matrix = np.column_stack([matrix[:, :2] @ half[:, :2], matrix[:, :2] @ half[:, 2] + matrix[:, 2]])
        height, width = image.shape[0] // 2, image.shape[1] // 2
        even = image[: 2 * height, : 2 * width]
        image = np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        mask = np.ascontiguousarray(mask[: 2 * height : 2, : 2 * width : 2])
    patch = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    labels = cv2.warpAffine(
        mask, matrix, (size, size), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=(_NOWHERE,)
    )
    return np.asarray(patch, np.uint8), np.asarray(labels, np.uint8)


def _mark_margin(sample: LabelledImage) -> RgbImage:
    """The mask with the black margin of patches cut at an image's border told apart from occluders."""
    dark = cv2.inRange(sample.image, np.zeros(3), np.full(3, 8.0)) & (sample.mask == OCCLUDER).astype(np.uint8)
    if not dark.any():
        return sample.mask
    margin = cv2.morphologyEx(dark, cv2.MORPH_OPEN, np.ones((7, 7), np.uint8))
    return np.where(margin > 0, _FRAME, sample.mask).astype(np.uint8)


def _move_people(people: People, view: View) -> tuple[Float32s, UInt8s]:
    """Joints (N, K, 2) in patch pixels and visibility (N, K), sides exchanged where the view mirrors."""
    joints = moved(people.joints_px, view.matrix)
    visibility = people.visibility.copy()
    if view.mirrored:
        mirror = list(H36M17.mirror)
        joints, visibility = joints[:, mirror], visibility[:, mirror]
    return joints.astype(np.float32), visibility


def _moved_box(box_px: AnyFloats, view: View) -> Float32s:
    x0, y0, x1, y1 = (float(v) for v in box_px)
    corners = moved(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]), view.matrix)
    return np.concatenate([corners.min(axis=0), corners.max(axis=0)]).astype(np.float32)


def joint_weights(
    people: People, joints_px: Float32s, visibility: UInt8s, black: Mask, config: AugmentationConfig
) -> Float32s:
    """How each joint (N, K) is supervised: 1 in view, `hidden_weight` behind something, 0 masked, ABSENT.

    Masked are people hidden almost whole (the patch's own person bears four times more) and joints
    that the source image didn't hold; absent are joints outside the patch or in its black part.
    """
    size = black.shape[0]
    weights = np.where(visibility == VISIBLE, 1.0, config.hidden_weight).astype(np.float32)
    weights[visibility == OUTSIDE] = 0.0
    least = np.full(len(people), config.min_visible_fraction)
    least[0] /= 4
    weights[people.visible_fraction < least] = 0.0
    cell = np.rint(np.clip(np.nan_to_num(joints_px, nan=-1e4), -1e4, 1e4)).astype(np.int64)
    outside = ((cell < 0) | (cell >= size)).any(axis=-1)
    inside_cell = np.clip(cell, 0, size - 1)
    weights[outside | black[inside_cell[..., 1], inside_cell[..., 0]]] = ABSENT
    return weights


def _choose_people(weights: Float32s, limit: int) -> Indices:
    """Person 0 first, then up to `limit` - 1 others that have joints in the patch, best supervised first."""
    others = np.arange(1, len(weights))
    others = others[(weights[1:] > ABSENT / 2).any(axis=1)]
    order = np.argsort(-np.clip(weights[others], 0, None).sum(axis=1), kind="stable")
    return np.concatenate([[0], others[order]])[:limit].astype(np.intp)


def _beyond(keep_px: tuple[float, float, float, float], size: int) -> Mask:
    at = np.arange(size)
    columns = (at < keep_px[0]) | (at > keep_px[2])
    rows = (at < keep_px[1]) | (at > keep_px[3])
    return np.asarray(rows[:, None] | columns[None, :])


def _draw_backdrop(source: BackgroundSource, rng: np.random.Generator, size: int) -> RgbImage:
    """A random crop of a background, perhaps mirrored, at patch size."""
    picture = source(rng)
    height, width = picture.shape[:2]
    side = int(rng.uniform(0.4, 1.0) * min(height, width))
    y, x = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    crop = picture[y : y + side, x : x + side]
    crop = crop[:, ::-1] if rng.random() < 0.5 else crop
    return np.asarray(cv2.resize(np.ascontiguousarray(crop), (size, size)), np.uint8)


def draw_occluders(
    image: RgbImage, rng: np.random.Generator, near_px: AnyFloats, background: BackgroundSource | None
) -> Mask:
    """Draw one to three random shapes over `image` in place, half of them at joints near_px (K, 2); where they lie."""
    size = image.shape[0]
    covered = np.zeros(image.shape[:2], np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        centre = rng.uniform(0, size, 2)
        if rng.random() < 0.5:
            centre = near_px[rng.integers(len(near_px))] + rng.normal(0, 0.05 * size, 2)
        if not np.all(np.abs(centre) < 4 * size):
            continue
        extent = rng.uniform(0.03, 0.18, 2) * size
        shape = np.zeros_like(covered)
        _draw_shape(shape, rng, centre, extent)
        if background is not None and rng.random() < 0.5:
            filling = _draw_backdrop(background, rng, size)
            cv2.copyTo(filling, shape, image)
        else:
            colour = rng.uniform(0, 255, 3)
            ramp = np.linspace(-1, 1, size)[:, None] * rng.uniform(-40, 40)
            shaded = np.clip(colour + ramp, 0, 255).astype(np.uint8)
            cv2.copyTo(np.ascontiguousarray(np.broadcast_to(shaded[:, None], image.shape)), shape, image)
        covered |= shape
    return covered > 0


def _draw_shape(canvas: RgbImage, rng: np.random.Generator, centre: AnyFloats, extent: AnyFloats) -> None:
    kind = rng.integers(3)
    at = (float(centre[0]), float(centre[1]))
    angle = float(rng.uniform(0, 180))
    if kind == 0:
        cv2.ellipse(canvas, (at, (2 * float(extent[0]), 2 * float(extent[1])), angle), (255,), -1)
        return
    if kind == 1:
        corners = cv2.boxPoints((at, (2 * float(extent[0]), 3 * float(extent[1])), angle))
    else:
        around = np.sort(rng.uniform(0, 2 * np.pi, 7))
        ring = np.stack([np.cos(around), np.sin(around)], axis=1) * rng.uniform(0.6, 1.4, (7, 1))
        corners = centre + ring * extent
    cv2.fillPoly(canvas, [np.rint(corners).astype(np.int32)], (255,))


def _hide_covered(joints_px: Float32s, visibility: UInt8s, covered: Mask) -> UInt8s:
    size = covered.shape[0]
    cell = np.clip(np.rint(np.nan_to_num(joints_px)), 0, size - 1).astype(np.int64)
    behind = covered[cell[..., 1], cell[..., 0]] & (visibility == VISIBLE)
    return np.where(behind, HIDDEN, visibility).astype(np.uint8)
