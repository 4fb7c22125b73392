"""Training of the top-down network: its samples, loss and measure of success, for `loop.trainer`.

N patches of S x S pixels, P people a patch (person 0 is the patch's own), K joints.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from dualpose_ros.arrays import Float32s, Floats, Mask
from dualpose_ros.backbone import HRNetConfig
from dualpose_ros.grouping import HEATMAP_STRIDE
from dualpose_ros.inference.export import Axis, ExportSpec
from dualpose_ros.lab.synthetic.scenes.patches import is_patch
from dualpose_ros.lab.training.loop.precision import in_full_precision
from dualpose_ros.lab.training.loop.task import TrainConfig
from dualpose_ros.lab.training.losses import (
    associative_embedding_loss,
    heatmap_loss,
    heatmap_targets,
    sides_loss,
    target_tag_loss,
)
from dualpose_ros.lab.training.on_device.data import DeviceRecipe
from dualpose_ros.lab.training.on_device.judged import judged_cells
from dualpose_ros.lab.training.top_down.batch import Batch
from dualpose_ros.lab.training.top_down.device_patches import DeviceViews, draw_patches, patch_rows, plain_patches
from dualpose_ros.people import oks
from dualpose_ros.settings import Settings, setting
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.decode import TARGET_TAG, decode_patches, decode_single
from dualpose_ros.top_down.network import TopDownNetwork


@dataclass(frozen=True)
class LossConfig(Settings):
    """Weights of the losses against that of the heatmaps."""

    sigma: float = setting(2.0, "width of a target's peak (standard deviation)", unit="cells", above=0)
    foreground: float = setting(4.0, "how much more peaks weigh than empty cells", least=0)
    sides: float = setting(0.5, "weight of telling left and right apart; 0: that is left to the heatmaps", least=0)
    pull: float = setting(0.3, "weight of one person's tags being alike", least=0)
    push: float = setting(0.5, "weight of different people's tags being apart", least=0)
    target_tag: float = setting(0.5, "weight of the own person's tag; 0: it is free", least=0)


@dataclass(frozen=True)
class TopDownTraining(Settings):
    """What is trained and on what."""

    network: str = setting("cpu", "size of the network: an entry of config/networks/top_down.yaml")
    patch_size: int = setting(
        192, "side of the patches, part of the exported network", unit="px", least=32, most=1024, step=32
    )
    people: str = setting(
        "all",
        "people of a patch: all, told apart by tags, or its own alone, as single-person networks",
        choices=("all", "one"),
    )
    loss: LossConfig = setting(LossConfig(), "weights of the losses against that of the heatmaps")
    validation_patches: int = setting(384, "held-out patches that measure progress", unit="patches", least=1)
    views: DeviceViews = setting(DeviceViews(), "how patches made on the device vary")
    stored_size: int = setting(256, "side of patches that the device holds", unit="px", least=32)
    capacity: int = setting(80_000, "patches that the device holds", unit="patches", least=1)


class TopDownTask:
    """The top-down network as a `loop.task.Task`."""

    name = "top_down"

    def __init__(self, training: TopDownTraining, network: HRNetConfig) -> None:
        self.training, self.network = training, network

    def build_model(self) -> nn.Module:
        """The untrained network."""
        return TopDownNetwork(self.network, tags=self.training.people == "all")

    def device_recipe(self, config: TrainConfig) -> DeviceRecipe:
        """Patches made on the device: rendered ones of their own person; of frames and photographs one of everybody
        who is labelled."""
        training = self.training
        views, stored, size = training.views, training.stored_size, training.patch_size
        return DeviceRecipe(
            to_rows=lambda image: patch_rows(image, stored, views, is_patch(image)),
            make=lambda rows, draws: draw_patches(rows, size, views, draws),
            show=lambda rows: plain_patches(rows, size, sum(views.enlarge) / 2),
            capacity=training.capacity,
            validation_rows=training.validation_patches,
        )

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Heatmap loss (Eq. 1), in units of one peak's energy, plus weighted tag losses."""
        heatmaps, tags = _maps(model, batch)
        return self._loss_of(heatmaps.float(), None if tags is None else tags.float(), batch)

    def _loss_of(self, heatmaps: Tensor, tags: Tensor | None, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.training.loss
        people = 1 if tags is None else batch.joints_px.shape[1]
        with in_full_precision(heatmaps.device):
            size = (heatmaps.shape[2], heatmaps.shape[3])
            joints, weights = batch.joints_px[:, :people], batch.weights[:, :people]
            target, cells = heatmap_targets(joints, weights, size, HEATMAP_STRIDE, config.sigma)
            if batch.extents_px is not None and batch.elsewhere is not None:
                trust = judged_cells(batch.weights, batch.extents_px, batch.elsewhere, size, HEATMAP_STRIDE)
                cells = torch.where(target > 0.01, cells, cells * trust)
            peak_energy = torch.pi * config.sigma**2
            heat = heatmap_loss(heatmaps, target, cells, config.foreground) / peak_energy
            sides = sides_loss(heatmaps, target, cells, H36M17.mirror, config.foreground) / peak_energy
            if tags is None:
                return heat + config.sides * sides, {"heatmap": heat, "sides": sides}
            pull, push, means = associative_embedding_loss(tags, batch.joints_px, batch.weights, HEATMAP_STRIDE)
            own = target_tag_loss(means, batch.weights, TARGET_TAG)
            total = heat + config.sides * sides + config.pull * pull + config.push * push + config.target_tag * own
        return total, {"heatmap": heat, "sides": sides, "pull": pull, "push": push, "target_tag": own}

    def validate(self, model: nn.Module, batches: Iterable[Batch]) -> dict[str, float]:
        """OKS, PCK and share of limbs on their own side of each patch's own person, found as the live stage does."""
        losses: list[Tensor] = []
        sides: list[Mask] = []
        scores: list[Floats] = []
        for batch in batches:
            heatmaps, tags = _maps(model, batch)
            boxes, maps = batch.boxes_px.cpu().numpy(), heatmaps.cpu().numpy()
            people = decode_single(maps) if tags is None else decode_patches(maps, tags.cpu().numpy(), boxes)
            joints, weights = batch.joints_px[:, 0].cpu().numpy(), batch.weights[:, 0].cpu().numpy()
            for found, truth, weight, box in zip(people, joints, weights, boxes, strict=True):
                if (weight > 0).any():
                    scores.append(target_scores(found.joints_px, found.scores, found.target, truth, weight, box))
                    if found.target >= 0:
                        sides.append(sides_right(found.joints_px[found.target], truth, weight, box))
            losses.append(self._loss_of(heatmaps, tags, batch)[0])
        mean = np.mean(scores, axis=0) if scores else np.zeros(3)
        loss = float(torch.stack(losses).mean()) if losses else float("nan")
        right = np.concatenate(sides) if sides else np.zeros(0)
        return {
            "oks": float(mean[0]),
            "oks_visible": float(mean[1]),
            "pck": float(mean[2]),
            "sides": float(right.mean()) if right.size else float("nan"),
            "loss": loss,
        }

    def objective(self, figures: dict[str, float]) -> float:
        """One minus the OKS of visible and hidden joints."""
        return 1 - figures["oks"]

    def export_spec(self) -> ExportSpec:
        """Input `patches` uint8 (N, S, S, 3); outputs `heatmaps` clipped to 0..1 and, of all people, `tags`.

        Both are (N, K, S/4, S/4).
        """
        side = self.training.patch_size
        example = torch.zeros((2, side, side, 3), dtype=torch.uint8)
        outputs = ("heatmaps", "tags") if self.training.people == "all" else ("heatmaps",)
        return ExportSpec({"patches": example}, outputs, {"patches": {0: Axis("people")}})


def _maps(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None]:
    """Heatmaps, and tags where the network has any."""
    out = model(batch.patches)
    return (out, None) if isinstance(out, Tensor) else (out[0], out[1])


def target_scores(
    joints_px: Floats, scores: Floats, target: int, truth_px: Float32s, weights: Float32s, box_px: Float32s
) -> Floats:
    """OKS over labelled joints, OKS over visible ones, and the share within a tenth of the box's longer side: (3,).

    joints_px (P, K, 2) and scores (P, K) of a patch's people; joints that weren't found count as wrong.
    """
    if target < 0:
        return np.zeros(3)
    found = np.where(scores[target][:, None] > 0, joints_px[target], 1e6)
    size = np.asarray(box_px[2:] - box_px[:2], np.float64)
    # COCO's areas are of the silhouette, about half of the box.
    area = float(size[0] * size[1]) * 0.5
    labelled, visible = (weights > 0).astype(np.float64), (weights >= 1).astype(np.float64)
    visible = visible if visible.any() else labelled
    near = np.linalg.norm(found - truth_px, axis=1) < 0.1 * size.max()
    sigmas = H36M17.oks_sigmas
    return np.array(
        [
            float(oks(found, truth_px, area, sigmas, labelled)),
            float(oks(found, truth_px, area, sigmas, visible)),
            float((near * labelled).sum() / labelled.sum()),
        ]
    )


def sides_right(joints_px: Floats, truth_px: Float32s, weights: Float32s, box_px: Float32s) -> Mask:
    """Which left joints found (K, 2) are nearer to the true left one than to the right: one value a pair.

    Pairs count if both are visible and further apart than a tenth of the box's longer side; half
    of them right is chance.
    """
    left = np.array([joint for joint, other in enumerate(H36M17.mirror) if joint < other])
    right = np.asarray(H36M17.mirror)[left]
    apart = np.linalg.norm(truth_px[left] - truth_px[right], axis=1) > 0.1 * (box_px[2:] - box_px[:2]).max()
    counted = apart & (weights[left] >= 1) & (weights[right] >= 1)
    own = np.linalg.norm(joints_px[left] - truth_px[left], axis=1)
    return np.asarray((own < np.linalg.norm(joints_px[left] - truth_px[right], axis=1))[counted], np.bool_)
