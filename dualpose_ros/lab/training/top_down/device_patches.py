"""Training patches of the top-down network on the device: rows of a store, and random views of them.

A row is a square around one person, CONTEXT times the longer side of the person's box, of `stored_size` pixels,
with up to PEOPLE people in it, its own first. N patches, P people, K joints, S x S pixels of the network's patch.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from dualpose_ros.arrays import Float32s, Floats
from dualpose_ros.datasets.labels import OUTSIDE, UNKNOWN, VISIBLE, LabelledImage, People
from dualpose_ros.lab.training.losses import ABSENT
from dualpose_ros.lab.training.on_device.judged import PAD, UNJUDGED
from dualpose_ros.lab.training.on_device.store import Rows
from dualpose_ros.lab.training.on_device.views import (
    Draws,
    PhotometryConfig,
    at_points,
    cover,
    end_of_picture,
    inverse_views,
    move_boxes,
    move_points,
    photometry,
    show,
    similarity_views,
)
from dualpose_ros.lab.training.top_down.batch import Batch
from dualpose_ros.settings import Settings, setting, share
from dualpose_ros.skeleton import H36M17

PEOPLE = 8
CONTEXT = 1.7
"""Of patches cut from whole pictures; rendered patches come with 1.5."""

_IN_CACHE = 32
"""Patches that a CPU makes together: of many more, each step would go to memory and back, for twice the time."""

_LEAST_JOINTS = 4
_UPPER = [H36M17.index(n) for n in H36M17.joint_names if n.split("_")[-1] not in ("hip", "knee", "ankle", "pelvis")]
_LOWER = [H36M17.index(n) for n in H36M17.joint_names if n.split("_")[-1] in ("hip", "knee", "ankle", "pelvis")]


@dataclass(frozen=True)
class DeviceViews(Settings):
    """How patches made on the device vary."""

    rotate: float = setting(0.3, "rotation of six in ten patches (standard deviation)", unit="rad", least=0, most=3.2)
    scale: float = setting(0.22, "the logarithm of the patch's size (standard deviation)", least=0, below=1)
    shift: float = share(0.07, "shift (standard deviation), of the box's longer side")
    bad_shift: float = share(0.2, "largest shift of one patch in seven, the same")
    half_body: float = share(0.25, "share of patches around the upper or lower body alone")
    image_border: float = share(0.2, "share of patches in which the picture ends")
    occluders: float = share(0.2, "probability of each of two things in front")
    hidden_weight: float = share(0.3, "weight of joints behind something")
    min_visible_fraction: float = share(0.2, "people of whom less is seen are neither learnt nor punished")
    enlarge: tuple[float, float] = setting((1.25, 1.25), "range of the patch over the box's longer side", above=0)
    photometry: PhotometryConfig = setting(PhotometryConfig(), "how patches vary in look")


def patch_rows(sample: LabelledImage, stored_size: int, config: DeviceViews, whole: bool) -> list[Rows]:
    """Rows of an image: of person 0 of a rendered patch (whole), of everybody with joints in a picture."""
    if whole:
        height = sample.image.shape[0]
        window = np.array([-0.5, -0.5, sample.image.shape[1] - 0.5, height - 0.5])
        return [_row(sample, 0, window, stored_size, config)] if len(sample.people) else []
    known = (sample.people.visibility != UNKNOWN) & (sample.people.visibility != OUTSIDE)
    rows = []
    for person in np.flatnonzero(known.sum(axis=1) >= _LEAST_JOINTS):
        if sample.people.visible_fraction[person] < config.min_visible_fraction:
            continue
        box = sample.people.boxes_px[person].astype(np.float64)
        half = CONTEXT / 2 * max(float((box[2:] - box[:2]).max()), 16.0)
        centre = (box[:2] + box[2:]) / 2
        rows.append(_row(sample, int(person), np.concatenate([centre - half, centre + half]), stored_size, config))
    return rows


def joint_states(people: People, config: DeviceViews, own: int) -> Float32s:
    """How each joint (P, K) is supervised before any view: 1, `hidden_weight`, 0 masked, or UNJUDGED."""
    states = np.where(people.visibility == VISIBLE, 1.0, config.hidden_weight).astype(np.float32)
    states[people.visibility == OUTSIDE] = 0.0
    least = np.full(len(people), config.min_visible_fraction)
    least[own] /= 4
    states[people.visible_fraction < least] = 0.0
    states[people.visibility == UNKNOWN] = UNJUDGED
    return states


def _row(sample: LabelledImage, own: int, window: Floats, size: int, config: DeviceViews) -> Rows:
    """One row: the window (4,) of a picture, in its pixels, at `size` x `size`."""
    scale = size / float(window[2] - window[0])
    matrix = np.array([[scale, 0.0, -window[0] * scale - 0.5], [0.0, scale, -window[1] * scale - 0.5]])
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    picture, shrunk = sample.image, matrix
    if scale < 0.5:
        factor = 2 ** int(np.floor(np.log2(1 / scale)))
        picture = np.asarray(cv2.resize(picture, None, fx=1 / factor, fy=1 / factor, interpolation=flags), np.uint8)
        shrunk = matrix @ np.array([[factor, 0, (factor - 1) / 2], [0, factor, (factor - 1) / 2], [0, 0, 1]])
    image = cv2.warpAffine(picture, shrunk, (size, size), flags=cv2.INTER_LINEAR)
    people = sample.people
    joints = people.joints_px * scale + matrix[:, 2]
    boxes = people.boxes_px * scale + np.tile(matrix[:, 2], 2)
    states = joint_states(people, config, own)
    inside = np.minimum(boxes[:, 2:], size) - np.maximum(boxes[:, :2], 0)
    overlap = np.clip(inside, 0, None).prod(axis=1)
    others = [int(p) for p in np.argsort(-overlap, kind="stable") if p != own and overlap[p] > 0]
    chosen = [own, *others][:PEOPLE]
    row_joints, row_states = np.zeros((PEOPLE, H36M17.num_joints, 2)), np.full((PEOPLE, H36M17.num_joints), ABSENT)
    row_boxes = np.full((PEOPLE, 4), PAD)
    row_joints[: len(chosen)], row_states[: len(chosen)] = joints[chosen], states[chosen]
    row_boxes[: len(chosen)] = boxes[chosen]
    return {
        "image": np.asarray(image, np.uint8)[None],
        "joints": row_joints[None].astype(np.float32),
        "states": row_states[None].astype(np.float32),
        "boxes": row_boxes[None].astype(np.float32),
        "stretch": np.array([sample.origin.stretch], np.float32),
        "elsewhere": np.array([1.0 if sample.origin.complete else 0.1], np.float32),
        "weight": np.array([sample.origin.weight], np.float32),
    }


def draw_patches(rows: dict[str, Tensor], size: int, config: DeviceViews, draws: Draws) -> Batch:
    """Random views of rows, changed in look, as the network's patches of `size` pixels."""
    count = len(rows["image"])
    if rows["image"].device.type != "cpu" or count <= _IN_CACHE:
        return _draw_part(rows, size, config, draws)
    starts = range(0, count, _IN_CACHE)
    parts = [_draw_part({k: v[at : at + _IN_CACHE] for k, v in rows.items()}, size, config, draws) for at in starts]
    return Batch(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def _draw_part(rows: dict[str, Tensor], size: int, config: DeviceViews, draws: Draws) -> Batch:
    count = len(rows["image"])
    views, mirrored = _draw_views(rows, size, config, draws)
    batch = _see(rows, views, mirrored, size)
    ended = end_of_picture((size, size), draws, count, config.image_border)
    x, covered = cover(batch.patches / 255, draws, config.occluders)
    x = photometry(x, draws, config.photometry)
    patches = torch.where(ended[:, None], torch.zeros_like(x), x)
    weights = batch.weights
    hidden = torch.full_like(weights, config.hidden_weight)
    weights = torch.where(at_points(covered, batch.joints_px) & (weights >= 1), hidden, weights)
    absent = torch.full_like(weights, ABSENT)
    gone = at_points(ended, batch.joints_px) & (weights > (ABSENT + UNJUDGED) / 2)
    weights = torch.where(gone, absent, weights)
    pixels = (255 * patches).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    return batch._replace(patches=pixels, weights=weights)


def plain_patches(rows: dict[str, Tensor], size: int, enlarge: float) -> Batch:
    """The views that the live stage has of rows' own people."""
    boxes = rows["boxes"][:, 0]
    centre, longest = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).amax(1)
    still = torch.zeros_like(longest)
    views = similarity_views(centre, enlarge * longest, still, still > 0, still + 1, size)
    batch = _see(rows, views, still > 0, size)
    return batch._replace(patches=batch.patches.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous())


