"""From a settings file and the command line's options to a task, its run, and the ONNX file that it leaves."""

import importlib
from pathlib import Path
from typing import Any

from dualpose_ros.inference.export import ExportResult, export_onnx
from dualpose_ros.lab.training.loop.task import Task, TrainConfig, TrainingError
from dualpose_ros.lab.training.loop.trainer import TrainResult, train
from dualpose_ros.lab.training.networks import load_network
from dualpose_ros.lab.training.settings import filled, run_values
from dualpose_ros.paths import share_dir


def make_task(task: str, path: Path, settings: dict[str, Any]) -> Task:
    """The task of a network from its settings.

    task: "MODULE:TASK:SETTINGS", names within this package; settings that name a `network` by its size have it loaded
    from config/networks/. path: the file that the settings are from, for messages; settings: the mapping `task` of that
    file.
    TrainingError names the file and what is wrong.
    """
    module_name, task_name, settings_name = task.split(":")
    module = importlib.import_module(f"dualpose_ros.lab.training.{module_name}")
    where = f"{path}, key `task`"
    config = filled(getattr(module, settings_name), settings, where)
    arguments = [config]
    if isinstance(getattr(config, "network", None), str):
        sizes = share_dir() / "config" / "networks" / f"{module_name.partition('.')[0]}.yaml"
        arguments.append(load_network(config.network, sizes))
    try:
        made: Task = getattr(module, task_name)(*arguments)
    except ValueError as error:
        raise TrainingError(f"{where}: {error}") from error
    return made


def run_settings(path: Path, run: dict[str, Any], given: dict[str, Any]) -> TrainConfig:
    """Settings of a run: those of the file, what the command line gives in front; TrainingError names a bad one."""
    return filled(TrainConfig, run_values(run, given), f"{path}, key `run`")


def train_network(
    task: Task, settings: TrainConfig, name: str, resume: bool, storage: str
) -> tuple[TrainResult, ExportResult | None]:
    """Train one network and export it into the run's folder as NAME.onnx; errors as of `train` and `export_onnx`.

    Of several processes only the first exports.
    """
    result = train(task, settings, resume=resume)
    if not result.is_first:
        return result, None
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
