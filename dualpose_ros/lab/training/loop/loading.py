"""Batches in a reproducible order that can start anywhere in a run."""

import dataclasses
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from dualpose_ros.lab.training.loop.processes import Processes
from dualpose_ros.lab.training.loop.task import Samples, TrainingError

VALIDATION_EPOCH = 2**31
"""Stands for the epoch in the seeds of validation samples, so that they are the same every time."""


class StepSampler(Sampler[list[tuple[int, int]]]):
    """Endless batches of (epoch, index) from a given step on; a fresh order each epoch, last rest dropped.

    The order depends on seed and epoch alone, so that step n is the same batch in a resumed run. Of several processes
    each gets its part of what one with all their batches together would get.
    """

    def __init__(
        self, length: int, batch_size: int, seed: int, first_step: int = 0, processes: Processes | None = None
    ) -> None:
        self.processes = processes or Processes()
        if length < self.processes.count:
            raise TrainingError("the training set is empty")
        self.length, self.batch_size = length, min(batch_size, length // self.processes.count) * self.processes.count
        self.seed, self.first_step = seed, first_step
        self.steps_per_epoch = length // self.batch_size

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, batch = divmod(self.first_step, self.steps_per_epoch)
        while True:
            order = np.random.default_rng((self.seed, epoch)).permutation(self.length)
            for start in range(batch * self.batch_size, self.steps_per_epoch * self.batch_size, self.batch_size):
                batch_order = order[start : start + self.batch_size]
                yield [(epoch, int(index)) for index in batch_order[self.processes.rank :: self.processes.count]]
            epoch, batch = epoch + 1, 0


class SeededSamples(torch.utils.data.Dataset[Any]):
    """Samples addressed by (epoch, index), each with randomness of its own; see `loop.task.Samples`."""

    def __init__(self, samples: Samples, seed: int) -> None:
        self.samples, self.seed = samples, seed

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: tuple[int, int]) -> Any:
        epoch, index = key
        rng = np.random.default_rng((self.seed, epoch, index))
        draw = getattr(self.samples, "draw", None)
        if draw is not None:
            return draw(index, rng)
        seed_globally(int(rng.integers(2**31)))
        return self.samples[index]


def seed_globally(seed: int) -> None:
    """Seed Python's, NumPy's and torch's global generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _start_worker(_: int) -> None:
    import cv2

    # A thread pool a worker would fight for the cores that training computes on.
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    # Ctrl-C reaches the whole process group; the trainer alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def training_loader(
    samples: Samples,
    collate: Callable[[Sequence[Any]], Any],
    batch_size: int,
    seed: int,
    workers: int,
    first_step: int = 0,
    processes: Processes | None = None,
) -> tuple[DataLoader[Any], int]:
    """Endless loader of training batches from `first_step` on, and the number of steps an epoch."""
    sampler = StepSampler(len(samples), batch_size, seed, first_step, processes)
    loader = _loader(SeededSamples(samples, seed), sampler, collate, workers, seed)
    return loader, sampler.steps_per_epoch


def validation_loader(
    samples: Samples, collate: Callable[[Sequence[Any]], Any], batch_size: int, seed: int, workers: int
) -> DataLoader[Any]:
    """Loader of every validation sample once, in order, drawn alike every time."""
    keys = [(VALIDATION_EPOCH, index) for index in range(len(samples))]
    batches = [keys[start : start + batch_size] for start in range(0, len(keys), batch_size)]
    return _loader(SeededSamples(samples, seed), batches, collate, workers, seed)


def _loader(
    dataset: SeededSamples, batches: Any, collate: Callable[[Sequence[Any]], Any], workers: int, seed: int
) -> DataLoader[Any]:
    return DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=workers,
        worker_init_fn=_start_worker,
        # Fork shares the cached shards instead of copying them.
        multiprocessing_context="fork" if workers else None,
        prefetch_factor=4 if workers else None,
        # Own generator: creating the iterator must not consume the training's randomness.
        generator=torch.Generator().manual_seed(seed),
    )


def to_device(batch: Any, device: torch.device) -> Any:
    """The batch with every tensor in its tuples, lists, dicts and dataclasses on the device."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {name: to_device(value, device) for name, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(to_device(value, device) for value in batch))
    if isinstance(batch, (list, tuple)):
        return type(batch)(to_device(value, device) for value in batch)
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        fields = {f.name: to_device(getattr(batch, f.name), device) for f in dataclasses.fields(batch) if f.init}
        return dataclasses.replace(batch, **fields)
    return batch
