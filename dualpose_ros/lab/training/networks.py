"""The networks' sizes, as config/networks/ has them by name."""

from __future__ import annotations

from pathlib import Path

import dacite
import yaml

from dualpose_ros.backbone import HRNetConfig
from dualpose_ros.lab.training.loop.task import TrainingError


def load_network(name: str, path: Path) -> HRNetConfig:
    """The HRNet of that name from a file of config/networks/; TrainingError if it isn't there or makes no sense."""
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    if not isinstance(content, dict) or name not in content:
        raise TrainingError(f"{path} has no network '{name}'; it has: {', '.join(map(str, content)) or 'none'}")
    try:
        return dacite.from_dict(HRNetConfig, content[name], dacite.Config(strict=True, cast=[tuple]))
    except (dacite.DaciteError, TypeError, ValueError) as error:
        raise TrainingError(f"{path}, network '{name}': {error}") from error
