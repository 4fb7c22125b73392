"""The person detector as a torch module: YOLOX's form in its smallest size.

Depthwise convolutions in a backbone of cross-stage partial blocks, a neck that goes up and down again, and a head for
each of three strides that scores and measures people apart (Ge, Liu, Wang, Li, Sun, "YOLOX: Exceeding YOLO Series in
2021"; Nano in its Table 3). Imported for training and export only.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from dualpose_ros.settings import Settings, setting

PRIOR = 0.01
"""Score that an untrained network puts out: rare people would swamp the first steps otherwise."""
POOLS = (5, 9, 13)

STRIDE = 32
"""Height and width of images are multiples of this."""


@dataclass(frozen=True)
class DetectorConfig(Settings):
    """Size of the detector; the defaults are YOLOX-Nano's (0.9 M parameters)."""

    stem: int = setting(16, "channels at half resolution; they double with each stage", unit="channels", least=1)
    blocks: int = setting(1, "residual blocks of the first and last stage; three times as many between", least=1)
    head: int = setting(64, "channels of the heads", unit="channels", least=1)


class ConvBlock(nn.Sequential):
    """Convolution, batch norm, SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        super().__init__(conv, nn.BatchNorm2d(outputs), nn.SiLU(inplace=True))


class _Separable(nn.Sequential):
    """A depthwise 3x3 convolution, then a pointwise one."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(ConvBlock(inputs, inputs, 3, stride, groups=inputs), ConvBlock(inputs, outputs))


class _Bottleneck(nn.Module):
    def __init__(self, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(ConvBlock(channels, channels), _Separable(channels, channels))
        self.shortcut = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) if self.shortcut else self.body(x)


class _CrossStage(nn.Module):
    """Half of the channels through bottlenecks, half past them (Wang et al., "CSPNet", 2020)."""

    def __init__(self, inputs: int, outputs: int, blocks: int, shortcut: bool) -> None:
        super().__init__()
        half = outputs // 2
        self.through, self.past = ConvBlock(inputs, half), ConvBlock(inputs, half)
        self.blocks = nn.Sequential(*(_Bottleneck(half, shortcut) for _ in range(blocks)))
        self.join = ConvBlock(2 * half, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        through, past = self.through(x), self.past(x)
        return self.join(torch.cat([self.blocks(through), past], dim=1))


class _Pyramid(nn.Module):
    """Maxima over growing windows beside the map itself (He et al., "Spatial Pyramid Pooling", 2014)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.narrow, self.join = ConvBlock(channels, half), ConvBlock((len(POOLS) + 1) * half, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.narrow(x)
        return self.join(torch.cat([x, *(F.max_pool2d(x, size, 1, size // 2) for size in POOLS)], dim=1))


class _Stem(nn.Module):
    """Each 2x2 pixels as twelve channels, in YOLOX's order: upper left, lower left, upper right, lower right."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv = ConvBlock(12, outputs, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        corners = [image[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.conv(torch.cat(corners, dim=1))


class _Head(nn.Module):
    """Rows (N, 6, h, w) of one stride: x, y, log width, log height, objectness, person; logits of the last two."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.narrow = ConvBlock(inputs, channels)
        self.person = nn.Sequential(_Separable(channels, channels), _Separable(channels, channels))
        self.person_score = nn.Conv2d(channels, 1, 1)
        self.box = nn.Sequential(_Separable(channels, channels), _Separable(channels, channels))
        self.box_place, self.objectness = nn.Conv2d(channels, 4, 1), nn.Conv2d(channels, 1, 1)
        for score in (self.person_score, self.objectness):
            assert score.bias is not None
            nn.init.constant_(score.bias, float(torch.logit(torch.tensor(PRIOR**0.5))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.narrow(x)
        person = self.person_score(self.person(x))
        box = self.box(x)
        return torch.cat([self.box_place(box), self.objectness(box), person], dim=1)


class DetectorNetwork(nn.Module):
    """RGB uint8 images (N, H, W, 3), H and W multiples of 32, to rows as `detection.yolox` reads them."""

    def __init__(self, config: DetectorConfig | None = None) -> None:
        super().__init__()
        c = self.config = config if config is not None else DetectorConfig()
        half, c2, c3, c4, c5 = (c.stem * 2**i for i in range(5))
        self.stem = _Stem(half)
        self.stage2 = nn.Sequential(_Separable(half, c2, 2), _CrossStage(c2, c2, c.blocks, True))
        self.stage3 = nn.Sequential(_Separable(c2, c3, 2), _CrossStage(c3, c3, 3 * c.blocks, True))
        self.stage4 = nn.Sequential(_Separable(c3, c4, 2), _CrossStage(c4, c4, 3 * c.blocks, True))
        self.stage5 = nn.Sequential(_Separable(c4, c5, 2), _Pyramid(c5), _CrossStage(c5, c5, c.blocks, False))
        self.narrow5, self.up4 = ConvBlock(c5, c4), _CrossStage(2 * c4, c4, c.blocks, False)
        self.narrow4, self.up3 = ConvBlock(c4, c3), _CrossStage(2 * c3, c3, c.blocks, False)
        self.down4, self.out4 = _Separable(c3, c3, 2), _CrossStage(2 * c3, c4, c.blocks, False)
        self.down5, self.out5 = _Separable(c4, c4, 2), _CrossStage(2 * c4, c5, c.blocks, False)
        self.heads = nn.ModuleList(_Head(inputs, c.head) for inputs in (c3, c4, c5))

    def raw(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Rows (N, 6, h, w) of each stride for uint8 images (N, H, W, 3), scores as logits, as the losses take them."""
        x3 = self.stage3(self.stage2(self.stem(image.float().permute(0, 3, 1, 2))))
        x4 = self.stage4(x3)
        low = self.narrow5(self.stage5(x4))
        middle = self.narrow4(self.up4(torch.cat([_doubled(low), x4], dim=1)))
        high = self.up3(torch.cat([_doubled(middle), x3], dim=1))
        middle = self.out4(torch.cat([self.down4(high), middle], dim=1))
        low = self.out5(torch.cat([self.down5(middle), low], dim=1))
        return [head(x) for head, x in zip(self.heads, (high, middle, low), strict=True)]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Rows (N, A, 6) of all strides' cells, as `detection.yolox.decode_people` reads them."""
        rows = torch.cat([raw.flatten(2) for raw in self.raw(image)], dim=2).transpose(1, 2)
        return torch.cat([rows[..., :4], rows[..., 4:].sigmoid()], dim=2)


def _doubled(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
