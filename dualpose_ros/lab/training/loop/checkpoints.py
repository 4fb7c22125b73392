"""The checkpoints of a run: last.pt, from which it goes on, and best.pt, its best averaged weights."""

import dataclasses
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dualpose_ros.inference.backends.onnxruntime_engine import onnx_metadata
from dualpose_ros.lab.training.loop.from_onnx import load_onnx, unfold_norms
from dualpose_ros.lab.training.loop.task import Task, TrainConfig, TrainingError
from dualpose_ros.paths import written_whole

CHECKPOINT_FORMAT = 1
FREE_ON_RESUME = {
    "out", "cache", "epochs", "max_minutes", "workers", "threads", "device", "checkpoint_minutes", "log_steps",
    "trained_on", "shares", "grow",
}  # fmt: skip
"""Settings that may differ between the parts of one run: they don't change what a step computes. `init` may be left
out, since a run has begun already."""


@dataclass
class RunState:
    """How far a run is, over all its parts: steps, seconds, validations made, and what the best of them gave."""

    step: int = 0
    seconds: float = 0.0
    validated: int = 0
    validation_seconds: float = 0.0
    best: float = math.inf
    best_figures: dict[str, float] = field(default_factory=dict)


class Checkpoints:
    """Writes and reads the checkpoints in the folder of one run."""

    def __init__(self, task: str, config: TrainConfig) -> None:
        self._task, self._out = task, config.out
        self.settings: dict[str, Any] = _plain(dataclasses.asdict(config))

    def save_best(self, model: nn.Module, figures: dict[str, float], state: RunState) -> None:
        """Keep a model and its figures as best.pt."""
        self._save("best.pt", {"model": model.state_dict(), "figures": figures}, state)

    def save_last(
        self, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer, state: RunState
    ) -> None:
        """Write all that the run needs to go on as last.pt."""
        progress = dataclasses.asdict(state)
        del progress["step"], progress["seconds"]
        networks = {"model": model.state_dict(), "average": average.state_dict()}
        self._save("last.pt", {**networks, "optimizer": optimizer.state_dict(), "state": progress}, state)

    def load_last(self, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> RunState:
        """Put the networks and the optimiser, in place, where last.pt has them, and return the run's state.

        TrainingError if the file is missing or damaged, or the run had other settings or another network.
        """
        path = self._out / "last.pt"
        saved = read_checkpoint(path, self._task)
        was = saved["config"]
        left_out = {"init"} if self.settings["init"] is None else set()
        changed = [k for k, v in self.settings.items() if k not in FREE_ON_RESUME | left_out and was.get(k, v) != v]
        if changed:
            named = ", ".join(f"{k} was {was[k]}, now {self.settings[k]}" for k in changed)
            raise TrainingError(f"can't resume {path} with other settings: {named}")
        try:
            model.load_state_dict(saved["model"])
            average.load_state_dict(saved["average"])
            optimizer.load_state_dict(saved["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise TrainingError(f"{path} holds another network than '{self._task}' is now: {error}") from error
        return RunState(step=saved["step"], seconds=saved["seconds"], **saved["state"])

    def _save(self, name: str, content: dict[str, Any], state: RunState) -> None:
        """Write a checkpoint, with format, task, settings, step and time, whole or not at all."""
        head = {"format": CHECKPOINT_FORMAT, "task": self._task, "config": self.settings}
        # Not into the file: of a full disk torch makes an error of its own.
        whole = io.BytesIO()
        torch.save({**head, "step": state.step, "seconds": state.seconds, **content}, whole)
        with written_whole(self._out / name) as file:
            file.write_bytes(whole.getbuffer())


def _plain(value: Any) -> Any:
    """Settings without paths and tuples, as checkpoints and reports hold them."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, Path) else value


def load_best(task: Task, out: Path) -> nn.Module:
    """The network of a run's best.pt, averaged weights, in eval mode; TrainingError if it is not there."""
    model = task.build_model()
    model.load_state_dict(read_checkpoint(out / "best.pt", task.name)["model"])
    return model.eval()


def start_from(model: nn.Module, path: Path, task: Task, batches: Iterable[Any]) -> None:
    """Load, in place, the weights of a checkpoint of the same task or of an exported network.

    model: the network that begins there; path: a best.pt, an ONNX file, or a safetensors file with the network's own
    names; task: whose network it is; what its `starts_fresh` names may be missing in an ONNX file. batches: of
    training, to give an exported network its batch norms back.
    TrainingError where the file can't be read or holds another network.
    """
    if path.suffix == ".onnx":
        fresh = getattr(task, "starts_fresh", ())
        missing = [name for name in load_onnx(model, path) if not name.startswith(fresh)]
        says = onnx_metadata(path)
        for name, value in task.export_spec().metadata.items():
            if says.get(name, value) != value:
                raise TrainingError(f"{path} is of {name} {says[name]}; the network to train is of {value}")
        if missing:
            raise TrainingError(f"{path} holds another network than '{task.name}' is now: it lacks {missing[0]}")
        drawn = iter(batches)
        unfold_norms(model, lambda: task.loss(model, next(drawn)))
        return
    is_safe = path.suffix == ".safetensors"
    try:
        model.load_state_dict(_read_safetensors(path) if is_safe else read_checkpoint(path, task.name)["model"])
    except RuntimeError as error:
        said = " ".join(str(error).split())
        raise TrainingError(f"{path} holds another network than '{task.name}' is now: {said}") from error


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"{path} can't be read as safetensors: {error}") from error


def read_checkpoint(path: Path, task: str) -> dict[str, Any]:
    """A checkpoint of `task`; TrainingError if the file is missing, damaged or another network's."""
    if not path.is_file():
        raise TrainingError(f"{path} is not there")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        kind = (saved["format"], saved["task"])
    except Exception as error:
        raise TrainingError(f"{path} can't be read as a checkpoint: {type(error).__name__}: {error}") from error
    if kind != (CHECKPOINT_FORMAT, task):
        raise TrainingError(f"{path} is of network '{kind[1]}' (format {kind[0]}), not '{task}'")
    return dict(saved)
