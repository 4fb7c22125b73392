"""Choosing what runs a network, and importing that back end alone.

So only ONNX Runtime has to be installed.
"""

import importlib
import importlib.metadata
import importlib.util
import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dualpose_ros.inference.cpu import (
    computes_bf16,
    computes_bf16_fast,
    computes_int8_fast,
    usable_cores,
    usual_threads,
)
from dualpose_ros.inference.cuda import Gpu, find_gpu
from dualpose_ros.inference.engine import Engine, EngineError
from dualpose_ros.settings import Settings, setting
from dualpose_ros.weights import network_file

_LOGGER = logging.getLogger(__name__)

BACKENDS = ("onnxruntime", "onnxruntime_cuda", "onnxruntime_tensorrt", "openvino", "torch", "tensorrt")
AUTO = "auto"
PRECISIONS = (AUTO, "fp32", "fp16", "bf16", "int8")
_ON_CPU = ("onnxruntime", "openvino")
SHIPPED = ("detector", "top_down", "gcn", "lifting", "bottom_up", "fusion")
"""Networks of the graph as it comes."""
_EXTRAS = {
    "onnxruntime": "onnxruntime",
    "onnxruntime_cuda": "onnxruntime-gpu",
    "onnxruntime_tensorrt": "onnxruntime-gpu",
    "openvino": "openvino",
    "torch": "'dualpose_ros[train]'",
    "tensorrt": "'dualpose_ros[tensorrt]'",
}


@dataclass(frozen=True)
class EngineConfig(Settings):
    """What runs the networks of a stage."""

    backend: str = setting(
        AUTO, "what runs the networks; auto: the best that is installed for an NVIDIA GPU, or for the CPU without one",
        choices=(AUTO, *BACKENDS),
    )  # fmt: skip
    precision: str = setting(
        AUTO, "what they compute in; auto: int8 or bf16 where that is fast and costs nothing, fp16 on GPUs, else fp32",
        choices=PRECISIONS,
    )  # fmt: skip
    threads: int = setting(
        0, "CPU threads of each network; 0: a quarter of the cores, 1 at the least and 4 at the most", least=0, most=256
    )

    def network(self, name: str) -> Engine:
        """A shipped network by name, in the form that suits, or an ONNX file; WeightsError, or as of `load_engine`."""
        wants = self.precision == "int8" or (self.precision == AUTO and self._prefers_int8())
        return self._load(network_file(name), network_file(name, wants))

    def _prefers_int8(self) -> bool:
        """Where bf16 is fast too, it takes no longer, and is as exact as fp32 (docs/engines.md)."""
        by_bf16 = self.backend == AUTO and computes_bf16_fast() and _is_installed("openvino")
        return computes_int8_fast() and not by_bf16

    def load(self, path: Path | str) -> Engine:
        """The network of a file; errors are those of `load_engine`."""
        return self._load(Path(path), Path(path))

    def _load(self, path: Path, small: Path) -> Engine:
        """A network of a file, or of `small` on a CPU; on the CPU too where what `auto` chose fails."""
        backend, precision = (choose_backend() if self.backend == AUTO else self.backend), self.precision
        if self.backend == AUTO and (precision == "int8" or backend in _ON_CPU):
            return self._load_on_cpu(small)
        if precision == "int8" and backend not in _ON_CPU:
            raise EngineError(f"backend '{backend}' does not compute in int8; {' and '.join(_ON_CPU)} do")
        if backend in _ON_CPU:
            return load_engine(small, backend, self.cpu_threads, "fp32" if precision in (AUTO, "int8") else precision)
        try:
            return load_engine(path, backend, self.cpu_threads, precision)
        except EngineError as error:
            if self.backend != AUTO:
                raise
            _LOGGER.warning("%s runs on the CPU: %s", path.name, error)
            return self._load_on_cpu(small)

    def _load_on_cpu(self, path: Path) -> Engine:
        """A network over images by OpenVINO, in bf16 or what of it is not in 8 bits, where that is the fastest; else
        by ONNX Runtime."""
        from dualpose_ros.inference.backends.onnxruntime_engine import takes_images

        wants = self.precision in (AUTO, "bf16", "int8") and best_backend(None)[0] == "openvino"
        if wants and takes_images(path):
            try:
                return load_engine(path, "openvino", self.cpu_threads, "int8" if self.precision == "int8" else "bf16")
            except EngineError as error:
                _LOGGER.warning("%s runs by onnxruntime: %s", path.name, error)
        precision = "fp32" if self.precision in (AUTO, "int8") else self.precision
        return load_engine(path, "onnxruntime", self.cpu_threads, precision)

    @property
    def cpu_threads(self) -> int:
        """How many threads a network has."""
        return self.threads or usual_threads(usable_cores())


