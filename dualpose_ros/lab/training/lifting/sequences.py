"""Sequences of people's 2D joints with their 3D truth, for training the GCN and the lifting network.

N sequences, M frames, K joints of `skeleton.H36M17`. A training sample is a chunk of sequences made
at once, because making them one by one would cost ten times as much.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import dacite
import numpy as np
import torch
import yaml

from dualpose_ros.datasets.joint_errors import load_joint_errors
from dualpose_ros.datasets.motion import load_clips
from dualpose_ros.lab.synthetic.motion.motion import generate
from dualpose_ros.lab.training.lifting.bank import BANK_HZ, Bank, BankConfig, clip_bank, collect, make_bank
from dualpose_ros.lab.training.lifting.views import Sequences, ViewConfig, draw_sequences
from dualpose_ros.lab.training.loop.task import TrainingError
from dualpose_ros.skeleton import H36M17

Parts = TypeVar("Parts", bound=tuple[torch.Tensor, ...])

_HELD_OUT_KINDS = ("walk", "turn", "conversation", "sit_down", "reach", "pick_up")


@dataclass(frozen=True)
class MotionData:
    """Movements, cameras and 2D errors to train on.

    sequences: made at once, one sample of the trainer; frames: of each; chunks: samples an epoch;
    validation_chunks: half with exact 2D, half with errors, of clips kept apart (procedural motion without clips).
    errors: a file of 2D errors that the top-down network made (`dualpose eval joints --save`), for a share
    of the people; without it all errors are modelled.
    """

    bank: BankConfig = field(default_factory=BankConfig)
    views: ViewConfig = field(default_factory=ViewConfig)
    sequences: int = 16
    frames: int = 54
    chunks: int = 2000
    validation_chunks: int = 24
    bank_seed: int = 0
    errors: str | None = None

    def __post_init__(self) -> None:
        for name in ("sequences", "frames", "chunks", "validation_chunks"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} is {getattr(self, name)}, but has to be positive")


class MotionChunks:
    """Chunks of random sequences, each turned into a batch by `prepare`; see `training.task.Samples`."""

    def __init__(
        self,
        bank: Bank,
        data: MotionData,
        prepare: Callable[[Sequences, bool, np.random.Generator], Any],
        validation: bool = False,
    ) -> None:
        self.bank, self.data, self.prepare, self.validation = bank, data, prepare, validation
        self.errors = load_joint_errors(Path(data.errors)) if data.errors else None

    def __len__(self) -> int:
        return self.data.validation_chunks if self.validation else self.data.chunks

    def __getitem__(self, index: int, /) -> Any:
        return self.draw(index, np.random.default_rng(index))

    def draw(self, index: int, rng: np.random.Generator) -> Any:
        """Chunk `index` from the randomness of `rng` alone; in validation every other one is exact."""
        views, noisy = self.data.views, True
        if self.validation:
            noisy = index % 2 == 1
            views = dataclasses.replace(views, vary_bones=0.0, vary_size=0.0, mixed=0.0, exact=0.0)
            if not noisy:
                views = dataclasses.replace(views, noise=0.0, faults=False)
        drawn = draw_sequences(self.bank, views, rng, self.data.sequences, self.data.frames, self.errors)
        return self.prepare(drawn, noisy, rng)


def motion_datasets(
    data: MotionData, prepare: Callable[[Sequences, bool, np.random.Generator], Any]
) -> tuple[MotionChunks, MotionChunks]:
    """Training chunks of the drawn bank, and validation chunks of movement that is not in it."""
    bank = make_bank(data.bank, np.random.default_rng(data.bank_seed))
    return MotionChunks(bank, data, prepare), MotionChunks(_kept_apart(data), data, prepare, validation=True)


def _kept_apart(data: MotionData) -> Bank:
    clips = load_clips(data.bank.mocap, "validation") if data.bank.mocap else []
    if clips:
        return clip_bank(clips)
    rng = np.random.default_rng(data.bank_seed + 1)
    motions = [generate(kind, rng, 6.0, BANK_HZ).joints_m for kind in _HELD_OUT_KINDS for _ in range(4)]
    return collect(motions, [False] * len(motions))


def concatenated(samples: Sequence[Parts]) -> Parts:
    """Named tuples of tensors as one, each part end to end."""
    return type(samples[0])(*(torch.cat(parts) for parts in zip(*samples, strict=True)))


def truth_in_view(joints_cam: np.ndarray[Any, Any], to_camera: np.ndarray[Any, Any]) -> tuple[torch.Tensor, Any]:
    """Root-relative joints (N, K, 3), float32, and the root's depth (N,) along the axes of virtual cameras."""
    turned = np.einsum("nba,nkb->nka", to_camera, joints_cam)
    root = turned[:, H36M17.root]
    return torch.from_numpy((turned - root[:, None]).astype(np.float32)), root[:, 2]


def load_settings(path: Path, kind: type[Any]) -> Any:
    """Settings of class `kind` from a YAML file's key `task`; TrainingError names a bad one."""
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    task = content.get("task", {}) if isinstance(content, dict) else None
    if not isinstance(task, dict):
        raise TrainingError(f"{path} holds no mapping `task` of settings")
    try:
        return dacite.from_dict(kind, task, dacite.Config(strict=True, cast=[tuple, float]))
    except (dacite.DaciteError, TypeError, ValueError) as error:
        raise TrainingError(f"{path}: {error}") from error
