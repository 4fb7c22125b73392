"""Networks by torch itself, node by node of their ONNX file: on a GPU where torch finds one (extra `train`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from dualpose_ros.arrays import AnyArray
from dualpose_ros.inference.engine import Arrays, EngineError, TensorSpec, check_inputs, require_file
from dualpose_ros.inference.torch_operators import OPERATORS

_OPSETS = range(18, 22)


@dataclass(frozen=True)
class _Node:
    """One operator: its name, inputs ("" for one left out) and outputs, attributes, and what nobody needs after it."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    last_used: tuple[str, ...] = ()

    def run(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        result = OPERATORS[self.operator](*(values[n] if n else None for n in self.inputs), **self.attributes)
        return dict(zip(self.outputs, result if isinstance(result, tuple) else (result,), strict=True))


class TorchEngine:
    """An ONNX file run by torch in fp32, on the GPU where torch finds one and on the CPU otherwise.

    Made of the operators that this package's own networks have; EngineError names another. The number of threads is
    torch's, for the whole process.
    """

    def __init__(self, path: Path, threads: int) -> None:
        require_file(path)
        try:
            model = onnx.load(path)
        except Exception as error:  # protobuf's and onnx's own errors: all mean the same to the user
            raise EngineError(f"torch can't load {path}: {type(error).__name__}: {error}") from error
        version = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
        unknown = sorted({node.op_type for node in model.graph.node} - OPERATORS.keys())
        if unknown or version not in _OPSETS:
            what = f"operator {unknown[0]}" if unknown else f"opset {version}"
            raise EngineError(f"torch can't load {path}: {what} is not known to backend 'torch'; use onnxruntime")
        torch.set_num_threads(threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.inputs = {value.name: _spec(value) for value in model.graph.input}
        self.outputs = tuple(value.name for value in model.graph.output)
        self.metadata = {entry.key: entry.value for entry in model.metadata_props}
        self._constants = {tensor.name: self._placed(tensor) for tensor in model.graph.initializer}
        self._nodes = self._prepared([_node(node) for node in model.graph.node])

    def _placed(self, tensor: onnx.TensorProto) -> Tensor:
        """A constant: shapes and indices on the CPU, where they are read."""
        value = torch.from_numpy(numpy_helper.to_array(tensor).copy())
        return value if value.dtype == torch.int64 else value.to(self._device)

    def _prepared(self, nodes: Sequence[_Node]) -> tuple[_Node, ...]:
        """The nodes that depend on the input, with what each uses last; others are computed here, once."""
        left = []
        for node in nodes:
            if all(not name or name in self._constants for name in node.inputs):
                self._constants.update(node.run(self._constants))
            else:
                left.append(node)
        needed, prepared = {*self.outputs, *self._constants}, []
        for node in reversed(left):
            names = {*node.inputs, *node.outputs} - {""} - needed
            needed |= names
            prepared.append(_Node(node.operator, node.inputs, node.outputs, node.attributes, tuple(names)))
        used = {name for node in left for name in node.inputs} | {*self.outputs}
        self._constants = {name: value for name, value in self._constants.items() if name in used}
        return tuple(reversed(prepared))

    def run(self, inputs: Mapping[str, AnyArray]) -> Arrays:
        checked = check_inputs(self.inputs, inputs)
        values = {**self._constants, **{n: torch.from_numpy(value).to(self._device) for n, value in checked.items()}}
        try:
            # TF32, cuDNN's default, is another network than the one that was measured.
            with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
                for node in self._nodes:
                    values.update(node.run(values))
                    for name in node.last_used:
                        del values[name]
        except (RuntimeError, ValueError, IndexError) as error:
            raise EngineError(f"torch failed at {node.operator} '{node.outputs[0]}': {error}") from error
        return {name: np.array(values[name].cpu().numpy()) for name in self.outputs}


def _node(node: onnx.NodeProto) -> _Node:
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    words = {name: value.decode() if isinstance(value, bytes) else value for name, value in attributes.items()}
    return _Node(node.op_type, tuple(node.input), tuple(node.output), words)


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    kind = value.type.tensor_type
    shape = tuple(d.dim_value if d.HasField("dim_value") else d.dim_param for d in kind.shape.dim)
    return TensorSpec(value.name, np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)), shape)
