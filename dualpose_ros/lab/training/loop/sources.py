"""Where a run's batches come from: worker processes that make one sample at a time, or the device that trains."""

import math
from collections.abc import Iterable, Iterator
from typing import Any, cast

import torch
from torch import nn

from dualpose_ros.lab.training.loop.loading import to_device, training_loader, validation_loader
from dualpose_ros.lab.training.loop.processes import Processes
from dualpose_ros.lab.training.loop.task import SampledTask, Task, TrainConfig, TrainingError
from dualpose_ros.lab.training.on_device.data import DeviceData, device_data


class WorkerSource:
    """Batches that worker processes make, of one folder."""

    def __init__(self, task: SampledTask, config: TrainConfig, processes: Processes) -> None:
        """TrainingError if there is nothing to validate on, or there are several folders."""
        if config.shares:
            raise TrainingError(f"'{task.name}' learns from one folder")
        self._processes = processes
        self._task, self._config, self._device = task, config, torch.device(config.device)
        self._train_set, self._val_set = task.datasets()
        if len(self._val_set) == 0:
            raise TrainingError("the validation set is empty")
        self._validation = self._validation_batches(config.seed)

    def first_batches(self) -> Iterable[Any]:
        """Training batches for what comes before the first step."""
        loader, _ = training_loader(self._train_set, self._task.collate, self._config.batch_size, self._config.seed, 0)
        return (to_device(batch, self._device) for batch in loader)

    def training(self, first_batch: int) -> tuple[Iterable[Any], int]:
        """Endless training batches from one on, and how many there are in an epoch."""
        settings = (self._config.batch_size, self._config.seed, self._config.workers)
        return training_loader(self._train_set, self._task.collate, *settings, first_batch, self._processes)

    def figures(self, model: nn.Module) -> dict[str, float]:
        """A model's figures on the validation set."""
        batches = (to_device(batch, self._device) for batch in self._validation)
        with torch.no_grad():
            return {name: float(value) for name, value in self._task.validate(model, batches).items()}

    def other_validation(self) -> Iterable[Any]:
        """The validation set, drawn otherwise where it is random."""
        return (to_device(batch, self._device) for batch in self._validation_batches(self._config.seed + 1))

    def described(self) -> dict[str, Any]:
        """What the report says of the data."""
        counts = {"training_samples": len(self._train_set), "validation_samples": len(self._val_set)}
        return {**counts, "cache": str(self._config.cache)}

    def _validation_batches(self, seed: int) -> Iterable[Any]:
        settings = (self._config.batch_size, seed, self._config.workers)
        return validation_loader(self._val_set, self._task.collate, *settings)


class DeviceSource:
    """Batches that the device makes, of one folder or of several by shares."""

    def __init__(self, task: Task, config: TrainConfig, processes: Processes) -> None:
        """TrainingError if there is nothing to learn or validate on."""
        recipe: Any = getattr(task, "device_recipe")  # noqa: B009
        self._task, self._config, self._processes = task, config, processes
        self._data: DeviceData = device_data(recipe(config), config.all_shares, config)

    def first_batches(self) -> Iterable[Any]:
        """Training batches for what comes before the first step."""
        return self._data.training(0, self._processes)

    def training(self, first_batch: int) -> tuple[Iterable[Any], int]:
        """Endless training batches from one on, and in how many as many rows are drawn as there are."""
        rows = self._config.batch_size * self._processes.count
        return self._data.training(first_batch, self._processes), max(len(self._data.mixture) // rows, 1)

    def figures(self, model: nn.Module) -> dict[str, float]:
        """The mean over the folders of a model's figures on their validation sets, and each folder's own."""
        with torch.no_grad():
            own = {
                name: {key: float(value) for key, value in self._task.validate(model, iter(batches)).items()}
                for name, batches in self._data.validation.items()
                if batches
            }
        mean = {key: _mean([figures[key] for figures in own.values()]) for key in next(iter(own.values()))}
        if len(own) == 1:
            return mean
        return {**mean, **{f"{key}_{name}": value for name, f in own.items() for key, value in f.items()}}

    def other_validation(self) -> Iterator[Any]:
        """The validation set."""
        return (batch for batches in self._data.validation.values() for batch in batches)

    def described(self) -> dict[str, Any]:
        """What the report says of the data."""
        rows = {
            f"{share.folder.name}_rows": len(feed.store)
            for share, (feed, _) in zip(self._config.all_shares, self._data.mixture.feeds, strict=True)
        }
        shares = " ".join(f"{share.folder.name}:{share.share:g}" for share in self._config.all_shares)
        return {"training_samples": len(self._data.mixture), "cache": shares, **rows}


def make_source(task: Task, config: TrainConfig, processes: Processes) -> WorkerSource | DeviceSource:
    """The device for tasks of images, workers for the others."""
    if hasattr(task, "device_recipe"):
        return DeviceSource(task, config, processes)
    return WorkerSource(cast(SampledTask, task), config, processes)


def _mean(values: list[float]) -> float:
    """Mean of the finite values, NaN of none."""
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan
