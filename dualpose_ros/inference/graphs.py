"""Exported networks rewritten as graphs: what every engine accepts, with the same answers (extra `train`)."""

import tempfile
from pathlib import Path

import onnx
import onnxruntime
from onnxruntime.transformers.float16 import convert_float_to_float16


class GraphError(RuntimeError):
    """A graph that can't be rewritten; the message names what is in the way."""


def byte_inputs_without_cast(graph: onnx.GraphProto) -> list[str]:
    """Inputs of bytes that something other than a Cast reads: TensorRT refuses such a network."""
    names = {i.name for i in graph.input if i.type.tensor_type.elem_type == onnx.TensorProto.UINT8}
    return sorted({name for node in graph.node if node.op_type != "Cast" for name in node.input if name in names})


def cast_first(model: onnx.ModelProto) -> bool:
    """Turn a Transpose of bytes and the Cast behind it around, in place, and take the bytes' shape from what is cast;
    whether there was anything to do.

    All of that only moves and widens values, so that answers stay the same. GraphError where bytes feed anything else.
    """
    graph = model.graph
    names = byte_inputs_without_cast(graph)
    shapes = [node for node in graph.node if node.op_type == "Shape" and node.input[0] in names]
    for name in names:
        for transpose in [n for n in graph.node if name in n.input and n.op_type not in ("Cast", "Shape")]:
            behind = [n for n in graph.node if transpose.output[0] in n.input]
            if transpose.op_type != "Transpose" or len(behind) != 1 or behind[0].op_type != "Cast":
                raise GraphError(f"input '{name}' is bytes and feeds {transpose.op_type}, with no Cast to put first")
            cast, result = onnx.NodeProto(), behind[0].output[0]
            cast.CopyFrom(behind[0])
            cast.input[0], cast.output[0] = name, transpose.output[0]
            behind[0].CopyFrom(transpose)
            behind[0].input[0], behind[0].output[0] = cast.output[0], result
            transpose.CopyFrom(cast)
    casts = {node.input[0]: node.output[0] for node in graph.node if node.op_type == "Cast"}
    for shape in shapes:
        if shape.input[0] not in casts:
            raise GraphError(f"input '{shape.input[0]}' is bytes and feeds Shape, with no Cast to put first")
        shape.input[0] = casts[shape.input[0]]
    if shapes:
        _sort(graph)
    return bool(names)


def folded(path: Path, target: Path) -> onnx.ModelProto:
    """The network with everything constant computed: weights that are stored small are fp32 here."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return onnx.load(target)


def in_fp16(path: Path) -> onnx.ModelProto:
    """The network of an exported file, computing in fp16: weights are fp16 initialisers, inputs and outputs as before.

    No cast stands behind a weight, as a strongly typed network wants it. The file's opset stays.
    """
    with tempfile.TemporaryDirectory() as folder:
        model = folded(path, Path(folder) / path.name)
    said = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    half = convert_float_to_float16(model, keep_io_types=True)
    _sort(half.graph)
    del half.graph.value_info[:]
    del half.metadata_props[:]
    onnx.helper.set_model_props(half, {**said, "precision": "fp16"})
    onnx.checker.check_model(half, full_check=True)
    return half


def _sort(graph: onnx.GraphProto) -> None:
    """Put nodes behind those whose outputs they read, in place; otherwise their order stays."""
    made = {i.name for i in graph.input} | {tensor.name for tensor in graph.initializer} | {""}
    waiting, nodes = list(graph.node), []
    while waiting:
        ready = [node for node in waiting if made.issuperset(node.input)]
        if not ready:
            raise GraphError(f"node {waiting[0].name} reads what nothing makes")
        made.update(name for node in ready for name in node.output)
        nodes += ready
        waiting = [node for node in waiting if not made.issuperset(node.output)]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
