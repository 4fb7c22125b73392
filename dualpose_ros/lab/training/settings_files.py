"""The comments of config/training/: what is said of each setting. `make parameters` writes them anew. Needs torch.

Values, their order and the lines at the head of a file are the file's own.
"""

from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

from dualpose_ros.lab.experiments.semi_supervised.fusion import SemiSupervisedFusion
from dualpose_ros.lab.experiments.semi_supervised.lifting import SemiSupervisedLifting
from dualpose_ros.lab.experiments.semi_supervised.terms import SemiSupervision
from dualpose_ros.lab.training.bottom_up.task import BottomUpTraining
from dualpose_ros.lab.training.detector.task import DetectorTaskConfig
from dualpose_ros.lab.training.fusion.task import FusionTraining
from dualpose_ros.lab.training.lifting.gcn import GCNTraining
from dualpose_ros.lab.training.lifting.task import LiftingTraining
from dualpose_ros.lab.training.loop.task import TrainConfig
from dualpose_ros.lab.training.settings import read_settings
from dualpose_ros.lab.training.top_down.task import TopDownTraining
from dualpose_ros.paths import share_dir, write_whole
from dualpose_ros.settings import annotated_yaml

Kinds = Mapping[str, Any]
"""The class of settings that stands under each key, or the keys below it."""

_BOTH = {"lifting": TrainConfig, "fusion": TrainConfig}
_SEMI_SUPERVISED = {"terms": SemiSupervision, "lifting": SemiSupervisedLifting, "fusion": SemiSupervisedFusion}
FILES: Mapping[str, Kinds] = {
    "detector": {"run": TrainConfig, "task": DetectorTaskConfig},
    "detector_blocks": {"run": TrainConfig, "task": DetectorTaskConfig},
    "detector_mixture": {"run": TrainConfig, "task": DetectorTaskConfig},
    "top_down": {"run": TrainConfig, "task": TopDownTraining},
    "top_down_mixture": {"run": TrainConfig, "task": TopDownTraining},
    "top_down_first": {"run": TrainConfig, "task": TopDownTraining},
    "bottom_up": {"run": TrainConfig, "task": BottomUpTraining},
    "bottom_up_mixture": {"run": TrainConfig, "task": BottomUpTraining},
    "gcn": {"run": TrainConfig, "task": GCNTraining},
    "lifting": {"run": TrainConfig, "task": LiftingTraining},
    "fusion": {"run": TrainConfig, "task": FusionTraining},
    "semi_supervised": {"run": {"common": TrainConfig, "first": _BOTH, "rows": _BOTH}, "task": _SEMI_SUPERVISED},
    "semi_supervised_video": {"run": {"common": TrainConfig, "rows": _BOTH}, "task": _SEMI_SUPERVISED},
}
"""What the files hold, by their names."""
PAPER = ("detector", "top_down", "bottom_up", "gcn", "lifting", "fusion")
"""Networks that have a file in paper/ too, of the same kind."""


def files(folder: Path) -> list[Path]:
    """The settings files of config/training/."""
    return [*(folder / f"{name}.yaml" for name in FILES), *(folder / "paper" / f"{name}.yaml" for name in PAPER)]


def annotated(path: Path) -> str:
    """A settings file with its comments written anew; InputError or SettingError if it holds anything unknown."""
    head = takewhile(lambda line: line.startswith("#"), path.read_text(encoding="utf-8").splitlines())
    return "\n".join([*head, *_lines(FILES[path.stem], read_settings(path))]) + "\n"


def _lines(kinds: Kinds, content: Mapping[str, Any], indent: int = 0) -> list[str]:
    lines = []
    for key, kind in kinds.items():
        below = annotated_yaml if isinstance(kind, type) else _lines
        lines += [f"{' ' * indent}{key}:", *below(kind, content[key], indent + 2)]
    return lines


def main() -> None:
    """Write the comments of every file of config/training/ anew."""
    for path in files(share_dir() / "config" / "training"):
        write_whole(path, annotated(path))


if __name__ == "__main__":
    main()
