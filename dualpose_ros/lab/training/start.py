"""From a settings file and the command line's options to a task, its run, and the ONNX file that it leaves."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import dacite
import yaml

from dualpose_ros.errors import InputError
from dualpose_ros.inference.export import ExportResult, export_onnx
from dualpose_ros.lab.training.loop.task import Task, TrainConfig
from dualpose_ros.lab.training.loop.trainer import TrainResult, train
from dualpose_ros.lab.training.networks import load_network
from dualpose_ros.paths import share_dir


def read_settings(path: Path) -> dict[str, dict[str, Any]]:
    """The mappings `run` and `task` of a settings file; InputError if it can't be read or holds anything else."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"settings {path} can't be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(k) or {}, dict) for k in ("run", "task")):
        raise InputError(f"settings {path} must hold the mappings `run` and `task`")
    unknown = sorted(content.keys() - {"run", "task"})
    if unknown:
        raise InputError(f"settings {path} have the unknown key '{unknown[0]}'; `run` and `task` are known")
    return {name: dict(content.get(name) or {}) for name in ("run", "task")}


def make_task(task: str, path: Path, settings: dict[str, Any]) -> Task:
    """The task of a network from its settings.

    Args:
        task: "MODULE:TASK:SETTINGS", names within this package; settings that name a `network` by its size have it
            loaded from config/networks/.
        path: the file that the settings are from, for messages.
        settings: the mapping `task` of that file.

    Raises:
        InputError: names the file and what is wrong.
    """
    module_name, task_name, settings_name = task.split(":")
    module = importlib.import_module(f"dualpose_ros.lab.training.{module_name}")
    try:
        config = dacite.from_dict(
            getattr(module, settings_name), settings, dacite.Config(strict=True, cast=[tuple, float])
        )
        arguments = [config]
        if isinstance(getattr(config, "network", None), str):
            sizes = share_dir() / "config" / "networks" / f"{module_name.partition('.')[0]}.yaml"
            arguments.append(load_network(config.network, sizes))
        made: Task = getattr(module, task_name)(*arguments)
        return made
    except (dacite.DaciteError, ValueError, TypeError) as error:
        raise InputError(f"{path}, key `task`: {error}") from error


def run_settings(path: Path, run: dict[str, Any], given: dict[str, Any]) -> TrainConfig:
    """Settings of a run: those of the file, what the command line gives in front; InputError names a bad one."""
    kept = {**run}
    if {"max_minutes", "epochs"} & given.keys():
        kept = {name: value for name, value in run.items() if name not in ("max_minutes", "epochs")}
    try:
        return dacite.from_dict(TrainConfig, {**kept, **given}, dacite.Config(strict=True, cast=[float]))
    except (dacite.DaciteError, TypeError) as error:
        raise InputError(f"{path}, key `run`: {error}") from error


def train_network(
    task: Task, settings: TrainConfig, name: str, resume: bool, storage: str
) -> tuple[TrainResult, ExportResult]:
    """Train one network and export it into the run's folder as NAME.onnx; errors as of `train` and `export_onnx`."""
    result = train(task, settings, resume=resume)
    target = settings.out / f"{name}.onnx"
    return result, export_onnx(result.model, task.export_spec(), target, storage=storage)


def with_files(task: dict[str, Any], files: dict[str, Path | None]) -> dict[str, Any]:
    """The settings of a network that learns from motion, with the files that the command line names.

    files: "mocap", "body", "errors" and "gcn", None where the settings' own stay.
    """
    named = {name: str(file) for name, file in files.items() if file is not None}
    data = dict(task.get("data", {}))
    data["bank"] = {**data.get("bank", {}), **{name: named[name] for name in ("mocap", "body") if name in named}}
    data |= {name: named[name] for name in ("errors",) if name in named}
    return {**task, "data": data, **{name: named[name] for name in ("gcn",) if name in named}}
