"""The training loop of every network here: bounded by time or epochs, and resumable at any step."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import nn

from dualpose_ros.lab.training.loop.curves import append_line, draw_curves, forget_after
from dualpose_ros.lab.training.loop.from_onnx import load_onnx, unfold_norms
from dualpose_ros.lab.training.loop.loading import seed_globally, to_device, training_loader, validation_loader
from dualpose_ros.lab.training.loop.task import Task, TrainConfig, TrainingError

CHECKPOINT_FORMAT = 1
FREE_ON_RESUME = {
    "out", "cache", "epochs", "max_minutes", "workers", "threads", "device", "checkpoint_minutes", "log_steps",
    "trained_on", "init",
}  # fmt: skip
"""Settings that may differ between the parts of one run: they don't change what a step computes."""


@dataclass(frozen=True)
class TrainResult:
    """What a finished run leaves: the best averaged model, its figures, and `report.json`'s content."""

    model: nn.Module
    figures: dict[str, float]
    steps: int
    seconds: float
    report: dict[str, Any]


def train(task: Task, config: TrainConfig, resume: bool = False) -> TrainResult:
    """Train `task` and write last.pt, best.pt, metrics.jsonl, curves.png and report.json into config.out.

    The first Ctrl-C ends the run after the current step with last.pt written, and is raised again; with
    `resume` the run goes on from there and, for a run bound by epochs, ends as if it had not stopped.
    TrainingError if there is nothing to resume, the folder holds another run, or the loss is not finite.
    """
    last = config.out / "last.pt"
    if resume and not last.is_file():
        raise TrainingError(f"nothing to resume: {last} is not there; train without --resume")
    if not resume and last.exists():
        raise TrainingError(f"{config.out} already holds a run; go on with --resume or choose another folder")
    config.out.mkdir(parents=True, exist_ok=True)
    if config.threads:
        torch.set_num_threads(config.threads)
    return _Run(task, config, resume).run()


def learning_rate(config: TrainConfig, progress: float) -> float:
    """Learning rate at a progress in 0..1: linear warm-up, then a cosine to final_lr times lr."""
    progress = min(max(progress, 0.0), 1.0)
    if progress < config.warmup:
        return config.lr * max(progress / config.warmup, 1e-3)
    cosine = 0.5 * (1 + math.cos(math.pi * (progress - config.warmup) / (1 - config.warmup)))
    return config.lr * (config.final_lr + (1 - config.final_lr) * cosine)


def load_best(task: Task, out: Path) -> nn.Module:
    """The network of a run's best.pt, averaged weights, in eval mode; TrainingError if it is not there."""
    model = task.build_model()
    model.load_state_dict(_read_checkpoint(out / "best.pt", task.name)["model"])
    return model.eval()


def _start_from(model: nn.Module, path: Path, task: Task, batches: Iterable[Any]) -> None:
    """Load the weights of a checkpoint of the same task, or of an exported network; TrainingError if it is another's.

    batches: of training, to give an exported network its batch norms back.
    """
    if path.suffix == ".onnx":
        fresh = getattr(task, "starts_fresh", ())
        missing = [name for name in load_onnx(model, path) if not name.startswith(fresh)]
        if missing:
            raise TrainingError(f"{path} holds another network than '{task.name}' is now: it lacks {missing[0]}")
        drawn = iter(batches)
        unfold_norms(model, lambda: task.loss(model, next(drawn)))
        return
    try:
        model.load_state_dict(_read_checkpoint(path, task.name)["model"])
    except RuntimeError as error:
        raise TrainingError(f"{path} holds another network than '{task.name}' is now: {error}") from error


