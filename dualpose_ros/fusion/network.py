"""The integration network (paper, section 3.3): three fully connected layers over a pair of poses.

N people, F features of `pairs.view_pairs`, K joints. Needs torch: training and export only.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dualpose_ros.fusion.pairs import JOINTS, NUM_BRANCH, NUM_FEATURES, PRESENT, ROOT, STATED, K
from dualpose_ros.settings import Settings, setting
from dualpose_ros.skeleton import H36M17

LOG_STDDEV_RANGE = (-5.0, 0.7)
_START_LOG_STDDEV = -2.5
_FARTHEST = 1.0
_TOP_DOWN_SURER = 0.63
"""By so much the top-down branch states smaller logarithms of deviations of depths where both err alike."""


@dataclass(frozen=True)
class IntegrationConfig(Settings):
    """Size of the integration network."""

    hidden: int = setting(256, "width of the two inner layers", unit="channels", least=1)
    dropout: float = setting(0.0, "share of both that is dropped in training", least=0, below=1)


class IntegrationNetwork(nn.Module):
    """Chooses between the two poses, joint by joint, and corrects the choice.

    `forward` takes features (N, F) and returns, along the axes of the pair's virtual camera, joints_rel (N, K, 3)
    from the root in metres; root (N, 3): x / z, y / z and the log of its depth over the pair's; log_stddev
    (N, K): of the joints from the root on an axis, and in the root's place that of the log depth; score (N, 1): the
    chance that there is somebody with the root within 250 mm; and near (N, K), for training alone: that a joint is
    within 150 mm, from the root.
    """

    calibration: Tensor

    def __init__(self, config: IntegrationConfig) -> None:
        super().__init__()
        self.config = config
        hidden, outputs = config.hidden, (K + 1) + 3 * (K + 1) + K + (K + 1)
        self.layers = nn.Sequential(
            nn.Linear(NUM_FEATURES, hidden), nn.ReLU(), nn.Dropout(config.dropout),
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(config.dropout),
        )  # fmt: skip
        self.head = nn.Linear(hidden, outputs)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("calibration", torch.zeros(K))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        out = self.head(self.layers(features))
        share, shift, log_stddev, logits = out.split([K + 1, 3 * (K + 1), K, K + 1], dim=1)
        top_down, bottom_up = features[:, :NUM_BRANCH], features[:, NUM_BRANCH : 2 * NUM_BRANCH]
        alone = [top_down[:, PRESENT : PRESENT + 1], bottom_up[:, PRESENT : PRESENT + 1]]
        # The share of the bottom-up branch: all where the other has none, none where it has none itself.
        both = alone[0] * alone[1]
        weight = (both * torch.sigmoid(share) + (1 - both) * alone[1]).unsqueeze(2)
        shift = shift.reshape(-1, K + 1, 3)
        joints = [branch[:, JOINTS].reshape(-1, K, 3) for branch in (top_down, bottom_up)]
        joints_rel = (1 - weight[:, :K]) * joints[0] + weight[:, :K] * joints[1] + shift[:, :K]
        joints_rel = joints_rel - joints_rel[:, H36M17.root : H36M17.root + 1]
        # By inverse variance alone: what else poses say of depth is the sizes of training's own people.
        surer = torch.sigmoid(2 * (top_down[:, STATED] - bottom_up[:, STATED] + _TOP_DOWN_SURER))
        even = torch.cat([weight[:, K], weight[:, K], both * surer + (1 - both) * alone[1]], dim=1)
        aside = 0.3 * nn.functional.pad(shift[:, K, :2], (0, 1))
        root = (1 - even) * top_down[:, ROOT] + even * bottom_up[:, ROOT] + aside
        root = root.clamp(-_FARTHEST, _FARTHEST)
        scores = torch.sigmoid(logits)
        stddev = (log_stddev + _START_LOG_STDDEV).clamp(*LOG_STDDEV_RANGE) + self.calibration
        return joints_rel, root, stddev, scores[:, K:], scores[:, :K]
