"""Whole pictures on the device, for the detector and the bottom-up network: rows of a store, and views of them.

A row is a picture scaled so that its longer side is `stored_size`, at the top left of a square of that size whose
fourth channel says where people are in view (rendered pictures alone know). N pictures, P people, K joints.
"""

import cv2
import numpy as np
import torch
from torch import Tensor

from dualpose_ros.datasets.labels import OCCLUDER, OUTSIDE, UNKNOWN, VISIBLE, LabelledImage
from dualpose_ros.lab.training.losses import ABSENT
from dualpose_ros.lab.training.on_device.judged import PAD, UNJUDGED
from dualpose_ros.lab.training.on_device.store import Rows
from dualpose_ros.lab.training.on_device.views import Draws
from dualpose_ros.skeleton import H36M17

PEOPLE = 12


def frame_rows(
    sample: LabelledImage, stored_size: int, hidden_weight: float, min_visible: float, incomplete_weight: float
) -> list[Rows]:
    """The row of a picture, or none where it is not complete and those have no weight."""
    weight = sample.origin.weight * (1.0 if sample.origin.complete else incomplete_weight)
    if weight <= 0:
        return []
    height, width = sample.image.shape[:2]
    scale = stored_size / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas = np.zeros((stored_size, stored_size, 4), np.uint8)
    canvas[: size[1], : size[0], :3] = cv2.resize(sample.image, size, interpolation=flags)
    body = ((sample.mask > 0) & (sample.mask != OCCLUDER)).astype(np.uint8) * 255
    canvas[: size[1], : size[0], 3] = cv2.resize(body, size, interpolation=cv2.INTER_NEAREST)
    people = sample.people
    area = (people.boxes_px[:, 2:] - people.boxes_px[:, :2]).clip(0).prod(axis=1)
    chosen = np.argsort(-area, kind="stable")[:PEOPLE]
    count, factor = len(chosen), np.array(size) / (width, height)
    joints, states = np.zeros((PEOPLE, 17, 2)), np.full((PEOPLE, 17), ABSENT)
    boxes, faint = np.full((PEOPLE, 4), PAD), np.zeros(PEOPLE, bool)
    root_depth, rel_depth = np.full(PEOPLE, np.nan), np.full((PEOPLE, 17), np.nan)
    joints[:count] = (people.joints_px[chosen] + 0.5) * factor - 0.5
    boxes[:count] = (people.boxes_px[chosen] + 0.5) * np.tile(factor, 2) - 0.5
    faint[:count] = people.visible_fraction[chosen] < min_visible
    seen = people.visibility[chosen]
    state = np.where(seen == VISIBLE, 1.0, hidden_weight)
    state[faint[:count]] = 0.0
    state[seen == OUTSIDE] = ABSENT
    state[seen == UNKNOWN] = UNJUDGED
    states[:count] = state
    depth = people.joints_cam[chosen][..., 2]
    root_depth[:count] = depth[:, H36M17.root]
    rel_depth[:count] = depth - depth[:, H36M17.root :][:, :1]
    focal = float(np.sqrt(sample.camera.fx * sample.camera.fy)) * scale
    values = {
        "joints": joints, "states": states, "boxes": boxes, "root_depth": root_depth, "rel_depth": rel_depth,
        "extent": np.array(size), "focal": np.array(focal), "stretch": np.array(sample.origin.stretch),
        "elsewhere": np.array(1.0 if sample.origin.complete else 0.1), "weight": np.array(weight),
    }  # fmt: skip
    rows: Rows = {name: np.asarray(value, np.float32)[None] for name, value in values.items()}
    return [{"image": canvas[None], "faint": faint[None], **rows}]


def choose_person(rows: dict[str, Tensor], draws: Draws, chance: float) -> tuple[Tensor, Tensor]:
    """With a chance, somebody of each picture who has a box: whether so (N,), and the box (N, 4)."""
    boxes = rows["boxes"]
    there = boxes[..., 2] > boxes[..., 0]
    person = (draws.uniform(*there.shape) * there).argmax(1)
    somebody = there.any(1) & draws.chance(chance, len(boxes))
    return somebody, boxes[torch.arange(len(boxes), device=boxes.device), person]


def draw_frame_views(
    rows: dict[str, Tensor],
    size: tuple[int, int],
    draws: Draws,
    scale: Tensor,
    person: tuple[Tensor, Tensor],
    rotate: float = 0.0,
    stretch: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Views (N, 2, 3) that show stored pictures at scales (N,) in (width, height) pixels, and which are mirrored (N,).

    person: as from `choose_person`, who is put somewhere in the middle; without somebody any part of the picture is
    shown. rotate: radians, one standard deviation; stretch: of the logarithm of width over height, besides the rows'
    own.
    """
    count, (somebody, box) = len(scale), person
    target = torch.tensor(size, dtype=torch.float32, device=scale.device)
    shown = rows["extent"] * scale[:, None]
    spread = (shown - target).clamp(min=0) / (2 * scale[:, None])
    slack = (target - shown).clamp(min=0) / 2
    anywhere = rows["extent"] / 2 + draws.uniform(count, 2, low=-1) * spread
    focus = torch.where(somebody[:, None], (box[:, :2] + box[:, 2:]) / 2, anywhere)
    place = draws.uniform(count, 2, low=0.15, high=0.85) * target
    centred = target / 2 + draws.uniform(count, 2, low=-1) * slack
    at = torch.where(somebody[:, None], place, centred)
    mirrored = draws.chance(0.5, count)
    angle = draws.normal(count, stddev=rotate, limit=3 * rotate)
    wide = draws.normal(count, stddev=stretch, limit=3 * stretch)
    wide = torch.exp((wide + draws.uniform(count, low=-1) * rows["stretch"].log()) / 2)
    cos, sin, flip = torch.cos(angle), torch.sin(angle), torch.where(mirrored, -1.0, 1.0)
    turn = torch.stack([torch.stack([cos * flip, -sin], -1), torch.stack([sin * flip, cos], -1)], -2)
    linear = torch.stack([1 / wide, wide], -1)[:, :, None] * turn / scale.view(-1, 1, 1)
    shift = focus - (linear @ at[..., None])[..., 0]
    return torch.cat([linear, shift[..., None]], -1), mirrored


def mirror_joints(joints: Tensor, mirrored: Tensor) -> Tensor:
    """Values (N, P, K, ...) with the sides of mirrored pictures (N,) exchanged."""
    mirror = torch.tensor(H36M17.mirror, device=joints.device)
    turned = mirrored.view(-1, *([1] * (joints.ndim - 1)))
    return torch.where(turned, joints[:, :, mirror], joints)


def padded(x: Tensor, rows: dict[str, Tensor], views: Tensor, fill: Tensor) -> Tensor:
    """Pictures (N, C, h, w) with `fill` (N, C, 1, 1) where the stored picture (`extent`) does not reach."""
    height, width = x.shape[2:]
    column = torch.arange(width, device=x.device, dtype=torch.float32)
    row = torch.arange(height, device=x.device, dtype=torch.float32)
    grid = torch.stack(torch.meshgrid(column, row, indexing="xy"), -1).view(1, -1, 2)
    source = grid @ views[:, :, :2].transpose(1, 2) + views[:, None, :, 2]
    inside = ((source > -0.5) & (source < rows["extent"][:, None] - 0.5)).all(-1).view(-1, 1, height, width)
    return torch.where(inside, x, fill)
