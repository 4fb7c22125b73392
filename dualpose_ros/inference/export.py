"""From a trained torch module to an ONNX file that computes the same, checked on the spot."""

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from torch import nn

from dualpose_ros.arrays import AnyArray, Float32s
from dualpose_ros.inference.graphs import cast_first
from dualpose_ros.inference.load import load_engine
from dualpose_ros.inference.parity import worst_difference
from dualpose_ros.paths import written_whole

MIN_STORED_SMALL = 256
"""Initialisers with fewer values (biases, normalisation, shapes) stay in fp32: they weigh nothing."""

TOLERANCES = {"fp32": 1e-3, "fp16": 2e-2, "int8": 0.2}
"""How weights can be stored, and how far the file may then be from torch."""


class ExportError(RuntimeError):
    """A network that can't be exported, or whose ONNX file computes something else."""


@dataclass(frozen=True)
class Axis:
    """A dynamic axis: its name in the graph, and what its size is a multiple of.

    Axes of one name grow together, each by its own multiple.
    """

    name: str
    multiple: int = 1


@dataclass(frozen=True)
class ExportSpec:
    """What ONNX has to know of a network.

    inputs: example tensors by name, in the order of `forward`; every dynamic axis needs an example
    size of at least twice its multiple. outputs: names. dynamic: for an input, its dynamic axes. metadata: what the
    file shall say of itself, see `engine.Engine.metadata`.
    """

    inputs: dict[str, torch.Tensor]
    outputs: tuple[str, ...]
    dynamic: dict[str, dict[int, Axis]] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ExportResult:
    """An exported file and how far it is from the module: max |difference| / max(1, max |value|) by output."""

    path: Path
    storage: str
    difference: dict[str, float]


def export_onnx(
    model: nn.Module, spec: ExportSpec, path: Path | str, storage: str = "fp32", tolerance: float | None = None
) -> ExportResult:
    """Export to ONNX, with batch norm folded into convolutions, and compare with torch on random input.

    storage, of large weights: "fp32", "fp16" (half the size) or "int8" (a quarter, with a step for each output
    channel); they are turned into fp32 when the file is loaded: the computing stays fp32. The comparison runs at
    the example's size and at another one for dynamic axes. Tolerance of the relative difference: TOLERANCES, unless
    given. The file appears only if all of that went well; ExportError otherwise.
    """
    path = Path(path)
    if storage not in TOLERANCES:
        raise ExportError(f"weights can't be stored as '{storage}'; known are {', '.join(TOLERANCES)}")
    model = model.to("cpu").eval()
    graph = _trace(model, spec)
    if unfolded := _unfolded_norms(graph):
        raise ExportError(f"batch norm {unfolded[0]} was not folded into its convolution: the network would be slow")
    if storage != "fp32":
        store_weights_small(graph, storage)
    onnx.helper.set_model_props(graph, spec.metadata)
    onnx.checker.check_model(graph, full_check=True)
    data = graph.SerializeToString()
    limit = tolerance if tolerance is not None else TOLERANCES[storage]
    difference = compare(model, spec, data)
    worst = max(difference, key=difference.__getitem__)
    if not difference[worst] <= limit:
        raise ExportError(f"output '{worst}' differs from torch by {difference[worst]:.2e} (allowed: {limit:.0e})")
    with written_whole(path) as file:
        file.write_bytes(data)
    return ExportResult(path, storage, difference)


def _trace(model: nn.Module, spec: ExportSpec) -> onnx.ModelProto:
    """The graph that torch's exporter makes, without its notes on where each node came from."""
    with warnings.catch_warnings(), _quiet_exporter():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            tuple(spec.inputs.values()),
            input_names=list(spec.inputs),
            output_names=list(spec.outputs),
            dynamic_shapes=_dynamic_shapes(spec),
            dynamo=True,
            optimize=True,
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    for node in graph.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    # Intermediate shapes are a third of a small file, and every runtime infers them anyway.
    del graph.graph.value_info[:]
    cast_first(graph)
    return graph


def _dynamic_shapes(spec: ExportSpec) -> tuple[dict[int, Any] | None, ...]:
    """The spec's dynamic axes as torch.export wants them; axes of one name share one dimension."""
    dims: dict[str, Any] = {}

    def dim(axis: Axis) -> Any:
        if axis.multiple == 1:
            return dims.setdefault(axis.name, torch.export.Dim(axis.name))
        return axis.multiple * dims.setdefault(axis.name, torch.export.Dim(axis.name))

    return tuple(
        {index: dim(axis) for index, axis in spec.dynamic.get(name, {}).items()} or None for name in spec.inputs
    )


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence the exporter's warnings about torchvision operators, which no network of ours has."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _unfolded_norms(graph: onnx.ModelProto) -> list[str]:
    """Batch norms that follow a convolution, which should have taken them in."""
    convolutions = {output for node in graph.graph.node if node.op_type == "Conv" for output in node.output}
    return [n.name for n in graph.graph.node if n.op_type == "BatchNormalization" and n.input[0] in convolutions]


