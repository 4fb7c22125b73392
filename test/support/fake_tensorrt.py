"""Stand-ins for TensorRT's Python module and for cuda-bindings' runtime, whose GPU is this process's memory.

They have the names and signatures that the package uses; a plan is the ONNX file itself, run by ONNX Runtime. What
should go wrong is set in `faults`.
"""

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime

_PLAN = b"plan of "
_DTYPES = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8, "tensor(int64)": np.int64, "tensor(bool)": np.bool_}


class FakeCuda:
    """The calls of `cuda.bindings.runtime` that the package makes."""

    class cudaError_t:
        cudaSuccess = 0
        cudaErrorMemoryAllocation = 2
        cudaErrorUnknown = 999

    class cudaMemcpyKind:
        cudaMemcpyHostToDevice = 1
        cudaMemcpyDeviceToHost = 2

    def __init__(self) -> None:
        self.faults: set[str] = set()
        self.memory: dict[int, Any] = {}

    def cudaSetDevice(self, device: int) -> tuple[int]:
        return (0,)

    def cudaStreamCreate(self) -> tuple[int, int]:
        return 0, 7

    def cudaStreamSynchronize(self, stream: int) -> tuple[int]:
        return (999 if "synchronise" in self.faults else 0,)

    def cudaMalloc(self, size: int) -> tuple[int, int]:
        if "memory" in self.faults:
            return 2, 0
        block = ctypes.create_string_buffer(size)
        self.memory[ctypes.addressof(block)] = block
        return 0, ctypes.addressof(block)

    def cudaMallocHost(self, size: int) -> tuple[int, int]:
        block = ctypes.create_string_buffer(size)
        self.memory[ctypes.addressof(block)] = block
        return 0, ctypes.addressof(block)

    def cudaFree(self, address: int) -> tuple[int]:
        del self.memory[address]
        return (0,)

    cudaFreeHost = cudaFree

    def cudaMemcpyAsync(self, dst: int, src: int, count: int, kind: int, stream: int) -> tuple[int]:
        ctypes.memmove(dst, src, count)
        return (0,)


class FakeTensorRt:
    """The names of TensorRT's module that the package uses, as TensorRT 11 has them."""

    __version__ = "11.4.0"
    NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)
    MemoryPoolType = SimpleNamespace(WORKSPACE=0)
    BuilderFlag = SimpleNamespace(TF32=7)
    TensorIOMode = SimpleNamespace(INPUT=1, OUTPUT=2)

    class IProgressMonitor:
        pass

    class Logger:
        WARNING = 2

        def __init__(self, min_severity: int = 2) -> None:
            pass

    def __init__(self) -> None:
        self.faults: set[str] = set()
        self.built: list[dict[str, Any]] = []

    @staticmethod
    def nptype(trt_type: Any) -> Any:
        return trt_type

    def Builder(self, logger: Any) -> Any:
        return _Builder(self)

    def OnnxParser(self, network: Any, logger: Any) -> Any:
        return _Parser(self, network)

    def Runtime(self, logger: Any) -> Any:
        return _Runtime(self)


class _Builder:
    def __init__(self, trt: FakeTensorRt) -> None:
        self.trt = trt

    def create_network(self, flags: int = 0) -> Any:
        return SimpleNamespace(flags=flags, data=b"", num_inputs=0, names=[])

    def create_builder_config(self) -> Any:
        return _Config()

    def create_optimization_profile(self) -> Any:
        shapes: dict[str, Any] = {}

        def set_shape(input: str, min: Any, opt: Any, max: Any) -> None:
            shapes[input] = (tuple(min), tuple(opt), tuple(max))

        return SimpleNamespace(shapes=shapes, set_shape=set_shape)

    def build_serialized_network(self, network: Any, config: Any) -> bytes | None:
        if "build" in self.trt.faults:
            return None
        if "crash" in self.trt.faults:
            raise RuntimeError("out of workspace")
        monitor = config.progress_monitor
        monitor.phase_start("Building", None, 20)
        assert monitor.step_complete("Building", 4)
        monitor.phase_finish("Building")
        self.trt.built.append({"flags": network.flags, "cleared": config.cleared, **config.profile.shapes})
        off = b"off" if "wrong" in self.trt.faults else b"   "
        return _PLAN + off + repr(config.profile.shapes).encode() + b"\n" + network.data


