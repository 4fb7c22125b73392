"""Choosing what runs a network: one file a backend, none imported before it is asked for.

So only onnxruntime has to be installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dualpose_ros.inference.cpu import computes_int8_fast, usable_cores, usual_threads
from dualpose_ros.inference.engine import Engine, EngineError
from dualpose_ros.settings import Settings, setting
from dualpose_ros.weights import network_file

BACKENDS = ("onnxruntime", "openvino", "torch", "tensorrt")
PRECISIONS = ("auto", "fp32", "int8")
_EXTRAS = {
    "onnxruntime": "onnxruntime",
    "openvino": "'dualpose_ros[openvino]'",
    "torch": "'dualpose_ros[train]'",
    "tensorrt": "'dualpose_ros[tensorrt]'",
}


@dataclass(frozen=True)
class EngineConfig(Settings):
    """What runs the networks of a stage."""

    backend: str = setting("onnxruntime", "inference library that runs the networks", choices=BACKENDS)
    precision: str = setting(
        "auto", "fp32, or int8 for networks that have such a form; auto: int8 where the CPU is fast at it",
        choices=PRECISIONS,
    )  # fmt: skip
    threads: int = setting(
        0, "CPU threads of each network; 0: a quarter of the cores, 1 at the least and 4 at the most", least=0, most=256
    )

    def network(self, name: str) -> Engine:
        """A shipped network by name, in the form that suits, or an ONNX file; WeightsError, or as of `load_engine`."""
        wants = self.precision == "int8" or (self.precision == "auto" and computes_int8_fast())
        return self.load(network_file(name, wants and self.backend == "onnxruntime"))

    def load(self, path: Path | str) -> Engine:
        """The network of a file; errors are those of `load_engine`."""
        return load_engine(path, self.backend, self.cpu_threads)

    @property
    def cpu_threads(self) -> int:
        """How many threads a network has."""
        return self.threads or usual_threads(usable_cores())


def load_engine(path: Path | str, backend: str = "onnxruntime", threads: int = 1) -> Engine:
    """A network file behind one of `BACKENDS`.

    Args:
        path: ONNX, or what the backend takes.
        backend: its name.
        threads: CPU threads that a run may use.

    Raises:
        EngineError: where the backend is unknown or not installed, or the file can't be read; it says what to do.
    """
    path = Path(path)
    if backend not in BACKENDS:
        raise EngineError(f"unknown backend '{backend}'; there are {', '.join(BACKENDS)}")
    if threads < 1:
        raise EngineError(f"an engine needs at least one thread, not {threads}")
    try:
        return _load(path, backend, threads)
    except ImportError as error:
        raise EngineError(
            f"backend '{backend}' can't be imported ({error}); install it: pip install {_EXTRAS[backend]}"
        ) from error


def _load(path: Path, backend: str, threads: int) -> Engine:
    if backend == "onnxruntime":
        from dualpose_ros.inference.onnxruntime_engine import OnnxRuntimeEngine

        return OnnxRuntimeEngine(path, threads)
    if backend == "openvino":
        from dualpose_ros.inference.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(path, threads)
    if backend == "torch":
        from dualpose_ros.inference.torch_engine import TorchEngine

        return TorchEngine(path, threads)
    from dualpose_ros.inference.tensorrt_engine import TensorRtEngine

    return TensorRtEngine(path)