def _draw_views(rows: dict[str, Tensor], size: int, config: DeviceViews, draws: Draws) -> tuple[Tensor, Tensor]:
    """Views (N, 2, 3) around each row's person or half of the body, and which are mirrored (N,)."""
    boxes = rows["boxes"][:, 0]
    count = len(boxes)
    centre, longest = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).amax(1).clamp(min=4)
    half_centre, half_longest, possible = _half_bodies(rows, longest, draws)
    half = possible & draws.chance(config.half_body, count)
    centre = torch.where(half[:, None], half_centre, centre)
    longest = torch.where(half, half_longest, longest)
    side = longest * draws.uniform(count, low=config.enlarge[0], high=config.enlarge[1])
    side = side * torch.exp(draws.normal(count, stddev=config.scale, limit=2 * config.scale))
    far = draws.uniform(count, 2, low=-config.bad_shift, high=config.bad_shift)
    near = draws.normal(count, 2, stddev=config.shift, limit=3 * config.shift)
    centre = centre + torch.where(draws.chance(0.15, count)[:, None], far, near) * longest[:, None]
    angle = draws.normal(count, stddev=config.rotate, limit=2.4 * config.rotate) * draws.chance(0.6, count)
    mirrored = draws.chance(0.5, count)
    reach = rows["stretch"].log()
    stretch = torch.exp(draws.uniform(count, low=-1.0, high=1.0) * reach)
    return similarity_views(centre, side, angle, mirrored, stretch, size), mirrored


