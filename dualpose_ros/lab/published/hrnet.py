"""HRNet-W32 and HigherHRNet-W32 for poses, from the names of their authors' checkpoints.

Sun et al., CVPR 2019 (pose_hrnet_w32); Cheng et al., "HigherHRNet", CVPR 2020 (pose_higher_hrnet_w32_512). N images of
H x W pixels, COCO's 17 joints.
"""

import re
from collections.abc import Mapping

import torch
from torch import nn

from dualpose_ros.lab.published.layers import Backbone, basic

EPS = 1e-5
JOINTS, TAGS = 17, 17

_PREFIX = re.compile(r"^(module\.|backbone\.|keypoint_head\.|head\.)+")
_FUSE, _OURS = r"stage(\d)\.(\d)\.fuse_layers\.(\d)\.(\d)", r"backbone.stage\1.fuses.\2.branches.\3.\4"
_NAMES = (
    (r"^(conv|bn)([12])\.", r"backbone.c\2.\1."),
    (r"^layer1\.(\d+)\.(conv|bn)(\d)\.", r"backbone.layer1.units.\1.c\3.\2."),
    (r"^layer1\.(\d+)\.downsample\.0\.", r"backbone.layer1.units.\1.sc.conv."),
    (r"^layer1\.(\d+)\.downsample\.1\.", r"backbone.layer1.units.\1.sc.bn."),
    (r"^transition(\d)\.(\d)\.(?:0\.)?0\.(?=weight)", r"backbone.stage\1.transition.trans.\2.conv."),
    (r"^transition(\d)\.(\d)\.(?:0\.)?1\.", r"backbone.stage\1.transition.trans.\2.bn."),
    (r"^stage(\d)\.(\d)\.branches\.(\d)\.(\d)\.(conv|bn)(\d)\.", r"backbone.stage\1.blocks.\2.\3.units.\4.c\6.\5."),
    (r"^stage4\.2\.fuse_layers\.0\.(\d)\.0\.", r"backbone.lastfuse.c\1.c1.conv."),
    (r"^stage4\.2\.fuse_layers\.0\.(\d)\.1\.", r"backbone.lastfuse.c\1.c1.bn."),
    (rf"^{_FUSE}\.(\d)\.0\.", rf"{_OURS}.mods.\5.conv."),
    (rf"^{_FUSE}\.(\d)\.1\.", rf"{_OURS}.mods.\5.bn."),
    (rf"^{_FUSE}\.0\.", rf"{_OURS}.c1.conv."),
    (rf"^{_FUSE}\.1\.", rf"{_OURS}.c1.bn."),
    (r"^deconv_layers\.0\.0\.0\.", "up."),
    (r"^deconv_layers\.0\.0\.1\.", "up_norm."),
    (r"^deconv_layers\.0\.(\d)\.0\.(conv|bn)(\d)\.", r"after.\1.c\3.\2."),
)  # fmt: skip


def own_names(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A checkpoint's entries by the names that they have here; those that mean nothing keep theirs."""
    renamed = {}
    for name, value in state.items():
        plain = _PREFIX.sub("", name)
        for pattern, target in _NAMES:
            plain, hits = re.subn(pattern, target, plain)
            if hits:
                # Their second stage is the first that has more than one branch.
                plain = re.sub(r"^(backbone\.stage)(\d)\.(?=blocks|fuses)", lambda m: f"{m[1]}{int(m[2]) - 1}.", plain)
                break
        plain = re.sub(r"^after\.(\d)", lambda m: f"after.{int(m[1]) - 1}", plain)
        renamed[plain] = value
    return renamed


class HRNetPose(nn.Module):
    """Pictures (N, 3, H, W), normalised as ImageNet's, to heatmaps (N, 17, H/4, W/4) of one person."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone(eps=EPS)
        self.final_layer = nn.Conv2d(32, JOINTS, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.final_layer(self.backbone(x))
        return result


class HigherHRNetPose(nn.Module):
    """Pictures (N, 3, H, W) to heatmaps and tags (N, 34, H/4, W/4), and finer heatmaps (N, 17, H/2, W/2)."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone(eps=EPS)
        self.final_layers = nn.ModuleList([nn.Conv2d(32, JOINTS + TAGS, 1), nn.Conv2d(32, JOINTS, 1)])
        self.up = nn.ConvTranspose2d(32 + JOINTS + TAGS, 32, 4, 2, 1, bias=False)
        self.up_norm = nn.BatchNorm2d(32, EPS)
        self.after = nn.ModuleList(basic(32, EPS) for _ in range(4))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.backbone(x)
        coarse = self.final_layers[0](features)
        fine = torch.relu(self.up_norm(self.up(torch.cat([features, coarse], dim=1))))
        for unit in self.after:
            fine = unit(fine)
        return coarse, self.final_layers[1](fine)
