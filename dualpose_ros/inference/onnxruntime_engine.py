"""Networks on the CPU by ONNX Runtime: the default backend."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime

from dualpose_ros.arrays import AnyArray
from dualpose_ros.inference.engine import Arrays, EngineError, TensorSpec, check_inputs, require_file

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


def tensor_spec(name: str, type_name: str, shape: list[int | str | None]) -> TensorSpec:
    """Spec of an input as ONNX Runtime describes it; EngineError for types that are no arrays here."""
    if type_name not in _DTYPES:
        raise EngineError(f"input '{name}' has type {type_name}, which is not supported")
    return TensorSpec(name, np.dtype(_DTYPES[type_name]), tuple("" if size is None else size for size in shape))


class OnnxRuntimeEngine:
    """An ONNX file in an ONNX Runtime session on the CPU."""

    def __init__(self, path: Path, threads: int) -> None:
        require_file(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Waiting threads would otherwise burn the cores that the other nodes need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has no common base class for its errors
            raise EngineError(f"ONNX Runtime can't load {path}: {_first_line(error)}") from error
        self.inputs = {i.name: tensor_spec(i.name, i.type, i.shape) for i in self._session.get_inputs()}
        self.outputs = tuple(o.name for o in self._session.get_outputs())
        self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)

    def run(self, inputs: Mapping[str, AnyArray]) -> Arrays:
        checked = check_inputs(self.inputs, inputs)
        try:
            values = self._session.run(None, checked)
        except Exception as error:
            raise EngineError(f"ONNX Runtime failed: {_first_line(error)}") from error
        return {name: np.asarray(value) for name, value in zip(self.outputs, values, strict=True)}


def onnx_metadata(path: Path) -> dict[str, str]:
    """What an ONNX file says of itself, for engines whose library does not pass it on."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return dict(session.get_modelmeta().custom_metadata_map)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
