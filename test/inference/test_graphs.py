from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dualpose_ros import cli
from dualpose_ros.inference.load import load_engine
from dualpose_ros.inference.parity import worst_difference
from dualpose_ros.weights import INT8, install_weights, list_weights, verify_weights, weights_path

onnx = pytest.importorskip("onnx")

from dualpose_ros.inference.graphs import GraphError, byte_inputs_without_cast, cast_first  # noqa: E402

REPORT = {"command": "dualpose train detector", "trained_on": "nothing", "figures": {"ap50": 0.5}}


def bytes_model(*nodes: Any) -> Any:
    """A network of 4-channel bytes [N, 4*H, 4*W, 4] to floats, made of `nodes`."""
    tensor, helper = onnx.TensorProto, onnx.helper
    inputs = [helper.make_tensor_value_info("image", tensor.UINT8, ["N", "4*H", "4*W", 4])]
    outputs = [helper.make_tensor_value_info("y", tensor.FLOAT, ["N", 4, "4*H", "4*W"])]
    graph = helper.make_graph(list(nodes), "g", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def transpose_first() -> Any:
    make = onnx.helper.make_node
    return bytes_model(
        make("Transpose", ["image"], ["turned"], perm=[0, 3, 1, 2]),
        make("Cast", ["turned"], ["floats"], to=onnx.TensorProto.FLOAT),
        make("Sqrt", ["floats"], ["y"]),
    )


@pytest.mark.parametrize("name", [e.name for e in list_weights() if not e.name.endswith(INT8)])
def test_bytes_feed_a_cast_in_every_network(name: str) -> None:
    """TensorRT takes bytes in no other way."""
    assert byte_inputs_without_cast(onnx.load(weights_path(name)).graph) == []


def test_normalise_is_exported_with_its_cast_first(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from dualpose_ros.backbone import Normalise
    from dualpose_ros.inference.export import Axis, ExportSpec, export_onnx

    example = torch.zeros(2, 8, 8, 3, dtype=torch.uint8)
    spec = ExportSpec({"image": example}, ("y",), {"image": {0: Axis("N"), 1: Axis("H", 4), 2: Axis("W", 4)}})
    graph = onnx.load(export_onnx(Normalise(), spec, tmp_path / "n.onnx").path).graph
    assert graph.node[0].op_type == "Cast" and byte_inputs_without_cast(graph) == []


def test_cast_and_transpose_turn_around_with_the_same_answers(tmp_path: Path) -> None:
    model = transpose_first()
    onnx.save(model, tmp_path / "before.onnx")
    assert cast_first(model) and not cast_first(model)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Cast", "Transpose", "Sqrt"]
    onnx.save(model, tmp_path / "after.onnx")
    before, after = (load_engine(tmp_path / f"{name}.onnx") for name in ("before", "after"))
    assert worst_difference(after, before) == 0.0


def test_the_shape_of_bytes_is_that_of_what_is_cast(tmp_path: Path) -> None:
    make = onnx.helper.make_node
    model = bytes_model(
        make("Shape", ["image"], ["shape"]),
        make("Transpose", ["image"], ["turned"], perm=[0, 3, 1, 2]),
        make("Cast", ["turned"], ["wide"], to=onnx.TensorProto.FLOAT),
        make("Reshape", ["wide", "shape"], ["y"]),
    )
    onnx.save(model, tmp_path / "before.onnx")
    assert cast_first(model) and not cast_first(model) and byte_inputs_without_cast(model.graph) == []
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, tmp_path / "after.onnx")
    before, after = (load_engine(tmp_path / f"{name}.onnx") for name in ("before", "after"))
    assert worst_difference(after, before) == 0.0


def test_bytes_that_feed_anything_else_are_named() -> None:
    make = onnx.helper.make_node
    model = bytes_model(
        make("Transpose", ["image"], ["turned"], perm=[0, 3, 1, 2]),
        make("Relu", ["turned"], ["more"]),
        make("Cast", ["more"], ["y"], to=onnx.TensorProto.FLOAT),
    )
    with pytest.raises(GraphError, match="'image' is bytes and feeds Transpose"):
        cast_first(model)


def test_installed_networks_are_rewritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(transpose_first(), tmp_path / "net.onnx")
    folder = tmp_path / "weights"
    before = install_weights(tmp_path / "net.onnx", REPORT, "detector", folder)
    assert cli.main(["weights", "rewrite", "--dir", str(folder)]) == 0
    after = list_weights(folder)[0]
    assert f"detector: sha256 {before.sha256[:12]} -> {after.sha256[:12]}" in capsys.readouterr().out
    assert after.figures == before.figures and verify_weights(folder) == {"detector": None}
    assert byte_inputs_without_cast(onnx.load(folder / "detector.onnx").graph) == []
    assert cli.main(["weights", "rewrite", "--dir", str(folder)]) == 0
    assert "as it should be" in capsys.readouterr().out
