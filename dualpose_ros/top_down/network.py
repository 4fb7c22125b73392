"""The top-down network: HRNet with a heatmap head and a tag head for all people in a patch.

Without the tag head it is the usual network of one person a patch, which evaluations compare with.

Imported for training and export only; the live stage runs the exported ONNX file.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dualpose_ros.backbone import HRNet, HRNetConfig
from dualpose_ros.skeleton import H36M17

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STDDEV = (0.229, 0.224, 0.225)


class TopDownNetwork(nn.Module):
    """Heatmaps and associative-embedding tags of every person in a patch (paper, section 3.1).

    `forward` takes patches uint8 (N, H, W, 3) RGB and returns heatmaps and, unless built without, tags, both
    (N, K, H/4, W/4). Normalisation and layout change happen inside. The heatmap head is linear; in eval mode, so in the
    exported graph too, its values are clipped to 0..1.
    """

    mean: Tensor
    stddev: Tensor

    def __init__(self, backbone: HRNetConfig, num_joints: int = H36M17.num_joints, tags: bool = True) -> None:
        super().__init__()
        self.backbone = HRNet(backbone)
        self.heatmap_head = nn.Conv2d(self.backbone.out_channels, num_joints, 1)
        self.tag_head = nn.Conv2d(self.backbone.out_channels, num_joints, 1) if tags else None
        for head in (self.heatmap_head, self.tag_head):
            if head is None:
                continue
            nn.init.normal_(head.weight, std=0.01)
            if head.bias is not None:
                nn.init.zeros_(head.bias)
        self.register_buffer("mean", 255 * torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("stddev", 255 * torch.tensor(IMAGE_STDDEV).view(1, 3, 1, 1), persistent=False)

    def forward(self, patches: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        # A permuted NHWC batch already has the channels_last layout that the convolutions want.
        image = (patches.permute(0, 3, 1, 2).to(self.mean.dtype) - self.mean) / self.stddev
        features = self.backbone(image)
        heatmaps = self.heatmap_head(features)
        heatmaps = heatmaps if self.training else heatmaps.clamp(0, 1)
        return heatmaps if self.tag_head is None else (heatmaps, self.tag_head(features))
