"""Training of the bottom-up network: its samples, losses and measure of success, for `loop.trainer`.

N frames of H x W pixels, P people a frame (padded), K joints of `skeleton.H36M17`; depths in metres.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from dualpose_ros.arrays import Float32s, Floats
from dualpose_ros.backbone import HRNetConfig
from dualpose_ros.bottom_up.decode import DEPTH_SCALE, BottomUpMaps, FramePeople, decode_frame
from dualpose_ros.bottom_up.network import BottomUpNetwork
from dualpose_ros.grouping import HEATMAP_STRIDE
from dualpose_ros.inference.export import Axis, ExportSpec
from dualpose_ros.lab.training import losses
from dualpose_ros.lab.training.bottom_up.batch import Batch
from dualpose_ros.lab.training.bottom_up.device_batches import draw_batch, plain_batch
from dualpose_ros.lab.training.bottom_up.device_guide import DeviceGuide
from dualpose_ros.lab.training.bottom_up.frames import FrameConfig
from dualpose_ros.lab.training.calibration import fit_calibration
from dualpose_ros.lab.training.loop.precision import in_full_precision
from dualpose_ros.lab.training.loop.task import TrainConfig, TrainingError
from dualpose_ros.lab.training.on_device.data import DeviceRecipe
from dualpose_ros.lab.training.on_device.frames import frame_rows
from dualpose_ros.lab.training.on_device.judged import judged_cells
from dualpose_ros.lab.training.on_device.views import PhotometryConfig
from dualpose_ros.metrics.poses import sigma_radii
from dualpose_ros.people import oks
from dualpose_ros.settings import Settings, setting, share
from dualpose_ros.skeleton import H36M17
from dualpose_ros.weights import network_file

_RADII = sigma_radii(1)


@dataclass(frozen=True)
class BottomUpLoss(Settings):
    """Weights of the losses against that of the heatmaps."""

    sigma: float = setting(2.0, "width of a target's peak (standard deviation)", unit="cells", above=0)
    foreground: float = setting(4.0, "how much more peaks weigh than empty cells", least=0)
    sides: float = setting(0.5, "weight of telling left and right apart", least=0)
    pull: float = setting(0.6, "weight of one person's tags being alike", least=0)
    push: float = setting(1.5, "weight of different people's tags being apart", least=0)
    root_depth: float = setting(6.0, "weight of the root's log depth", least=0)
    rel_depth: float = setting(20.0, "weight of joints' depths about the root", least=0)
    likelihood: float = setting(0.1, "weight of how likely depths are under the deviations that are stated", least=0)
    reach: float = setting(1.0, "distance from a joint at which its depth is asked for", unit="cells", least=0)


@dataclass(frozen=True)
class BottomUpTraining(Settings):
    """What is trained and on what."""

    network: str = setting("cpu", "size of the network: an entry of config/networks/bottom_up.yaml")
    top_down: str = setting("top_down", "network that makes the guidance: a shipped one's name, or an ONNX file")
    validation_frames: int = setting(160, "held-out frames that measure progress", unit="frames", least=1)
    frames: FrameConfig = setting(FrameConfig(), "how frames vary")
    loss: BottomUpLoss = setting(BottomUpLoss(), "weights of the losses against that of the heatmaps")
    photometry: PhotometryConfig = setting(PhotometryConfig(), "how pictures made on the device vary in look")
    stored_side: int = setting(384, "longer side of pictures that the device holds", unit="px", least=32)
    capacity: int = setting(26_000, "pictures that the device holds", unit="pictures", least=1)
    incomplete_weight: float = share(0.3, "how often pictures are drawn in which not everybody has a box")


class BottomUpTask:
    """The bottom-up network as a `loop.task.Task`."""

    name = "bottom_up"
    starts_fresh = ("depth_head.", "calibration")
    """Weights that a top-down network, whose backbone this one can start from, doesn't have."""

    def __init__(self, training: BottomUpTraining, network: HRNetConfig) -> None:
        self.training, self.network = training, network

    def build_model(self) -> nn.Module:
        """The untrained network."""
        return BottomUpNetwork(self.network)

    def device_recipe(self, config: TrainConfig) -> DeviceRecipe:
        """Pictures made on the device, guided there by the top-down network of the settings."""
        training, frames = self.training, self.training.frames
        guide = DeviceGuide(network_file(training.top_down), torch.device(config.device))
        return DeviceRecipe(
            to_rows=lambda image: frame_rows(
                image, training.stored_side, frames.hidden_weight, frames.min_visible, training.incomplete_weight
            ),
            make=lambda rows, draws: draw_batch(rows, guide, frames, training.photometry, draws),
            show=lambda rows: plain_batch(rows, guide, frames),
            capacity=training.capacity,
            validation_rows=training.validation_frames,
        )

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Heatmap loss (Eq. 1), in units of one peak's energy, tag losses, and depth losses (Eq. 2)."""
        config = self.training.loss
        with in_full_precision(batch.image.device):
            size = (batch.guidance.shape[2], batch.guidance.shape[3])
            target, cells = losses.heatmap_targets(batch.joints_px, batch.weights, size, HEATMAP_STRIDE, config.sigma)
            if batch.extents_px is not None and batch.elsewhere is not None:
                trust = judged_cells(batch.weights, batch.extents_px, batch.elsewhere, size, HEATMAP_STRIDE)
                cells = torch.where(target > 0.01, cells, cells * trust)
        maps = model(batch.image, batch.guidance)
        with in_full_precision(batch.image.device):
            heatmaps, tags, depths, log_stddev = (part.float() for part in maps)
            energy = torch.pi * config.sigma**2
            heat = losses.heatmap_loss(heatmaps, target, cells, config.foreground) / energy
            sides = losses.sides_loss(heatmaps, target, cells, H36M17.mirror, config.foreground) / energy
            pull, push, _ = losses.associative_embedding_loss(tags, batch.joints_px, batch.weights, HEATMAP_STRIDE)
            parts = {"heatmap": heat, "sides": sides, "pull": pull, "push": push}
            parts |= depth_losses(depths, log_stddev, batch, config.reach if model.training else 0.0)
        total = heat + config.sides * sides + config.pull * pull + config.push * push
        total = total + config.root_depth * parts["root_depth"] + config.rel_depth * parts["rel_depth"]
        return total + config.likelihood * parts["depth_nll"], parts

    def validate(self, model: nn.Module, batches: Iterable[Batch]) -> dict[str, float]:
        """OKS, share of people found, depth errors of those: of the root relative, of joints from it in mm."""
        rows = [row for batch in batches for row in frame_scores(model, batch)]
        table = np.array(rows, dtype=np.float64).reshape(-1, 3)
        found = table[:, 0] > 0.5
        depth = found & np.isfinite(table).all(axis=1)
        return {
            "oks": float(table[:, 0].mean()) if len(table) else float("nan"),
            "found": float(found.mean()) if len(table) else float("nan"),
            "root_depth_rel_err": float(np.median(table[depth, 1])) if depth.any() else float("nan"),
            "rel_depth_mm": 1000 * float(table[depth, 2].mean()) if depth.any() else float("nan"),
        }

    def objective(self, figures: dict[str, float]) -> float:
        """What is missing from an OKS of one, plus twice the root's depth error and that of joints in metres."""
        depth = figures["root_depth_rel_err"] + figures["rel_depth_mm"] / 1000
        return 1 - figures["oks"] + 2 * (depth if np.isfinite(depth) else 1.0)

    def calibrate(self, model: nn.Module, batches: Iterable[Batch]) -> None:
        """Scale the network's standard deviations, in place, so that they hold the share that they should."""
        if not isinstance(model, BottomUpNetwork):
            raise TrainingError(f"{type(model).__name__} has no deviations to calibrate")
        rows: list[list[Floats]] = [[] for _ in range(H36M17.num_joints)]
        with torch.no_grad():
            model.calibration.zero_()
            for batch in batches:
                _, _, depths, log_stddev = model(batch.image, batch.guidance)
                for joint, sigmas in enumerate(_depth_sigmas(depths, log_stddev, batch)):
                    rows[joint].append(sigmas)
            for joint, parts in enumerate(rows):
                sigmas = np.concatenate(parts)
                if len(sigmas) >= 20:
                    model.calibration[joint] = float(fit_calibration(sigmas, _RADII))

    def export_spec(self) -> ExportSpec:
        """Inputs `image` and `guidance`, outputs as `BottomUpNetwork.forward` says; all but the channels dynamic."""
        stride, generator = self.network.stride, torch.Generator().manual_seed(0)
        size, joints = (3 * stride, 4 * stride), H36M17.num_joints
        image = torch.randint(0, 256, (2, *size, 3), dtype=torch.uint8, generator=generator)
        shape = (2, joints, size[0] // HEATMAP_STRIDE, size[1] // HEATMAP_STRIDE)
        guidance = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        axes = {0: Axis("batch"), 1: Axis("height", stride), 2: Axis("width", stride)}
        step = stride // HEATMAP_STRIDE
        cells = {0: Axis("batch"), 2: Axis("height", step), 3: Axis("width", step)}
        outputs = ("heatmaps", "tags", "depths", "log_stddev")
        return ExportSpec({"image": image, "guidance": guidance}, outputs, {"image": axes, "guidance": cells})


def root_code(root_depth: Tensor, focal_px: Tensor) -> Tensor:
    """What the root's channel holds: log(DEPTH_SCALE z / f) of depths (N, P) and focal lengths (N,)."""
    return torch.log(DEPTH_SCALE * root_depth / focal_px[:, None])


def depth_losses(depths: Tensor, log_stddev: Tensor, batch: Batch, reach: float) -> dict[str, Tensor]:
    """Mean absolute errors of root and relative depths at the true joints (Eq. 2), and their likelihood.

    Absolute errors, not squared ones: at a joint behind somebody else two people's depths claim one cell, and
    squares would let such joints rule. The root's depth is asked for at all joints of a person. With a reach,
    joints are moved at random by up to so many cells, so that maps are flat around them.
    """
    jitter = (2 * torch.rand_like(batch.joints_px) - 1) * (reach * HEATMAP_STRIDE)
    places = batch.joints_px + jitter
    root = H36M17.root
    everywhere = (H36M17.num_joints, -1, -1)
    at_joints, inside = losses.gather_tags(depths, places, HEATMAP_STRIDE)
    log_at, _ = losses.gather_tags(log_stddev, places, HEATMAP_STRIDE)
    root_at, _ = losses.gather_tags(depths[:, root : root + 1].expand(-1, *everywhere), places, HEATMAP_STRIDE)
    root_log, _ = losses.gather_tags(log_stddev[:, root : root + 1].expand(-1, *everywhere), places, HEATMAP_STRIDE)
    weight = batch.weights.clamp(min=0) * inside
    if batch.depth_known is not None:
        weight = weight * batch.depth_known[..., None]
    limbs = weight.clone()
    limbs[..., root] = 0
    code = root_code(batch.root_depth, batch.focal_px)[..., None]
    root_error, rel_error = (root_at - code).abs(), (at_joints - batch.rel_depth).abs()
    likelihood = _weighted(_nll(root_error, root_log), weight) + _weighted(_nll(rel_error, log_at), limbs)
    return {
        "root_depth": _weighted(root_error, weight),
        "rel_depth": _weighted(rel_error, limbs),
        "depth_nll": likelihood,
    }


def _nll(error: Tensor, log_stddev: Tensor) -> Tensor:
    return 0.5 * (error.detach() * torch.exp(-log_stddev)) ** 2 + log_stddev


def _weighted(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1)


def _depth_sigmas(depths: Tensor, log_stddev: Tensor, batch: Batch) -> list[Floats]:
    """Errors in stated deviations of every channel at the true joints in view."""
    truth = batch.rel_depth.clone()
    truth[..., H36M17.root] = root_code(batch.root_depth, batch.focal_px)
    values, inside = losses.gather_tags(depths.float(), batch.joints_px, HEATMAP_STRIDE)
    logs, _ = losses.gather_tags(log_stddev.float(), batch.joints_px, HEATMAP_STRIDE)
    sigmas = ((values - truth).abs() * torch.exp(-logs)).cpu().numpy().astype(np.float64)
    counts = (batch.weights >= 1) & inside
    if batch.depth_known is not None:
        counts = counts & batch.depth_known[..., None]
    counted = counts.cpu().numpy()
    return [sigmas[..., joint][counted[..., joint]] for joint in range(H36M17.num_joints)]


def frame_scores(model: nn.Module, batch: Batch) -> list[tuple[float, float, float]]:
    """Of every person of a batch with five joints or more in view: OKS of the pose found that fits best, and its
    errors, the root depth's relative and the mean of relative depths in metres (infinite where nobody is, NaN where
    depths aren't known)."""
    maps = [part.float().cpu().numpy() for part in model(batch.image, batch.guidance)]
    depths = batch.depth_known
    rows: list[tuple[float, float, float]] = []
    for index in range(len(batch.image)):
        people = decode_frame(BottomUpMaps(*(part[index] for part in maps)), float(batch.focal_px[index]))
        names = ("joints_px", "weights", "root_depth", "rel_depth")
        truth = (getattr(batch, name)[index].cpu().numpy() for name in names)
        for person, (joints, weight, root, rel) in enumerate(zip(*truth, strict=True)):
            if (weight > 0).sum() >= 5:
                rows.append(_person_score(people, joints, weight, float(root), rel))
                if depths is not None and not bool(depths[index, person]):
                    rows[-1] = (rows[-1][0], np.nan, np.nan)
    return rows


def _person_score(
    people: FramePeople, joints_px: Float32s, weights: Float32s, root_depth: float, rel_depth: Float32s
) -> tuple[float, float, float]:
    if len(people) == 0:
        return 0.0, np.inf, np.inf
    labelled = (weights > 0).astype(np.float64)
    extent = np.ptp(joints_px[weights > 0], axis=0)
    area = max(float(extent.prod()), float(extent.max()) ** 2 / 4)
    found = np.where(people.scores[..., None] > 0, people.joints_px, 1e6)
    similarity = oks(found, joints_px, area, H36M17.oks_sigmas, labelled)
    best = int(np.argmax(similarity))
    common = (people.scores[best] > 0) & (weights > 0)
    off = np.abs(people.rel_depth[best] - rel_depth)[common]
    return (
        float(similarity[best]),
        abs(float(people.root_depth[best]) / root_depth - 1),
        float(off.mean()) if common.any() else np.inf,
    )
