"""The training loop of every network here: bounded by time or epochs, resumable at any step, in one process or more."""

import json
import math
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from dualpose_ros.lab.training.loop.average import averaged_model
from dualpose_ros.lab.training.loop.checkpoints import Checkpoints, RunState, load_best, start_from
from dualpose_ros.lab.training.loop.console import interruption, progress_bar
from dualpose_ros.lab.training.loop.loading import seed_globally, to_device
from dualpose_ros.lab.training.loop.processes import Processes, joined, losses_of, unsynchronised
from dualpose_ros.lab.training.loop.report import RunLog, write_report
from dualpose_ros.lab.training.loop.sources import make_source
from dualpose_ros.lab.training.loop.task import Task, TrainConfig, TrainingError
from dualpose_ros.paths import claimed


@dataclass(frozen=True)
class TrainResult:
    """What a finished run leaves: the best averaged model, its figures, and `report.json`'s content.

    is_first: whether this process is the one that writes.
    """

    model: nn.Module
    figures: dict[str, float]
    steps: int
    seconds: float
    report: dict[str, Any]
    is_first: bool = True


def train(task: Task, config: TrainConfig, resume: bool = False) -> TrainResult:
    """Train `task` and write last.pt, best.pt, metrics.jsonl, curves.png and report.json into config.out.

    The first Ctrl-C ends the run after the current step with last.pt written, and is raised again; with
    `resume` the run goes on from there and, for a run bound by epochs, ends as if it had not stopped.
    Several processes that `torchrun` started train together, each with `batch_size` samples a step of its own.
    TrainingError if there is nothing to resume, the folder holds another run or one is under way there, or the loss is
    not finite.
    """
    last = config.out / "last.pt"
    if resume and not last.is_file():
        raise TrainingError(f"nothing to resume: {last} is not there; train without --resume")
    if not resume and last.exists():
        raise TrainingError(f"{config.out} already holds a run; go on with --resume or choose another folder")
    config.out.mkdir(parents=True, exist_ok=True)
    if config.threads:
        torch.set_num_threads(config.threads)
    try:
        with joined(config.device) as processes, ExitStack() as stack:
            if processes.is_first and not stack.enter_context(claimed(config.out)):
                raise TrainingError(f"another process trains in {config.out}: choose another --out, or stop it")
            return _Run(task, config, resume, processes).run()
    finally:
        # Refused before anything was learnt, it leaves no folder behind.
        with suppress(OSError):
            config.out.rmdir()


def learning_rate(config: TrainConfig, progress: float) -> float:
    """Learning rate at a progress in 0..1: linear warm-up, then a cosine to final_lr times lr."""
    progress = min(max(progress, 0.0), 1.0)
    if progress < config.warmup:
        return config.lr * max(progress / config.warmup, 1e-3)
    cosine = 0.5 * (1 + math.cos(math.pi * (progress - config.warmup) / (1 - config.warmup)))
    return config.lr * (config.final_lr + (1 - config.final_lr) * cosine)


