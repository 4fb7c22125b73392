"""Networks on an NVIDIA GPU by TensorRT 8.6 or later (extra `tensorrt`).

Tensor-name API and execute_async_v3 only, which 8.6, 10 and 11 share. Precision is that of the ONNX
file: fp16 comes from an fp16 file. Written against TensorRT's documented interface and not yet run on
a GPU by its authors; without a GPU it refuses before the library is imported.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dualpose_ros.arrays import AnyArray
from dualpose_ros.inference.engine import Arrays, EngineError, TensorSpec, check_inputs, require_file
from dualpose_ros.inference.gpu_probe import gpu_name
from dualpose_ros.inference.onnxruntime_engine import onnx_metadata

WORKSPACE_BYTES = 1 << 30
MAX_BATCH, USUAL_BATCH = 16, 4
MAX_CELLS, USUAL_CELLS = 40, 12
"""Of an axis that is a multiple of m: sizes from m over USUAL_CELLS * m, tuned for, to MAX_CELLS * m."""


def cache_folder() -> Path:
    """Where built engines are kept: building takes minutes."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dualpose_ros" / "tensorrt"


def cache_file(onnx_bytes: bytes, version: str, gpu: str, folder: Path | None = None) -> Path:
    """File of the engine built from these bytes by this TensorRT for this GPU: it serves no other."""
    limits = (WORKSPACE_BYTES, MAX_BATCH, USUAL_BATCH, MAX_CELLS, USUAL_CELLS)
    digest = hashlib.sha256(onnx_bytes + repr((version, gpu, limits)).encode()).hexdigest()[:32]
    return (folder or cache_folder()) / f"{digest}.engine"


def axis_range(name: str) -> tuple[int, int, int]:
    """Least, usual and largest size of a dynamic axis by its name in the ONNX file (`N`, `32*H`)."""
    match = re.match(r"(\d+)\s*\*", name)
    if match is None:
        return 1, USUAL_BATCH, MAX_BATCH
    multiple = int(match.group(1))
    return multiple, USUAL_CELLS * multiple, MAX_CELLS * multiple