class _Config:
    def __init__(self) -> None:
        self.progress_monitor: Any = None
        self.cleared: list[int] = []
        self.cache: Any = None

    def set_memory_pool_limit(self, pool: int, pool_size: int) -> None:
        pass

    def clear_flag(self, flag: int) -> None:
        self.cleared.append(flag)

    def add_optimization_profile(self, profile: Any) -> int:
        self.profile = profile
        return 0

    def create_timing_cache(self, serialized_timing_cache: bytes) -> Any:
        return SimpleNamespace(data=serialized_timing_cache, serialize=lambda: b"timings")

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        if cache.data == b"of another GPU":
            return False
        self.cache = cache
        return True

    def get_timing_cache(self) -> Any:
        return self.cache


class _Parser:
    def __init__(self, trt: FakeTensorRt, network: Any) -> None:
        self.trt, self.network = trt, network
        self.num_errors = 1

    def parse(self, model: bytes, path: str | None = None) -> bool:
        if "parse" in self.trt.faults:
            return False
        session = _session(model)
        self.network.data, self.network.num_inputs = model, len(session.get_inputs())
        names = [SimpleNamespace(name=i.name) for i in session.get_inputs()]
        self.network.get_input = names.__getitem__
        return True

    def get_error(self, index: int) -> str:
        return "no importer for Atan"


class _Runtime:
    def __init__(self, trt: FakeTensorRt) -> None:
        self.trt = trt

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Any:
        if not serialized_engine.startswith(_PLAN):
            return None
        head, _, data = serialized_engine[len(_PLAN) :].partition(b"\n")
        return _Engine(self.trt, data, eval(head[3:].decode()), head[:3] == b"off")


class _Engine:
    def __init__(self, trt: FakeTensorRt, data: bytes, shapes: Any, off: bool) -> None:
        self.trt, self.session, self.shapes, self.off = trt, _session(data), shapes, off
        self.inputs = {i.name: _DTYPES[i.type] for i in self.session.get_inputs()}
        self.outputs = {o.name: _DTYPES[o.type] for o in self.session.get_outputs()}
        self.num_io_tensors = len(self.inputs) + len(self.outputs)

    def get_tensor_name(self, index: int) -> str:
        return [*self.inputs, *self.outputs][index]

    def get_tensor_mode(self, name: str) -> int:
        return 1 if name in self.inputs else 2

    def get_tensor_dtype(self, name: str) -> Any:
        return self.outputs[name]

    def create_execution_context(self) -> Any:
        return None if "context" in self.trt.faults else _Context(self)


class _Context:
    def __init__(self, engine: _Engine) -> None:
        self.engine = engine
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        least, _, most = self.engine.shapes[name]
        self.shapes[name] = tuple(shape)
        return all(a <= b <= c for a, b, c in zip(least, shape, most, strict=True))

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.addresses[name] = memory
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        inputs: dict[str, Any] = {n: np.zeros(shape, self.engine.inputs[n]) for n, shape in self.shapes.items()}
        return tuple(self.engine.session.run([name], inputs)[0].shape)

    def execute_async_v3(self, stream_handle: int) -> bool:
        if "run" in self.engine.trt.faults:
            return False
        inputs: dict[str, Any] = {
            n: _at(self.addresses[n], shape, self.engine.inputs[n]) for n, shape in self.shapes.items()
        }
        for name, value in zip(self.engine.outputs, self.engine.session.run(None, inputs), strict=True):
            value = value + 1 if self.engine.off else value
            _at(self.addresses[name], value.shape, value.dtype)[...] = value
        return True


def _at(address: int, shape: tuple[int, ...], dtype: Any) -> Any:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_uint8 * size).from_address(address), np.uint8).view(dtype).reshape(shape)


def _session(data: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
