"""The backbone that the paper's release, HRNet and HigherHRNet share, named as the release's checkpoints name it.

Sun et al., "Deep high-resolution representation learning for human pose estimation", CVPR 2019, of width 32. N images,
C channels, H x W pixels.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

WIDTHS = (32, 64, 128, 256)
RELEASED_EPS = 2e-5
"""Of the release's batch norms; PyTorch's own is 1e-5."""


class Layer(nn.Module):
    """Convolution (over images or over time), batch norm and activation, each where asked for.

    act: "", "relu", "prelu" or "gelu"; a convolution without norm has a bias unless told otherwise.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        act: str = "relu",
        eps: float | None = RELEASED_EPS,
        over_time: bool = False,
        bias: bool | None = None,
    ) -> None:
        super().__init__()
        biased = eps is None if bias is None else bias
        self.conv: nn.Module
        self.bn: nn.Module = nn.Identity()
        if over_time:
            self.conv = nn.Conv1d(inputs, outputs, kernel, stride, bias=biased)
            self.bn = nn.BatchNorm1d(outputs, eps) if eps is not None else self.bn
        else:
            self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=biased)
            self.bn = nn.BatchNorm2d(outputs, eps) if eps is not None else self.bn
        self.act: nn.Module = {"": nn.Identity, "relu": nn.ReLU, "gelu": nn.GELU}.get(act, nn.Identity)()
        if act == "prelu":
            self.act = nn.PReLU(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.act(self.bn(self.conv(x)))
        return result


class Part(nn.Module):
    """Named modules, for the names' sake alone; keys are those of checkpoints."""

    def __init__(self, **modules: nn.Module) -> None:
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)

    def __getattr__(self, name: str) -> Any:
        return super().__getattr__(name)


class Unit(nn.Module):
    """ReLU(x + what a chain of layers makes of it), with a 1x1 convolution of x where channels change."""

    def __init__(self, layers: list[Layer], shortcut: Layer | None = None) -> None:
        super().__init__()
        self.count = len(layers)
        for number, layer in enumerate(layers):
            self.add_module(f"c{number + 1}", layer)
        self.sc: nn.Module = shortcut if shortcut is not None else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch = x
        for number in range(self.count):
            branch = self.get_submodule(f"c{number + 1}")(branch)
        return F.relu(branch + self.sc(x))


def bottleneck(inputs: int, eps: float) -> Unit:
    """1x1, 3x3 and 1x1 convolutions to 256 channels."""
    layers = [Layer(inputs, 64, 1, eps=eps), Layer(64, 64, eps=eps), Layer(64, 256, 1, act="", eps=eps)]
    return Unit(layers, Layer(inputs, 256, 1, act="", eps=eps) if inputs != 256 else None)


def basic(width: int, eps: float) -> Unit:
    """Two 3x3 convolutions."""
    return Unit([Layer(width, width, eps=eps), Layer(width, width, act="", eps=eps)])


def _path(source: int, target: int, eps: float) -> Any:
    """What brings branch `source` to the resolution and width of branch `target`."""
    if source == target:
        return nn.Identity()
    if source > target:
        return Part(c1=Layer(WIDTHS[source], WIDTHS[target], 1, act="", eps=eps))
    steps = [Layer(WIDTHS[source], WIDTHS[source], stride=2, eps=eps) for _ in range(target - source - 1)]
    return Part(mods=nn.ModuleList([*steps, Layer(WIDTHS[source], WIDTHS[target], stride=2, act="", eps=eps)]))


def _bring(path: Any, x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    if isinstance(path, nn.Identity):
        return x
    if hasattr(path, "c1"):
        # A 1x1 convolution and repeating pixels can be done in either order; this one has fewer to convolve.
        return F.interpolate(path.c1(x), size=like.shape[2:], mode="nearest")
    for layer in path.mods:
        x = layer(x)
    return x


class Stage(nn.Module):
    """A new branch, then modules of residual blocks on every branch, and their sums into every other one.

    fused: whether the last module sums too.
    """

    def __init__(self, branches: int, modules: int, eps: float, first: bool, fused: bool) -> None:
        super().__init__()
        begin: list[nn.Module] = [nn.Identity() for _ in range(branches)]
        if first:
            begin = [Layer(256, WIDTHS[0], eps=eps), Layer(256, WIDTHS[1], stride=2, eps=eps)]
        else:
            begin[-1] = Layer(WIDTHS[branches - 2], WIDTHS[branches - 1], stride=2, eps=eps)
        self.transition = Part(trans=nn.ModuleList(begin))
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                Part(units=nn.ModuleList(basic(WIDTHS[b], eps) for _ in range(4))) for b in range(branches)
            )
            for _ in range(modules)
        )  # fmt: skip
        self.fuses = nn.ModuleList(
            Part(branches=nn.ModuleList(
                nn.ModuleList(_path(source, target, eps) for source in range(branches)) for target in range(branches)
            ))
            for _ in range(modules if fused else modules - 1)
        )  # fmt: skip

    def forward(self, x: list[torch.Tensor]) -> list[torch.Tensor]:
        begin = self.transition.trans
        x = [layer(x[n] if n < len(x) - 1 or isinstance(layer, nn.Identity) else x[-1])
             for n, layer in enumerate(begin)]  # fmt: skip
        rows: list[Any] = list(self.blocks)
        for number, blocks in enumerate(rows):
            for branch, block in enumerate(blocks):
                for unit in block.units:
                    x[branch] = unit(x[branch])
            if number < len(self.fuses):
                fuse: Any = self.fuses[number]
                x = [self._sum(row, x, target) for target, row in enumerate(fuse.branches)]
        return x

    @staticmethod
    def _sum(paths: Any, x: list[torch.Tensor], target: int) -> torch.Tensor:
        first, *others = (_bring(path, x[source], x[target]) for source, path in enumerate(paths))
        return F.relu(sum(others, start=first))


class Backbone(nn.Module):
    """Pictures (N, C, H, W), normalised, to features (N, 32, H/4, W/4)."""

    def __init__(self, channels: int = 3, eps: float = RELEASED_EPS) -> None:
        super().__init__()
        self.c1, self.c2 = Layer(channels, 64, stride=2, eps=eps), Layer(64, 64, stride=2, eps=eps)
        self.layer1 = Part(units=nn.ModuleList(bottleneck(64 if n == 0 else 256, eps) for n in range(4)))
        self.stage1 = Stage(2, 1, eps, first=True, fused=True)
        self.stage2 = Stage(3, 4, eps, first=False, fused=True)
        self.stage3 = Stage(4, 3, eps, first=False, fused=False)
        self.lastfuse = Part(**{f"c{n}": _path(n, 0, eps) for n in (1, 2, 3)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.c2(self.c1(x))
        for unit in self.layer1.units:
            x = unit(x)
        branches = self.stage3(self.stage2(self.stage1([x, x])))
        total = branches[0]
        for number in (1, 2, 3):
            total = total + _bring(self.lastfuse.get_submodule(f"c{number}"), branches[number], branches[0])
        return F.relu(total)
