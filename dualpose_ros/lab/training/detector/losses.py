"""What the detector is trained to minimise: which cells learn which person, and how right they are.

Ge, Liu, Wang, Li, Sun, "YOLOX: Exceeding YOLO Series in 2021", section 2 (SimOTA). N pictures, P people a picture, A
cells of all strides.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from dualpose_ros.detection.yolox import MAX_LOG_SIZE, STRIDES

CENTRE_CELLS = 2.5
"""Cells no further than so many strides from a person's middle may learn it, too."""
CANDIDATES = 10
"""A person is learnt by as many cells as the overlaps of its best ones add up to."""
OVERLAP_COST, OUTSIDE_COST = 3.0, 1e5
BOX_WEIGHT = 5.0


@dataclass(frozen=True)
class Cells:
    """What the network says at its cells: boxes_px (N, A, 4), logits of objectness and person (N, A); and the cells'
    middles (A, 2) and strides (A,), in pixels of its input."""

    boxes_px: Tensor
    objectness: Tensor
    person: Tensor
    middle_px: Tensor
    stride_px: Tensor

    def of(self, chosen: Tensor) -> "Cells":
        """Those of some of the pictures: chosen (N,)."""
        boxes, objectness, person = (value[chosen] for value in (self.boxes_px, self.objectness, self.person))
        return Cells(boxes, objectness, person, self.middle_px, self.stride_px)


@dataclass(frozen=True)
class DetectorTargets:
    """Who is in N pictures: boxes_px (N, P, 4), empty where nobody is, and ignored (N, P): neither learnt there nor
    punished."""

    boxes_px: Tensor
    ignored: Tensor

    def of(self, chosen: Tensor) -> "DetectorTargets":
        """Those of some of the pictures: chosen (N,)."""
        return DetectorTargets(self.boxes_px[chosen], self.ignored[chosen])


def cells_of(raw: list[Tensor]) -> Cells:
    """The network's raw rows (N, 6, h, w) of each stride as boxes and scores."""
    middles, sizes = [], []
    for rows, stride in zip(raw, STRIDES, strict=True):
        row, column = torch.meshgrid(*(torch.arange(n, device=rows.device) for n in rows.shape[2:]), indexing="ij")
        middles.append((torch.stack([column, row], -1).reshape(-1, 2) + 0.5) * stride)
        sizes.append(torch.full((row.numel(),), float(stride), device=rows.device))
    middle_px, stride_px = torch.cat(middles), torch.cat(sizes)
    values = torch.cat([rows.float().flatten(2) for rows in raw], dim=2).transpose(1, 2)
    # The published form counts from the cell's corner.
    place = (values[..., :2] - 0.5) * stride_px[:, None] + middle_px
    half = values[..., 2:4].clamp(max=MAX_LOG_SIZE).exp() * stride_px[:, None] / 2
    return Cells(torch.cat([place - half, place + half], -1), values[..., 4], values[..., 5], middle_px, stride_px)


def overlaps(boxes_px: Tensor, others_px: Tensor) -> Tensor:
    """IoU of boxes (..., 4) with others (..., 4), which broadcast; 0 of empty ones."""
    low = torch.maximum(boxes_px[..., :2], others_px[..., :2])
    high = torch.minimum(boxes_px[..., 2:], others_px[..., 2:])
    common = (high - low).clamp(min=0).prod(-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1) for boxes in (boxes_px, others_px)]
    return common / (areas[0] + areas[1] - common).clamp(min=1e-6)


@torch.no_grad()
def assign(cells: Cells, targets: DetectorTargets) -> Tensor:
    """Whom each cell learns (N, A), as an index into P; -1: nobody is there; -2: not judged."""
    inside, iou, allowed, preferred = _candidates(cells, targets)
    score = (cells.objectness.sigmoid() * cells.person.sigmoid()).sqrt()[:, None].clamp(1e-6, 1 - 1e-6)
    cost = -score.log() - OVERLAP_COST * (iou + 1e-8).log() + OUTSIDE_COST * ~preferred
    cost = cost.masked_fill(~allowed, torch.inf)
    most = min(CANDIDATES, cost.shape[2])
    wanted = (iou * allowed).topk(most, dim=2).values.sum(2).int().clamp(min=1)
    best = cost.topk(most, dim=2, largest=False)
    kept = (torch.arange(most, device=cost.device) < wanted[..., None]) & best.values.isfinite()
    learns = torch.zeros_like(allowed).scatter_(2, best.indices, kept)
    # A cell that several would have learns the one that it costs least.
    person = torch.where(learns, cost, torch.inf).argmin(1)
    unjudged = (inside & targets.ignored[..., None]).any(1)
    nobody = torch.where(unjudged, -2, -1)
    return torch.where(learns.any(1), person, nobody)


def _candidates(cells: Cells, targets: DetectorTargets) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of each box with each cell (N, P, A): whether the cell lies in it, their overlap, whether the cell may learn it,
    and whether it lies both in the box and near its middle."""
    boxes = targets.boxes_px
    there = (boxes[..., 2:] > boxes[..., :2]).all(-1) & ~targets.ignored
    corner, far = boxes[..., None, :2], boxes[..., None, 2:]
    inside = ((cells.middle_px > corner) & (cells.middle_px < far)).all(-1)
    away = (cells.middle_px - (corner + far) / 2).abs().amax(-1)
    near = away < CENTRE_CELLS * cells.stride_px
    iou = overlaps(boxes[:, :, None], cells.boxes_px[:, None])
    return inside, iou, (inside | near) & there[..., None], inside & near


def detector_loss(cells: Cells, targets: DetectorTargets) -> tuple[Tensor, dict[str, Tensor]]:
    """Sum of the terms, and the terms by name (detached): boxes by 1 - IoU^2, scores by cross-entropy, all a person
    learning cell; a person's score is to be the overlap of its box."""
    person = assign(cells, targets)
    learns = person >= 0
    count = learns.sum().clamp(min=1)
    wanted = targets.boxes_px.gather(1, person.clamp(min=0)[..., None].expand(-1, -1, 4))
    iou = overlaps(cells.boxes_px[learns], wanted[learns])
    box = (1 - iou**2).sum() / count
    judged = person > -2
    objectness = F.binary_cross_entropy_with_logits(cells.objectness[judged], learns[judged].float(), reduction="sum")
    score = F.binary_cross_entropy_with_logits(cells.person[learns], iou.detach(), reduction="sum")
    terms = {"box": box, "objectness": objectness / count, "person": score / count}
    total = BOX_WEIGHT * terms["box"] + terms["objectness"] + terms["person"]
    return total, {name: value.detach() for name, value in terms.items()}
