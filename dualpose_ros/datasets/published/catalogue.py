"""The published data sets by name."""

from collections.abc import Callable
from pathlib import Path

from dualpose_ros.datasets.published.h36m import open_h36m
from dualpose_ros.datasets.published.jta import open_jta
from dualpose_ros.datasets.published.keypoints import open_coco, open_crowdpose
from dualpose_ros.datasets.published.muco import open_muco
from dualpose_ros.datasets.published.mupots import open_mupots
from dualpose_ros.datasets.published.panoptic import open_panoptic
from dualpose_ros.datasets.published.threedpw import open_3dpw
from dualpose_ros.datasets.published.truth import DatasetError, TruthSequence

DATASETS: dict[str, Callable[..., list[TruthSequence]]] = {
    "mupots": open_mupots,
    "muco": open_muco,
    "jta": open_jta,
    "h36m": open_h36m,
    "3dpw": open_3dpw,
    "panoptic": open_panoptic,
    "coco": open_coco,
    "crowdpose": open_crowdpose,
}


def open_dataset(name: str, root: Path, **options: str) -> list[TruthSequence]:
    """The sequences of a data set; DatasetError for an unknown name, and as of its reader.

    name: one of DATASETS; root: its folder; options: what its reader understands.
    """
    if name not in DATASETS:
        raise DatasetError(f"unknown data set '{name}'; there are {', '.join(DATASETS)}")
    if not root.is_dir():
        raise DatasetError(f"{root} is no folder")
    return DATASETS[name](root, **options)
