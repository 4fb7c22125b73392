"""The eight networks of the paper's release as own modules, with its checkpoints' names.

Cheng, Wang, Tan, TPAMI 2022; checkpoints of github.com/3dpose/3D-Multi-Person-Pose (3DMPP.zip). N rows, K = 17 joints,
14 of the bottom-up network; time is T frames.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from dualpose_ros.lab.published.layers import RELEASED_EPS, Backbone, Layer, Part

K, K_BOTTOM_UP = 17, 14
BONES = ((8, 9), (9, 10), (8, 14), (14, 15), (15, 16), (8, 11), (12, 13), (11, 12), (8, 7), (7, 0), (4, 5), (5, 6),
         (0, 4), (0, 1), (1, 2), (2, 3))  # fmt: skip
WINDOW, LOOKAHEAD = 243, 121
"""Frames that a temporal network sees, and how many of them come after the one it answers for."""


class BottomUp(nn.Module):
    """Image and 17 heatmaps (N, 20, H, W) to maps (N, 42, H/2, W/2): 14 heatmaps, 14 tags, root depth, 13 depths."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone(3 + K)
        self.upsample = Part(
            prevlayers=nn.ModuleList([Layer(32, 32, act="prelu")]),
            uplayer=Layer(32, 128, act="prelu", eps=None, bias=False),
            postlayers=nn.ModuleList([Layer(32, 32, act="prelu")]),
        )
        self.outputs = (("head", "c1", K_BOTTOM_UP), ("head2", "c2", K_BOTTOM_UP), ("head3", "c3", 1),
                        ("head4", "c4", K_BOTTOM_UP - 1))  # fmt: skip
        for head, last, channels in self.outputs:
            self.add_module(head, Part(layers=nn.ModuleList([Layer(32, 32, act="prelu")])))
            self.add_module(last, Layer(32, channels, 1, act="", eps=None))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        up = self.upsample
        x = up.uplayer(up.prevlayers[0](self.backbone(x)))
        # Four channels become a square of two pixels each way.
        x = up.postlayers[0](nn.functional.pixel_shuffle(x, 2))
        heads: list[Any] = [self.get_submodule(head) for head, _, _ in self.outputs]
        ends = [self.get_submodule(last) for _, last, _ in self.outputs]
        return torch.cat([end(head.layers[0](x)) for head, end in zip(heads, ends, strict=True)], dim=1)


class PerJoint(nn.Module):
    """Two linear layers a joint, each with weights of its own."""

    def __init__(self, joints: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(joints, inputs, outputs))
        self.weight2 = nn.Parameter(torch.zeros(joints, outputs, outputs))
        self.bias, self.bias2 = (nn.Parameter(torch.zeros(joints, outputs)) for _ in range(2))

    def forward(self, x: torch.Tensor, affinity: torch.Tensor | None = None, act: bool = True) -> torch.Tensor:
        given = x
        if affinity is not None:
            x = affinity @ x
        for weight, bias in ((self.weight, self.bias), (self.weight2, self.bias2)):
            x = torch.einsum("nji,jio->njo", x, weight) + bias
            x = torch.relu(x) if act else x
        return x if affinity is None else torch.cat([given, x], dim=-1)


class JointGraph(nn.Module):
    """2D joints (N, 17, 2), with affinities of joints (N, 17, 17) and bones (N, 16, 16), to 3D ones (N, 17, 3)."""

    incidence: torch.Tensor
    to_joints: torch.Tensor

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.c1, self.c2, self.c3 = PerJoint(K, 2, width), PerJoint(K, width, width), PerJoint(K, 2 * width, width)
        self.b2, self.b3 = PerJoint(K - 1, width, width), PerJoint(K - 1, 2 * width, width)
        self.c8, self.c9 = PerJoint(K, 6 * width, width), PerJoint(K, width, 3)
        incidence = np.zeros((K - 1, K), dtype=np.float32)
        for bone, (parent, child) in enumerate(BONES):
            incidence[bone, parent], incidence[bone, child] = -1, 1
        self.register_buffer("incidence", torch.from_numpy(incidence), persistent=False)
        self.register_buffer("to_joints", torch.from_numpy(np.linalg.pinv(incidence)), persistent=False)

    def forward(self, joints: torch.Tensor, affinity: torch.Tensor, affinity_bones: torch.Tensor) -> torch.Tensor:
        first = self.c1(joints)
        x = self.c3(self.c2(first, affinity), affinity)
        bones = self.b3(self.b2(self.incidence @ first, affinity_bones), affinity_bones)
        x = self.c8(torch.cat([x, self.to_joints @ bones], dim=-1))
        result: torch.Tensor = self.c9(x, act=False)
        return result


