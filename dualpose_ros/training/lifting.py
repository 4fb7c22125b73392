"""Training of the two lifting networks, pose and root depth, for `training.trainer`.

N windows, T frames, K joints of `skeleton.H36M17`; metres, virtual camera axes (see
`top_down.lifting_window`). A training sample is a chunk of windows made at once, because
making them one by one would cost ten times as much.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import dacite
import numpy as np
import numpy.typing as npt
import torch
import yaml
from torch import Tensor, nn

from dualpose_ros.datasets.mocap import load_clips
from dualpose_ros.evaluation.joint_errors import load_joint_errors
from dualpose_ros.evaluation.metrics import mpjpe, pa_mpjpe, root_depth_error
from dualpose_ros.skeleton import H36M17
from dualpose_ros.synthetic.motion import generate
from dualpose_ros.top_down.lifting_network import LiftingConfig, PoseLifter, RootDepthLifter
from dualpose_ros.top_down.lifting_window import NUM_FEATURES, WINDOW_FRAMES
from dualpose_ros.training.export import Axis, ExportSpec
from dualpose_ros.training.lifting_bank import BANK_HZ, Bank, BankConfig, clip_bank, collect, make_bank
from dualpose_ros.training.lifting_views import ViewConfig, draw_views
from dualpose_ros.training.task import TrainingError

TASKS = ("lifting", "root_depth")
"""The networks that `dualpose train lifting` trains, one after the other."""

_HELD_OUT_KINDS = ("walk", "turn", "conversation", "sit_down", "reach", "pick_up")


@dataclass(frozen=True)
class LiftingTraining:
    """What is trained and on what.

    chunk: windows made at once, one sample of the trainer; chunks: samples an epoch; validation_chunks:
    half with exact 2D, half with errors, of clips that are held out (procedural motion without clips).
    errors: a file of 2D errors that the top-down network made (`dualpose eval joints --save`), for a share
    of the people; without it all errors are modelled.
    """

    pose_network: LiftingConfig = field(default_factory=LiftingConfig)
    root_network: LiftingConfig = field(default_factory=lambda: LiftingConfig(channels=144, hidden=144, blocks=1))
    bank: BankConfig = field(default_factory=BankConfig)
    views: ViewConfig = field(default_factory=ViewConfig)
    chunk: int = 128
    chunks: int = 2000
    validation_chunks: int = 24
    bank_seed: int = 0
    errors: str | None = None

    def __post_init__(self) -> None:
        for name in ("chunk", "chunks", "validation_chunks"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} is {getattr(self, name)}, but has to be positive")


class Batch(NamedTuple):
    """window (N, T, F); joints (N, K, 3) root-relative; root_depth (N,) and extent (N,); noisy (N,) bool."""

    window: Tensor
    joints: Tensor
    root_depth: Tensor
    extent: Tensor
    noisy: Tensor


def load_training(path: Path) -> LiftingTraining:
    """Settings from a YAML file like config/training/lifting.yaml (key `task`); TrainingError names a bad one."""
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    task = content.get("task", {}) if isinstance(content, dict) else None
    if not isinstance(task, dict):
        raise TrainingError(f"{path} holds no mapping `task` of settings")
    try:
        return dacite.from_dict(LiftingTraining, task, dacite.Config(strict=True, cast=[tuple, float]))
    except (dacite.DaciteError, TypeError, ValueError) as error:
        raise TrainingError(f"{path}: {error}") from error


class Views:
    """Chunks of random windows of a bank; `draw` makes one, exact or with errors by index where both are measured."""

    def __init__(self, bank: Bank, training: LiftingTraining, validation: bool = False) -> None:
        self.bank, self.training, self.validation = bank, training, validation
        self.errors = load_joint_errors(Path(training.errors)) if training.errors else None

    def __len__(self) -> int:
        return self.training.validation_chunks if self.validation else self.training.chunks

    def __getitem__(self, index: int, /) -> Batch:
        return self.draw(index, np.random.default_rng(index))

    def draw(self, index: int, rng: np.random.Generator) -> Batch:
        """Chunk `index` from the randomness of `rng` alone."""
        config, noisy = self.training.views, True
        if self.validation:
            config = dataclasses.replace(config, vary_bones=0.0, vary_size=0.0)
            noisy = index % 2 == 1
            if not noisy:
                config = dataclasses.replace(config, noise=0.0, faults=False)
        sample = draw_views(self.bank, config, rng, self.training.chunk, self.errors)
        return Batch(
            torch.from_numpy(sample.window.features),
            torch.from_numpy(sample.joints_virtual),
            torch.from_numpy(sample.root_virtual[:, 2].copy()),
            torch.from_numpy(sample.window.extent.astype(np.float32)),
            torch.full((self.training.chunk,), noisy),
        )


class LiftingTask:
    """One of TASKS as a `training.task.Task`; ValueError for another name."""

    def __init__(self, name: str, training: LiftingTraining) -> None:
        if name not in TASKS:
            raise ValueError(f"no lifting network '{name}'; there are {', '.join(TASKS)}")
        self.name, self.training = name, training

    def build_model(self) -> nn.Module:
        """The untrained network."""
        if self.name == "lifting":
            return PoseLifter(self.training.pose_network)
        return RootDepthLifter(self.training.root_network)

    def datasets(self, cache_dir: Path) -> tuple[Views, Views]:
        """Training windows of the drawn bank, and validation windows of held-out movement; no cache is read."""
        bank = make_bank(self.training.bank, np.random.default_rng(self.training.bank_seed))
        return Views(bank, self.training), Views(self._held_out(), self.training, validation=True)

    def _held_out(self) -> Bank:
        mocap = self.training.bank.mocap
        clips = load_clips(mocap, "held_out") if mocap else []
        if clips:
            return clip_bank(clips)
        rng = np.random.default_rng(self.training.bank_seed + 1)
        motions = [generate(kind, rng, 6.0, BANK_HZ).joints_m for kind in _HELD_OUT_KINDS for _ in range(4)]
        return collect(motions, [False] * len(motions))

    def collate(self, samples: Sequence[Batch]) -> Batch:
        """Chunks to one batch."""
        return Batch(*(torch.cat(parts) for parts in zip(*samples, strict=True)))

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean error, plus the Gaussian likelihood of that error, which alone trains the standard deviations."""
        if self.name == "lifting":
            joints, log_stddev = model(batch.window)
            error = torch.linalg.vector_norm(joints.float() - batch.joints, dim=-1)[:, 1:]
            log_stddev = log_stddev.float()[:, 1:]
            likelihood = gaussian_nll(error.detach(), log_stddev, axes=3)
            mean = error.mean()
            return 10 * mean + 0.1 * likelihood, {"mpjpe_mm": 1000 * mean, "nll": likelihood}
        log_depth, log_stddev = model(batch.window)
        error = (log_depth.float()[:, 0] - torch.log(batch.root_depth * batch.extent)).abs()
        likelihood = gaussian_nll(error.detach(), log_stddev.float()[:, 0], axes=1)
        return 10 * error.mean() + 0.1 * likelihood, {"log_error": error.mean(), "nll": likelihood}

    def validate(self, model: nn.Module, batches: Iterable[Batch]) -> dict[str, float]:
        """Millimetres or relative depth errors, with exact and with noisy 2D, and how honest the deviations are."""
        rows = [self._errors(model, batch) for batch in batches]
        noisy = np.concatenate([row["noisy"] for row in rows]).astype(bool)
        figures: dict[str, float] = {}
        for name in rows[0]:
            if name == "noisy":
                continue
            values = np.concatenate([row[name] for row in rows])
            for label, chosen in (("exact", values[~noisy]), ("noisy", values[noisy])):
                if len(chosen):
                    middle = np.median(chosen) if name == "root_depth_rel_err" else np.mean(chosen)
                    figures[f"{name}_{label}"] = float(middle)
        return figures

    def _errors(self, model: nn.Module, batch: Batch) -> dict[str, npt.NDArray[np.float64]]:
        value, log_stddev = (out.detach().float().cpu().numpy().astype(np.float64) for out in model(batch.window))
        stddev = np.exp(log_stddev)
        errors: dict[str, npt.NDArray[np.float64]] = {"noisy": batch.noisy.cpu().numpy().astype(np.float64)}
        if self.name == "lifting":
            truth = batch.joints.cpu().numpy()
            errors["mpjpe_mm"] = 1000 * mpjpe(value, truth, root=H36M17.root)
            errors["pa_mpjpe_mm"] = 1000 * pa_mpjpe(value, truth)
            squared = np.sum((value - truth)[:, 1:] ** 2, axis=-1) / (3 * stddev[:, 1:] ** 2)
            errors["within_1_stddev"] = np.mean(squared < 1, axis=1)
            return errors
        depth = np.exp(value[:, 0]) / batch.extent.cpu().numpy()
        truth = batch.root_depth.cpu().numpy()
        errors["root_depth_rel_err"] = root_depth_error(depth, truth)
        errors["within_1_stddev"] = (errors["root_depth_rel_err"] < stddev[:, 0]).astype(np.float64)
        return errors

    def objective(self, figures: dict[str, float]) -> float:
        """Mean of the exact and the noisy error."""
        name = "mpjpe_mm" if self.name == "lifting" else "root_depth_rel_err"
        return float(np.mean([value for key, value in figures.items() if key.startswith(name)]))

    def export_spec(self) -> ExportSpec:
        """Input `window` float32 (N, 27, 55); outputs as `top_down.lifting.Lifter` takes them."""
        outputs = ("joints", "log_stddev") if self.name == "lifting" else ("log_depth_extent", "log_stddev")
        example = torch.zeros((2, WINDOW_FRAMES, NUM_FEATURES))
        return ExportSpec({"window": example}, outputs, {"window": {0: Axis("people")}})


def gaussian_nll(error: Tensor, log_stddev: Tensor, axes: int) -> Tensor:
    """Mean negative log-likelihood of error lengths under an isotropic Gaussian of so many axes, less a constant."""
    return (0.5 * (error * torch.exp(-log_stddev)) ** 2 + axes * log_stddev).mean()
