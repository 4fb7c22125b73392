"""What a network brings to the training loop, and the settings of a run. Needs torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import nn

from dualpose_ros.inference.export import ExportSpec

Batch = TypeVar("Batch")


class TrainingError(RuntimeError):
    """A run that can't start, go on or be resumed; the message says why."""


class Samples(Protocol):
    """A training or validation set.

    A set that augments defines `draw(index, rng)`, which is then called instead of `[index]` with a
    generator made of the run's seed, the epoch and the index: the same run draws the same samples,
    however many workers there are and however often it was resumed. A set without `draw` finds
    Python's, NumPy's and torch's global generators seeded in the same way.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class DrawnSamples(Generic[Batch]):
    """Samples that are nothing but random."""

    def __init__(self, draw: Callable[[np.random.Generator], Batch], samples: int) -> None:
        self._draw, self._samples = draw, samples

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, index: int, /) -> Batch:
        return self.draw(index, np.random.default_rng(index))

    def draw(self, index: int, rng: np.random.Generator) -> Batch:
        """A batch from the randomness of `rng` alone."""
        return self._draw(rng)


class Task(Protocol):
    """One network with its data, loss and measure of success.

    A batch is whatever `collate` returns: tensors within tuples, lists, dicts or dataclasses. A task with a
    `calibrate(model, batches)` is asked, after training, to set the model's stated uncertainties by validation. A
    task with `starts_fresh`, prefixes of weights, can start from the ONNX file of a network that lacks those.
    """

    name: str

    def build_model(self) -> nn.Module:
        """The untrained network; its initial weights come from the seeded global generator."""
        ...

    def datasets(self, cache_dir: Path) -> tuple[Samples, Samples]:
        """Training and validation samples."""
        ...

    def collate(self, samples: Sequence[Any]) -> Any:
        """Samples to a batch (called in the worker)."""
        ...

    def loss(self, model: nn.Module, batch: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The scalar to minimise, and its parts by name for the curves."""
        ...

    def validate(self, model: nn.Module, batches: Iterable[Any]) -> dict[str, float]:
        """Figures of a model in eval mode (averaged weights), under no_grad."""
        ...

    def objective(self, figures: dict[str, float]) -> float:
        """What `best.pt` is chosen by: lower is better."""
        ...

    def export_spec(self) -> ExportSpec:
        """Example inputs and the names of inputs, outputs and dynamic axes for ONNX."""
        ...


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a run; its length is `epochs` or `max_minutes`, whichever ends first.

    warmup is a fraction of the run. The learning rate rises linearly over it and then falls by a
    cosine to `final_lr` times `lr`; for a run bound by time, by the time spent, pauses not counted.
    workers: processes that make batches; threads: of torch, 0 leaves its default. validations: how
    often, evenly over the run. init: another run's best.pt or a network's ONNX file, whose weights this one starts
    from.
    TrainingError names a setting that makes no sense.
    """

    out: Path
    cache: Path
    batch_size: int = 32
    lr: float = 2e-3
    epochs: float | None = None
    max_minutes: float | None = None
    warmup: float = 0.05
    final_lr: float = 0.01
    weight_decay: float = 0.05
    clip_norm: float = 10.0
    ema_decay: float = 0.998
    workers: int = 1
    threads: int = 0
    seed: int = 0
    bf16: bool = True
    channels_last: bool = True
    device: str = "cpu"
    validations: int = 10
    checkpoint_minutes: float = 5.0
    log_steps: int = 50
    trained_on: str = ""
    init: Path | None = None

    def __post_init__(self) -> None:
        if self.epochs is None and self.max_minutes is None:
            raise TrainingError("a run needs an end: set epochs or max_minutes")
        positive = ("batch_size", "lr", "epochs", "max_minutes", "validations", "log_steps", "clip_norm")
        for name in positive:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise TrainingError(f"{name} is {value}, but has to be positive")
        for name in ("warmup", "final_lr", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise TrainingError(f"{name} is {getattr(self, name)}, but has to lie in 0..1, 1 excluded")
        if min(self.workers, self.threads, self.seed) < 0:
            raise TrainingError("workers, threads and seed can't be negative")
