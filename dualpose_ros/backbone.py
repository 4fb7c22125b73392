"""HRNet in any size: parallel branches at 1/4, 1/8, 1/16 and 1/32 that exchange at every stage.

Sun, Xiao, Liu, Wang, "Deep High-Resolution Representation Learning for Human Pose
Estimation", CVPR 2019. One difference from the published net: the last exchange, which
keeps the high-resolution branch only, widens to `out_channels`, so that thin branches can
carry many output maps. Imported for training and export only.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from dualpose_ros.settings import Settings, setting


@dataclass(frozen=True)
class HRNetConfig(Settings):
    """Size of an HRNet; the defaults are the CPU family (1.3 M parameters with 64 output channels).

    The number of branches, 2 to 4 in the paper, is also the number of stages. The wide maps at 1/4 resolution take
    half of the time where bottlenecks are as wide as in the paper. In context blocks, what a place looks like meets
    what the whole body does, which is what tells its left from its right. ValueError if the numbers don't fit.
    """

    stem: int = setting(64, "channels of the stem", unit="channels", least=1)
    widths: tuple[int, ...] = setting(
        (16, 32, 64, 128), "channels of the branches, from high to low resolution", least=1
    )
    blocks: int = setting(2, "residual blocks a branch in each exchange module", unit="blocks", least=1)
    modules: tuple[int, ...] = setting((1, 1, 1), "exchange modules of the stages from the second on", least=1)
    bottlenecks: int = setting(1, "bottlenecks before the second stage", unit="blocks", least=1)
    expansion: int = setting(2, "their channels over the stem's: 4 in the paper, 2 on CPUs", least=1)
    out_channels: int = setting(64, "channels of the output", unit="channels", least=1)
    context_blocks: int = setting(0, "residual blocks after every sum of the last exchange", unit="blocks", least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.widths) < 2:
            raise ValueError(f"HRNet needs two or more branches, not widths={self.widths}")
        if len(self.modules) != len(self.widths) - 1:
            raise ValueError(f"modules={self.modules} should have one entry a stage: {len(self.widths) - 1}")

    @property
    def stride(self) -> int:
        """Image height and width must be multiples of this."""
        return int(2 ** (len(self.widths) + 1))


IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STDDEV = (0.229, 0.224, 0.225)

CPU = HRNetConfig()


def conv_bn(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, relu: bool = True) -> nn.Sequential:
    """Convolution without bias, batch norm and, unless told otherwise, ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


class Normalise(nn.Module):
    """Images uint8 (N, H, W, 3) RGB as float (N, 3, H, W), by ImageNet's mean and standard deviation."""

    mean: torch.Tensor
    stddev: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", 255 * torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("stddev", 255 * torch.tensor(IMAGE_STDDEV).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        # Cast first: TensorRT takes bytes only where a Cast reads them. A permuted NHWC batch already has the
        # channels_last layout that the convolutions want.
        return (image.to(self.mean.dtype).permute(0, 3, 1, 2) - self.mean) / self.stddev


