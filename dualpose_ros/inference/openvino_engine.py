"""Networks on the CPU by OpenVINO (extra `openvino`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from dualpose_ros.arrays import AnyArray
from dualpose_ros.inference.engine import Arrays, EngineError, TensorSpec, check_inputs, require_file
from dualpose_ros.inference.onnxruntime_engine import onnx_metadata

# On CPUs with AMX the default is bf16, which is another network than the one that was measured.
_HINTS = {"auto": "f32", "fp32": "f32", "fp16": "f16", "bf16": "bf16", "int8": "f32"}


_BATCHES = (4, 2, 1)
"""Images that are computed at once; more go in parts. Larger batches leave the caches and take longer an image."""

_MOST_PLANS = 8
"""Shapes that have a plan of their own; others go through the one for all, which takes a tenth to a half longer."""


class OpenVinoEngine:
    """An ONNX file compiled by OpenVINO for the CPU, for low latency; 8-bit files compute in 8 bits.

    bf16 and fp16 are for networks over images: others, whose coordinates need more, stay in fp32. A shape of images
    that comes a second time gets a plan of its own.

    OpenVINO knows that an axis is dynamic, but not that it has to be a multiple: such a size is refused
    here only if the network itself fails on it.
    """

    def __init__(self, path: Path, threads: int, precision: str = "fp32") -> None:
        require_file(path)
        self._settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            # Weights that are stored in 8 bits would otherwise have their inputs rounded to 8 bits too.
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
        }
        self._seen: Counter[tuple[tuple[int, ...], ...]] = Counter()
        self._plans: dict[tuple[tuple[int, ...], ...], Any] = {}
        try:
            self._model = openvino.Core().read_model(path)
            self.inputs = {p.get_any_name(): _spec(p) for p in self._model.inputs}
            self.outputs = tuple(p.get_any_name() for p in self._model.outputs)
            self._images = any(spec.dtype == np.uint8 for spec in self.inputs.values())
            self._settings["INFERENCE_PRECISION_HINT"] = _HINTS[precision] if self._images else "f32"
            self.metadata = onnx_metadata(path)
            self._any_shape = self._compiled(self._model)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO can't load {path}: {_last_line(error)}") from error

    def _compiled(self, model: Any) -> Any:
        return openvino.compile_model(model, "CPU", self._settings).create_infer_request()

    def run(self, inputs: Mapping[str, AnyArray]) -> Arrays:
        checked = check_inputs(self.inputs, inputs)
        rows = len(next(iter(checked.values())))
        if not self._images or rows in _BATCHES or any(isinstance(spec.shape[0], int) for spec in self.inputs.values()):
            return self._infer(checked)
        parts, at = [], 0
        while at < rows:
            size = next(size for size in _BATCHES if size <= rows - at)
            parts.append(self._infer({name: value[at : at + size] for name, value in checked.items()}))
            at += size
        return {name: np.concatenate([part[name] for part in parts]) for name in self.outputs}

    def _infer(self, inputs: Arrays) -> Arrays:
        try:
            # share_outputs=False: the next run must not overwrite what this one returned.
            results = self._request(inputs).infer(inputs, share_inputs=True, share_outputs=False)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed: {_last_line(error)}") from error
        return {name: np.asarray(value) for name, value in zip(self.outputs, results.values(), strict=True)}

    def _request(self, inputs: Arrays) -> Any:
        """What computes inputs of these shapes: where shapes take turns, one plan would be made anew at each turn."""
        shapes = tuple(value.shape for value in inputs.values())
        if not self._images or shapes in self._plans or len(self._plans) == _MOST_PLANS:
            return self._plans.get(shapes, self._any_shape)
        self._seen[shapes] += 1
        if self._seen[shapes] == 1:
            return self._any_shape
        model = self._model.clone()
        model.reshape({name: list(value.shape) for name, value in inputs.items()})
        self._plans[shapes] = self._compiled(model)
        return self._plans[shapes]


def _spec(port: Any) -> TensorSpec:
    shape = tuple("" if size.is_dynamic else int(size.get_length()) for size in port.get_partial_shape())
    return TensorSpec(port.get_any_name(), np.dtype(port.get_element_type().to_dtype()), shape)


def _last_line(error: Exception) -> str:
    # OpenVINO puts the source file and line of each C++ frame before its message.
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
