"""The causal temporal convolutional network (TCN) of the top-down branch (paper, section 3.1).

The paper has one TCN for the root-relative pose and another for the root's depth; both read the same
frames, so here they are one trunk with two heads. N tracks, T frames, F features of `completion`, K joints.
Needs torch: training and export only.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dualpose_ros.settings import SettingError, Settings, setting
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.lifting.completion import JOINTS_REL, NUM_FEATURES

LOG_STDDEV_RANGE = (-6.0, 1.0)
WINDOWS = (1, 3, 9, 27, 81, 243)


@dataclass(frozen=True)
class LiftingConfig(Settings):
    """Size of the lifting network."""

    window: int = setting(
        27, "frames that an answer depends on, a power of three; the paper has 243", unit="frames", least=1, most=243
    )
    channels: int = setting(256, "channels of the temporal layers", unit="channels", least=1)
    hidden: int = setting(512, "width of the layers that refine the frame itself", unit="channels", least=1)
    blocks: int = setting(2, "number of those", unit="blocks", least=0)
    dropout: float = setting(0.05, "share of them that is dropped in training", least=0, below=1)
    lookahead: int = setting(
        0, "frames that an answer is late by, to see what comes after; live: 0", unit="frames", least=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window not in WINDOWS:
            raise SettingError("window", f"is {self.window}; it must be one of {', '.join(map(str, WINDOWS))}")
        if self.lookahead >= self.window:
            raise SettingError("lookahead", f"is {self.lookahead}; it must be less than the window, {self.window}")

    @property
    def dilations(self) -> tuple[int, ...]:
        """Of the layers after the first: 3, 9 for a window of 27."""
        return tuple(d for d in (3, 9, 27, 81) if 3 * d <= self.window)

    @property
    def past_frames(self) -> int:
        """Frames of features that the first layer has to remember."""
        return max(2 if self.window > 1 else 0, self.lookahead)

    @property
    def past_steps(self) -> int:
        """Activations that the other layers have to remember, all together."""
        return 2 * sum(self.dilations)


class TemporalLifter(nn.Module):
    """Dilated causal convolutions that remember what they need, so that each frame is computed once.

    `forward` takes T new frames of features (N, T, F), the frames before (N, P, F) and the layers' activations
    before (N, C, S), both zero at a track's birth. It returns, for the new frames less `lookahead`, root-relative
    joints (N, T, K, 3) in metres along the virtual camera's axes and the log of their standard deviation on an axis
    (N, T, K); log(root depth x extent) and the log of its standard deviation, both (N, T); and the two
    memories for the next call. One call with T frames gives what T calls with one frame give. The deviations are
    scaled by what calibration found.
    """

    joint_calibration: Tensor
    depth_calibration: Tensor

    def __init__(self, config: LiftingConfig) -> None:
        super().__init__()
        self.config = config
        c, h = config.channels, config.hidden
        self.expand = _convolution(NUM_FEATURES, c, 3 if config.window > 1 else 1, 1, config.dropout)
        self.layers = nn.ModuleList(
            [
                nn.Sequential(_convolution(c, c, 3, d, config.dropout), _convolution(c, c, 1, 1, config.dropout))
                for d in config.dilations
            ]
        )
        self.current = _dense(NUM_FEATURES, h, config.dropout)
        self.join = _dense(c + h, h, config.dropout)
        self.blocks = nn.ModuleList(
            [nn.Sequential(_dense(h, h, config.dropout), _dense(h, h, config.dropout)) for _ in range(config.blocks)]
        )
        self.head = nn.Linear(h, 4 * H36M17.num_joints + 2)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("joint_calibration", torch.zeros(H36M17.num_joints))
        self.register_buffer("depth_calibration", torch.zeros(1))

    def empty_memory(self, count: int) -> tuple[Tensor, Tensor]:
        """Memories of `count` tracks just born."""
        config = self.config
        return torch.zeros(count, config.past_frames, NUM_FEATURES), torch.zeros(
            count, config.channels, config.past_steps
        )

    def forward(self, features: Tensor, past_features: Tensor, past: Tensor) -> tuple[Tensor, ...]:
        frames, before = features.shape[1], self.config.past_frames
        known = torch.cat([past_features, features], dim=1)
        taps = 2 if self.config.window > 1 else 0
        x = self.expand(known[:, before - taps :].transpose(1, 2))
        remembered, at = [], 0
        for layer, dilation in zip(self.layers, self.config.dilations, strict=True):
            seen = torch.cat([past[:, :, at : at + 2 * dilation], x], dim=2)
            remembered.append(seen[:, :, frames:])
            x = x + layer(seen)
            at += 2 * dilation
        late = before - self.config.lookahead
        now = known[:, late : late + frames] if self.config.lookahead else features
        y = self.join(torch.cat([x.transpose(1, 2), self.current(now)], dim=2))
        for block in self.blocks:
            y = y + block(y)
        out = self.head(y)
        new_past = torch.cat(remembered, dim=2) if remembered else past
        return (*self._answers(out, now), known[:, frames:], new_past)

    def _answers(self, out: Tensor, now: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Joints, their log deviations, log(depth x extent) and its log deviation from the head's numbers."""
        k = H36M17.num_joints
        shape = (out.shape[0], out.shape[1], k, 3)
        joints = now[..., JOINTS_REL].reshape(shape) + out[..., : 3 * k].reshape(shape)
        joints = joints - joints[:, :, H36M17.root : H36M17.root + 1]
        stddev = (out[..., 3 * k : 4 * k] - 2.5).clamp(*LOG_STDDEV_RANGE) + self.joint_calibration
        depth_stddev = (out[..., 4 * k + 1] - 2.5).clamp(*LOG_STDDEV_RANGE) + self.depth_calibration
        return joints, stddev, out[..., 4 * k] - 0.7, depth_stddev


def _convolution(inputs: int, outputs: int, kernel: int, dilation: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, kernel, dilation=dilation, bias=False),
        nn.BatchNorm1d(outputs),
        nn.ReLU(),
        nn.Dropout(dropout),
    )


def _dense(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.ReLU(), nn.Dropout(dropout))