class Residual(nn.Module):
    """ReLU(body(x) + shortcut(x))."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut if shortcut is not None else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


def basic_block(channels: int) -> Residual:
    """Two 3x3 convolutions around an identity shortcut."""
    return Residual(nn.Sequential(conv_bn(channels, channels), conv_bn(channels, channels, relu=False)))


def bottleneck(inputs: int, planes: int, outputs: int) -> Residual:
    """1x1 convolution to `planes` channels, 3x3, and 1x1 to `outputs`."""
    body = nn.Sequential(
        conv_bn(inputs, planes, kernel=1), conv_bn(planes, planes), conv_bn(planes, outputs, kernel=1, relu=False)
    )
    return Residual(body, None if inputs == outputs else conv_bn(inputs, outputs, kernel=1, relu=False))


def _downsample(inputs: int, outputs: int, steps: int) -> nn.Sequential:
    """`steps` strided 3x3 convolutions; only the last one widens, and it has no ReLU (it is added)."""
    layers = [conv_bn(inputs, inputs, stride=2) for _ in range(steps - 1)]
    return nn.Sequential(*layers, conv_bn(inputs, outputs, stride=2, relu=False))


class Exchange(nn.Module):
    """One module: residual blocks on every branch, then every branch summed into every other.

    Takes and returns a list of branches, (N, widths[b], H / 2**b, W / 2**b).
    """

    def __init__(self, widths: tuple[int, ...], blocks: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(basic_block(w) for _ in range(blocks))) for w in widths)
        self.fuse = nn.ModuleList(
            nn.ModuleList(self._path(source, target, widths) for source in range(len(widths)))
            for target in range(len(widths))
        )

    @staticmethod
    def _path(source: int, target: int, widths: tuple[int, ...]) -> nn.Module:
        if source == target:
            return nn.Identity()
        if source < target:
            return _downsample(widths[source], widths[target], target - source)
        up = nn.Upsample(scale_factor=float(2 ** (source - target)), mode="nearest")
        return nn.Sequential(conv_bn(widths[source], widths[target], kernel=1, relu=False), up)

    def forward(self, branches: list[torch.Tensor]) -> list[torch.Tensor]:
        features = [block(x) for block, x in zip(self.branches, branches, strict=True)]
        fused = []
        for paths in self.fuse:
            assert isinstance(paths, nn.ModuleList)
            terms = [path(x) for path, x in zip(paths, features, strict=True)]
            fused.append(F.relu(sum(terms[1:], start=terms[0])))
        return fused


class LastExchange(nn.Module):
    """The last module: residual blocks, then all branches into one high-resolution map.

    Branches are summed from low to high resolution, doubling bilinearly on the way, so that
    nothing larger than one map of `outputs` channels is ever upsampled; `context_blocks` residual
    blocks follow each sum.
    """

    def __init__(self, widths: tuple[int, ...], blocks: int, outputs: int, context_blocks: int = 0) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(basic_block(w) for _ in range(blocks))) for w in widths)
        self.fuse = nn.ModuleList(conv_bn(w, outputs, kernel=1, relu=False) for w in widths)
        self.context = nn.ModuleList(
            nn.Sequential(*(basic_block(outputs) for _ in range(context_blocks))) for _ in widths[1:]
        )

    def forward(self, branches: list[torch.Tensor]) -> torch.Tensor:
        maps = [fuse(block(x)) for fuse, block, x in zip(self.fuse, self.branches, branches, strict=True)]
        total = maps[-1]
        for finer, context in zip(reversed(maps[:-1]), reversed(self.context), strict=True):
            total = finer + F.interpolate(total, scale_factor=2.0, mode="bilinear", align_corners=False)
            total = context(total)
        return F.relu(total)


class HRNet(nn.Module):
    """Image (N, 3, H, W), float and normalised, to features (N, out_channels, H / 4, W / 4).

    H and W are multiples of `config.stride`; ValueError otherwise (unless being exported). With `guides`, so many
    maps (N, guides, H / 4, W / 4) join the image where it has come down to their resolution.
    """

    def __init__(self, config: HRNetConfig = CPU, guides: int = 0) -> None:
        super().__init__()
        self.config = config
        self.out_channels = config.out_channels
        self.stem = nn.Sequential(conv_bn(3, config.stem, stride=2), conv_bn(config.stem, config.stem, stride=2))
        width = config.expansion * config.stem
        self.layer1 = nn.Sequential(
            *(
                bottleneck(config.stem + guides if i == 0 else width, config.stem, width)
                for i in range(config.bottlenecks)
            )
        )
        self.first = nn.ModuleList([conv_bn(width, config.widths[0]), conv_bn(width, config.widths[1], stride=2)])
        # Each later stage starts one branch more, from the lowest one so far.
        self.starts = nn.ModuleList(
            conv_bn(low, lower, stride=2) for low, lower in zip(config.widths[1:], config.widths[2:], strict=False)
        )
        self.stages = nn.ModuleList()
        for stage, count in enumerate(config.modules):
            widths = config.widths[: stage + 2]
            is_last = stage == len(config.modules) - 1
            modules = [Exchange(widths, config.blocks) for _ in range(count - is_last)]
            self.stages.append(nn.Sequential(*modules))
        self.last = LastExchange(config.widths, config.blocks, config.out_channels, config.context_blocks)
        self._initialise()

    def _initialise(self) -> None:
        """He initialisation for the convolutions; residual bodies start at zero, so blocks start as identity."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for module in self.modules():
            if isinstance(module, Residual) and isinstance(module.shortcut, nn.Identity):
                assert isinstance(module.body, nn.Sequential)
                tail = module.body[-1]
                assert isinstance(tail, nn.Sequential) and isinstance(tail[-1], nn.BatchNorm2d)
                nn.init.zeros_(tail[-1].weight)

    def forward(self, x: torch.Tensor, guides: torch.Tensor | None = None) -> torch.Tensor:
        stride = self.config.stride
        if not torch.compiler.is_compiling() and (x.shape[-2] % stride or x.shape[-1] % stride):
            raise ValueError(f"image {x.shape[-1]}x{x.shape[-2]} is not a multiple of {stride} both ways")
        x = self.stem(x)
        x = self.layer1(x if guides is None else torch.cat([x, guides], dim=1))
        branches = [branch(x) for branch in self.first]
        for index, stage in enumerate(self.stages):
            if index > 0:
                branches.append(self.starts[index - 1](branches[-1]))
            branches = stage(branches)
        return self.last(branches)
