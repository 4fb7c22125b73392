"""Networks by torch itself, node by node of their ONNX file: on a GPU where torch finds one (extra `train`)."""

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
from dualpose_ros.inference.backends.torch_operators import OPERATORS
from dualpose_ros.inference.engine import Arrays, EngineError, TensorSpec, check_inputs, gpu_precision, require_file

_OPSETS = range(18, 22)
MAX_RECORDED = 16
"""CUDA graphs kept: patches come in a few numbers, images in a size or two."""


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


@dataclass(frozen=True)
class _Recorded:
    """A CUDA graph with the device's tensors that it reads and writes."""

    graph: Any
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


class TorchEngine:
    """An ONNX file run by torch, on the GPU where torch finds one and on the CPU, then in fp32, otherwise.

    On a GPU the kernels of each size of input are recorded once, as a CUDA graph, and played from then on. Made of the
    operators that this package's own networks have; EngineError names another. The number of threads is torch's, for
    the whole process.
    """

    def __init__(self, path: Path, threads: int, precision: str = "auto", device: torch.device | None = None) -> None:
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
        self._device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.inputs = {value.name: _spec(value) for value in model.graph.input}
        self.outputs = tuple(value.name for value in model.graph.output)
        self.metadata = {entry.key: entry.value for entry in model.metadata_props}
        on_gpu = self._device.type == "cuda"
        if not on_gpu and precision in ("fp16", "bf16"):
            raise EngineError(f"torch computes in {precision} on a GPU alone, and finds none here")
        self._float = torch.float16 if on_gpu and gpu_precision(precision, self.inputs) == "fp16" else torch.float32
        self._recorded: dict[str, _Recorded] = {}
        self._constants = {tensor.name: self._placed(tensor) for tensor in model.graph.initializer}
        self._nodes = self._prepared([_node(node) for node in model.graph.node])

    def _placed(self, tensor: onnx.TensorProto) -> Tensor:
        """A constant: shapes and indices on the CPU, where they are read."""
        value = torch.from_numpy(numpy_helper.to_array(tensor).copy())
        return value if value.dtype == torch.int64 else value.to(self._device)

    def _narrow(self, value: Tensor) -> Tensor:
        """Floats as this engine computes in them."""
        return value.to(self._float) if value.is_floating_point() else value

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
        self._constants = {name: self._narrow(value) for name, value in self._constants.items() if name in used}
        return tuple(reversed(prepared))

    def run(self, inputs: Mapping[str, AnyArray]) -> Arrays:
        checked = {name: torch.from_numpy(value) for name, value in check_inputs(self.inputs, inputs).items()}
        # TF32, cuDNN's default, is another network than the one that was measured.
        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
            results = self.answers(checked) if self._device.type == "cpu" else self._replay(checked)
            return {name: np.array(results[name].float().cpu().numpy()) for name in self.outputs}

    def answers(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs of inputs that are on the device."""
        values = {**self._constants, **{name: self._narrow(value) for name, value in inputs.items()}}
        try:
            for node in self._nodes:
                values.update({name: self._narrow(value) for name, value in node.run(values).items()})
                for name in node.last_used:
                    del values[name]
        except (RuntimeError, ValueError, IndexError) as error:
            raise EngineError(f"torch failed at {node.operator} '{node.outputs[0]}': {error}") from error
        return {name: values[name] for name in self.outputs}

    def _replay(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same by a CUDA graph, recorded at the first call of these sizes."""
        key = repr([tuple(value.shape) for value in inputs.values()])
        if key not in self._recorded:
            if len(self._recorded) >= MAX_RECORDED:
                self._recorded.clear()
            self._recorded[key] = self._record({name: value.to(self._device) for name, value in inputs.items()})
        recorded = self._recorded[key]
        for name, value in inputs.items():
            recorded.inputs[name].copy_(value.pin_memory(), non_blocking=True)
        recorded.graph.replay()
        return recorded.outputs

    def _record(self, inputs: dict[str, Tensor]) -> _Recorded:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # libraries choose and warm up their kernels here
            for _ in range(3):
                self.answers(inputs)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = self.answers(inputs)
        return _Recorded(graph, inputs, outputs)


def _node(node: onnx.NodeProto) -> _Node:
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    words = {name: value.decode() if isinstance(value, bytes) else value for name, value in attributes.items()}
    return _Node(node.op_type, tuple(node.input), tuple(node.output), words)


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    kind = value.type.tensor_type
    shape = tuple(d.dim_value if d.HasField("dim_value") else d.dim_param for d in kind.shape.dim)
    return TensorSpec(value.name, np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)), shape)
