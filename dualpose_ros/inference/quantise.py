"""An exported network computing in 8 bits, for CPUs with instructions for that (extra `train`).

Static quantisation, as ONNX Runtime's tools do it: unsigned activations with ranges from calibration, signed weights
with a step for each output channel. What makes the outputs, from the last convolutions on, stays in floating point.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime import quantization

from dualpose_ros.inference.engine import Arrays
from dualpose_ros.inference.graphs import GraphError, folded

_OPERATORS = ["Conv", "Add", "Relu", "Resize", "Concat"]


class _Feeds(quantization.CalibrationDataReader):
    def __init__(self, feeds: Iterable[Arrays]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Arrays | None:
        return next(self._feeds, None)


def quantised(path: Path, feeds: Iterable[Arrays]) -> onnx.ModelProto:
    """The network of an exported file, computing in 8 bits.

    feeds: inputs of the network as it meets them, from which the ranges of its activations are taken. What the file
    says of itself stays, with `precision` int8 besides. GraphError for a network without convolutions.
    """
    with tempfile.TemporaryDirectory() as folder:
        model = folded(path, Path(folder) / "folded.onnx")
        shift = fold_normalisation(model)
        heads = head_nodes(model.graph)
        if not heads:
            raise GraphError(f"{path} has no convolution to quantise")
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, source)
        overrides = (
            {}
            if shift is None
            else {shift[0]: [{"scale": np.array(1, np.float32), "zero_point": np.array(shift[1], np.uint8)}]}
        )
        level = logging.getLogger().level
        logging.getLogger().setLevel(logging.ERROR)  # it recommends its own preprocessing, which is done here
        try:
            quantization.quantize_static(
                source,
                target,
                _Feeds(feeds),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=_OPERATORS,
                nodes_to_exclude=heads,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                extra_options={"TensorQuantOverrides": overrides},
            )
        finally:
            logging.getLogger().setLevel(level)
        result = onnx.load(target)
    if shift is not None:
        _read_bytes_directly(result.graph, shift[0])
    del result.graph.value_info[:]
    said = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    del result.metadata_props[:]
    onnx.helper.set_model_props(result, {**said, "precision": "int8"})
    onnx.checker.check_model(result, full_check=True)
    return result


def head_nodes(graph: onnx.GraphProto) -> list[str]:
    """Names of the last convolutions before the outputs, and of all that comes behind them."""
    makers = {output: node for node in graph.node for output in node.output}
    found: dict[str, onnx.NodeProto] = {}
    waiting = [makers[value.name] for value in graph.output if value.name in makers]
    while waiting:
        node = waiting.pop()
        if node.name in found:
            continue
        found[node.name] = node
        if node.op_type != "Conv":
            waiting += [makers[name] for name in node.input if name in makers]
    return list(found) if any(node.op_type == "Conv" for node in found.values()) else []


def fold_normalisation(model: onnx.ModelProto) -> tuple[str, int] | None:
    """Take mean and deviation of an image's bytes into the convolution that reads them, in place.

    What is left of `backbone.Normalise` is a subtraction of the same whole number from all channels, so that the
    convolution's zeros at the image's edge stay near the mean. Returns the tensor after it and that number, which is
    the zero point of the image's bytes; None where the network has no such beginning.
    """
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for cast, _, subtract, divide, convolve in _chains(graph, ("Cast", "Transpose", "Sub", "Div", "Conv")):
        if cast.input[0] not in {i.name for i in graph.input} or subtract.input[1] not in constants:
            continue
        mean, stddev = (np.asarray(constants[n.input[1]], np.float64).reshape(-1) for n in (subtract, divide))
        weight = np.asarray(constants[convolve.input[1]], np.float64) / stddev[:, None, None]
        bias = np.asarray(constants[convolve.input[2]], np.float64) if len(convolve.input) > 2 else 0.0
        middle = round(float(mean.mean()))
        shifted = bias - (weight.sum(axis=(2, 3)) * (mean - middle)).sum(axis=1)
        names = [f"{convolve.name}_{part}" for part in ("weight", "bias", "middle")]
        for name, value in zip(names, (weight, shifted, np.asarray(middle)), strict=True):
            graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        replaced = {subtract.input[1], divide.input[1], *convolve.input[1:]}
        subtract.input[1] = names[2]
        del convolve.input[:]
        convolve.input.extend([subtract.output[0], *names[:2]])
        graph.node.remove(divide)
        kept = [tensor for tensor in graph.initializer if tensor.name not in replaced]
        del graph.initializer[:]
        graph.initializer.extend(kept)
        return subtract.output[0], middle
    return None


def _chains(graph: onnx.GraphProto, kinds: tuple[str, ...]) -> list[list[onnx.NodeProto]]:
    """Rows of nodes of these kinds, each the only reader of the one before."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    chains = []
    for first in graph.node:
        chain = [first]
        while len(chain) < len(kinds) and len(behind := readers.get(chain[-1].output[0], [])) == 1:
            chain.append(behind[0])
        if tuple(node.op_type for node in chain) == kinds:
            chains.append(chain)
    return chains


def _read_bytes_directly(graph: onnx.GraphProto, shifted: str) -> None:
    """Leave out cast, shift and quantisation of an image: its bytes are the 8-bit values that come of them."""
    makers = {output: node for node in graph.node for output in node.output}
    subtract = makers[shifted]
    transpose = makers[subtract.input[0]]
    cast = makers[transpose.input[0]]
    quantise = next(node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == shifted)
    transpose.input[0], transpose.output[0] = cast.input[0], quantise.output[0]
    graph.initializer.remove(next(tensor for tensor in graph.initializer if tensor.name == subtract.input[1]))
    for node in (cast, subtract, quantise):
        graph.node.remove(node)