def _half_bodies(rows: dict[str, Tensor], longest: Tensor, draws: Draws) -> tuple[Tensor, Tensor, Tensor]:
    """Centre (N, 2) and longer side (N,) of known joints of an upper or lower body, and whether there are enough."""
    count = len(longest)
    joints, known = rows["joints"][:, 0], rows["states"][:, 0] > 0
    wanted = torch.zeros(2, H36M17.num_joints, dtype=torch.bool, device=joints.device)
    wanted[0, _UPPER], wanted[1, _LOWER] = True, True
    chosen = known & wanted[draws.chance(0.2, count).long()]
    far = torch.full_like(joints, 1e6)
    low = torch.where(chosen[..., None], joints, far).amin(1)
    high = torch.where(chosen[..., None], joints, -far).amax(1)
    extent = (high - low).amax(1)
    possible = (chosen.sum(1) >= _LEAST_JOINTS) & (extent > 0.3 * longest)
    return (low + high) / 2, extent * draws.uniform(count, low=1.15, high=1.55), possible


def _see(rows: dict[str, Tensor], views: Tensor, mirrored: Tensor, size: int) -> Batch:
    """Pictures (N, 3, S, S) in 0..255 and labels of rows through views; joints outside are absent."""
    patches = show(rows["image"], views, (size, size))
    back = inverse_views(views)
    joints, states = move_points(back, rows["joints"]), rows["states"]
    mirror = torch.tensor(H36M17.mirror, device=joints.device)
    turned = mirrored.view(-1, 1, 1)
    joints = torch.where(turned[..., None], joints[:, :, mirror], joints)
    weights = torch.where(turned, states[:, :, mirror], states)
    outside = ((joints < 0) | (joints > size - 1)).any(-1) & (weights > (ABSENT + UNJUDGED) / 2)
    weights = torch.where(outside, torch.full_like(weights, ABSENT), weights)
    there = rows["boxes"][..., 2:3] > rows["boxes"][..., :1]
    extents = torch.where(there, move_boxes(back, rows["boxes"]), torch.full_like(rows["boxes"], PAD))
    return Batch(patches, joints, weights, extents[:, 0], extents, rows["elsewhere"])
