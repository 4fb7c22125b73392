"""One of the processes of a run of the tiny network: `python -m support.train_together OUT BATCH_SIZE ACCUMULATE`.

It saves the weights that it ends with as OUT/RANK.pt.
"""

import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dualpose_ros.lab.training.loop.task import TrainConfig
from dualpose_ros.lab.training.loop.trainer import train
from support.tiny_task import TinyTask


class PlainTask(TinyTask):
    """Without dropout and batch norm, whose results depend on how samples are dealt out."""

    def build_model(self) -> nn.Module:
        return nn.Sequential(nn.Linear(4, self.width), nn.Tanh(), nn.Linear(self.width, 3))


def trained(out: Path, batch_size: int, accumulate: int) -> dict[str, Any]:
    """Train; what this process ends with."""
    config = TrainConfig(
        out=out, cache=out, batch_size=batch_size, accumulate=accumulate, lr=1e-2, epochs=3, workers=0, bf16=False,
        log_steps=1, validations=2,
    )  # fmt: skip
    models = []

    class Kept(PlainTask):
        def build_model(self) -> nn.Module:
            models.append(super().build_model())
            return models[-1]

    result = train(Kept(), config)
    weights = {"trained": models[0].state_dict(), "best": result.model.state_dict()}
    return {**weights, "is_first": result.is_first, "figures": result.figures, "steps": result.steps}


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    torch.save(trained(folder, int(sys.argv[2]), int(sys.argv[3])), folder / f"{os.environ['RANK']}.pt")
