"""Batches of the bottom-up network made on the device: views of whole pictures, guided by the top-down network.

N pictures, P people, K joints.
"""

import math

import torch
from torch import Tensor

from dualpose_ros.lab.training.bottom_up.batch import Batch
from dualpose_ros.lab.training.bottom_up.device_guide import DeviceGuide, faulty_boxes, true_boxes
from dualpose_ros.lab.training.bottom_up.frames import FrameConfig
from dualpose_ros.lab.training.on_device.frames import ABSENT, choose_person, draw_frame_views, mirror_joints, padded
from dualpose_ros.lab.training.on_device.judged import PAD, UNJUDGED
from dualpose_ros.lab.training.on_device.views import (
    Draws,
    PhotometryConfig,
    inverse_views,
    move_boxes,
    move_points,
    photometry,
    show,
)
from dualpose_ros.letterbox import PAD_VALUE


def draw_batch(
    rows: dict[str, Tensor], guide: DeviceGuide, config: FrameConfig, photometry_config: PhotometryConfig, draws: Draws
) -> Batch:
    """Random views of rows, guided from boxes with mistakes."""
    size = (config.width, config.height)
    count = len(rows["image"])
    low, high = (math.log(bound) for bound in config.zoom)
    scale = config.long_side / rows["extent"].amax(1) * torch.exp(draws.uniform(count, low=low, high=high))
    person = choose_person(rows, draws, config.on_person)
    views, mirrored = draw_frame_views(rows, size, draws, scale, person)
    batch = _see(rows, guide, faulty_boxes(rows, config, draws), views, mirrored, scale, size)
    x = photometry(batch.image.permute(0, 3, 1, 2).float() / 255, draws, photometry_config)
    return batch._replace(image=(255 * x).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous())


def plain_batch(rows: dict[str, Tensor], guide: DeviceGuide, config: FrameConfig) -> Batch:
    """Rows whole, guided from true boxes."""
    size = (config.width, config.height)
    scale = (rows["extent"].new_tensor(size) / rows["extent"]).amin(1)
    views = torch.zeros(len(scale), 2, 3, device=scale.device)
    views[:, 0, 0] = views[:, 1, 1] = 1 / scale
    views[:, :, 2] = (0.5 / scale - 0.5)[:, None]
    return _see(rows, guide, true_boxes(rows), views, scale < 0, scale, size)


def _see(
    rows: dict[str, Tensor],
    guide: DeviceGuide,
    guiding: tuple[Tensor, Tensor],
    views: Tensor,
    mirrored: Tensor,
    scale: Tensor,
    size: tuple[int, int],
) -> Batch:
    """Pictures and labels of rows through views; joints outside the picture are absent."""
    pixels = show(rows["image"][..., :3], views, (size[1], size[0]))
    pixels = padded(pixels, rows, views, torch.full((len(views), 3, 1, 1), float(PAD_VALUE), device=views.device))
    guidance = guide.guidance(rows, *guiding, views, size)
    guidance = mirror_joints(guidance[:, None], mirrored)[:, 0]
    back = inverse_views(views)
    joints = mirror_joints(move_points(back, rows["joints"]), mirrored)
    weights = mirror_joints(rows["states"], mirrored)
    limit = joints.new_tensor([size[0] - 1, size[1] - 1])
    outside = ((joints < 0) | (joints > limit)).any(-1) & (weights > (ABSENT + UNJUDGED) / 2)
    weights = torch.where(outside, torch.full_like(weights, ABSENT), weights)
    there = rows["boxes"][..., 2:3] > rows["boxes"][..., :1]
    extents = torch.where(there, move_boxes(back, rows["boxes"]), torch.full_like(rows["boxes"], PAD))
    known = rows["root_depth"].isfinite()
    return Batch(
        pixels.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous(),
        guidance,
        joints,
        weights,
        rows["root_depth"].nan_to_num(1.0),
        mirror_joints(rows["rel_depth"], mirrored).nan_to_num(0.0),
        rows["focal"] * scale,
        extents,
        rows["elsewhere"],
        known,
    )
