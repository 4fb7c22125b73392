"""Training of the lifting network, root-relative pose and root depth over time, for `training.trainer`.

N sequences, T frames, K joints of `skeleton.H36M17`; metres, virtual camera axes (see `top_down.person_view`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from dualpose_ros.arrays import Floats, Mask
from dualpose_ros.inference.engine import Engine
from dualpose_ros.inference.export import Axis, ExportSpec
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.training.calibration import fit_calibration
from dualpose_ros.lab.training.lifting.sequences import (
    MotionChunks,
    MotionData,
    concatenated,
    motion_datasets,
    truth_in_view,
)
from dualpose_ros.lab.training.lifting.views import Sequences
from dualpose_ros.lab.training.loop.task import TrainingError
from dualpose_ros.lab.training.losses import gaussian_nll
from dualpose_ros.metrics.poses import mpjpe, pa_mpjpe, sigma_radii
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.completion import LONGEST_GAP_S, NUM_FEATURES, complete, time_feature
from dualpose_ros.top_down.lifting_network import LiftingConfig, TemporalLifter

Errors = dict[str, Floats]

JOINT_RADII, DEPTH_RADII = sigma_radii(3), sigma_radii(1)


@dataclass(frozen=True)
class LiftingTraining:
    """The network and what it learns from. gcn: the ONNX file of the GCN that completes its input, none without;
    without_gcn: share of the sequences that are not completed even so, so that it can do without."""

    network: LiftingConfig = field(default_factory=LiftingConfig)
    data: MotionData = field(default_factory=MotionData)
    gcn: str | None = None
    without_gcn: float = 0.15


class Batch(NamedTuple):
    """features (N, T, F); joints (N, T, K, 3) root-relative; log_depth_extent (N, T); counted (N, T) and noisy (N,)
    bool."""

    features: Tensor
    joints: Tensor
    log_depth_extent: Tensor
    counted: Tensor
    noisy: Tensor


class LiftingTask:
    """The lifting network as a `training.task.Task`; EngineError if the GCN's file can't be used."""

    name = "lifting"

    def __init__(self, training: LiftingTraining) -> None:
        self.training = training
        self._gcn = load_engine(Path(training.gcn)) if training.gcn else None

    def build_model(self) -> nn.Module:
        """The untrained network."""
        return TemporalLifter(self.training.network)

    def datasets(self, cache_dir: Path) -> tuple[MotionChunks, MotionChunks]:
        """Sequences of the drawn bank, and of movement kept apart; no cache is read."""
        return motion_datasets(self.training.data, self._prepare)

    def _prepare(self, drawn: Sequences, noisy: bool, rng: np.random.Generator) -> Batch:
        bare = rng.random(len(drawn.frames)) < (self.training.without_gcn if self._gcn is not None else 1.0)
        return sequence_batch(drawn, noisy, self._gcn, bare, self.training.network.lookahead)

    def collate(self, samples: Sequence[Batch]) -> Batch:
        """Chunks to one batch."""
        return concatenated(samples)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean errors, plus the Gaussian likelihood of those errors, which alone trains the standard deviations."""
        joints, stddev, log_depth, depth_stddev = self._run(model, batch)
        error = torch.linalg.vector_norm(joints - batch.joints, dim=-1)[..., 1:][batch.counted]
        likelihood = gaussian_nll(error.detach(), stddev[..., 1:][batch.counted], axes=3)
        depth_error = (log_depth - batch.log_depth_extent).abs()[batch.counted]
        depth_likelihood = gaussian_nll(depth_error.detach(), depth_stddev[batch.counted], axes=1)
        total = 10 * error.mean() + 10 * depth_error.mean() + 0.1 * likelihood + 0.1 * depth_likelihood
        parts = {"mpjpe_mm": 1000 * error.mean(), "log_depth": depth_error.mean()}
        return total, {**parts, "nll": likelihood, "depth_nll": depth_likelihood}

    def _run(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The network's four answers for sequences from a track's birth on."""
        network = self.training.network
        count = len(batch.features)
        past_features = batch.features.new_zeros(count, network.past_frames, NUM_FEATURES)
        past = batch.features.new_zeros(count, network.channels, network.past_steps)
        answers = model(batch.features, past_features, past)[:4]
        return tuple(answer.float() for answer in answers)

    def validate(self, model: nn.Module, batches: Iterable[Batch]) -> dict[str, float]:
        """Millimetres and relative depth errors, with exact and with noisy 2D, and how honest the deviations are."""
        figures: dict[str, float] = {}
        errors = self._errors(model, batches)
        for label, chosen in (("exact", errors["noisy"] == 0), ("noisy", errors["noisy"] == 1)):
            if not chosen.any():
                continue
            for name in ("mpjpe_mm", "pa_mpjpe_mm"):
                figures[f"{name}_{label}"] = float(errors[name][chosen].mean())
            figures[f"root_depth_rel_err_{label}"] = float(np.median(errors["depth"][chosen]))
            figures[f"within_1_stddev_{label}"] = float((errors["joint_sigmas"][chosen] < JOINT_RADII[0]).mean())
        return figures

    def calibrate(self, model: nn.Module, batches: Iterable[Batch]) -> None:
        """Scale the network's standard deviations, in place, so that they hold the share that they should."""
        if not isinstance(model, TemporalLifter):
            raise TrainingError(f"{type(model).__name__} has no deviations to calibrate")
        with torch.no_grad():
            model.joint_calibration.zero_()
            model.depth_calibration.zero_()
            errors = self._errors(model, batches)
            joints = fit_calibration(errors["joint_sigmas"], JOINT_RADII)
            joints[H36M17.root] = 0
            model.joint_calibration += torch.from_numpy(joints.astype(np.float32))
            model.depth_calibration += float(fit_calibration(errors["depth_sigmas"], DEPTH_RADII))

    def _errors(self, model: nn.Module, batches: Iterable[Batch]) -> Errors:
        """By frame: noisy, mpjpe_mm, pa_mpjpe_mm, depth (relative), and the errors of joints (B, K) and depth (B,)
        in the standard deviations that were stated."""
        rows: dict[str, list[Floats]] = {}
        for batch in batches:
            counted = batch.counted.cpu().numpy()
            answers = [answer.detach().cpu().numpy()[counted].astype(np.float64) for answer in self._run(model, batch)]
            truth = batch.joints.cpu().numpy()[counted].astype(np.float64)
            error = np.linalg.norm(answers[0] - truth, axis=-1)
            depth = np.abs(answers[2] - batch.log_depth_extent.cpu().numpy()[counted])
            found = {
                "noisy": np.broadcast_to(batch.noisy.cpu().numpy()[:, None], counted.shape)[counted].astype(float),
                "mpjpe_mm": 1000 * mpjpe(answers[0], truth, root=H36M17.root),
                "pa_mpjpe_mm": 1000 * pa_mpjpe(answers[0], truth),
                "depth": np.expm1(depth),
                "joint_sigmas": error / np.exp(answers[1]),
                "depth_sigmas": depth / np.exp(answers[3]),
            }
            for name, values in found.items():
                rows.setdefault(name, []).append(np.asarray(values, dtype=np.float64))
        return {name: np.concatenate(values) for name, values in rows.items()}

    def objective(self, figures: dict[str, float]) -> float:
        """Mean of the exact and the noisy error, and the errors in depth at 10 mm a per cent."""
        joints = [value for name, value in figures.items() if name.startswith("mpjpe_mm")]
        depth = [value for name, value in figures.items() if name.startswith("root_depth")]
        return float(np.mean(joints) + 1000 * np.mean(depth))

    def export_spec(self) -> ExportSpec:
        """Inputs and outputs as `TemporalLifter.forward` says, dynamic in tracks and in frames."""
        network = self.training.network
        past_features = torch.zeros(2, network.past_frames, NUM_FEATURES)
        past = torch.zeros(2, network.channels, network.past_steps)
        example = {"features": torch.zeros((2, 3, NUM_FEATURES)), "past_features": past_features, "past": past}
        outputs = ("joints", "log_stddev", "log_depth_extent", "log_depth_stddev", "new_past_features", "new_past")
        people = Axis("people")
        dynamic = {name: {0: people} for name in example}
        return ExportSpec(example, outputs, {**dynamic, "features": {0: people, 1: Axis("frames")}})


def sequence_batch(drawn: Sequences, noisy: bool, gcn: Engine | None, bare: Mask, lookahead: int = 0) -> Batch:
    """Network input of whole sequences and its truth; those that are `bare` (N,) are not completed.

    With a lookahead the truth is of so many frames before.
    """
    count, frames = drawn.rays.shape[:2]
    features = np.zeros((count, frames, NUM_FEATURES), np.float32)
    to_camera, extent = np.tile(np.eye(3), (count, frames, 1, 1)), np.ones((count, frames))
    for chosen, network in ((bare, None), (~bare, gcn)):
        if chosen.any():
            flat = (int(chosen.sum()) * frames, H36M17.num_joints)
            poses = complete(drawn.rays[chosen].reshape(*flat, 2), drawn.scores[chosen].reshape(flat), network)
            features[chosen] = poses.features.reshape(-1, frames, NUM_FEATURES)
            to_camera[chosen] = poses.view.to_camera.reshape(-1, frames, 3, 3)
            extent[chosen] = poses.view.extent.reshape(-1, frames)
    elapsed = np.concatenate([np.full((count, 1), LONGEST_GAP_S), np.diff(drawn.times, axis=1)], axis=1)
    features[..., -1] = time_feature(elapsed)
    joints, depth = truth_in_view(drawn.joints_cam.reshape(-1, H36M17.num_joints, 3), to_camera.reshape(-1, 3, 3))
    depth = depth.reshape(count, frames)
    counted = (np.arange(frames) < drawn.frames[:, None]) & (depth > 0.3)
    target = np.log(np.where(counted, depth * extent, 1.0)).astype(np.float32)
    batch = Batch(
        torch.from_numpy(features),
        joints.reshape(count, frames, H36M17.num_joints, 3),
        torch.from_numpy(target),
        torch.from_numpy(counted),
        torch.full((count,), noisy),
    )
    return _delayed(batch, lookahead) if lookahead else batch


def _delayed(batch: Batch, by: int) -> Batch:
    """The batch with its truth so many frames late; the first frames have none, the last ones are never asked for."""
    counted = torch.roll(batch.counted, by, dims=1) & batch.counted
    counted[:, :by] = False
    return batch._replace(
        joints=torch.roll(batch.joints, by, dims=1),
        log_depth_extent=torch.roll(batch.log_depth_extent, by, dims=1),
        counted=counted,
    )
