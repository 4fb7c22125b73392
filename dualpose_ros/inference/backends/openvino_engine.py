"""Networks on the CPU by OpenVINO."""

import hashlib
import importlib
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from dualpose_ros.arrays import AnyArray
from dualpose_ros.inference.backends.onnxruntime_engine import onnx_metadata, takes_images
from dualpose_ros.inference.cache import cache_file, keep, kept
from dualpose_ros.inference.cpu import cpu_flags
from dualpose_ros.inference.engine import Arrays, EngineError, TensorSpec, check_inputs, require_file

_CONVERTER = "openvino.tools.ovc"
# Of a file that says where its weights are, in another file, the bytes do not tell what the network is.
_ELSEWHERE = b"location"

# On CPUs with products of bf16 that is the default, which is another network than the one that was measured.
_HINTS = {"auto": "f32", "fp32": "f32", "fp16": "f16", "bf16": "bf16", "int8": "f32"}


_BATCHES = (4, 2, 1)
"""Images that are computed at once; more go in parts. Larger batches leave the caches and take longer an image."""

Shapes = tuple[tuple[int, ...], ...]
"""Of each input."""

_MOST_PLANS = 8
"""Shapes that have a plan of their own; others go through the one for all, which takes a tenth to a half longer."""


def _import_openvino() -> ModuleType:
    """OpenVINO without its converter of models, which tells its makers over the network of every import, and takes
    longer to import than the rest."""
    if "openvino" in sys.modules or _CONVERTER in sys.modules:
        return importlib.import_module("openvino")
    sys.modules[_CONVERTER] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("openvino")
    finally:
        del sys.modules[_CONVERTER]


openvino: Any = _import_openvino()


@lru_cache(maxsize=1)
def _core() -> Any:
    """The process's only one, never let go: each installs a stack for signals, and when several end in another order
    than they began, what stays installed is freed memory, and the next signal kills the process."""
    return openvino.Core()


class OpenVinoEngine:
    """An ONNX file compiled by OpenVINO for the CPU, for low latency; 8-bit files compute in 8 bits.

    bf16 and fp16 are for networks over images: others, whose coordinates need more, stay in fp32. Each shape of images
    has a plan of its own, made at once for patches, else when it first comes: in bf16 the one for all shapes has other
    answers.

    OpenVINO knows that an axis is dynamic, but not that it has to be a multiple: such a size is refused
    here only if the network itself fails on it.
    """

    def __init__(self, path: Path, threads: int, precision: str = "fp32") -> None:
        require_file(path)
        self._settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            # Each process would bind its networks to the same first cores, and leave the others to none.
            "ENABLE_CPU_PINNING": False,
            # Weights that are stored in 8 bits would otherwise have their inputs rounded to 8 bits too.
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
        }
        data = path.read_bytes()
        self._path, self._digest, self._is_whole = path, hashlib.sha256(data).digest(), _ELSEWHERE not in data
        self._plans: dict[Shapes, Any] = {}
        self._images = takes_images(path)
        self._settings["INFERENCE_PRECISION_HINT"] = _HINTS[precision] if self._images else "f32"
        self.metadata = onnx_metadata(path)
        try:
            model = _core().read_model(path)
            self.inputs = {name: _spec(name, port) for name, port in _named(model.inputs).items()}
            self.outputs = tuple(_named(model.outputs))
            for shapes in self._known_shapes():
                self._plan(shapes)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO can't load {path}: {_last_line(error)}") from error

    def _known_shapes(self) -> list[Shapes]:
        """Those that are known before there are inputs: patches of one size, or any shape of what is no image."""
        if not self._images:
            return [()]
        shapes = [spec.shape for spec in self.inputs.values()]
        if not all(isinstance(size, int) != (axis == 0) for shape in shapes for axis, size in enumerate(shape)):
            return []
        return [tuple((rows, *map(int, shape[1:])) for shape in shapes) for rows in _BATCHES]

    def _plan(self, shapes: Shapes) -> Any:
        """What computes inputs of these shapes, or of any where there are none."""
        if shapes not in self._plans:
            self._plans[shapes] = self._compiled(shapes).create_infer_request()
        return self._plans[shapes]

    def _compiled(self, shapes: Shapes) -> Any:
        """The network for a plan; the second time out of the cache, which takes an eighth of the time."""
        what = (openvino.__version__, sorted(self._settings.items()), cpu_flags(), shapes)
        file = cache_file("openvino", "blob", __file__, self._digest, *what)
        found = kept(file) if self._is_whole else None
        if found is not None:
            try:
                return _core().import_model(found, "CPU", self._settings)
            except RuntimeError:
                file.unlink(missing_ok=True)
        model = _core().read_model(self._path)
        if shapes:
            model.reshape({name: list(shape) for name, shape in zip(self.inputs, shapes, strict=True)})
        network = _core().compile_model(model, "CPU", self._settings)
        if self._is_whole:
            keep(file, network.export_model().getvalue())
        return network

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
        has_own = self._images and (shapes in self._plans or len(self._plans) < _MOST_PLANS)
        return self._plan(shapes if has_own else ())


def _named(ports: Any) -> dict[str, Any]:
    """Inputs or outputs of a model as it was read: compiled, one may be called after what feeds it."""
    return {port.get_any_name(): port for port in ports}


def _spec(name: str, port: Any) -> TensorSpec:
    shape = tuple("" if size.is_dynamic else int(size.get_length()) for size in port.get_partial_shape())
    return TensorSpec(name, np.dtype(port.get_element_type().to_dtype()), shape)


def _last_line(error: Exception) -> str:
    # OpenVINO puts the source file and line of each C++ frame before its message.
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
