"""Networks by torch itself, from a program that `training.export.export_program` saved (extra `train`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from dualpose_ros.arrays import AnyArray
from dualpose_ros.inference.engine import Arrays, EngineError, TensorSpec, check_inputs, require_file

NAMES_FILE = "dualpose_names.json"
"""Member of a .pt2 file with what torch does not keep: names of inputs and outputs, dtypes, dynamic axes."""


class TorchEngine:
    """An exported program (.pt2), on the GPU where torch finds one and on the CPU otherwise.

    A path that ends in .onnx stands for the .pt2 beside it. The number of threads is torch's, for the
    whole process.
    """

    def __init__(self, path: Path, threads: int) -> None:
        path = path.with_suffix(".pt2")
        if not path.is_file():
            raise EngineError(
                f"{path} is not there; the torch backend runs .pt2 programs: `dualpose export` makes them"
            )
        require_file(path)
        torch.set_num_threads(threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        extra = {NAMES_FILE: ""}
        try:
            program = torch.export.load(path, extra_files=extra)
            names = json.loads(extra[NAMES_FILE])
        except Exception as error:  # zipfile, JSON, pickle and torch errors: all mean the same to the user
            raise EngineError(f"torch can't load {path}: {type(error).__name__}: {error}") from error
        self.inputs = {
            name: TensorSpec(name, np.dtype(kind["dtype"]), tuple(kind["shape"]))
            for name, kind in names["inputs"].items()
        }
        self.outputs = tuple(names["outputs"])
        self._module = program.module().to(self._device)

    def run(self, inputs: Mapping[str, AnyArray]) -> Arrays:
        checked = check_inputs(self.inputs, inputs)
        tensors = [torch.from_numpy(value).to(self._device) for value in checked.values()]
        try:
            with torch.inference_mode():
                result = self._module(*tensors)
        except (RuntimeError, AssertionError) as error:
            raise EngineError(f"torch failed: {error}") from error
        values = result if isinstance(result, (tuple, list)) else (result,)
        return {name: value.cpu().numpy() for name, value in zip(self.outputs, values, strict=True)}
