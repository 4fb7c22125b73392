"""The top-down branch on the device that trains the bottom-up network: its heatmaps for boxes right and wrong.

N pictures, M boxes of all of them, K joints; stored pixels are those of `on_device.frames` rows.
"""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from dualpose_ros.grouping import HEATMAP_STRIDE
from dualpose_ros.inference.backends.torch_engine import TorchEngine
from dualpose_ros.lab.training.bottom_up.frames import FrameConfig
from dualpose_ros.lab.training.on_device.views import Draws, inverse_views, show, similarity_views
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.estimator import patch_size
from dualpose_ros.top_down.patch import ENLARGE

_PATCHES_AT_ONCE, _PATCHES_STEP = 256, 64


class DeviceGuide:
    """The top-down network of an ONNX file on the device that trains; EngineError if it can't be used."""

    def __init__(self, path: Path, device: torch.device) -> None:
        self._engine = TorchEngine(path, torch.get_num_threads(), device=device)
        self._size = patch_size(self._engine)

    def guidance(
        self, rows: dict[str, Tensor], boxes: Tensor, picture: Tensor, views: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """Guidance uint8 (N, K, H/4, W/4) for views (N, 2, 3) of (width, height) = size, not yet mirrored.

        boxes (M, 4) in stored pixels; picture (M,): whose they are. As `bottom_up.guidance` does, where a cell
        spans several of a patch's it takes about their largest.
        """
        height, width = size[1] // HEATMAP_STRIDE, size[0] // HEATMAP_STRIDE
        combined = torch.zeros(len(views), H36M17.num_joints, height, width, device=views.device)
        for start in range(0, len(boxes), _PATCHES_AT_ONCE):
            part = slice(start, start + _PATCHES_AT_ONCE)
            maps, to_stored = self._answer(rows, boxes[part], picture[part])
            moved = _laid(maps, to_stored, views[picture[part]], (height, width))
            owner = picture[part].view(-1, 1, 1, 1).expand_as(moved)
            combined.scatter_reduce_(0, owner, moved, "amax")
        return (255 * combined).round().clamp(0, 255).to(torch.uint8)

    def _answer(self, rows: dict[str, Tensor], boxes: Tensor, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Heatmaps (M, K, S/4, S/4) of patches, and the patches' views (M, 2, 3)."""
        centre, longest = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).amax(1)
        still = torch.zeros_like(longest)
        views = similarity_views(
            centre, (ENLARGE * longest).clamp(min=8), still, still > 0, torch.ones_like(longest), self._size
        )
        patches = show(rows["image"][picture], views, (self._size, self._size))[:, :3]
        patches = patches.round().to(torch.uint8).permute(0, 2, 3, 1)
        if patches.is_cuda:  # few sizes of batches, because it looks for the fastest convolution of each
            patches = F.pad(patches, (0, 0, 0, 0, 0, 0, 0, -len(patches) % _PATCHES_STEP))
        with torch.no_grad():
            heatmaps = self._engine.answers({"patches": patches})["heatmaps"]
        return heatmaps[: len(boxes)].float(), views


def _laid(maps: Tensor, patch_views: Tensor, views: Tensor, size: tuple[int, int]) -> Tensor:
    """Heatmaps (M, K, h, w) of patches on the cells (height, width) of pictures' views (M, 2, 3)."""
    height, width = size
    row = torch.arange(height, device=maps.device, dtype=torch.float32)
    column = torch.arange(width, device=maps.device, dtype=torch.float32)
    middle = (HEATMAP_STRIDE - 1) / 2
    cells = torch.stack(torch.meshgrid(column, row, indexing="xy"), -1).view(1, -1, 2) * HEATMAP_STRIDE + middle
    stored = cells @ views[:, :, :2].transpose(1, 2) + views[:, None, :, 2]
    to_patch = inverse_views(patch_views)
    patch = stored @ to_patch[:, :, :2].transpose(1, 2) + to_patch[:, None, :, 2]
    place = (patch - middle) / HEATMAP_STRIDE
    extent = place.new_tensor([maps.shape[3], maps.shape[2]])
    grid = ((place * 2 + 1) / extent - 1).view(-1, height, width, 2)
    shrink = (views[:, 0, :2].norm(dim=1) / patch_views[:, 0, :2].norm(dim=1)).view(-1, 1, 1, 1)
    wide, wider = F.max_pool2d(maps, 3, 1, 1), F.max_pool2d(maps, 5, 1, 2)
    peaks = torch.where(shrink > 3, wider, torch.where(shrink > 1.4, wide, maps))
    return F.grid_sample(peaks, grid, padding_mode="zeros", align_corners=False)


def faulty_boxes(rows: dict[str, Tensor], config: FrameConfig, draws: Draws) -> tuple[Tensor, Tensor]:
    """Boxes (M, 4) in stored pixels with detectors' mistakes, and whose they are (M,): inexact, missed, merged,
    shifted, of nobody; none at all in unguided pictures."""
    boxes = rows["boxes"]
    count, people = boxes.shape[:2]
    kept = _seen(rows)
    misses = draws.uniform(count, 1, high=config.missed) * draws.chance(0.5, count, 1)
    kept = kept & (draws.uniform(count, people) >= misses)
    boxes = _merged(boxes, kept, config.merged, draws)
    extent = (boxes[..., 2:] - boxes[..., :2]).repeat(1, 1, 2)
    boxes = boxes + draws.normal(count, people, 4, stddev=0.05, limit=0.15) * extent
    shift = draws.uniform(count, people, 2, low=-0.35, high=0.35).repeat(1, 1, 2)
    boxes = boxes + shift * extent * draws.chance(config.shifted, count, people, 1)
    nobody = _of_nobody(rows, draws)
    boxes = torch.cat([boxes, nobody[:, None]], 1)
    kept = torch.cat([kept, draws.chance(config.empty, count, 1)], 1)
    kept = kept & ~draws.chance(config.unguided, count, 1)
    kept = kept & ((boxes[..., 2:] - boxes[..., :2]).amin(-1) > 2)
    picture = torch.arange(count, device=boxes.device)[:, None].expand_as(kept)
    return boxes[kept], picture[kept]


def true_boxes(rows: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Boxes (M, 4) in stored pixels of everybody in view, and whose they are (M,)."""
    kept = _seen(rows)
    picture = torch.arange(len(kept), device=kept.device)[:, None].expand_as(kept)
    return rows["boxes"][kept], picture[kept]


def _seen(rows: dict[str, Tensor]) -> Tensor:
    boxes = rows["boxes"]
    return ((boxes[..., 2:] - boxes[..., :2]).amin(-1) > 2) & ~rows["faint"]


def _merged(boxes: Tensor, kept: Tensor, chance: float, draws: Draws) -> Tensor:
    """Some boxes (N, P, 4) stretched over the neighbour that they overlap most."""
    low = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    high = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    overlap = (high - low).clamp(min=0).prod(-1) * kept[:, None] * kept[:, :, None]
    overlap = overlap * ~torch.eye(boxes.shape[1], dtype=torch.bool, device=boxes.device)
    area = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1).prod(-1)
    share = overlap / torch.minimum(area[:, :, None], area[:, None])
    best, neighbour = share.max(2)
    other = boxes.gather(1, neighbour[..., None].expand_as(boxes))
    union = torch.cat([torch.minimum(boxes, other)[..., :2], torch.maximum(boxes, other)[..., 2:]], -1)
    stretched = (best > 0.1) & draws.chance(chance, *kept.shape)
    return torch.where(stretched[..., None], union, boxes)


def _of_nobody(rows: dict[str, Tensor], draws: Draws) -> Tensor:
    """A box (N, 4) anywhere in each picture."""
    count, extent = len(rows["extent"]), rows["extent"]
    tall = draws.uniform(count, 1, low=0.1, high=0.6) * extent[:, 1:]
    side = torch.cat([tall * draws.uniform(count, 1, low=0.3, high=0.7), tall], 1)
    corner = draws.uniform(count, 2) * (extent - side).clamp(min=1)
    return torch.cat([corner, corner + side], 1)
