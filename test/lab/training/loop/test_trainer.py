import dataclasses
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dualpose_ros.lab.training.loop import trainer
from dualpose_ros.lab.training.loop.checkpoints import load_best, start_from
from dualpose_ros.lab.training.loop.curves import draw_curves, read_lines
from dualpose_ros.lab.training.loop.loading import StepSampler, to_device, validation_loader
from dualpose_ros.lab.training.loop.task import TrainConfig, TrainingError
from dualpose_ros.lab.training.loop.trainer import learning_rate, train
from dualpose_ros.settings import SettingError
from support.data import ROOT
from support.tiny_task import MATRIX, TinySamples, TinyTask


def config(out: Path, **changes: Any) -> TrainConfig:
    base = {"batch_size": 8, "lr": 1e-2, "epochs": 5, "workers": 0, "bf16": False, "log_steps": 10, "validations": 2}
    return TrainConfig(out=out, cache=out, **{**base, **changes})


def state(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def test_it_learns_and_leaves_all_it_promises(tmp_path: Path) -> None:
    result = train(TinyTask(), config(tmp_path, epochs=40, weight_decay=0.0))
    untrained = float(np.mean((TinySamples(40, 0.0).x @ MATRIX) ** 2))
    assert result.figures["mse"] < 0.1 * untrained
    assert result.figures["count"] == 40
    assert result.steps == 40 * (100 // 8)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["figures"] == result.figures and report["seed"] == 0 and report["seconds"] > 0
    assert report["parameters"] == sum(p.numel() for p in TinyTask().build_model().parameters())
    assert report["data"]["training_samples"] == 100
    draw_curves(tmp_path / "metrics.jsonl", tmp_path / "curves.png", "tiny")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    lines = read_lines(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines if line["kind"] == "train"] == list(range(10, result.steps + 1, 10))
    assert sum(line["kind"] == "val" for line in lines) == 2
    best = min(line["mse"] for line in lines if line["kind"] == "val")
    assert result.figures["mse"] == pytest.approx(best)
    # The returned network is best.pt's, and its figures can be measured again.
    batches = validation_loader(TinySamples(40, 0.0), TinyTask().collate, 8, 0, 0)
    with torch.no_grad():
        again = TinyTask().validate(load_best(TinyTask(), tmp_path), batches)
    assert again["mse"] == pytest.approx(result.figures["mse"], rel=1e-6)


def test_a_network_is_compiled_where_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(self))
    monkeypatch.setattr(trainer, "has_compiler", lambda: True)
    train(TinyTask(), config(tmp_path / "plain", epochs=1))
    assert not compiled
    train(TinyTask(), config(tmp_path / "compiled", epochs=1, compile=True))
    assert [type(model) for model in compiled] == [type(TinyTask().build_model())]
    monkeypatch.setattr(trainer, "has_compiler", lambda: False)
    with pytest.raises(TrainingError, match=r"compile.* needs a C\+\+ compiler"):
        train(TinyTask(), config(tmp_path / "none", epochs=1, compile=True))


def test_a_disk_that_is_full_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    task = TinyTask()
    task.interrupt_at = 7
    with pytest.raises(KeyboardInterrupt):
        train(task, config(tmp_path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="too large") as full:
            train(TinyTask(), config(tmp_path), resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(full.value.filename) in (str(tmp_path / "best.pt"), str(tmp_path / "last.pt"))
    assert state(tmp_path / "last.pt")["step"] == 7 and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("stop_at", [7, 12, 31])
def test_an_interrupted_run_resumes_to_the_same_bits(tmp_path: Path, stop_at: Any) -> None:
    whole = train(TinyTask(), config(tmp_path / "whole"))
    task = TinyTask()
    task.interrupt_at = stop_at
    with pytest.raises(KeyboardInterrupt):
        train(task, config(tmp_path / "parts"))
    assert state(tmp_path / "parts/last.pt")["step"] == stop_at
    parts = train(TinyTask(), config(tmp_path / "parts"), resume=True)
    a, b = state(tmp_path / "whole/last.pt"), state(tmp_path / "parts/last.pt")
    for kind in ("model", "average"):
        for name, value in a[kind].items():
            assert torch.equal(value, b[kind][name]), (kind, name)
    assert whole.figures == parts.figures and whole.steps == parts.steps
    keep = ("kind", "step", "lr", "mse")
    logs = [
        [{k: v for k, v in line.items() if k in keep} for line in read_lines(tmp_path / part / "metrics.jsonl")]
        for part in ("whole", "parts")
    ]
    validations = [[line for line in log if line["kind"] == "val"] for log in logs]
    assert validations[0] == validations[1]
    assert [line["step"] for line in logs[0]] == [line["step"] for line in logs[1]]


def test_a_run_starts_from_the_weights_of_another(tmp_path: Path) -> None:
    first = train(TinyTask(), config(tmp_path / "first"))
    begun = config(tmp_path / "second", init=tmp_path / "first/best.pt", lr=1e-12, epochs=1)
    second = train(TinyTask(), begun)
    trained = dict(second.model.named_parameters())
    for name, value in first.model.named_parameters():
        assert torch.allclose(value, trained[name], atol=1e-6), name


def test_a_run_starts_from_safetensors(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    task = TinyTask()
    save_file(task.build_model().state_dict(), tmp_path / "mine.safetensors")
    model = task.build_model()
    start_from(model, tmp_path / "mine.safetensors", task, [])
    save_file({"other": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(TrainingError, match="holds another network than 'tiny' is now"):
        start_from(model, tmp_path / "other.safetensors", task, [])
    (tmp_path / "cut.safetensors").write_bytes(b"\x08")
    with pytest.raises(TrainingError, match="can't be read as safetensors"):
        start_from(model, tmp_path / "cut.safetensors", task, [])


def test_a_run_refuses_to_start_from_what_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "other.pt").write_bytes(b"no checkpoint")
    with pytest.raises(TrainingError, match=r"other\.pt"):
        train(TinyTask(), config(tmp_path / "run", init=tmp_path / "other.pt"))


def test_workers_draw_the_same_samples(tmp_path: Path) -> None:
    alone = train(TinyTask(), config(tmp_path / "a", epochs=1))
    helped = train(TinyTask(), config(tmp_path / "b", epochs=1, workers=1))
    assert alone.figures == helped.figures


def test_the_seed_changes_the_run(tmp_path: Path) -> None:
    one = train(TinyTask(), config(tmp_path / "a", epochs=1))
    other = train(TinyTask(), config(tmp_path / "b", epochs=1, seed=1))
    assert one.figures != other.figures


def test_time_bound_holds_over_a_resume(tmp_path: Path) -> None:
    bound = config(tmp_path, epochs=None, max_minutes=2 / 60, validations=1)
    task = TinyTask()
    task.interrupt_at = 40
    with pytest.raises(KeyboardInterrupt):
        train(task, bound)
    spent = state(tmp_path / "last.pt")["seconds"]
    assert spent > 0
    result = train(TinyTask(), bound, resume=True)
    # Time of the first part counts; the only validation comes when the time is up.
    last = [line for line in read_lines(tmp_path / "metrics.jsonl") if line["kind"] == "train"][-1]
    assert spent < last["seconds"] <= 2.5
    assert result.seconds >= 2.0
    rates = [line["lr"] for line in read_lines(tmp_path / "metrics.jsonl") if line["kind"] == "train"]
    assert rates[-1] < 0.2 * bound.lr


def test_prolonging_a_finished_run(tmp_path: Path) -> None:
    train(TinyTask(), config(tmp_path, epochs=2))
    longer = train(TinyTask(), config(tmp_path, epochs=4), resume=True)
    assert longer.steps == 48
    again = train(TinyTask(), config(tmp_path, epochs=4), resume=True)
    assert again.steps == 48 and again.figures == longer.figures


def test_two_trainings_in_one_folder_are_refused_while_the_first_has_no_checkpoint_yet(tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(TrainingError, match="another process trains in"):
        train(TinyTask(), config(tmp_path, epochs=1))
    os.close(handle)
    train(TinyTask(), config(tmp_path, epochs=1))


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="nothing to resume"):
        train(TinyTask(), config(tmp_path), resume=True)
    train(TinyTask(), config(tmp_path, epochs=1))
    with pytest.raises(TrainingError, match="already holds a run"):
        train(TinyTask(), config(tmp_path, epochs=1))
    with pytest.raises(TrainingError, match="batch_size was 8, now 16"):
        train(TinyTask(), config(tmp_path, epochs=2, batch_size=16), resume=True)
    with pytest.raises(TrainingError, match=r"init was None, now .*best\.pt"):
        train(TinyTask(), config(tmp_path, epochs=2, init=tmp_path / "best.pt"), resume=True)
    with pytest.raises(TrainingError, match="another network"):
        train(TinyTask(width=8), config(tmp_path, epochs=2), resume=True)
    (tmp_path / "last.pt").write_bytes(b"PK rubbish")
    with pytest.raises(TrainingError, match=r"last\.pt can't be read"):
        train(TinyTask(), config(tmp_path, epochs=2), resume=True)


def test_a_run_goes_on_with_the_weights_that_it_began_from_named_or_not(tmp_path: Path) -> None:
    train(TinyTask(), config(tmp_path / "first", epochs=1))
    began = {"init": tmp_path / "first" / "best.pt"}
    train(TinyTask(), config(tmp_path / "second", epochs=1, **began))
    for epochs, said in ((2, began), (3, {})):
        done = train(TinyTask(), config(tmp_path / "second", epochs=epochs, **said), resume=True)
        assert done.steps == epochs * train(TinyTask(), config(tmp_path / f"other{epochs}", epochs=1)).steps


def test_a_loss_that_is_not_finite_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = TinyTask()
    monkeypatch.setattr(
        task, "loss", lambda model, batch: ((model(batch["x"]) * float("nan")).mean(), {"mse": torch.tensor(1.0)})
    )
    with pytest.raises(TrainingError, match="loss is nan at step 0"):
        train(task, config(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": None}, "needs an end"),
        ({"lr": -1.0}, "lr is -1.0"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"workers": -1}, "workers"),
    ],
)
def test_settings_that_make_no_sense(tmp_path: Path, changes: Any, message: Any) -> None:
    with pytest.raises((SettingError, TrainingError), match=message):
        config(tmp_path, **changes)


def test_learning_rate_rises_then_falls(tmp_path: Path) -> None:
    setting = config(tmp_path, warmup=0.1, final_lr=0.05)
    rates = [learning_rate(setting, p) for p in np.linspace(0, 1, 101)]
    assert np.argmax(rates) == 10 and rates[10] == pytest.approx(setting.lr)
    assert rates[-1] == pytest.approx(0.05 * setting.lr)
    assert np.all(np.diff(rates[:11]) > 0) and np.all(np.diff(rates[10:]) < 0)


def test_sampler_covers_each_epoch_and_starts_anywhere() -> None:
    def take(first: int, count: int) -> Any:
        iterator = iter(StepSampler(10, 3, seed=5, first_step=first))
        return [next(iterator) for _ in range(count)]

    batches = take(0, 9)
    for epoch in range(3):
        drawn = [index for batch in batches[3 * epoch : 3 * epoch + 3] for _, index in batch]
        assert len(set(drawn)) == 9
    assert {e for e, _ in batches[3]} == {1}
    assert take(4, 5) == batches[4:]
    with pytest.raises(TrainingError, match="empty"):
        StepSampler(0, 3, seed=0)


def test_to_device_reaches_into_records() -> None:
    @dataclasses.dataclass(frozen=True)
    class Record:
        value: object
        name: str = "kept"

    meta = torch.device("meta")
    moved = to_device({"a": [torch.ones(2), (torch.ones(1), 3)], "b": Record(torch.ones(4))}, meta)
    assert moved["a"][0].device == meta and moved["a"][1][0].device == meta and moved["a"][1][1] == 3
    assert moved["b"].value.device == meta and moved["b"].name == "kept"


_CTRL_C_SCRIPT = """
import sys
from pathlib import Path
from dualpose_ros.lab.training.loop.task import TrainConfig
from dualpose_ros.settings import SettingError
from dualpose_ros.lab.training.loop.trainer import train
sys.path.insert(0, sys.argv[1])
from support.tiny_task import TinyTask
out = Path(sys.argv[2])
train(TinyTask(), TrainConfig(out, out, batch_size=8, max_minutes=2, workers=1, log_steps=5))
"""


def test_ctrl_c_of_a_terminal_ends_it_with_a_checkpoint(tmp_path: Path) -> None:
    """The terminal signals the whole process group: the worker must not die of it, nor the step be torn."""
    tests = str(ROOT / "test")
    process = subprocess.Popen(
        [sys.executable, "-c", _CTRL_C_SCRIPT, tests, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not read_lines(tmp_path / "metrics.jsonl") and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert "go on with --resume" in output and "DataLoader worker" not in output, output
    assert state(tmp_path / "last.pt")["step"] >= 5
    assert not (tmp_path / "report.json").exists()
