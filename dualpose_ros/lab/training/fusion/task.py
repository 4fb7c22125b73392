"""Training of the integration network against the interaction-aware discriminator, for `loop.trainer`.

Paper, section 3.3, Eqs. 7 to 9. N people, G groups of P of them, K joints; metres.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy

from dualpose_ros.arrays import Floats
from dualpose_ros.datasets.recordings import RecordingError, load_recordings
from dualpose_ros.fusion.network import IntegrationConfig, IntegrationNetwork
from dualpose_ros.fusion.pairs import NUM_BRANCH, NUM_FEATURES, PRESENT, K, view_pairs
from dualpose_ros.inference.export import Axis, ExportSpec
from dualpose_ros.lab.synthetic.motion.meetings import draw_groups as draw_meetings
from dualpose_ros.lab.training.calibration import fit_calibration
from dualpose_ros.lab.training.fusion.data import (
    PEOPLE,
    Augmentation,
    Groups,
    PairData,
    draw_groups,
    every_group,
    pair_data,
)
from dualpose_ros.lab.training.fusion.discriminator import (
    DiscriminatorConfig,
    InterPersonDiscriminator,
    adversarial_loss,
)
from dualpose_ros.lab.training.loop.precision import in_full_precision
from dualpose_ros.lab.training.loop.task import DrawnSamples, TrainingError
from dualpose_ros.lab.training.losses import gaussian_nll
from dualpose_ros.metrics.poses import auc, sigma_radii
from dualpose_ros.settings import Settings, setting
from dualpose_ros.skeleton import H36M17

NEAR_M, ROOT_NEAR_M = 0.15, 0.25
_BODY = H36M17.body
_ROOT = H36M17.root
_VALIDATION_ONE_IN = 8
JOINT_RADII, DEPTH_RADII = sigma_radii(3), sigma_radii(1)


@dataclass(frozen=True)
class FusionTraining(Settings):
    """The network and what it learns from; recordings: folder of `dualpose synth recordings`."""

    recordings: str = ""
    network: IntegrationConfig = setting(IntegrationConfig(), "size of the network")
    discriminator: DiscriminatorConfig | None = setting(DiscriminatorConfig(), "size of the discriminator; null: none")
    augmentation: Augmentation = setting(Augmentation(), "what is done to pairs before the network sees them")
    adversarial: float = setting(0.02, "weight of what the discriminator says", least=0)
    absolute: float = setting(0.5, "weight of the root's error in metres", least=0)
    groups: int = setting(64, "groups of up to three people in a sample", unit="groups", least=1)
    samples: int = setting(2000, "samples of an epoch", unit="samples", least=1)
    meetings: int = setting(1500, "moments of people who meet, for the discriminator", unit="moments", least=0)
    seed: int = setting(0, "of the meetings", least=0)


class Batch(NamedTuple):
    """features (N, F), to_camera (N, 3, 3) and depth (N,) of `pairs.view_pairs`; truth (N, K, 3) in the virtual camera;
    known (N,) bool; present (G, P) bool."""

    features: Tensor
    to_camera: Tensor
    depth: Tensor
    truth: Tensor
    known: Tensor
    present: Tensor


class Answer(NamedTuple):
    """What the network says, and its joints (N, K, 3) in the virtual camera."""

    joints_rel: Tensor
    root: Tensor
    log_stddev: Tensor
    score: Tensor
    near: Tensor
    joints: Tensor


class Fusion(nn.Module):
    """The integration network with its adversary; `forward` is the network's."""

    def __init__(self, training: FusionTraining) -> None:
        super().__init__()
        self.integration = IntegrationNetwork(training.network)
        config = training.discriminator
        self.discriminator = InterPersonDiscriminator(config) if config is not None else None

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        out: tuple[Tensor, ...] = self.integration(features)
        return out


