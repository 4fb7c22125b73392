"""Settings of trainings: YAML files, and the dataclasses that they fill."""

from pathlib import Path
from typing import Any, TypeVar

import dacite
import yaml

from dualpose_ros.errors import InputError
from dualpose_ros.lab.training.loop.task import TrainingError
from dualpose_ros.settings import read_yaml

Settings = TypeVar("Settings")


def read_settings(path: Path) -> dict[str, dict[str, Any]]:
    """The mappings `run` and `task` of a settings file; InputError if it can't be read or holds anything else."""
    try:
        content = read_yaml(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"settings {path} can't be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(k) or {}, dict) for k in ("run", "task")):
        raise InputError(f"settings {path} must hold the mappings `run` and `task`")
    unknown = sorted(content.keys() - {"run", "task"})
    if unknown:
        raise InputError(f"settings {path} have the unknown key '{unknown[0]}'; `run` and `task` are known")
    return {name: dict(content.get(name) or {}) for name in ("run", "task")}


def filled(kind: type[Settings], values: dict[str, Any], where: str) -> Settings:
    """A dataclass of settings with these values; TrainingError says `where` a bad one is."""
    try:
        return dacite.from_dict(kind, values, dacite.Config(strict=True, cast=[tuple, float]))
    except (dacite.DaciteError, TypeError, ValueError) as error:
        raise TrainingError(f"{where}: {error}") from error


def run_values(run: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Values of `TrainConfig`: a file's, what the command line gives in front; a length takes any other's place."""
    if {"max_minutes", "epochs"} & given.keys():
        run = {name: value for name, value in run.items() if name not in ("max_minutes", "epochs")}
    return {**run, **given}
