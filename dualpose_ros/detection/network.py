"""The person detector as a torch module: centre heatmap, box size and offset on the small HRNet.

Imported for training and export only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from dualpose_ros.backbone import HRNet, HRNetConfig, Normalise, conv_bn
from dualpose_ros.settings import Settings, setting

REFERENCE_SIZE_PX = 64.0
"""A raw size of zero means a box of this side in network pixels."""
MAX_LOG_SIZE = 4.0
PRIOR = 0.02
"""Heatmap value that an untrained network puts out: rare positives would swamp the first steps otherwise."""


@dataclass(frozen=True)
class DetectorConfig(Settings):
    """Size of the detector: its backbone and the channels of its head."""

    backbone: HRNetConfig = setting(
        HRNetConfig(stem=32, blocks=1, out_channels=48, context_blocks=1), "size of the HRNet"
    )
    head: int = setting(32, "channels of the head", unit="channels", least=1)


@dataclass(frozen=True)
class RawDetections:
    """The heads' values before decoding: logits (N, 1, h, w), log size and offset (N, 2, h, w).

    Size is exp(log_size) * REFERENCE_SIZE_PX; the offset is in units of the predicted size.
    """

    logits: torch.Tensor
    log_size: torch.Tensor
    offset: torch.Tensor


class DetectorNetwork(nn.Module):
    """RGB uint8 images (N, H, W, 3), H and W multiples of 32, to maps at stride 4."""

    def __init__(self, config: DetectorConfig | None = None) -> None:
        super().__init__()
        self.config = config if config is not None else DetectorConfig()
        self.normalise, self.backbone = Normalise(), HRNet(self.config.backbone)
        self.neck = conv_bn(self.backbone.out_channels, self.config.head)
        self.head = nn.Conv2d(self.config.head, 5, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)
        with torch.no_grad():
            self.head.bias[0] = math.log(PRIOR / (1 - PRIOR))

    def raw(self, image: torch.Tensor) -> RawDetections:
        """The heads' values for a batch of uint8 images (N, H, W, 3), as the losses take them."""
        maps = self.head(self.neck(self.backbone(self.normalise(image))))
        return RawDetections(maps[:, :1], maps[:, 1:3].clamp(-MAX_LOG_SIZE, MAX_LOG_SIZE), maps[:, 3:5])

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """centre (N, 1, h, w) in 0..1, size (N, 2, h, w) and offset (N, 2, h, w) in network pixels."""
        raw = self.raw(image)
        size = raw.log_size.exp() * REFERENCE_SIZE_PX
        return raw.logits.sigmoid(), size, raw.offset * size
