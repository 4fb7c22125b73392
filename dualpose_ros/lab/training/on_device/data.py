"""What a task trains on when the device itself makes the batches: feeds of its caches, and its validation set."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor

from dualpose_ros.datasets.cache import ShardDataset, prescribed_split, split_shards
from dualpose_ros.datasets.shares import Share
from dualpose_ros.lab.training.loop.processes import Processes
from dualpose_ros.lab.training.loop.task import TrainConfig, TrainingError
from dualpose_ros.lab.training.on_device.store import DeviceMixture, Rows, RowStore, ShardFeed, ToRows, join
from dualpose_ros.lab.training.on_device.views import Draws

Make = Callable[[dict[str, Tensor], Draws], Any]
"""Makes a batch of drawn rows."""

_BATCH_BITS = 40

_MEMORY_SHARE = 0.5
"""Of the memory that is free: networks, batches and other programs need some too."""


@dataclass(frozen=True)
class DeviceRecipe:
    """How a task makes its data on a device.

    to_rows: rows of an image; make: a training batch of drawn rows; show: a batch of rows as the live stage would
    see them, for validation; capacity: rows of all caches together; validation_rows: of each cache.
    """

    to_rows: ToRows
    make: Make
    show: Callable[[dict[str, Tensor]], Any]
    capacity: int = 60_000
    validation_rows: int = 256


@dataclass(frozen=True)
class DeviceData:
    """The rows of a run, how to make batches of them, and validation batches by the name of the folder they are of."""

    mixture: DeviceMixture
    make: Make
    batch_size: int
    seed: int
    device: torch.device
    validation: dict[str, list[Any]]

    def training(self, first: int, processes: Processes) -> Iterator[Any]:
        """Endless batches from `first` on, other ones in each process.

        Batch n is the same in every run with the same data; where shards still come in while training runs, it
        depends on which have come.
        """
        number = first
        while True:
            self.mixture.take()
            seed = (self.seed << _BATCH_BITS) + number * processes.count + processes.rank
            draws = Draws(seed, self.device)
            with torch.no_grad():
                batch = self.make(self.mixture.draw(self.batch_size, draws), draws)
            yield batch
            number += 1


def device_data(recipe: DeviceRecipe, shares: Sequence[Share], config: TrainConfig) -> DeviceData:
    """Read the caches of a run onto its device; with `config.grow` only what is there already, the rest later.

    CacheError names a folder without shards, TrainingError one whose images hold nothing to learn or validate on.
    """
    device = torch.device(config.device)
    threads = max(config.workers, 1)
    total = sum(share.share for share in shares)
    memory = _MEMORY_SHARE * _free_bytes(device)
    feeds = []
    for share in shares:
        room = max(round(recipe.capacity * share.share / total), 1000)
        most_rows = min(room, _most_rows(share.folder, recipe.capacity, config.grow))
        store = RowStore(most_rows, device, memory * share.share / total)
        feeds.append((ShardFeed(share.folder, recipe.to_rows, store, threads, config.grow), share.share))
    validation = {share.folder.name: _validation(recipe, share.folder, config) for share in shares}
    if not any(validation.values()):
        raise TrainingError(f"nothing to validate on in {', '.join(str(share.folder) for share in shares)}")
    mixture = DeviceMixture(feeds)
    if config.grow:
        mixture.wait_for_some()
    else:
        mixture.take(wait=True)
        if len(mixture) == 0:
            raise TrainingError(f"nothing to learn in {', '.join(str(share.folder) for share in shares)}")
    return DeviceData(mixture, recipe.make, config.batch_size, config.seed, device, validation)


def _free_bytes(device: torch.device) -> float:
    """Memory of a device that this process may count on; on a CPU, processes of `torchrun` share it."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    return psutil.virtual_memory().available / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _most_rows(folder: Path, capacity: int, grow: bool) -> int:
    """An upper bound of the people that a folder's training shards hold."""
    if grow:
        return capacity
    return max(sum(len(np.load(path)["ids"]) for path in split_shards(folder)[0]), 1)


def _validation(recipe: DeviceRecipe, folder: Path, config: TrainConfig) -> list[Any]:
    """Batches of an even choice of a cache's validation rows, on the device."""
    paths = sorted(folder.glob("shard_*.npz")) if config.grow else split_shards(folder)[1]
    held_out = [path for path in paths if not config.grow or prescribed_split(path) == "validation"]
    if not held_out:
        return []
    images = ShardDataset(held_out)
    count = min(recipe.validation_rows, len(images))
    parts: list[Rows] = []
    for index in np.linspace(0, len(images) - 1, count).astype(int):
        parts += recipe.to_rows(images[int(index)])[:1]
    batches = []
    for start in range(0, len(parts), config.batch_size):
        rows = join(parts[start : start + min(config.batch_size, 128)])
        on_device = {name: torch.from_numpy(np.ascontiguousarray(v)).to(config.device) for name, v in rows.items()}
        batches.append(recipe.show(on_device))
    return batches