class _Run:
    """State of one run: model, averaged model, optimiser, step and time spent over all its parts."""

    def __init__(self, task: Task, config: TrainConfig, resume: bool) -> None:
        self.opened = time.monotonic()
        self.task, self.config = task, config
        self.device = torch.device(config.device)
        self.log = config.out / "metrics.jsonl"
        seed_globally(config.seed)
        self.model = self._place(task.build_model())
        train_set, val_set = task.datasets(config.cache)
        if len(val_set) == 0:
            raise TrainingError("the validation set is empty")
        if config.init is not None and not resume:
            first, _ = training_loader(train_set, task.collate, config.batch_size, config.seed, 0)
            _start_from(self.model, config.init, task, first)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimizer = _optimizer(self.model, config)
        self.step, self.seconds, self.validated, self.validation_seconds = 0, 0.0, 0, 0.0
        self.best = self.shown_loss = math.inf
        self.best_figures: dict[str, float] = {}
        if resume:
            self._load(config.out / "last.pt")
        self.data = {"training_samples": len(train_set), "validation_samples": len(val_set), "cache": str(config.cache)}
        self.train_loader, self.steps_per_epoch = training_loader(
            train_set, task.collate, config.batch_size, config.seed, config.workers, self.step
        )
        self.val_set = val_set
        self.val_loader = validation_loader(val_set, task.collate, config.batch_size, config.seed, config.workers)
        # A run that was prolonged is less far than it was.
        self.validated = min(self.validated, int(self._progress() * config.validations))
        forget_after(self.log, self.step)
        self._start_sums()

    def run(self) -> TrainResult:
        """Step until the end of the run, then validate, draw and report."""
        self.started = self.opened - self.seconds
        with _interruption() as interrupted, _progress_bar(self.task.name) as show:
            batches: Iterator[Any] = iter(self.train_loader) if self._progress() < 1 else iter([])
            saved_at = self.seconds
            for batch in batches:
                self._train_step(batch)
                done = self._progress()
                if self.step % self.config.log_steps == 0:
                    self._log_training()
                show(done, f"step {self.step}  loss {self.shown_loss:.4g}  best {self.best:.4g}")
                if interrupted():
                    self._save_last()
                    raise KeyboardInterrupt(f"stopped at step {self.step}; go on with --resume")
                if done < 1 and done * self.config.validations >= self.validated + 1:
                    self.validated = int(done * self.config.validations)
                    self._validate()
                if self.seconds - saved_at >= 60 * self.config.checkpoint_minutes:
                    self._save_last()
                    saved_at = self.seconds
                if done >= 1:
                    break
            del batches
            if self.validated < self.config.validations:
                self.validated = self.config.validations
                self._validate()
        self._save_last()
        return self._finish()

    def _place(self, model: nn.Module) -> nn.Module:
        model = model.to(self.device)
        if self.config.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model

    def _progress(self) -> float:
        """How far the run is, 0..1: the larger share of its steps and of its time less the last validation's."""
        shares = [0.0]
        if self.config.epochs is not None:
            shares.append(self.step / max(1, round(self.config.epochs * self.steps_per_epoch)))
        if self.config.max_minutes is not None:
            budget = 60 * self.config.max_minutes - self.validation_seconds
            shares.append(self.seconds / budget if budget > 0 else 1.0)
        return min(1.0, max(shares))

    def _train_step(self, batch: Any) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, self._progress())
        # Seeding by step makes dropout and the like resume without saved generator states.
        torch.manual_seed((self.config.seed << 32) + self.step)
        self.model.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bf16):
            loss, parts = self.task.loss(self.model, to_device(batch, self.device))
        if not torch.isfinite(loss):
            values = ", ".join(f"{name} {float(value):.3g}" for name, value in parts.items())
            raise TrainingError(f"the loss is {loss.item()} at step {self.step} ({values}); try a smaller lr")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        _update_average(self.average, self.model, min(self.config.ema_decay, (1 + self.step) / (10 + self.step)))
        self.step += 1
        self.seconds = time.monotonic() - self.started
        self.summed += 1
        if not math.isfinite(self.shown_loss):
            self.shown_loss = loss.item()
        for name, value in {"loss": loss, **parts}.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value.detach())

    def _start_sums(self) -> None:
        self.sums: dict[str, float] = {}
        self.summed = 0

    def _line(self, kind: str, values: dict[str, float]) -> None:
        lr = self.optimizer.param_groups[0]["lr"]
        line = {"kind": kind, "step": self.step, "seconds": round(self.seconds, 3), "lr": lr}
        append_line(self.log, {**line, **values})

    def _log_training(self) -> None:
        means = {name: value / self.summed for name, value in self.sums.items()}
        self._line("train", means)
        self._start_sums()
        self.shown_loss = means["loss"]

    def _validate(self) -> None:
        """Measure the averaged model; keep it as best.pt if it is the best so far."""
        before = time.monotonic()
        batches = (to_device(batch, self.device) for batch in self.val_loader)
        with torch.no_grad():
            figures = {name: float(v) for name, v in self.task.validate(self.average, batches).items()}
        score = float(self.task.objective(figures))
        if math.isfinite(score) and score < self.best:
            self.best, self.best_figures = score, figures
            _save(self._checkpoint({"model": self.average.state_dict(), "figures": figures}), self._file("best.pt"))
        self.average.eval()
        self.validation_seconds = time.monotonic() - before
        self.seconds = time.monotonic() - self.started
        self._line("val", figures)
        draw_curves(self.log, self._file("curves.png"), f"{self.task.name}: {self.step} steps")

    def _file(self, name: str) -> Path:
        return self.config.out / name

    def _checkpoint(self, content: dict[str, Any]) -> dict[str, Any]:
        """Content with what any checkpoint has: format, task, settings, step and time."""
        settings = {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(self.config).items()}
        head = {"format": CHECKPOINT_FORMAT, "task": self.task.name, "config": settings}
        return {**head, "step": self.step, "seconds": self.seconds, **content}

    def _save_last(self) -> None:
        state = {name: getattr(self, name) for name in ("validated", "validation_seconds", "best", "best_figures")}
        networks = {"model": self.model.state_dict(), "average": self.average.state_dict()}
        _save(
            self._checkpoint({**networks, "optimizer": self.optimizer.state_dict(), "state": state}),
            self._file("last.pt"),
        )

    def _load(self, path: Path) -> None:
        saved = _read_checkpoint(path, self.task.name)
        settings = self._checkpoint({})["config"]
        changed = [k for k, v in settings.items() if k not in FREE_ON_RESUME and saved["config"].get(k, v) != v]
        if changed:
            was = ", ".join(f"{k} was {saved['config'][k]}, now {settings[k]}" for k in changed)
            raise TrainingError(f"can't resume {path} with other settings: {was}")
        try:
            self.model.load_state_dict(saved["model"])
            self.average.load_state_dict(saved["average"])
            self.optimizer.load_state_dict(saved["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise TrainingError(f"{path} holds another network than '{self.task.name}' is now: {error}") from error
        self.step, self.seconds = saved["step"], saved["seconds"]
        for name, value in saved["state"].items():
            setattr(self, name, value)

    def _calibrated(self, model: nn.Module) -> nn.Module:
        """The best model with its stated uncertainties set by validation data that did not choose it, kept as best."""
        calibrate = getattr(self.task, "calibrate", None)
        if calibrate is not None:
            settings = (self.config.batch_size, self.config.seed + 1, self.config.workers)
            other = validation_loader(self.val_set, self.task.collate, *settings)
            calibrate(model, other)
            with torch.no_grad():
                self.best_figures = {n: float(v) for n, v in self.task.validate(model, self.val_loader).items()}
            best = {"model": model.state_dict(), "figures": self.best_figures}
            _save(self._checkpoint(best), self._file("best.pt"))
        return model

    def _finish(self) -> TrainResult:
        if not self.best_figures:
            raise TrainingError(f"no validation of '{self.task.name}' gave a finite objective: nothing worth keeping")
        model = self._calibrated(load_best(self.task, self.config.out))
        report = {
            "network": self.task.name,
            "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "trained_on": self.config.trained_on,
            "data": self.data,
            "figures": self.best_figures,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "steps": self.step,
            "seconds": round(self.seconds, 1),
            "seed": self.config.seed,
            "torch": torch.__version__,
            "config": self._checkpoint({})["config"],
        }
        temporary = self._file(".report.json.tmp")
        temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, self._file("report.json"))
        return TrainResult(model, self.best_figures, self.step, self.seconds, report)


def _optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW; biases and normalisation are not decayed."""
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    vectors = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=config.lr, fused=True)


@torch.no_grad()
def _update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Exponential moving average of weights and of batch norm's statistics; counters are copied."""
    source = model.state_dict()
    for name, target in average.state_dict().items():
        if target.is_floating_point():
            target.lerp_(source[name], 1 - decay)
        else:
            target.copy_(source[name])


def _save(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    torch.save(content, temporary)
    os.replace(temporary, path)


def _read_checkpoint(path: Path, task: str) -> dict[str, Any]:
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


@contextmanager
def _interruption() -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM came; a second one acts at once. Does nothing outside the main thread."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: FrameType | None) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    for number in before:
        signal.signal(number, handle)
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress_bar(name: str) -> Iterator[Callable[[float, str], None]]:
    columns = (TextColumn(f"[bold]{name}"), BarColumn(), TextColumn("{task.percentage:3.0f}%  {task.fields[note]}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), refresh_per_second=2) as bar:
        row = bar.add_task("", total=1.0, note="")
        yield lambda done, note: bar.update(row, completed=done, note=note)