class Temporal(nn.Module):
    """Joints over time (N, 243, inputs) to the answer for the middle frame (N, outputs), 121 frames late."""

    def __init__(self, inputs: int, outputs: int, width: int = 1024) -> None:
        super().__init__()
        self.c1 = Layer(inputs, width, 3, 3, "prelu", RELEASED_EPS, over_time=True)
        for number in range(1, 5):
            self.add_module(
                f"r{number}",
                Part(c1=Layer(width, width, 3, 3, "prelu", RELEASED_EPS, over_time=True),
                     c2=Layer(width, width, 1, 1, "prelu", RELEASED_EPS, over_time=True)),
            )  # fmt: skip
        self.c4 = Layer(width, outputs, 1, 1, "", None, over_time=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.c1(x.transpose(1, 2))
        for number in range(1, 5):
            block: Any = self.get_submodule(f"r{number}")
            x = x[:, :, 1::3] + block.c2(block.c1(x))
        result: torch.Tensor = self.c4(x)[:, :, 0]
        return result


class Dense(nn.Module):
    """A linear layer and perhaps GELU."""

    def __init__(self, inputs: int, outputs: int, act: bool = True) -> None:
        super().__init__()
        self.fc = nn.Linear(inputs, outputs)
        self.act = nn.GELU() if act else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.act(self.fc(x))
        return result


class Integration(nn.Module):
    """Both branches' poses (N, 2, 3, 17) and depths (N, 2) in metres to one pose (N, 3, 17) and depth (N, 1)."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (2 * 3 * K + 2, 512, 512, 512, 2)
        for number, (inputs, outputs) in enumerate(pairwise(sizes)):
            self.add_module(f"fc{number + 1}", Dense(inputs, outputs, act=outputs > 2))

    def forward(self, poses: torch.Tensor, depths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.cat([poses.flatten(1), depths], dim=1)
        for number in range(1, 5):
            x = self.get_submodule(f"fc{number}")(x)
        pose, depth = torch.sigmoid(x[:, :1, None]), 2 * torch.tanh(x[:, 1:])
        return pose * poses[:, 0] + (1 - pose) * poses[:, 1], depth * depths[:, :1] + (1 - depth) * depths[:, 1:]


class Adaptation(nn.Module):
    """Poses (N, 3, 17) turned by a matrix that it reads off them, and mixed linearly, into MuPoTS-3D's."""

    def __init__(self) -> None:
        super().__init__()
        self.l0, self.l1 = Dense(3 * K, 512), Dense(512, 512)
        self.l2, self.l3 = Dense(512, 9, act=False), Dense(3 * K, 3 * K, act=False)

    def forward(self, poses: torch.Tensor) -> torch.Tensor:
        turn = self.l2(self.l1(self.l0(poses.flatten(1)))).reshape(-1, 3, 3)
        result: torch.Tensor = self.l3((turn.transpose(1, 2) @ poses).flatten(1)).reshape(-1, 3, K)
        return result


class AxisScale(nn.Module):
    """Joints (N, 14, 3) scaled and moved, axis by axis."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(3)), nn.Parameter(torch.zeros(3))

    def forward(self, joints: torch.Tensor) -> torch.Tensor:
        return self.weight * joints + self.bias


class JointTransform(nn.Module):
    """14 joints (N, 42) to 17 (N, 51)."""

    def __init__(self) -> None:
        super().__init__()
        self.f3 = Dense(3 * K_BOTTOM_UP, 3 * K, act=False)

    def forward(self, joints: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.f3(joints)
        return result
