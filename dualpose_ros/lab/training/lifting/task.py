"""Training of the lifting network, root-relative pose and root depth over time, for `loop.trainer`.

N sequences, T frames, K joints of `skeleton.H36M17`; metres, virtual camera axes (see `top_down.lifting.person_view`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from dualpose_ros.arrays import Floats
from dualpose_ros.inference.engine import LOOKAHEAD_FRAMES, Engine
from dualpose_ros.inference.export import Axis, ExportSpec
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.training.calibration import fit_calibration
from dualpose_ros.lab.training.lifting.bank import Bank
from dualpose_ros.lab.training.lifting.dice import Dice
from dualpose_ros.lab.training.lifting.input import complete, time_feature
from dualpose_ros.lab.training.lifting.replay import Replay
from dualpose_ros.lab.training.lifting.sequences import Draw, MotionData, MotionTask, truth_in_view
from dualpose_ros.lab.training.lifting.views import Sequences
from dualpose_ros.lab.training.loop.checkpoints import read_checkpoint
from dualpose_ros.lab.training.loop.task import TrainingError
from dualpose_ros.lab.training.losses import gaussian_nll
from dualpose_ros.metrics.poses import mpjpe, pa_mpjpe, sigma_radii
from dualpose_ros.settings import SettingError, Settings, setting, share
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.lifting.completion import LONGEST_GAP_S, NUM_FEATURES
from dualpose_ros.top_down.lifting.gcn_network import DirectedGCN, GCNConfig
from dualpose_ros.top_down.lifting.network import LiftingConfig, TemporalLifter

Errors = dict[str, Floats]

JOINT_RADII, DEPTH_RADII = sigma_radii(3), sigma_radii(1)


@dataclass(frozen=True)
class LiftingTraining(Settings):
    """The network and what it learns from; gcn: what completes its input, an ONNX file or a best.pt, if anything."""

    network: LiftingConfig = setting(LiftingConfig(), "size of the network")
    data: MotionData = setting(MotionData(), "movements, cameras and 2D errors to train on")
    gcn: str | None = None
    gcn_network: GCNConfig = setting(GCNConfig(), "size of the GCN, where that is a run's best.pt")
    without_gcn: float = share(0.15, "share of the sequences that are not completed, so that it can do without")
    reuse: float = setting(1.0, "times that a drawn sequence is learnt from, on average; 10 suits a CPU", least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.data.frames <= self.network.window:
            raise SettingError(
                "data.frames",
                f"is {self.data.frames}; it must be more than the network's window, {self.network.window}",
            )


class Batch(NamedTuple):
    """features (N, T, F); joints (N, T, K, 3) root-relative; log_depth_extent (N, T); counted (N, T) and noisy (N,)
    bool."""

    features: Tensor
    joints: Tensor
    log_depth_extent: Tensor
    counted: Tensor
    noisy: Tensor


class LiftingTask(MotionTask[Batch]):
    """The lifting network as a `loop.task.Task`; TrainingError if the GCN's file can't be used."""

    name = "lifting"

    def __init__(self, training: LiftingTraining, banks: tuple[Bank, Bank] | None = None) -> None:
        """banks: of training and validation, instead of those of the settings."""
        super().__init__(training.data, banks)
        self.training = training
        self._replay = Replay(training.reuse)
        self._gcn = load_gcn(Path(training.gcn), training.gcn_network) if training.gcn else None

    def build_model(self) -> nn.Module:
        """The untrained network."""
        return TemporalLifter(self.training.network)

    def batch_of(self, sequences: Sequences, noisy: bool, dice: Dice) -> Batch:
        """The sequences completed by the GCN, where there is one, but for `without_gcn` of them."""
        gcn = self._gcn
        if gcn is not None:
            gcn.to(dice.device)
        bare = dice.happens((len(sequences.frames),), self.training.without_gcn if gcn is not None else 1.0)
        return sequence_batch(sequences, noisy, gcn, bare, self.training.network.lookahead)

    def loss(self, model: nn.Module, batch: Draw | Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean errors, plus the Gaussian likelihood of those errors, which alone trains the standard deviations."""
        if not isinstance(batch, Batch):
            batch = Batch(*self._replay.mixed(partial(self.drawn, batch)))
        return lifting_loss(self.answers(model, batch.features), batch)

    def answers(self, model: nn.Module, features: Tensor) -> tuple[Tensor, ...]:
        """The network's four answers for sequences (N, T, F) from a track's birth on."""
        network = self.training.network
        past_features = features.new_zeros(len(features), network.past_frames, NUM_FEATURES)
        past = features.new_zeros(len(features), network.channels, network.past_steps)
        return tuple(answer.float() for answer in model(features, past_features, past)[:4])

    def validate(self, model: nn.Module, batches: Iterable[Draw | Batch]) -> dict[str, float]:
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

    def calibrate(self, model: nn.Module, batches: Iterable[Draw | Batch]) -> None:
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

    def _errors(self, model: nn.Module, batches: Iterable[Draw | Batch]) -> Errors:
        """By frame: noisy, mpjpe_mm, pa_mpjpe_mm, depth (relative), and the errors of joints (B, K) and depth (B,)
        in the standard deviations that were stated."""
        rows: dict[str, list[Floats]] = {}
        for batch in map(self.drawn, batches):
            counted = batch.counted.cpu().numpy()
            answers = [
                answer.detach().cpu().numpy()[counted].astype(np.float64)
                for answer in self.answers(model, batch.features)
            ]
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
        says = {LOOKAHEAD_FRAMES: str(network.lookahead)}
        return ExportSpec(example, outputs, {**dynamic, "features": {0: people, 1: Axis("frames")}}, says)


