"""The networks' sizes, as config/networks/ has them by name."""

from pathlib import Path

from dualpose_ros.backbone import HRNetConfig
from dualpose_ros.lab.training.loop.task import TrainingError
from dualpose_ros.lab.training.settings import filled
from dualpose_ros.settings import read_yaml


def load_network(name: str, path: Path) -> HRNetConfig:
    """The HRNet of that name from a file of config/networks/; TrainingError if it isn't there or makes no sense."""
    content = read_yaml(path.read_text(encoding="utf-8")) or {}
    if not isinstance(content, dict) or name not in content:
        raise TrainingError(f"{path} has no network '{name}'; it has: {', '.join(map(str, content)) or 'none'}")
    return filled(HRNetConfig, content[name], f"{path}, network '{name}'")
