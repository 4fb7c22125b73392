"""The directed graph convolutional network (GCN) that completes 2D poses and lifts them a first time.

Paper, section 3.1, after "Graph and Temporal Convolutional Networks for 3D Multi-person Pose Estimation in
Monocular Videos" (Cheng, Wang, Yang, Tan, AAAI 2021): a joint stream and a bone stream on the graph of the
skeleton, whose edges run from joints found with confidence to those that were not. N people, K joints.
Needs torch: training and export only.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dualpose_ros.settings import Settings, setting, share
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.lifting.person_view import NUM_VIEW_FEATURES

LOG_STDDEV_RANGE = (-5.0, 1.5)
_RELATIONS = 3


@dataclass(frozen=True)
class GCNConfig(Settings):
    """Size of the directed GCN."""

    channels: int = setting(48, "channels of a node", unit="channels", least=1)
    layers: int = setting(4, "layers of each stream", unit="layers", least=1)
    sharpness: float = setting(8.0, "how fast an edge closes against the confidence's slope", least=0)
    reach: float = share(0.9, "what is left of the confidence that a completed joint lends on, from layer to layer")


class DirectedLayer(nn.Module):
    """Every node hears its parent, its children, its mirror image and the body as a whole.

    Edge j -> i weighs c_j sigmoid(sharpness (c_j - c_i)): open from confident to weak nodes, nearly closed
    the other way. Each relation has weights of its own.
    """

    relations: Tensor

    def __init__(self, config: GCNConfig) -> None:
        super().__init__()
        self.config, c = config, config.channels
        self.own, self.heard = nn.Linear(c, c), nn.Linear(c, _RELATIONS * c, bias=False)
        self.body, self.norm = nn.Linear(c, c, bias=False), nn.LayerNorm(c)
        self.register_buffer("relations", _relations(), persistent=False)
        self.edges = nn.Parameter(torch.zeros_like(self.relations))

    def forward(self, nodes: Tensor, confidence: Tensor) -> tuple[Tensor, Tensor]:
        """Nodes (N, K, C) and their confidence (N, K) after one round of messages."""
        slope = confidence[:, None, :] - confidence[:, :, None]
        gate = confidence[:, None, :] * torch.sigmoid(self.config.sharpness * slope)
        edges = gate[:, None] * self.relations * torch.exp(self.edges)
        share = edges / (edges.sum(dim=3, keepdim=True) + 0.1)
        heard = self.heard(nodes).reshape(nodes.shape[0], H36M17.num_joints, _RELATIONS, -1).transpose(1, 2)
        messages = (share @ heard).sum(dim=1)
        weight = confidence / (confidence.sum(dim=1, keepdim=True) + 0.1)
        body = self.body((weight[..., None] * nodes).sum(dim=1, keepdim=True))
        lent = (confidence[:, None, :] * self.relations.amax(dim=0)).amax(dim=2)
        nodes = nodes + torch.relu(self.norm(self.own(nodes) + messages + body))
        return nodes, torch.maximum(confidence, self.config.reach * lent)


class DirectedGCN(nn.Module):
    """Completes people's 2D joints, found or not, and lifts them.

    `forward` takes joints (N, K, 3): x, y in units of the person's extent, 0 where not found, and confidence;
    view (N, 3): `PersonView.features`. It returns joints_2d (N, K, 2) in the same units, the log of their
    standard deviation (N, K), and root-relative joints (N, K, 3) in metres along the virtual camera's axes.
    """

    path: Tensor

    def __init__(self, config: GCNConfig) -> None:
        super().__init__()
        c, k = config.channels, H36M17.num_joints
        self.embed_joints = nn.Linear(3 + NUM_VIEW_FEATURES, c)
        self.embed_bones = nn.Linear(3 + NUM_VIEW_FEATURES, c)
        self.names = nn.Parameter(0.1 * torch.randn(2, k, c))
        self.joint_layers = nn.ModuleList([DirectedLayer(config) for _ in range(config.layers)])
        self.bone_layers = nn.ModuleList([DirectedLayer(config) for _ in range(config.layers)])
        self.joint_head = nn.Parameter(0.01 * torch.randn(k, 2 * c, 6))
        self.bone_head = nn.Parameter(0.01 * torch.randn(k, 2 * c, 5))
        self.joint_bias, self.bone_bias = nn.Parameter(torch.zeros(k, 6)), nn.Parameter(torch.zeros(k, 5))
        self.balance = nn.Parameter(torch.zeros(k, 1))
        self.parents = [max(parent, 0) for parent in H36M17.parents]
        self.register_buffer("path", _path(), persistent=False)

    def forward(self, joints: Tensor, view: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        place, confidence = joints[..., :2], joints[..., 2]
        common = view[:, None].expand(-1, H36M17.num_joints, -1)
        parents = joints[:, self.parents]
        both = torch.minimum(confidence, parents[..., 2])
        bone = (place - parents[..., :2]) * (both > 0)[..., None]
        nodes = self.embed_joints(torch.cat([joints, common], dim=2)) + self.names[0]
        bones = self.embed_bones(torch.cat([bone, both[..., None], common], dim=2)) + self.names[1]
        trust, bone_trust = confidence, both
        for joint_layer, bone_layer in zip(self.joint_layers, self.bone_layers, strict=True):
            nodes, trust = joint_layer(nodes, trust)
            bones, bone_trust = bone_layer(bones, bone_trust)
        streams = torch.cat([nodes, bones], dim=2)
        of_joints = torch.einsum("nkc,kco->nko", streams, self.joint_head) + self.joint_bias
        of_bones = torch.einsum("nkc,kco->nko", streams, self.bone_head) + self.bone_bias
        walked = self.path @ of_bones
        share = torch.sigmoid(self.balance)
        joints_rel = share * of_joints[..., 2:5] + (1 - share) * walked[..., 2:5]
        guess = share * of_joints[..., :2] + (1 - share) * (of_joints[:, :1, :2] + walked[..., :2])
        known = confidence[..., None]
        joints_2d = known * place + guess
        joints_rel = joints_rel - joints_rel[:, :1]
        return joints_2d, (of_joints[..., 5] - 2.0).clamp(*LOG_STDDEV_RANGE), joints_rel


def _relations() -> Tensor:
    """Who hears whom (3, K, K), row i hears column j: its parent, its children, its mirror image."""
    relations = torch.zeros(_RELATIONS, H36M17.num_joints, H36M17.num_joints)
    for parent, child in H36M17.bones:
        relations[0, child, parent] = relations[1, parent, child] = 1
    for joint, other in enumerate(H36M17.mirror):
        relations[2, joint, other] = float(joint != other)
    return relations


def _path() -> Tensor:
    """Which bones lead from the root to each joint: (K, K), bone b named by its child."""
    path = torch.zeros(H36M17.num_joints, H36M17.num_joints)
    for joint in range(H36M17.num_joints):
        at = joint
        while H36M17.parents[at] >= 0:
            path[joint, at] = 1
            at = H36M17.parents[at]
    return path