def lifting_loss(answers: tuple[Tensor, ...], batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean errors, plus the Gaussian likelihood of those errors, which alone trains the standard deviations."""
    joints, stddev, log_depth, depth_stddev = answers
    error = torch.linalg.vector_norm(joints - batch.joints, dim=-1)[..., 1:][batch.counted]
    likelihood = gaussian_nll(error.detach(), stddev[..., 1:][batch.counted], axes=3)
    depth_error = (log_depth - batch.log_depth_extent).abs()[batch.counted]
    depth_likelihood = gaussian_nll(depth_error.detach(), depth_stddev[batch.counted], axes=1)
    total = 10 * error.mean() + 10 * depth_error.mean() + 0.1 * likelihood + 0.1 * depth_likelihood
    parts = {"mpjpe_mm": 1000 * error.mean(), "log_depth": depth_error.mean()}
    return total, {**parts, "nll": likelihood, "depth_nll": depth_likelihood}


class EngineGCN(nn.Module):
    """A GCN in an ONNX file, run by its engine wherever the tensors are."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    def forward(self, joints: Tensor, view: Tensor) -> tuple[Tensor, ...]:
        answer = self._engine.run({"joints": joints.cpu().numpy(), "view": view.cpu().numpy()})
        names = ("joints_2d", "log_stddev_2d", "joints_rel")
        return tuple(torch.from_numpy(answer[name]).to(joints.device) for name in names)


def load_gcn(path: Path, config: GCNConfig) -> nn.Module:
    """A GCN from an ONNX file, or from the best.pt of a run with these settings, which is faster on a GPU.

    EngineError or TrainingError if the file can't be used or is another network's.
    """
    if path.suffix == ".onnx":
        return EngineGCN(load_engine(path))
    model = DirectedGCN(config)
    try:
        model.load_state_dict(read_checkpoint(path, "gcn")["model"])
    except RuntimeError as error:
        raise TrainingError(f"{path} holds another GCN than these settings say: {error}") from error
    return model.eval().requires_grad_(False)


def sequence_batch(drawn: Sequences, noisy: bool, gcn: nn.Module | None, bare: Tensor, lookahead: int = 0) -> Batch:
    """Network input of whole sequences and its truth; those that are `bare` (N,) are not completed.

    With a lookahead the truth is of so many frames before.
    """
    count, frames = drawn.scores.shape[:2]
    flat = (-1, H36M17.num_joints)
    rays, scores = drawn.rays.reshape(*flat, 2), drawn.scores.reshape(flat)
    view, features = complete(rays, scores, gcn)
    to_camera, extent = view.to_camera, view.extent
    if gcn is not None:
        plain, uncompleted = complete(rays, scores, None)
        chosen = bare.repeat_interleave(frames)
        features = torch.where(chosen[:, None], uncompleted, features)
        to_camera = torch.where(chosen[:, None, None], plain.to_camera, to_camera)
        extent = torch.where(chosen, plain.extent, extent)
    features = features.reshape(count, frames, NUM_FEATURES)
    first = torch.full((count, 1), LONGEST_GAP_S, device=rays.device)
    features[..., -1] = time_feature(torch.cat([first, torch.diff(drawn.times, dim=1)], dim=1))
    joints, depth = truth_in_view(drawn.joints_cam.reshape(*flat, 3), to_camera)
    depth, extent = depth.reshape(count, frames), extent.reshape(count, frames)
    counted = drawn.there & (depth > 0.3)
    target = torch.log(torch.where(counted, depth * extent, 1.0))
    joints = joints.reshape(count, frames, H36M17.num_joints, 3)
    batch = Batch(features, joints, target, counted, torch.full((count,), noisy, device=rays.device))
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