def store_weights_small(graph: onnx.ModelProto, storage: str) -> None:
    """Replace large fp32 initialisers by fp16 or int8 ones followed by what makes them fp32 again, in place.

    Runtimes fold that when they load the file. ExportError if a weight is not finite, or beyond fp16's range.
    """
    restored: list[onnx.NodeProto] = []
    added: list[onnx.TensorProto] = []
    matrices = {node.input[1] for node in graph.graph.node if node.op_type == "MatMul"}
    for tensor in graph.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != onnx.TensorProto.FLOAT or values.size < MIN_STORED_SMALL:
            continue
        name, small = tensor.name, tensor.name + "_" + storage
        if storage == "int8" and values.ndim >= 2:
            # A matrix's output channels are its columns, a convolution's come first.
            step = int8_step(values, -1 if name in matrices else 0)
            stored = np.rint(values / step).astype(np.int8)
            added.append(numpy_helper.from_array(step, f"{name}_step"))
            restored.append(onnx.helper.make_node("Cast", [small], [f"{small}_cast"], to=onnx.TensorProto.FLOAT))
            restored.append(onnx.helper.make_node("Mul", [f"{small}_cast", f"{name}_step"], [name]))
            tensor.CopyFrom(numpy_helper.from_array(stored, small))
            continue
        if not np.max(np.abs(values)) <= float(np.finfo(np.float16).max):
            raise ExportError(f"weight '{name}' is not finite or too large for fp16")
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_fp16"))
        restored.append(onnx.helper.make_node("Cast", [f"{name}_fp16"], [name], to=onnx.TensorProto.FLOAT))
    graph.graph.initializer.extend(added)
    # Nodes must follow what they read, and initialisers precede all nodes.
    nodes = [*restored, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


def int8_step(values: Float32s, axis: int) -> Float32s:
    """What one step of an 8-bit weight is worth, for each channel along `axis`: broadcasts against the values."""
    others = tuple(i for i in range(values.ndim) if i != axis % values.ndim)
    largest = np.max(np.abs(values), axis=others, keepdims=True)
    if not np.isfinite(largest).all():
        raise ExportError("a weight is not finite")
    return np.asarray(np.maximum(largest, 1e-12) / 127, dtype=np.float32)


def compare(model: nn.Module, spec: ExportSpec, onnx_bytes: bytes, seed: int = 0) -> dict[str, float]:
    """Largest difference of each output between torch and ONNX Runtime, relative to max(1, max |value|).

    The worst of two runs on random input: at the example's size, and with the dynamic axes changed.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx_bytes, options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(seed)
    worst = dict.fromkeys(spec.outputs, 0.0)
    for change in (False, True):
        inputs = _random_inputs(spec, rng, change)
        with torch.no_grad():
            result = model(*(torch.from_numpy(value) for value in inputs.values()))
        expected = result if isinstance(result, (tuple, list)) else (result,)
        found = session.run(list(spec.outputs), inputs)
        if len(expected) != len(found):
            raise ExportError(f"the module has {len(expected)} outputs, but {len(found)} names: {spec.outputs}")
        for name, a, b in zip(spec.outputs, expected, found, strict=True):
            reference = a.numpy()
            if reference.shape != np.shape(b):
                raise ExportError(f"output '{name}' has shape {np.shape(b)} instead of {reference.shape}")
            scale = max(1.0, float(np.max(np.abs(reference), initial=0.0)))
            error = float(np.max(np.abs(reference - b), initial=0.0)) / scale
            worst[name] = float(np.fmax(worst[name], error)) if np.isfinite(error) else float("inf")
    return worst


def _random_inputs(spec: ExportSpec, rng: np.random.Generator, change: bool) -> dict[str, AnyArray]:
    """Noise like the examples: any byte for integers, their spread for floats; dynamic axes one step longer."""
    inputs: dict[str, AnyArray] = {}
    for name, example in spec.inputs.items():
        array = example.detach().cpu().numpy()
        shape = list(array.shape)
        for axis, kind in spec.dynamic.get(name, {}).items():
            shape[axis] += kind.multiple if change else 0
        if array.dtype == np.bool_:
            inputs[name] = rng.random(shape) < 0.5
        elif np.issubdtype(array.dtype, np.integer):
            high = 256 if array.dtype == np.uint8 else int(array.max(initial=0)) + 1
            inputs[name] = rng.integers(0, high, shape).astype(array.dtype)
        else:
            noise = rng.standard_normal(shape) * max(float(array.std()), 1e-3) + float(array.mean())
            inputs[name] = noise.astype(array.dtype)
    return inputs


def with_cast_first(path: Path) -> bytes | None:
    """A network file with `cast_first` done, or None if there is nothing to do.

    ExportError unless ONNX Runtime's answers stay the same to the bit, at two sizes of random input.
    """
    model = onnx.load(path)
    if not cast_first(model):
        return None
    onnx.checker.check_model(model, full_check=True)
    data = bytes(model.SerializeToString())
    with tempfile.TemporaryDirectory() as folder:
        rewritten = Path(folder) / path.name
        rewritten.write_bytes(data)
        if worst_difference(load_engine(rewritten), load_engine(path)) != 0.0:
            raise ExportError(f"{path} answers differently once its cast comes first")
    return data