class FixedGroups:
    """All groups of some recordings as they are, a slice a sample."""

    def __init__(self, data: PairData, size: int) -> None:
        self._data, self._size = data, size

    def __len__(self) -> int:
        return -(-len(self._data) // self._size)

    def __getitem__(self, index: int, /) -> Batch:
        return self.draw(index, np.random.default_rng(index))

    def draw(self, index: int, rng: np.random.Generator) -> Batch:
        """Slice `index`; nothing about it is random."""
        rows = slice(index * self._size, (index + 1) * self._size)
        data = self._data
        return as_batch(every_group(PairData(data.pairs, data.truth, data.known, data.frame, data.groups[rows])))


def as_batch(groups: Groups) -> Batch:
    """Groups as the network sees them."""
    view = view_pairs(groups.pairs)
    truth = np.einsum("nba,nkb->nka", view.to_camera, groups.truth)
    # A person with neither pose has nothing to be fused.
    there = groups.pairs.top_down.present | groups.pairs.bottom_up.present
    known = groups.known & there & (truth[:, _ROOT, 2] > 0.2)
    present = groups.present & known.reshape(groups.present.shape)
    features, to_camera, depth, joints = (
        torch.from_numpy(np.asarray(part, np.float32)) for part in (view.features, view.to_camera, view.depth, truth)
    )
    return Batch(features, to_camera, depth, joints, torch.from_numpy(known), torch.from_numpy(present))


def answer(model: nn.Module, batch: Batch) -> Answer:
    """The network's answer to a batch, in float32."""
    out = [part.float() for part in model(batch.features)]
    place = torch.cat([out[1][:, :2], torch.ones_like(out[1][:, :1])], dim=1)
    root = place * (batch.depth * torch.exp(out[1][:, 2]))[:, None]
    return Answer(out[0], out[1], out[2], out[3][:, 0], out[4], out[0] + root[:, None])


class FusionTask:
    """The integration network as a `loop.task.Task`; TrainingError without recordings."""

    name = "fusion"
    starts_fresh = ("discriminator.",)

    def __init__(self, training: FusionTraining) -> None:
        self.training = training

    def build_model(self) -> nn.Module:
        """The untrained network and its discriminator."""
        return Fusion(self.training)

    def datasets(self) -> tuple[DrawnSamples[Batch], FixedGroups]:
        """Random groups of most sequences, and those of the others as they are; no cache is read."""
        training = self.training
        train, validation = recorded_pairs(training.recordings)
        rng = np.random.default_rng(training.seed)
        meetings = draw_meetings(rng, training.meetings, PEOPLE) if training.meetings else None
        samples = DrawnSamples(
            lambda r: as_batch(draw_groups(train, training.augmentation, r, training.groups, meetings)),
            training.samples,
        )
        return samples, FixedGroups(validation, 4 * training.groups)

    def collate(self, samples: Sequence[Batch]) -> Batch:
        """Samples to one batch."""
        return Batch(*(torch.cat(parts) for parts in zip(*samples, strict=True)))

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Eq. 7 as mean distances, Gaussian likelihood of the errors, chances of being near, and Eq. 8."""
        out = answer(model, batch)
        total, parts = supervised_loss(out, batch, self.training.absolute)
        discriminator = getattr(model, "discriminator", None)
        if discriminator is not None:
            groups = batch.present.shape
            with in_full_precision(out.joints.device):
                cam = [
                    torch.einsum("nab,nkb->nka", batch.to_camera, joints).reshape(*groups, K, 3)
                    for joints in (out.joints, batch.truth)
                ]
            there = batch.present[:, 0]
            adversarial = adversarial_loss(
                discriminator, cam[0][there], cam[1][there], batch.present[there], self.training.adversarial
            )
            total, parts = total + adversarial, {**parts, "adversarial": adversarial}
        return total, parts

    def validate(self, model: nn.Module, batches: Iterable[Batch]) -> dict[str, float]:
        """Errors of each group's own person, and how honest the deviations are."""
        rows = measured(model, batches)
        return {
            **error_figures(rows),
            "auc_rel": 100 * float(auc(rows["rel"].ravel())),
            "within_1_stddev": float((rows["joint_sigmas"] < JOINT_RADII[0]).mean()),
        }

    def objective(self, figures: dict[str, float]) -> float:
        """Minus the mean of the shares."""
        return -float(np.mean([figures[name] for name in ("pck_rel", "auc_rel", "pck_abs", "root_25")]))

    def calibrate(self, model: nn.Module, batches: Iterable[Batch]) -> None:
        """Scale the network's standard deviations, in place, so that they hold the share that they should."""
        if not isinstance(model, Fusion):
            raise TrainingError(f"{type(model).__name__} has no deviations to calibrate")
        calibrate_by(model.integration.calibration, lambda: measured(model, batches))

    def export_spec(self) -> ExportSpec:
        """Inputs and outputs as `IntegrationNetwork.forward` says, dynamic in people."""
        outputs = ("joints_rel", "root", "log_stddev", "score", "near")
        return ExportSpec({"features": torch.zeros(2, NUM_FEATURES)}, outputs, {"features": {0: Axis("people")}})


def supervised_loss(out: Answer, batch: Batch, absolute: float) -> tuple[Tensor, dict[str, Tensor]]:
    """What the truth says of an answer."""
    known = batch.known
    truth = batch.truth[known]
    true_rel = truth - truth[:, _ROOT : _ROOT + 1]
    rel = torch.linalg.vector_norm(out.joints_rel[known] - true_rel, dim=-1)[:, _BODY]
    root = torch.linalg.vector_norm(out.joints[known][:, _ROOT] - truth[:, _ROOT], dim=-1)
    log_depth = (torch.log(truth[:, _ROOT, 2] / batch.depth[known]) - out.root[known, 2]).abs()
    aside = torch.linalg.vector_norm(out.root[known, :2] - truth[:, _ROOT, :2] / truth[:, _ROOT, 2:], dim=-1)
    likelihood = gaussian_nll(rel.detach(), out.log_stddev[known][:, _BODY], axes=3)
    depth_likelihood = gaussian_nll(log_depth.detach(), out.log_stddev[known, _ROOT], axes=1)
    near = binary_cross_entropy(out.near[known][:, _BODY], (rel.detach() <= NEAR_M).float())
    right = torch.zeros_like(out.score)
    right[known] = (root.detach() <= ROOT_NEAR_M).float()
    there = batch.features[:, [PRESENT, NUM_BRANCH + PRESENT]].any(dim=1)
    exists = binary_cross_entropy(out.score[there], right[there])
    away = torch.linalg.vector_norm(out.joints[known] - truth, dim=-1)
    missed = _missed(away, NEAR_M).mean() + _missed(root, ROOT_NEAR_M).mean()
    total = 10 * rel.mean() + 10 * log_depth.mean() + 10 * aside.mean() + absolute * missed
    total = total + 0.1 * (likelihood + depth_likelihood + near) + 0.5 * exists
    parts = {"mpjpe_mm": 1000 * rel.mean(), "log_depth": log_depth.mean(), "missed": missed}
    return total, {**parts, "near": near, "exists": exists}


def _missed(distance: Tensor, near_m: float) -> Tensor:
    """Geman and McClure's loss: 0 where right, 1/2 at `near_m`, 1 far away, where nothing more is lost."""
    return distance**2 / (distance**2 + near_m**2)


def measured(model: nn.Module, batches: Iterable[Batch]) -> dict[str, Floats]:
    """Of the first person of each group: errors from the root and in the camera frame (B, K), and in deviations."""
    found: dict[str, list[Floats]] = {}
    for batch in batches:
        out = answer(model, batch)
        first = torch.zeros_like(batch.present)
        first[:, 0] = batch.present[:, 0]
        chosen = first.flatten()
        truth, joints = batch.truth[chosen], out.joints[chosen]
        rel = torch.linalg.vector_norm(out.joints_rel[chosen] - (truth - truth[:, _ROOT : _ROOT + 1]), dim=-1)[:, _BODY]
        depth = (torch.log(truth[:, _ROOT, 2] / batch.depth[chosen]) - out.root[chosen, 2]).abs()
        stddev = torch.exp(out.log_stddev[chosen])
        rows = {
            "rel": rel,
            "abs": torch.linalg.vector_norm(joints - truth, dim=-1),
            "joint_sigmas": rel / stddev[:, _BODY],
            "depth_sigmas": depth / stddev[:, _ROOT],
        }
        for name, values in rows.items():
            found.setdefault(name, []).append(values.detach().double().cpu().numpy())
    return {name: np.concatenate(values) for name, values in found.items()}


def error_figures(rows: Mapping[str, Floats]) -> dict[str, float]:
    """Mean error in millimetres and shares in per cent of what `measured` gives."""
    return {
        "mpjpe_mm": 1000 * float(rows["rel"].mean()),
        "pck_rel": 100 * float((rows["rel"] <= NEAR_M).mean()),
        "pck_abs": 100 * float((rows["abs"] <= NEAR_M).mean()),
        "root_25": 100 * float((rows["abs"][:, _ROOT] <= ROOT_NEAR_M).mean()),
    }


def calibrate_by(calibration: Tensor, measure: Callable[[], Mapping[str, Floats]]) -> None:
    """Set calibration (K,), in place, so that deviations hold the share that they should of the errors `measured`
    without any."""
    with torch.no_grad():
        calibration.zero_()
        rows = measure()
        found = np.zeros(K)
        found[_BODY] = fit_calibration(rows["joint_sigmas"], JOINT_RADII)
        found[_ROOT] = float(fit_calibration(rows["depth_sigmas"], DEPTH_RADII))
        calibration += torch.from_numpy(found.astype(np.float32))


def recorded_pairs(folder: str) -> tuple[PairData, PairData]:
    """Pairs of the sequences for training, and of one in eight for validation; TrainingError where there are none."""
    try:
        recordings = load_recordings(Path(folder))
    except RecordingError as error:
        raise TrainingError(str(error)) from error
    apart = recordings.frames.sequence % _VALIDATION_ONE_IN == _VALIDATION_ONE_IN - 1
    train, validation = pair_data(recordings, ~apart), pair_data(recordings, apart)
    if len(train) == 0 or len(validation) == 0:
        raise TrainingError(f"{folder} holds too little: people in eight sequences or more, the eighth for validation")
    return train, validation