class _Run:
    """One run: its networks and optimiser, its batches, and how far it is."""

    def __init__(self, task: Task, config: TrainConfig, resume: bool, processes: Processes) -> None:
        opened = time.monotonic()
        self.task, self.config, self.processes = task, config, processes
        self.device = torch.device(config.device)
        seed_globally(config.seed)
        self.model = self._place(task.build_model())
        self.source = make_source(task, config, processes)
        if config.init is not None and not resume:
            start_from(self.model, config.init, task, self.source.first_batches())
        self.losses = losses_of(self.model, task.loss, processes)
        self.average = averaged_model(self.model, config.ema_decay)
        if config.compile:
            _compile(self.model, self.device)
        self.optimizer = _optimizer(self.model, config)
        self.checkpoints = Checkpoints(task.name, config)
        self.state = RunState()
        if resume:
            self.state = self.checkpoints.load_last(self.model, self.average.module, self.optimizer)
            self.average.n_averaged += self.state.step
        self.batches, batches_per_epoch = self.source.training(self.state.step * config.accumulate)
        self.steps_per_epoch = max(batches_per_epoch // config.accumulate, 1)
        # A run that was prolonged is less far than it was.
        self.state.validated = min(self.state.validated, int(self._progress() * config.validations))
        self.log = RunLog(config.out, task.name, self.state, processes.is_first)
        self.started = opened - self.state.seconds

    def run(self) -> TrainResult:
        """Step until the end of the run, then validate, draw and report."""
        state, config = self.state, self.config
        with interruption() as interrupted, progress_bar(self.task.name, self.processes.is_first) as show:
            self._agree(False)
            saved_at, done = state.seconds, self._progress()
            batches: Iterator[Any] = iter(self.batches) if done < 1 else iter([])
            while done < 1:
                self._train_step(batches)
                is_interrupted = self._agree(interrupted())
                done = self._progress()
                if state.step % config.log_steps == 0:
                    self.log.write_training(state, self._lr())
                show(done, f"step {state.step}  loss {self.log.shown_loss:.4g}  best {state.best:.4g}")
                if is_interrupted:
                    self._save_last()
                    raise KeyboardInterrupt(f"stopped at step {state.step}; go on with --resume")
                if done < 1 and done * config.validations >= state.validated + 1:
                    state.validated = int(done * config.validations)
                    self._validate()
                if state.seconds - saved_at >= 60 * config.checkpoint_minutes:
                    self._save_last()
                    saved_at = state.seconds
            del batches
            if state.validated < config.validations:
                state.validated = config.validations
                self._validate()
        self._save_last()
        return self._finish()

    def _agree(self, wish: bool) -> bool:
        """Take over the time that the first process has spent, and learn whether any of them wishes to stop."""
        state = self.state
        state.validation_seconds, _ = self.processes.agreed(state.validation_seconds, False, self.device)
        state.seconds, wished = self.processes.agreed(state.seconds, wish, self.device)
        return wished

    def _place(self, model: nn.Module) -> nn.Module:
        torch.backends.cudnn.benchmark = self.device.type == "cuda"
        model = model.to(self.device)
        if self.config.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model

    def _progress(self) -> float:
        """How far the run is, 0..1: the larger share of its steps and of its time less the last validation's."""
        shares = [0.0]
        if self.config.epochs is not None:
            shares.append(self.state.step / max(1, round(self.config.epochs * self.steps_per_epoch)))
        if self.config.max_minutes is not None:
            budget = 60 * self.config.max_minutes - self.state.validation_seconds
            shares.append(self.state.seconds / budget if budget > 0 else 1.0)
        return min(1.0, max(shares))

    def _lr(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def _train_step(self, batches: Iterator[Any]) -> None:
        """One step, by the gradients of the next `accumulate` batches."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, self._progress())
        # Seeding by step makes dropout and the like resume without saved generator states.
        number = self.state.step * self.processes.count + self.processes.rank
        torch.manual_seed((self.config.seed << 32) + number)
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        for number in range(self.config.accumulate):
            with unsynchronised(self.losses, number + 1 == self.config.accumulate):
                # A device makes its batches in here: of their coordinates bfloat16 would leave one or two pixels.
                batch = to_device(next(batches), self.device)
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bf16):
                    loss, parts = self.losses(batch)
                self.log.add_batch({"loss": loss, **parts})
                # A device that computes ahead is asked at the next line of the log.
                if self.device.type == "cpu" and not torch.isfinite(loss):
                    self.log.check_finite(self.state)
                (loss / self.config.accumulate).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        self.average.update_parameters(self.model)
        self.state.step += 1
        self.state.seconds = time.monotonic() - self.started

    def _validate(self) -> None:
        """Have the first process measure the averaged model."""
        if self.processes.is_first:
            self._measure()
        self._agree(False)

    def _measure(self) -> None:
        """Measure the averaged model; keep it as best.pt if it is the best so far."""
        before = time.monotonic()
        figures = self.source.figures(self.average.module)
        score = float(self.task.objective(figures))
        if math.isfinite(score) and score < self.state.best:
            self.state.best, self.state.best_figures = score, figures
            self.checkpoints.save_best(self.average.module, figures, self.state)
        self.average.eval()
        self.state.validation_seconds = time.monotonic() - before
        self.state.seconds = time.monotonic() - self.started
        self.log.write_validation(self.state, self._lr(), figures)

    def _save_last(self) -> None:
        if self.processes.is_first:
            self.checkpoints.save_last(self.model, self.average.module, self.optimizer, self.state)

    def _finish(self) -> TrainResult:
        if not self.processes.is_first:
            self.processes.wait()
            report = json.loads((self.config.out / "report.json").read_text(encoding="utf-8"))
            model = load_best(self.task, self.config.out)
            return TrainResult(model, report["figures"], self.state.step, self.state.seconds, report, is_first=False)
        result = self._report()
        self.processes.wait()
        return result

    def _report(self) -> TrainResult:
        """Calibrate the best model where it can be, and write the report."""
        state = self.state
        if not state.best_figures:
            raise TrainingError(f"no validation of '{self.task.name}' gave a finite objective: nothing worth keeping")
        model = load_best(self.task, self.config.out)
        calibrate = getattr(self.task, "calibrate", None)
        if calibrate is not None:
            # By validation data that did not choose this model.
            model = model.to(self.device)
            calibrate(model, self.source.other_validation())
            state.best_figures = self.source.figures(model)
            self.checkpoints.save_best(model, state.best_figures, state)
        parameters = sum(p.numel() for p in self.model.parameters())
        report = write_report(
            self.config.out, self.task.name, self.checkpoints.settings, self.source.described(), parameters, state
        )
        return TrainResult(model, state.best_figures, state.step, state.seconds, report)


def has_compiler() -> bool:
    """Whether there is the C++ compiler that torch takes for networks on a CPU."""
    return shutil.which(os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")) is not None


def _compile(model: nn.Module, device: torch.device) -> None:
    if device.type == "cpu" and not has_compiler():
        raise TrainingError("run.compile needs a C++ compiler: install g++, or set CXX, or leave the setting out")
    model.compile()


def _optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW; biases and normalisation are not decayed."""
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    vectors = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=config.lr, fused=True)
