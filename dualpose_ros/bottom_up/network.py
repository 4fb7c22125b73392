"""The bottom-up network: HRNet on the whole frame, guided by the top-down heatmaps.

Imported for training and export only; the live stage runs the exported ONNX file.
"""

import torch
from torch import Tensor, nn

from dualpose_ros.backbone import HRNet, HRNetConfig, Normalise
from dualpose_ros.skeleton import H36M17

LOG_STDDEV_RANGE = (-5.0, 1.5)


class BottomUpNetwork(nn.Module):
    """Heatmaps, tags and depths of every person in a frame (paper, section 3.2).

    `forward` takes a frame uint8 (N, H, W, 3) RGB and guidance uint8 (N, K, H/4, W/4), the top-down heatmaps with
    255 for 1. It returns four maps (N, K, H/4, W/4): heatmaps (linear, clipped to 0..1 in eval mode); tags; depths,
    in the root's channel log(decode.DEPTH_SCALE z / f) of the person's root wherever a joint of theirs is, in the
    others a joint's depth relative to the root in metres (Eqs. 3 and 4); and the log of the depths' standard
    deviations.

    The paper joins heatmaps and image at full resolution. Heatmaps have a quarter of it to begin with, so
    here they join where the image has come down to that.
    """

    calibration: Tensor

    def __init__(self, backbone: HRNetConfig) -> None:
        super().__init__()
        joints = H36M17.num_joints
        self.normalise, self.backbone = Normalise(), HRNet(backbone, guides=joints)
        features = self.backbone.out_channels
        self.heatmap_head = nn.Conv2d(features, joints, 1)
        self.tag_head = nn.Conv2d(features, joints, 1)
        self.depth_head = nn.Sequential(nn.Conv2d(features, features, 1), nn.ReLU(), nn.Conv2d(features, 2 * joints, 1))
        for head in (self.heatmap_head, self.tag_head, self.depth_head[2]):
            assert isinstance(head, nn.Conv2d) and head.bias is not None
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)
        self.register_buffer("calibration", torch.zeros(joints))

    def forward(self, image: Tensor, guidance: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x = self.normalise(image)
        features = self.backbone(x, guidance.to(x.dtype) / 255)
        heatmaps = self.heatmap_head(features)
        heatmaps = heatmaps if self.training else heatmaps.clamp(0, 1)
        depths, log_stddev = self.depth_head(features).chunk(2, dim=1)
        log_stddev = (log_stddev - 2.0).clamp(*LOG_STDDEV_RANGE) + self.calibration[:, None, None]
        return heatmaps, self.tag_head(features), depths, log_stddev
