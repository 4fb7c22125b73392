"""Networks on the CPU by OpenVINO (extra `openvino`)."""

from __future__ import annotations

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


class OpenVinoEngine:
    """An ONNX file compiled by OpenVINO for the CPU, for low latency; 8-bit files compute in 8 bits.

    bf16 and fp16 are for networks over images: others, whose coordinates need more, stay in fp32.

    OpenVINO knows that an axis is dynamic, but not that it has to be a multiple: such a size is refused
    here only if the network itself fails on it.
    """

    def __init__(self, path: Path, threads: int, precision: str = "fp32") -> None:
        require_file(path)
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            # Weights that are stored in 8 bits would otherwise have their inputs rounded to 8 bits too.
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
        }
        try:
            model = openvino.Core().read_model(path)
            self.inputs = {p.get_any_name(): _spec(p) for p in model.inputs}
            self.outputs = tuple(p.get_any_name() for p in model.outputs)
            images = any(spec.dtype == np.uint8 for spec in self.inputs.values())
            settings["INFERENCE_PRECISION_HINT"] = _HINTS[precision] if images else "f32"
            self.metadata = onnx_metadata(path)
            self._request = openvino.compile_model(model, "CPU", settings).create_infer_request()
        except RuntimeError as error:
            raise EngineError(f"OpenVINO can't load {path}: {_last_line(error)}") from error

    def run(self, inputs: Mapping[str, AnyArray]) -> Arrays:
        checked = check_inputs(self.inputs, inputs)
        try:
            # share_outputs=False: the next run must not overwrite what this one returned.
            results = self._request.infer(checked, share_inputs=True, share_outputs=False)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed: {_last_line(error)}") from error
        return {name: np.asarray(value) for name, value in zip(self.outputs, results.values(), strict=True)}


def _spec(port: Any) -> TensorSpec:
    shape = tuple("" if size.is_dynamic else int(size.get_length()) for size in port.get_partial_shape())
    return TensorSpec(port.get_any_name(), np.dtype(port.get_element_type().to_dtype()), shape)


def _last_line(error: Exception) -> str:
    # OpenVINO puts the source file and line of each C++ frame before its message.
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
