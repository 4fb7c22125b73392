"""What a run tells while it goes on and when it ends: metrics.jsonl, curves.png and report.json."""

import json
import math
import shlex
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dualpose_ros.lab.training.loop.checkpoints import RunState
from dualpose_ros.lab.training.loop.curves import append_line, draw_curves, forget_after
from dualpose_ros.lab.training.loop.task import TrainingError
from dualpose_ros.paths import write_whole


class RunLog:
    """The log of a run: means of training since the last line, and the figures of each validation."""

    def __init__(self, out: Path, name: str, state: RunState, writes: bool = True) -> None:
        """Go on with the log in a folder; lines of steps after the state's are made again, so they go.

        writes: nothing is written without it.
        """
        self._writes = writes
        self._name = name
        self._file, self._curves = out / "metrics.jsonl", out / "curves.png"
        self._sums: dict[str, Tensor] = {}
        self._batches = 0
        self.shown_loss = math.inf
        """The loss to show: the mean of the last line, before the first line that of the first step."""
        if writes:
            forget_after(self._file, state.step)

    def add_batch(self, losses: dict[str, Tensor]) -> None:
        """Add one batch's loss and its parts, by name, to the means of the next line, without waiting for a device."""
        self._batches += 1
        for name, value in losses.items():
            value = value.detach().double()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        if not math.isfinite(self.shown_loss):
            self.shown_loss = float(self._sums["loss"])

    def check_finite(self, state: RunState) -> None:
        """TrainingError if a loss since the last line was not finite."""
        if not torch.isfinite(self._sums["loss"]):
            values = {name: float(value) / self._batches for name, value in self._sums.items()}
            parts = ", ".join(f"{name} {value:.3g}" for name, value in values.items() if name != "loss")
            raise TrainingError(f"the loss is {values['loss']} at step {state.step} ({parts}); try a smaller lr")

    def write_training(self, state: RunState, lr: float) -> None:
        """Write the means since the last line; TrainingError if they are not finite."""
        self.check_finite(state)
        means = {name: float(value) / self._batches for name, value in self._sums.items()}
        self._write("train", state, lr, means)
        self._sums, self._batches = {}, 0
        self.shown_loss = means["loss"]

    def write_validation(self, state: RunState, lr: float, figures: dict[str, float]) -> None:
        """Write the figures of a validation, and draw the curves anew."""
        self._write("val", state, lr, figures)
        draw_curves(self._file, self._curves, f"{self._name}: {state.step} steps")

    def _write(self, kind: str, state: RunState, lr: float, values: dict[str, float]) -> None:
        line = {"kind": kind, "step": state.step, "seconds": round(state.seconds, 3), "lr": lr}
        if self._writes:
            append_line(self._file, {**line, **values})


def write_report(
    out: Path, network: str, settings: dict[str, Any], data: dict[str, Any], parameters: int, state: RunState
) -> dict[str, Any]:
    """Write report.json, from which the weights' manifest is made, and return its content.

    out: folder of the run; network: the task's name; settings: of the run, as its checkpoints have them; data: how many
    samples, and from where; parameters: how many numbers the network has; state: of the finished run.
    """
    report = {
        "network": network,
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "trained_on": settings["trained_on"],
        "data": data,
        "figures": state.best_figures,
        "parameters": parameters,
        "steps": state.step,
        "seconds": round(state.seconds, 1),
        "seed": settings["seed"],
        "torch": torch.__version__,
        "config": settings,
    }
    write_whole(out / "report.json", json.dumps(report, indent=2) + "\n")
    return report
