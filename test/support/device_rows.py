"""Labelled images as the rows from which the device that trains makes batches."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from dualpose_ros.lab.training.on_device.store import Rows, join


def on_device(rows: Iterable[Rows]) -> dict[str, Tensor]:
    """Rows end to end, as a store draws them."""
    return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in join(rows).items()}
