"""Exported networks rewritten as graphs: what every engine accepts, with the same answers (extra `train`)."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx

from dualpose_ros.inference.load import load_engine
from dualpose_ros.inference.parity import worst_difference


class GraphError(RuntimeError):
    """A graph that can't be rewritten; the message names what is in the way."""


def byte_inputs_without_cast(graph: onnx.GraphProto) -> list[str]:
    """Inputs of bytes that something other than a Cast reads: TensorRT refuses such a network."""
    names = {i.name for i in graph.input if i.type.tensor_type.elem_type == onnx.TensorProto.UINT8}
    return sorted({name for node in graph.node if node.op_type != "Cast" for name in node.input if name in names})


def cast_first(model: onnx.ModelProto) -> bool:
    """Turn a Transpose of bytes and the Cast behind it around, in place; whether there was anything to turn.

    Both only move and widen values, so that answers stay the same. GraphError where bytes feed anything else.
    """
    graph = model.graph
    readers = {name: [n for n in graph.node if name in n.input] for name in byte_inputs_without_cast(graph)}
    for name, nodes in readers.items():
        for transpose in nodes:
            behind = [n for n in graph.node if transpose.output[0] in n.input]
            if transpose.op_type != "Transpose" or len(behind) != 1 or behind[0].op_type != "Cast":
                raise GraphError(f"input '{name}' is bytes and feeds {transpose.op_type}, with no Cast to put first")
            cast, result = onnx.NodeProto(), behind[0].output[0]
            cast.CopyFrom(behind[0])
            cast.input[0], cast.output[0] = name, transpose.output[0]
            behind[0].CopyFrom(transpose)
            behind[0].input[0], behind[0].output[0] = cast.output[0], result
            transpose.CopyFrom(cast)
    return bool(readers)


def with_cast_first(path: Path) -> bytes | None:
    """A network file with `cast_first` done, or None if there is nothing to do.

    GraphError unless ONNX Runtime's answers stay the same to the bit, at two sizes of random input.
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
            raise GraphError(f"{path} answers differently once its cast comes first")
    return data
