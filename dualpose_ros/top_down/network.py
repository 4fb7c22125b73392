"""The top-down network: HRNet with a heatmap head and a tag head for all people in a patch.

Without the tag head it is the usual network of one person a patch, which evaluations compare with.

Imported for training and export only; the live stage runs the exported ONNX file.
"""

from torch import Tensor, nn

from dualpose_ros.backbone import HRNet, HRNetConfig, Normalise
from dualpose_ros.skeleton import H36M17


class TopDownNetwork(nn.Module):
    """Heatmaps and associative-embedding tags of every person in a patch (paper, section 3.1).

    `forward` takes patches uint8 (N, H, W, 3) RGB and returns heatmaps and, unless built without, tags, both
    (N, K, H/4, W/4). Normalisation and layout change happen inside. The heatmap head is linear; in eval mode, so in the
    exported graph too, its values are clipped to 0..1.
    """

    def __init__(self, backbone: HRNetConfig, num_joints: int = H36M17.num_joints, tags: bool = True) -> None:
        super().__init__()
        self.normalise, self.backbone = Normalise(), HRNet(backbone)
        self.heatmap_head = nn.Conv2d(self.backbone.out_channels, num_joints, 1)
        self.tag_head = nn.Conv2d(self.backbone.out_channels, num_joints, 1) if tags else None
        for head in (self.heatmap_head, self.tag_head):
            if head is None:
                continue
            nn.init.normal_(head.weight, std=0.01)
            if head.bias is not None:
                nn.init.zeros_(head.bias)

    def forward(self, patches: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        features = self.backbone(self.normalise(patches))
        heatmaps = self.heatmap_head(features)
        heatmaps = heatmaps if self.training else heatmaps.clamp(0, 1)
        return heatmaps if self.tag_head is None else (heatmaps, self.tag_head(features))
