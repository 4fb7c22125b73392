"""What the detector is trained to minimise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from dualpose_ros.detection.network import REFERENCE_SIZE_PX, RawDetections


@dataclass(frozen=True)
class DetectorTargets:
    """Targets of N images on h x w cells, as `device_pictures.targets_of` makes them.

    centre (N, 1, h, w), size (N, 2, h, w) and offset (N, 2, h, w) in network pixels, weight (N, 1, h, w).
    """

    centre: torch.Tensor
    size: torch.Tensor
    offset: torch.Tensor
    weight: torch.Tensor


def centre_focal_loss(logits: torch.Tensor, centre: torch.Tensor) -> torch.Tensor:
    """Penalty-reduced focal loss of "Objects as Points", Eq. 1 (alpha 2, beta 4), per peak of `centre`."""
    logits = logits.float()
    probability = logits.sigmoid()
    is_peak = centre >= 1
    at_peaks = -F.logsigmoid(logits) * (1 - probability) ** 2
    elsewhere = -F.logsigmoid(-logits) * probability**2 * (1 - centre) ** 4
    return torch.where(is_peak, at_peaks, elsewhere).sum() / is_peak.sum().clamp(min=1)


def box_losses(raw: RawDetections, targets: DetectorTargets) -> tuple[torch.Tensor, torch.Tensor]:
    """L1 of the log size, and of the offset in units of the true size, each weighted and per box.

    Both are relative to the person's size, so near and far people count the same.
    """
    defined = targets.weight > 0
    size = torch.where(defined, targets.size, torch.full_like(targets.size, REFERENCE_SIZE_PX))
    log_size = raw.log_size.float()
    size_error = (log_size - (size / REFERENCE_SIZE_PX).log()).abs()
    offset = raw.offset.float() * log_size.exp() * REFERENCE_SIZE_PX
    offset_error = (offset - targets.offset).abs() / size
    total = targets.weight.sum().clamp(min=1)
    return (size_error * targets.weight).sum() / total, (offset_error * targets.weight).sum() / total


def detector_loss(
    raw: RawDetections, targets: DetectorTargets, size_weight: float = 2.0, offset_weight: float = 2.0
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Sum of the terms, and the terms by name (detached)."""
    centre = centre_focal_loss(raw.logits, targets.centre)
    size, offset = box_losses(raw, targets)
    total = centre + size_weight * size + offset_weight * offset
    return total, {"centre": centre.detach(), "size": size.detach(), "offset": offset.detach()}
