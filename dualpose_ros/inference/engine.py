"""What every network looks like, whatever runs it: the protocol, its errors, and the check of its inputs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dualpose_ros.arrays import AnyArray

Arrays = dict[str, AnyArray]

_MULTIPLE = re.compile(r"(\d+)\s*\*\s*\w+")


LOOKAHEAD_FRAMES = "lookahead_frames"
"""Metadata of networks over time: by how many frames an answer is late, because it sees those after its own."""


class EngineError(RuntimeError):
    """A network that can't be loaded or run; the message names the file, input or library."""


@dataclass(frozen=True)
class TensorSpec:
    """What an input has to be: dtype and, for each axis, a size or the name of a dynamic one.

    A name `32*H` stands for any multiple of 32; axes of the same name have the same size.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str, ...]

    def fixed(self, shape: tuple[int, ...]) -> TensorSpec:
        """The same of one shape."""
        return TensorSpec(self.name, self.dtype, shape)

    def __str__(self) -> str:
        return f"{self.dtype} [{', '.join(str(size) for size in self.shape)}]"


class Engine(Protocol):
    """A loaded network. Not thread-safe: each thread loads its own."""

    @property
    def inputs(self) -> dict[str, TensorSpec]:
        """The inputs by name."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        ...

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says of itself beside its graph (`metadata_props` of ONNX), such as `LOOKAHEAD_FRAMES`."""
        ...

    def run(self, inputs: Mapping[str, AnyArray]) -> Arrays:
        """All outputs by name; EngineError names an input that is missing, unknown or of wrong type or shape."""
        ...


def gpu_precision(precision: str, specs: Mapping[str, TensorSpec]) -> str:
    """fp32 or fp16, on a GPU: what is not said is fp16 for networks over images; EngineError for others.

    Small networks gain nothing from fp16.
    """
    if precision in ("fp32", "fp16"):
        return precision
    if precision == "bf16":
        raise EngineError("no backend on a GPU computes in bf16; there are fp32 and fp16")
    return "fp16" if any(spec.dtype == np.uint8 for spec in specs.values()) else "fp32"


def require_file(path: Path) -> None:
    """EngineError unless a file that is not empty is there."""
    if not path.is_file():
        raise EngineError(f"network file {path} is not there")
    if path.stat().st_size == 0:
        raise EngineError(f"network file {path} is empty")


def check_inputs(specs: Mapping[str, TensorSpec], inputs: Mapping[str, AnyArray]) -> Arrays:
    """The inputs, contiguous, in the order of the specs; EngineError names the first that does not fit.

    Nothing is cast: a float image for a byte input is a mistake further up, not a matter of types.
    """
    if unknown := [name for name in inputs if name not in specs]:
        raise EngineError(f"unknown input '{unknown[0]}'; the network takes {', '.join(specs)}")
    sizes: dict[str, int] = {}
    checked: Arrays = {}
    for name, spec in specs.items():
        if name not in inputs:
            raise EngineError(f"input '{name}' is missing; it is {spec}")
        value = inputs[name]
        if not isinstance(value, np.ndarray):
            raise EngineError(f"input '{name}' is a {type(value).__name__}, not an array {spec}")
        if value.dtype != spec.dtype:
            raise EngineError(f"input '{name}' is {value.dtype}, not {spec}")
        problem = _shape_problem(spec, value.shape, sizes)
        if problem:
            raise EngineError(f"input '{name}' has shape {list(value.shape)}, not {spec}: {problem}")
        checked[name] = np.ascontiguousarray(value)
    return checked


def _shape_problem(spec: TensorSpec, shape: tuple[int, ...], sizes: dict[str, int]) -> str:
    """Why a shape does not fit, or an empty string; fills `sizes` with the dynamic axes seen so far."""
    if len(shape) != len(spec.shape):
        return f"{len(shape)} axes instead of {len(spec.shape)}"
    for axis, (wanted, size) in enumerate(zip(spec.shape, shape, strict=True)):
        if isinstance(wanted, int):
            if size != wanted:
                return f"axis {axis} is {size} instead of {wanted}"
            continue
        if size < 1:
            return f"axis {axis} is empty"
        match = _MULTIPLE.fullmatch(wanted)
        if match and size % int(match.group(1)):
            return f"axis {axis} is {size}, not a multiple of {match.group(1)}"
        if wanted and sizes.setdefault(wanted, size) != size:
            return f"axis {axis} is {size}, but '{wanted}' is {sizes[wanted]} elsewhere"
    return ""
