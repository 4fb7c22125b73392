"""Training of the directed GCN, which completes and lifts the pose of one frame, for `loop.trainer`.

B people, each in one frame; K joints of `skeleton.H36M17`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from dualpose_ros.inference.export import Axis, ExportSpec
from dualpose_ros.lab.training.lifting.bank import Bank
from dualpose_ros.lab.training.lifting.dice import Dice
from dualpose_ros.lab.training.lifting.input import through, view_person
from dualpose_ros.lab.training.lifting.sequences import Draw, MotionData, MotionTask, truth_in_view
from dualpose_ros.lab.training.lifting.views import NEAREST_M, Sequences
from dualpose_ros.lab.training.losses import gaussian_nll
from dualpose_ros.settings import Settings, setting
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.lifting.gcn_network import DirectedGCN, GCNConfig
from dualpose_ros.top_down.lifting.person_view import NUM_VIEW_FEATURES

_FARTHEST = 6.0
"""Joints further out, in units of the person's extent, are behind or beside the camera: no place to learn."""


@dataclass(frozen=True)
class GCNTraining(Settings):
    """The network and what it learns from: every frame of `data`'s sequences by itself."""

    network: GCNConfig = setting(GCNConfig(), "size of the network")
    data: MotionData = setting(MotionData(), "movements, cameras and 2D errors to train on")


class Batch(NamedTuple):
    """joints (B, K, 3) and view (B, 3), the input; place (B, K, 2) true joints in units of the extent and counted
    (B, K) which of them count; joints_rel (B, K, 3) in metres; noisy (B,) bool."""

    joints: Tensor
    view: Tensor
    place: Tensor
    counted: Tensor
    joints_rel: Tensor
    noisy: Tensor


class GCNTask(MotionTask[Batch]):
    """The directed GCN as a `loop.task.Task`."""

    name = "gcn"

    def __init__(self, training: GCNTraining, banks: tuple[Bank, Bank] | None = None) -> None:
        """banks: of training and validation, instead of those of the settings."""
        super().__init__(training.data, banks)
        self.training = training

    def build_model(self) -> nn.Module:
        """The untrained network."""
        return DirectedGCN(self.training.network)

    def batch_of(self, sequences: Sequences, noisy: bool, dice: Dice) -> Batch:
        """Every frame of the sequences by itself."""
        return single_frames(sequences, noisy)

    def loss(self, model: nn.Module, batch: Draw | Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean errors of the 2D joints, in extents, and of the 3D joints, and the likelihood of the former."""
        batch = self.drawn(batch)
        joints_2d, log_stddev, joints_rel = model(batch.joints, batch.view)
        error_2d = torch.linalg.vector_norm(joints_2d - batch.place, dim=-1)[batch.counted]
        error_3d = torch.linalg.vector_norm(joints_rel - batch.joints_rel, dim=-1)[:, 1:].mean()
        likelihood = gaussian_nll(error_2d.detach(), log_stddev[batch.counted], axes=2)
        total = 5 * error_2d.mean() + 10 * error_3d + 0.05 * likelihood
        return total, {"error_2d": error_2d.mean(), "mpjpe_mm": 1000 * error_3d, "nll": likelihood}

    def validate(self, model: nn.Module, batches: Iterable[Draw | Batch]) -> dict[str, float]:
        """3D error in millimetres, and 2D error in extents of joints found and not found, exact and with errors."""
        sums: dict[str, list[Tensor]] = {}
        for batch in map(self.drawn, batches):
            joints_2d, _, joints_rel = model(batch.joints, batch.view)
            error_2d = torch.linalg.vector_norm(joints_2d - batch.place, dim=-1)
            error_3d = 1000 * torch.linalg.vector_norm(joints_rel - batch.joints_rel, dim=-1)[:, 1:].mean(dim=1)
            found = batch.joints[..., 2] > 0
            for label, people in (("exact", ~batch.noisy), ("noisy", batch.noisy)):
                sums.setdefault(f"mpjpe_mm_{label}", []).append(error_3d[people])
                chosen = batch.counted & people[:, None]
                sums.setdefault(f"found_2d_{label}", []).append(error_2d[chosen & found])
                sums.setdefault(f"missing_2d_{label}", []).append(error_2d[chosen & ~found])
        means = {name: torch.cat(values) for name, values in sums.items()}
        return {name: float(values.mean()) for name, values in means.items() if len(values)}

    def objective(self, figures: dict[str, float]) -> float:
        """Mean 3D error, exact and with errors."""
        return float(np.mean([value for name, value in figures.items() if name.startswith("mpjpe")]))

    def export_spec(self) -> ExportSpec:
        """Inputs `joints` (N, K, 3) and `view` (N, 3); outputs as `top_down.lifting.completion.complete` takes them."""
        example = {"joints": torch.zeros((2, H36M17.num_joints, 3)), "view": torch.zeros((2, NUM_VIEW_FEATURES))}
        axis = {0: Axis("people")}
        return ExportSpec(example, ("joints_2d", "log_stddev_2d", "joints_rel"), {"joints": axis, "view": axis})


def single_frames(drawn: Sequences, noisy: bool) -> Batch:
    """Every frame of the sequences as somebody seen once."""
    kept = drawn.there
    rays, scores, joints_cam = drawn.rays[kept], drawn.scores[kept], drawn.joints_cam[kept]
    view = view_person(rays, scores)
    truth = joints_cam[..., :2] / joints_cam[..., 2:].clamp(min=NEAREST_M)
    place = through(view.to_camera, truth) / view.extent[:, None, None]
    counted = (joints_cam[..., 2] > NEAREST_M) & (place.abs() < _FARTHEST).all(dim=2)
    joints_rel, _ = truth_in_view(joints_cam, view.to_camera)
    flags = torch.full((len(rays),), noisy, device=rays.device)
    place = torch.where(counted[..., None], place, 0.0)
    return Batch(view.joints_found(), view.features(), place, counted, joints_rel, flags)
