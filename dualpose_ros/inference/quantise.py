"""An exported network computing in 8 bits, for CPUs with instructions for that (extra `train`).

Static quantisation, as ONNX Runtime's tools do it: unsigned activations with ranges from calibration, signed weights
with a step for each output channel. All channels of an activation have one step, so that those of small range are made
larger before, at no cost to the answers (`equalise`). What makes the outputs, from the last convolutions on, stays in
floating point.
"""

import logging
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime import quantization

from dualpose_ros.arrays import Floats
from dualpose_ros.inference.backends.onnxruntime_engine import OnnxRuntimeEngine
from dualpose_ros.inference.engine import Arrays
from dualpose_ros.inference.graphs import GraphError, folded

_OPERATORS = ["Conv", "Add", "Relu", "Resize", "Concat"]

_CHANNELWISE = ("Add", "Relu", "Resize")
"""Operators that a positive factor for each channel may go through."""

_RANGE_POWER = 0.7
"""How far activations are made alike, at the cost of weights: 1 gives all channels one range, 0 all weights. With the
top-down network 0.7 and 0.8 kept people's distances best of 0, 0.5, 0.7, 0.8 and 1."""


class _Feeds(quantization.CalibrationDataReader):
    def __init__(self, feeds: Iterable[Arrays]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Arrays | None:
        return next(self._feeds, None)


def quantised(path: Path, feeds: Iterable[Arrays]) -> onnx.ModelProto:
    """The network of an exported file, computing in 8 bits.

    feeds: inputs of the network as it meets them, from which the ranges of its activations are taken. What the file
    says of itself stays, with `precision` int8 besides. GraphError for a network without convolutions, or no inputs.
    """
    with tempfile.TemporaryDirectory() as folder:
        model = folded(path, Path(folder) / "folded.onnx")
        shift = fold_normalisation(model)
        heads = head_nodes(model.graph)
        if not heads:
            raise GraphError(f"{path} has no convolution to quantise")
        feeds = list(feeds)
        if not feeds:
            raise GraphError(f"there are no inputs of {path} to take its activations' ranges from")
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        equalise(model, feeds, Path(folder) / "watched.onnx")
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


@dataclass
class _Channels:
    """Tensors whose channels can only be scaled together, the convolutions that make and those that read them."""

    tensors: set[str] = field(default_factory=set)
    makers: list[onnx.NodeProto] = field(default_factory=list)
    readers: list[onnx.NodeProto] = field(default_factory=list)


def equalise(model: onnx.ModelProto, feeds: Sequence[Arrays], scratch: Path) -> None:
    """Bring the ranges of an activation's channels nearer to each other, in place; the answers stay.

    A channel is divided by a factor where convolutions make it, which those that read it take back (Nagel, van Baalen,
    Blankevoort, Welling, "Data-free quantization through weight equalization and bias correction", ICCV 2019), between
    them through sums too.

    model: whose activations have four axes; feeds: inputs that the ranges are taken from; scratch: a file that may be
    written.
    """
    groups = _channel_groups(model.graph)
    largest = _largest_values(model, sorted(set().union(*(group.tensors for group in groups))), feeds, scratch)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}

    def scale(convolution: onnx.NodeProto, index: int, factors: Floats) -> None:
        # Equal constants of several may be one.
        name = f"{convolution.output[0]}_scaled_{index}"
        constants[name] = (constants[convolution.input[index]] * factors).astype(np.float32)
        convolution.input[index] = name

    for group in groups:
        reach = np.max([largest[reader.input[0]] for reader in group.readers], axis=0)
        weights = [np.abs(constants[reader.input[1]]) for reader in group.readers]
        weight = np.max([values.max(axis=(0, 2, 3)) for values in weights], axis=0)
        live = (reach > 0) & (weight > 0)
        power = np.log(reach[live]) * _RANGE_POWER - np.log(weight[live]) * (1 - _RANGE_POWER)
        factor = np.ones(len(reach))
        factor[live] = np.exp(power - power.mean())
        for maker in group.makers:
            scale(maker, 1, 1 / factor[:, None, None, None])
            if len(maker.input) > 2:
                scale(maker, 2, 1 / factor)
        for reader in group.readers:
            scale(reader, 1, factor[:, None, None])
    used = {name for node in model.graph.node for name in node.input}
    del model.graph.initializer[:]
    model.graph.initializer.extend(numpy_helper.from_array(value, n) for n, value in constants.items() if n in used)


def _channel_groups(graph: onnx.GraphProto) -> list[_Channels]:
    """Those whose channels may be scaled: made and read by plain convolutions, no outputs."""
    above: dict[str, str] = {}

    def group_of(name: str) -> str:
        while name in above:
            name = above[name]
        return name

    for node in graph.node:
        if node.op_type in _CHANNELWISE:
            for name in node.input if node.op_type == "Add" else node.input[:1]:
                if group_of(name) != group_of(node.output[0]):
                    above[group_of(name)] = group_of(node.output[0])
    groups: dict[str, _Channels] = {}
    fixed = {group_of(value.name) for value in (*graph.input, *graph.output)}
    constants = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if _is_plain_convolution(node) and constants.issuperset(node.input[1:]):
            groups.setdefault(group_of(node.output[0]), _Channels()).makers.append(node)
            groups.setdefault(group_of(node.input[0]), _Channels()).readers.append(node)
        elif node.op_type not in _CHANNELWISE:
            fixed.update(group_of(name) for name in (*node.input, *node.output))
        elif node.op_type == "Add" and not constants.isdisjoint(node.input):
            fixed.add(group_of(node.output[0]))
        for name in (*node.input[:1], *node.output):
            groups.setdefault(group_of(name), _Channels()).tensors.add(name)
    return [group for name, group in groups.items() if name not in fixed and group.makers and group.readers]


def _is_plain_convolution(node: onnx.NodeProto) -> bool:
    """Whether it is one whose every output channel reads every channel."""
    return node.op_type == "Conv" and all(said.i == 1 for said in node.attribute if said.name == "group")


def _largest_values(
    model: onnx.ModelProto, names: Sequence[str], feeds: Sequence[Arrays], scratch: Path
) -> dict[str, Floats]:
    """The largest absolute value of each channel (C,) of tensors of four axes."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    known = {value.name for value in watched.graph.output}
    watched.graph.output.extend(onnx.helper.make_tensor_value_info(n, 1, None) for n in names if n not in known)
    onnx.save(watched, scratch)
    engine = OnnxRuntimeEngine(scratch, 1)
    found: dict[str, Floats] = {}
    for fed in feeds:
        answers = engine.run(fed)
        for name in names:
            found[name] = np.maximum(found.get(name, 0.0), np.abs(answers[name]).max(axis=(0, 2, 3)).astype(np.float64))
    return found


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
