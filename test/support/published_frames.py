"""Frames of published data sets, all sequences one after the other."""

from pathlib import Path
from typing import Any

from dualpose_ros.datasets.published.catalogue import open_dataset
from dualpose_ros.datasets.published.truth import TruthFrame


def frames_of(name: str, root: Path, **options: Any) -> list[TruthFrame]:
    return [frame for sequence in open_dataset(name, root, **options) for frame in sequence.frames()]
