"""Processes that train one network together, one a GPU or one a core, as `torchrun` starts them.

Each computes the gradients of its own part of a batch; DistributedDataParallel averages them, so that all networks
stay alike. The first process alone measures time, validates and writes.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dualpose_ros.lab.training.loop.task import TrainingError

Loss = Callable[[nn.Module, Any], tuple[Tensor, dict[str, Tensor]]]


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this is."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this one measures time, validates and writes."""
        return self.rank == 0

    def agreed(self, seen: float, wish: bool, device: torch.device) -> tuple[float, bool]:
        """What the first process has seen, and whether any of them wishes something; all have to ask."""
        if self.count == 1:
            return seen, wish
        told = torch.tensor([seen if self.is_first else 0.0, float(wish)], dtype=torch.float64, device=device)
        dist.all_reduce(told)
        return float(told[0]), bool(told[1] > 0)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            dist.barrier()


class Losses(nn.Module):
    """The loss of a model as a module, which is what DistributedDataParallel takes."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self._loss = model, loss

    def forward(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The task's loss of a batch, and its parts."""
        return self._loss(self.model, batch)


def losses_of(model: nn.Module, loss: Loss, processes: Processes) -> nn.Module:
    """The loss of a model, whose gradients are averaged over all processes, beginning with the first one's weights."""
    losses = Losses(model, loss)
    if processes.count == 1:
        return losses
    # A loss may leave out parts of a network, such as a discriminator with nobody to judge.
    return DistributedDataParallel(losses, find_unused_parameters=True)


def unsynchronised(losses: nn.Module, is_last: bool) -> AbstractContextManager[None]:
    """Gradients stay each process's own in here, but for the last batch of a step."""
    if is_last or not isinstance(losses, DistributedDataParallel):
        return nullcontext()
    return losses.no_sync()


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """The processes that `torchrun` started (environment RANK, WORLD_SIZE, LOCAL_RANK), or this one alone.

    Over NCCL on CUDA devices, each process its own, and gloo elsewhere. TrainingError for a device that can't be used.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    try:
        on_cuda = torch.device(device).type == "cuda"
        if on_cuda and count > 1:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise TrainingError(f"torch can't use the device '{device}': {str(error).splitlines()[0]}") from error
    if count == 1:
        yield Processes()
        return
    dist.init_process_group("nccl" if on_cuda else "gloo")
    try:
        yield Processes(dist.get_rank(), count)
    finally:
        dist.destroy_process_group()