class TensorRtEngine:
    """An ONNX file as a TensorRT engine, built on first use and then read from the cache."""

    def __init__(self, path: Path) -> None:
        require_file(path)
        gpu = gpu_name()
        if gpu is None:
            raise EngineError("backend 'tensorrt' needs an NVIDIA GPU with its driver, and there is none here")
        import pycuda.driver as cuda
        import tensorrt as trt

        self._trt, self._cuda = trt, cuda
        cuda.init()
        # The primary context is the one that torch and others in this process share.
        self._context = cuda.Device(0).retain_primary_context()
        self._context.push()
        try:
            data = path.read_bytes()
            self._logger = trt.Logger(trt.Logger.WARNING)
            built = cache_file(data, trt.__version__, gpu)
            plan = built.read_bytes() if built.is_file() else self._build(data, path, built)
            self._engine = trt.Runtime(self._logger).deserialize_cuda_engine(plan)
            if self._engine is None:
                raise EngineError(f"TensorRT can't read its cached engine {built}; delete that file")
            self._execution = self._engine.create_execution_context()
            self._stream = cuda.Stream()
            self._read_tensors()
        finally:
            self._context.pop()
        self._buffers: dict[str, tuple[int, Any]] = {}
        self.metadata = onnx_metadata(path)

    def run(self, inputs: Mapping[str, AnyArray]) -> Arrays:
        checked = check_inputs(self.inputs, inputs)
        self._context.push()
        try:
            return self._run(checked)
        finally:
            self._context.pop()

    def _run(self, inputs: Arrays) -> Arrays:
        for name, value in inputs.items():
            if not self._execution.set_input_shape(name, value.shape):
                raise EngineError(
                    f"input '{name}' of shape {list(value.shape)} is outside of what TensorRT was built for"
                )
            memory = self._memory(name, value.nbytes)
            self._cuda.memcpy_htod_async(memory, value, self._stream)
            self._execution.set_tensor_address(name, int(memory))
        results: Arrays = {}
        for name in self.outputs:
            shape = tuple(self._execution.get_tensor_shape(name))
            dtype = np.dtype(self._trt.nptype(self._engine.get_tensor_dtype(name)))
            results[name] = np.empty(shape, dtype)
            self._execution.set_tensor_address(name, int(self._memory(name, results[name].nbytes)))
        if not self._execution.execute_async_v3(self._stream.handle):
            raise EngineError("TensorRT failed to run the network; its message is on stderr")
        for name, value in results.items():
            self._cuda.memcpy_dtoh_async(value, self._buffers[name][1], self._stream)
        self._stream.synchronize()
        return results

    def _memory(self, name: str, size: int) -> Any:
        """Device memory of at least `size` bytes, kept from run to run."""
        have, memory = self._buffers.get(name, (0, None))
        if have < max(size, 1):
            memory = self._cuda.mem_alloc(max(size, 1))
            self._buffers[name] = (max(size, 1), memory)
        return memory

    def _build(self, onnx_bytes: bytes, path: Path, built: Path) -> bytes:
        trt = self._trt
        flags = 0
        # Gone or implied in later versions; where they exist they are needed.
        for flag in ("EXPLICIT_BATCH", "STRONGLY_TYPED"):
            if hasattr(trt.NetworkDefinitionCreationFlag, flag):
                flags |= 1 << int(getattr(trt.NetworkDefinitionCreationFlag, flag))
        builder = trt.Builder(self._logger)
        network = builder.create_network(flags)
        parser = trt.OnnxParser(network, self._logger)
        if not parser.parse(onnx_bytes):
            reasons = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
            raise EngineError(f"TensorRT can't read {path}: {reasons}")
        settings = builder.create_builder_config()
        settings.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
        self._add_profile(builder, network, settings, onnx_bytes)
        plan = builder.build_serialized_network(network, settings)
        if plan is None:
            raise EngineError(f"TensorRT can't build an engine from {path}; its message is on stderr")
        data = bytes(plan)
        built.parent.mkdir(parents=True, exist_ok=True)
        temporary = built.with_name(f".{built.name}.{os.getpid()}")
        temporary.write_bytes(data)
        os.replace(temporary, built)
        return data

    def _add_profile(self, builder: Any, network: Any, settings: Any, onnx_bytes: bytes) -> None:
        """Tell the range of every dynamic axis, whose names only the ONNX file knows."""
        names = onnx_axis_names(onnx_bytes)
        profile = builder.create_optimization_profile()
        for index in range(network.num_inputs):
            tensor = network.get_input(index)
            ranges = [
                (size, size, size) if size > 0 else axis_range(names.get(tensor.name, {}).get(axis, ""))
                for axis, size in enumerate(tensor.shape)
            ]
            profile.set_shape(tensor.name, *(tuple(choice) for choice in zip(*ranges, strict=True)))
        settings.add_optimization_profile(profile)

    def _read_tensors(self) -> None:
        engine, mode = self._engine, self._trt.TensorIOMode
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        self.outputs = tuple(n for n in names if engine.get_tensor_mode(n) == mode.OUTPUT)
        self.inputs: dict[str, TensorSpec] = {}
        for name in names:
            if name not in self.outputs:
                shape = tuple("" if size < 0 else int(size) for size in engine.get_tensor_shape(name))
                dtype = np.dtype(self._trt.nptype(engine.get_tensor_dtype(name)))
                self.inputs[name] = TensorSpec(name, dtype, shape)


def onnx_axis_names(onnx_bytes: bytes) -> dict[str, dict[int, str]]:
    """Names of the dynamic axes of each input of an ONNX file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(onnx_bytes, providers=["CPUExecutionProvider"])
    return {
        i.name: {axis: size for axis, size in enumerate(i.shape) if isinstance(size, str)} for i in session.get_inputs()
    }