def prepare() -> None:
    """Import what will run networks here, and read what the shipped ones' files say of themselves; without a thread."""
    from dualpose_ros.inference.backends.onnxruntime_engine import takes_images

    if best_backend(None)[0] == "openvino":
        importlib.import_module("dualpose_ros.inference.backends.openvino_engine")
    wants = EngineConfig()._prefers_int8()
    for name in SHIPPED:
        takes_images(network_file(name, wants))


@lru_cache(maxsize=1)
def choose_backend() -> str:
    """The best backend that is there, said in the log with why, once a process."""
    backend, reason = best_backend(find_gpu())
    level = logging.INFO if backend in _ON_CPU and "no NVIDIA" in reason else logging.WARNING
    _LOGGER.log(level, "networks are run by %s: %s", backend, reason)
    return backend


def best_backend(gpu: Gpu | None) -> tuple[str, str]:
    """The backend to take, and why: TensorRT, ONNX Runtime's CUDA or torch on a GPU, the first that is installed;
    OpenVINO on a CPU that has AMX, or VNNI and products of bf16, since ONNX Runtime computes no bf16 there."""
    if gpu is None:
        reason = "there is no NVIDIA GPU with a driver"
        if computes_bf16_fast() and _is_installed("openvino"):
            return "openvino", f"{reason}, and the CPU computes bf16 fast"
        if computes_int8_fast() and computes_bf16() and _is_installed("openvino"):
            return "openvino", f"{reason}, and the CPU computes 8 bits fast, and bf16"
        return "onnxruntime", reason
    if _is_installed("tensorrt") and _is_installed("cuda.bindings"):
        return "tensorrt", f"{gpu.name} and TensorRT are there"
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        return "onnxruntime_cuda", f"{gpu.name} and onnxruntime-gpu are there, TensorRT is not"
    if _is_installed("torch") and not importlib.metadata.version("torch").endswith("+cpu"):
        return "torch", f"{gpu.name} and torch are there, neither TensorRT nor onnxruntime-gpu is"
    return "onnxruntime", f"{gpu.name} is there, but none of {_EXTRAS['tensorrt']}, onnxruntime-gpu and torch with CUDA"


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def load_engine(path: Path | str, backend: str = "onnxruntime", threads: int = 1, precision: str = "fp32") -> Engine:
    """A network file behind one of `BACKENDS`.

    path: ONNX; backend: its name; threads: CPU threads that a run may use; precision: one of `PRECISIONS`: of an 8-bit
    file too it is what is left of it in floating point.
    EngineError where the backend is unknown or not installed or lacks that precision, or the file can't be read; it
    says what to do.
    """
    path = Path(path)
    if backend not in BACKENDS:
        raise EngineError(f"unknown backend '{backend}'; there are {', '.join(BACKENDS)}")
    if threads < 1:
        raise EngineError(f"an engine needs at least one thread, not {threads}")
    try:
        return _load(path, backend, threads, precision)
    except ImportError as error:
        raise EngineError(
            f"backend '{backend}' can't be imported ({error}); install it: pip install {_EXTRAS[backend]}"
        ) from error


def _load(path: Path, backend: str, threads: int, precision: str) -> Engine:
    if backend.startswith("onnxruntime"):
        from dualpose_ros.inference.backends.onnxruntime_engine import OnnxRuntimeEngine

        return OnnxRuntimeEngine(path, threads, backend, precision)
    if backend == "openvino":
        from dualpose_ros.inference.backends.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(path, threads, precision)
    if backend == "torch":
        from dualpose_ros.inference.backends.torch_engine import TorchEngine

        return TorchEngine(path, threads, precision)
    from dualpose_ros.inference.backends.tensorrt_engine import TensorRtEngine

    return TensorRtEngine(path, threads, precision)
