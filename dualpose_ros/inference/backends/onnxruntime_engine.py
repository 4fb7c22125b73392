"""Networks by ONNX Runtime: on the CPU, and on an NVIDIA GPU where onnxruntime-gpu is installed."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from dualpose_ros.arrays import AnyArray
from dualpose_ros.inference.engine import Arrays, EngineError, TensorSpec, check_inputs, gpu_precision, require_file

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


# TF32 is another network than the one that was measured; engines of TensorRT take minutes to build.
_OPTIONS: dict[str, dict[str, Any]] = {
    "CUDAExecutionProvider": {"use_tf32": 0},
    "TensorrtExecutionProvider": {"trt_engine_cache_enable": True, "trt_timing_cache_enable": True},
}
_PROVIDERS = {
    "onnxruntime": "CPUExecutionProvider",
    "onnxruntime_cuda": "CUDAExecutionProvider",
    "onnxruntime_tensorrt": "TensorrtExecutionProvider",
}


class OnnxRuntimeEngine:
    """An ONNX file in an ONNX Runtime session, on the CPU or with the provider that the backend is named after.

    On a GPU in fp16 by converting the graph (package onnx). EngineError where the provider is not there or not used.
    """

    def __init__(self, path: Path, threads: int, backend: str = "onnxruntime", precision: str = "fp32") -> None:
        require_file(path)
        provider = _PROVIDERS[backend]
        if provider not in onnxruntime.get_available_providers():
            raise EngineError(f"this onnxruntime has no {provider}; install onnxruntime-gpu in its place")
        if provider == "CPUExecutionProvider" and precision in ("fp16", "bf16"):
            raise EngineError(f"onnxruntime on a CPU computes in fp32 or int8, not in {precision}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Waiting threads would otherwise burn the cores that the other nodes need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = self._open(str(path), options, provider)
            if provider != "CPUExecutionProvider" and self._gpu_precision(precision) == "fp16":
                from dualpose_ros.inference.graphs import in_fp16

                self._session = self._open(in_fp16(path).SerializeToString(), options, provider)
        except (EngineError, ImportError):
            raise
        except Exception as error:  # ONNX Runtime has no common base class for its errors
            raise EngineError(f"ONNX Runtime can't load {path}: {_first_line(error)}") from error
        self.inputs = {i.name: tensor_spec(i.name, i.type, i.shape) for i in self._session.get_inputs()}
        self.outputs = tuple(o.name for o in self._session.get_outputs())
        self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)

    def _open(self, model: str | bytes, options: Any, provider: str) -> Any:
        providers: list[Any] = [(provider, _OPTIONS.get(provider, {}))]
        if provider != "CPUExecutionProvider":
            providers.append("CPUExecutionProvider")
        # Its own way to fall back prints to stdout, and tries what failed once more.
        session = onnxruntime.InferenceSession(model, options, providers=providers, enable_fallback=0)
        if session.get_providers()[0] != provider:
            raise EngineError(f"ONNX Runtime does without {provider}: CUDA or cuDNN is missing or of another version")
        return session

    def _gpu_precision(self, precision: str) -> str:
        return gpu_precision(
            precision, {i.name: tensor_spec(i.name, i.type, i.shape) for i in self._session.get_inputs()}
        )

    def run(self, inputs: Mapping[str, AnyArray]) -> Arrays:
        checked = check_inputs(self.inputs, inputs)
        try:
            values = self._session.run(None, checked)
        except Exception as error:
            raise EngineError(f"ONNX Runtime failed: {_first_line(error)}") from error
        return {name: np.asarray(value) for name, value in zip(self.outputs, values, strict=True)}


def onnx_metadata(path: Path) -> dict[str, str]:
    """What an ONNX file says of itself, for engines whose library does not pass it on."""
    return dict(_as_written(path, path.stat().st_mtime_ns)[1])


def takes_images(path: Path) -> bool:
    """Whether an ONNX file's network is over images of bytes; EngineError where it can't be read."""
    require_file(path)
    try:
        return "tensor(uint8)" in _as_written(path, path.stat().st_mtime_ns)[0]
    except Exception as error:
        raise EngineError(f"ONNX Runtime can't load {path}: {_first_line(error)}") from error


@lru_cache(maxsize=8)
def _as_written(path: Path, changed_ns: int) -> tuple[tuple[str, ...], dict[str, str]]:
    """Types of inputs and metadata of a file as it was at a time: to open one takes a tenth of a second, and a node
    that starts asks for both."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return tuple(one.type for one in session.get_inputs()), dict(session.get_modelmeta().custom_metadata_map)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
