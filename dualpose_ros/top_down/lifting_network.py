"""The two causal temporal convolutional networks (TCNs) of the top-down branch (paper, section 3.1).

Both read a window of T = 27 frames ending now, see `lifting_window`. Needs torch: training
and export only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.lifting_window import NUM_FEATURES, WINDOW_FRAMES

LOG_STDDEV_RANGE = (-6.0, 1.0)


@dataclass(frozen=True)
class LiftingConfig:
    """Width of the temporal layers and of the layers that refine the current frame; how many of the latter."""

    channels: int = 200
    hidden: int = 216
    blocks: int = 2
    dropout: float = 0.05


class TemporalEncoder(nn.Module):
    """Features (N, T, F) of a window -> (N, hidden) of its last frame.

    Kernels of three with a stride of three are the dilated causal convolutions of a window of 27,
    computed for the last frame alone. A direct path carries the current frame past them.
    """

    def __init__(self, config: LiftingConfig) -> None:
        super().__init__()
        c, h = config.channels, config.hidden
        self.expand = _convolution(NUM_FEATURES, c, 3, config.dropout)
        self.strided = nn.ModuleList([_convolution(c, c, 3, config.dropout) for _ in range(2)])
        self.current = _dense(NUM_FEATURES, h, config.dropout)
        self.join = _dense(c + h, h, config.dropout)
        self.blocks = nn.ModuleList(
            [nn.Sequential(_dense(h, h, config.dropout), _dense(h, h, config.dropout)) for _ in range(config.blocks)]
        )

    def forward(self, features: Tensor) -> Tensor:
        x = self.expand(features.transpose(1, 2))
        for layer in self.strided:
            x = x[:, :, 2::3] + layer(x)
        y = self.join(torch.cat([x[:, :, 0], self.current(features[:, WINDOW_FRAMES - 1])], dim=1))
        for block in self.blocks:
            y = y + block(y)
        return y


class PoseLifter(nn.Module):
    """Root-relative joints (N, K, 3) in metres, virtual camera axes, and log standard deviations (N, K)."""

    def __init__(self, config: LiftingConfig) -> None:
        super().__init__()
        self.encoder = TemporalEncoder(config)
        self.head = nn.Linear(config.hidden, 4 * H36M17.num_joints)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor]:
        out = self.head(self.encoder(window)).reshape(-1, H36M17.num_joints, 4)
        joints = out[..., :3] - out[:, H36M17.root : H36M17.root + 1, :3]
        return joints, (out[..., 3] - 2.5).clamp(*LOG_STDDEV_RANGE)


class RootDepthLifter(nn.Module):
    """log(root depth x extent) and the log of its standard deviation, each (N, 1).

    Depth is along the virtual camera's axis in metres, extent the window's: their product does not
    change when a person of the same size walks away.
    """

    def __init__(self, config: LiftingConfig) -> None:
        super().__init__()
        self.encoder = TemporalEncoder(config)
        self.head = nn.Linear(config.hidden, 2)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor]:
        out = self.head(self.encoder(window))
        return out[:, :1] - 0.7, (out[:, 1:] - 2.5).clamp(*LOG_STDDEV_RANGE)


def _convolution(inputs: int, outputs: int, stride: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, 3, stride=stride, bias=False),
        nn.BatchNorm1d(outputs),
        nn.ReLU(),
        nn.Dropout(dropout),
    )


def _dense(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.ReLU(), nn.Dropout(dropout))
