"""What a network brings to the training loop, and the settings of a run. Needs torch."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import nn

from dualpose_ros.datasets.shares import Share
from dualpose_ros.inference.export import ExportSpec
from dualpose_ros.settings import Settings, setting, share

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

    A batch is tensors within tuples, lists, dicts or dataclasses. They come from worker processes, of a `SampledTask`,
    or, of images, from the device that trains, by a task's `device_recipe(config)` (see `on_device.data.DeviceRecipe`).
    A task with a `calibrate(model, batches)` is asked, after training, to set the model's stated uncertainties by
    validation. One with `starts_fresh`, prefixes of weights, can start from the ONNX file of a network without those.
    """

    name: str

    def build_model(self) -> nn.Module:
        """The untrained network; its initial weights come from the seeded global generator."""
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


class SampledTask(Task, Protocol):
    """A task whose batches worker processes make."""

    def datasets(self) -> tuple[Samples, Samples]:
        """Training and validation samples."""
        ...

    def collate(self, samples: Sequence[Any]) -> Any:
        """Samples to a batch (called in the worker)."""
        ...


@dataclass(frozen=True)
class TrainConfig(Settings):
    """Settings of a run; its length is `epochs` or `max_minutes`, whichever ends first.

    For a run bound by time, the learning rate goes by the time spent, pauses not counted. init: another run's best.pt
    or a network's ONNX file, whose weights this one starts from. TrainingError for a run without an end.

    shares: several caches of images instead of `cache`, each for its share. grow: training starts with the shards of
    images that are there and takes in those that appear.
    """

    out: Path
    cache: Path
    batch_size: int = setting(32, "samples a step", unit="samples", least=1)
    lr: float = setting(
        2e-3, "highest learning rate: it rises over the warm-up, then falls by a cosine", above=0, most=1
    )
    epochs: float | None = setting(None, "length in passes over the data, unless max_minutes ends first", above=0)
    max_minutes: float | None = setting(None, "length, unless epochs end first", unit="min", above=0)
    warmup: float = setting(0.05, "share of the run in which the learning rate rises", least=0, below=1)
    final_lr: float = setting(0.01, "last learning rate over the highest", least=0, below=1)
    weight_decay: float = share(0.05, "decay of weights (AdamW)")
    clip_norm: float = setting(10.0, "largest norm of the gradients of a step", above=0)
    ema_decay: float = setting(
        0.998, "decay of the moving average of weights, which is validated and kept", least=0, below=1
    )
    workers: int = setting(
        1, "processes that make batches; of images, threads that read them", unit="processes", least=0, most=256
    )
    threads: int = setting(0, "CPU threads of torch; 0: torch's default", unit="threads", least=0, most=256)
    seed: int = setting(0, "of initial weights, order and variation", least=0)
    bf16: bool = setting(True, "compute networks in bfloat16; batches keep their digits")
    compile: bool = setting(False, "compile the network first, for a minute: many small layers are faster then")
    channels_last: bool = setting(True, "images with their channels last in memory, which is faster on CPUs")
    device: str = setting("cpu", "torch device, such as cpu or cuda")
    validations: int = setting(10, "validations, evenly over the run", least=1)
    checkpoint_minutes: float = setting(5.0, "time between two checkpoints", unit="min", least=0)
    log_steps: int = setting(50, "steps between two lines of the log", unit="steps", least=1)
    trained_on: str = ""
    init: Path | None = None
    accumulate: int = setting(1, "batches whose gradients make one step", unit="batches", least=1)
    shares: tuple[Share, ...] = ()
    grow: bool = False

    @property
    def all_shares(self) -> tuple[Share, ...]:
        """The caches to learn from."""
        return self.shares or (Share(self.cache),)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epochs is None and self.max_minutes is None:
            raise TrainingError("a run needs an end: set epochs or max_minutes")
