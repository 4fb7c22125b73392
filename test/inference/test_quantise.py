from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dualpose_ros import cli
from dualpose_ros import weights as weights_module
from dualpose_ros.inference import cpu, load
from dualpose_ros.inference.cpu import computes_bf16_fast, computes_int8_fast
from dualpose_ros.inference.engine import Engine, EngineError
from dualpose_ros.inference.load import EngineConfig, load_engine
from dualpose_ros.lab.benchmarks.stages import demo_clip
from dualpose_ros.weights import install_weights, list_weights, network_file, replace_file
from support.command_line import refused
from support.data import ROOT

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from torch import nn  # noqa: E402

from dualpose_ros.backbone import Normalise, Residual, conv_bn  # noqa: E402
from dualpose_ros.inference.export import Axis, ExportSpec, export_onnx  # noqa: E402
from dualpose_ros.inference.graphs import GraphError, folded  # noqa: E402
from dualpose_ros.inference.quantise import equalise, fold_normalisation, head_nodes, quantised  # noqa: E402

REPORT = {"command": "dualpose train top-down", "trained_on": "nothing", "figures": {"oks": 0.5}}


class Small(nn.Module):
    """Bytes to two maps at half size, as the 2D networks begin and end, with a sum between."""

    def __init__(self) -> None:
        super().__init__()
        start = (Normalise(), conv_bn(3, 16, stride=2))
        self.body = nn.Sequential(*start, Residual(conv_bn(16, 16, relu=False)), conv_bn(16, 16))
        self.head = nn.Conv2d(16, 2, 1)

    def forward(self, image: Any) -> Any:
        maps = self.head(self.body(image))
        return maps[:, :1].sigmoid(), maps[:, 1:]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    example = torch.zeros(2, 16, 24, 3, dtype=torch.uint8)
    dynamic = {"image": {0: Axis("N"), 1: Axis("H", 8), 2: Axis("W", 8)}}
    spec = ExportSpec({"image": example}, ("score", "value"), dynamic, {"lookahead_frames": "0"})
    return export_onnx(Small().eval(), spec, tmp_path_factory.mktemp("net") / "top_down.onnx", "fp16").path


def pictures(count: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [{"image": rng.integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)} for _ in range(count)]


def test_a_quantised_network_answers_nearly_the_same(network: Path, tmp_path: Path) -> None:
    model = quantised(network, pictures(8))
    onnx.save(model, tmp_path / "int8.onnx")
    before, after = load_engine(network), load_engine(tmp_path / "int8.onnx")
    assert after.inputs == before.inputs and after.outputs == before.outputs
    assert after.metadata == {**before.metadata, "precision": "int8"}
    for fed in pictures(3):
        a, b = before.run(fed), after.run(fed)
        # Edges too: there the folded normalisation pads with nearly the mean.
        assert float(np.abs(a["value"] - b["value"]).max()) < 0.05 * float(a["value"].std()) + 0.05
        assert float(np.abs(a["score"] - b["score"]).max()) < 0.03


def test_bytes_are_the_first_8_bit_values_and_heads_stay_in_floats(network: Path) -> None:
    graph = quantised(network, pictures(4)).graph
    assert {"Cast", "Sub", "Div"}.isdisjoint(node.op_type for node in graph.node)
    image = [node.op_type for node in graph.node if "image" in node.input]
    assert image == ["Transpose"]
    weights = {tensor.name: tensor.data_type for tensor in graph.initializer}
    heads = [node for node in graph.node if node.name in head_nodes(graph) and node.op_type == "Conv"]
    assert [weights[head.input[1]] for head in heads] == [onnx.TensorProto.FLOAT]
    small = sorted(
        tuple(t.dims) for t in graph.initializer if t.data_type == onnx.TensorProto.INT8 and len(t.dims) == 4
    )
    assert small == [(16, 3, 3, 3), (16, 16, 3, 3), (16, 16, 3, 3)]


def test_channels_of_small_range_are_made_larger_and_the_answers_stay(network: Path, tmp_path: Path) -> None:
    model = folded(network, tmp_path / "folded.onnx")
    fold_normalisation(model)
    convolution = [node for node in model.graph.node if node.op_type == "Conv"][-2]

    def weights() -> Any:
        constants = {tensor.name: tensor for tensor in model.graph.initializer}
        return onnx.numpy_helper.to_array(constants[convolution.input[1]]).copy()

    small = weights()
    small[3] /= 50
    scaled = onnx.numpy_helper.from_array(small, convolution.input[1])
    next(t for t in model.graph.initializer if t.name == scaled.name).CopyFrom(scaled)
    onnx.save(model, tmp_path / "before.onnx")
    equalise(model, pictures(4), tmp_path / "watched.onnx")
    onnx.save(model, tmp_path / "after.onnx")
    before, after = load_engine(tmp_path / "before.onnx"), load_engine(tmp_path / "after.onnx")
    for fed in pictures(2):
        a, b = before.run(fed), after.run(fed)
        for name, expected in a.items():
            np.testing.assert_allclose(b[name], expected, atol=1e-5 * max(1.0, float(np.abs(expected).max())))
    before_size, after_size = (np.abs(values).max(axis=(1, 2, 3)) for values in (small, weights()))
    assert after_size[3] / np.median(after_size) > 5 * before_size[3] / np.median(before_size)


def test_a_network_without_convolutions_is_refused() -> None:
    with pytest.raises(GraphError, match="has no convolution"):
        quantised(weights_module.weights_path("fusion"), [])


@pytest.mark.parametrize(
    ("text", "fast"),
    [("flags\t: fpu avx2 avx_vnni\n", True), ("flags\t: fpu avx512f avx512_vnni\n", True), ("flags\t: avx2\n", False),
     ("Features\t: asimd\n", False), ("", False)],
)  # fmt: skip
def test_8_bits_are_chosen_by_the_cpu(tmp_path: Path, text: str, fast: bool) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert computes_int8_fast(tmp_path / "cpuinfo") is fast
    assert computes_int8_fast(tmp_path / "none") is False


def test_bf16_is_chosen_by_the_cpu(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("flags\t: fpu avx512_bf16 amx_bf16 amx_tile\n")
    assert computes_bf16_fast(tmp_path / "cpuinfo")
    (tmp_path / "other").write_text("flags\t: fpu avx512_bf16 avx512_vnni\n")
    assert not computes_bf16_fast(tmp_path / "other")
    assert not computes_bf16_fast(tmp_path / "none")


@pytest.fixture
def folder(network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights folder with one network and its form in 8 bits."""
    folder = tmp_path / "share" / "weights"
    entry = install_weights(network, REPORT, "top_down", folder)
    onnx.save(quantised(network, pictures(2)), tmp_path / "int8.onnx")
    install_weights(tmp_path / "int8.onnx", {**REPORT, "data": {"made_of": entry.sha256}}, "top_down_int8", folder)
    monkeypatch.setattr(weights_module, "share_dir", lambda: tmp_path / "share")
    return folder


def test_precision_chooses_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(load, "load_engine", lambda path, *_: loaded.append(Path(path).name))
    for fast in (True, False):
        monkeypatch.setattr(load, "computes_int8_fast", lambda fast=fast: fast)
        for precision in ("auto", "fp32", "int8"):
            EngineConfig(backend="onnxruntime", precision=precision).network("top_down")
    with pytest.raises(EngineError, match="'torch' does not compute in int8"):
        EngineConfig(backend="torch", precision="int8").network("top_down")
    EngineConfig(backend="onnxruntime", precision="int8").network(str(folder / "top_down.onnx"))
    small, whole = "top_down_int8.onnx", "top_down.onnx"
    assert loaded == [small, whole, small, whole, whole, small, whole]


@pytest.mark.parametrize(
    ("flags", "chosen"),
    [
        ("avx512_vnni avx512_bf16 amx_bf16", ("top_down.onnx", "openvino", "bf16")),
        ("avx512_vnni avx512_bf16", ("top_down_int8.onnx", "openvino", "bf16")),
        ("avx512_vnni", ("top_down_int8.onnx", "onnxruntime", "fp32")),
        ("avx_vnni", ("top_down_int8.onnx", "onnxruntime", "fp32")),
        ("avx512_bf16", ("top_down.onnx", "onnxruntime", "fp32")),
        ("avx2", ("top_down.onnx", "onnxruntime", "fp32")),
    ],
)
@pytest.mark.parametrize("has_openvino", [True, False])
def test_what_runs_a_network_over_images_is_chosen_by_the_cpu(
    flags: str,
    chosen: tuple[str, str, str],
    has_openvino: bool,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: list[tuple[str, str, str]] = []
    said = tmp_path / "cpuinfo"
    said.write_text(f"flags\t: fpu {flags}\n")
    for name in ("computes_bf16_fast", "computes_bf16", "computes_int8_fast"):
        monkeypatch.setattr(load, name, functools.partial(getattr(cpu, name), said))
    monkeypatch.setattr(load, "find_gpu", lambda: None)
    monkeypatch.setattr(load, "_is_installed", lambda module: has_openvino and module == "openvino")
    monkeypatch.setattr(load, "load_engine", lambda path, by, _, precision: loaded.append((path.name, by, precision)))
    load.choose_backend.cache_clear()
    EngineConfig().network("top_down")
    load.choose_backend.cache_clear()
    small = "top_down_int8.onnx" if "vnni" in flags else "top_down.onnx"
    assert loaded == [chosen if has_openvino else (small, "onnxruntime", "fp32")]


def test_8_bits_of_another_network_are_not_used(folder: Path, network: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert network_file("top_down", int8=True).name == "top_down_int8.onnx"
    model = onnx.load(network)
    onnx.helper.set_model_props(model, {"trained": "anew"})
    replace_file("top_down", model.SerializeToString())
    assert network_file("top_down", int8=True).name == "top_down_int8.onnx", "the same network, its graph rewritten"
    (folder / "other.onnx").write_bytes(network.read_bytes())
    install_weights(folder / "other.onnx", REPORT, "top_down")
    with caplog.at_level(logging.WARNING):
        assert network_file("top_down", int8=True).name == "top_down.onnx"
    assert "`dualpose export top-down --precision int8`" in caplog.text


@pytest.mark.parametrize("name", ["top_down", "bottom_up"])
def test_8_bits_by_openvino_are_as_near_to_fp32_as_by_onnx_runtime(name: str) -> None:
    pytest.importorskip("openvino")
    whole, small = network_file(name), network_file(name, int8=True)
    exact, usual = load_engine(whole), load_engine(small)
    by_openvino = [load_engine(small, "openvino", 1, rest) for rest in ("int8", "bf16")]
    (frame,) = demo_clip(1)[0]
    size = {"top_down": (192, 192), "bottom_up": (384, 288)}[name]
    given = {next(iter(exact.inputs)): cv2.resize(frame, size, interpolation=cv2.INTER_AREA)[None]}
    if name == "bottom_up":
        given["guidance"] = np.zeros((1, 17, 72, 96), np.uint8)
    expected = exact.run(given)

    def off(engine: Engine) -> float:
        found = engine.run(given)
        return float(np.mean([np.abs(found[k] - v).mean() / np.abs(v).mean() for k, v in expected.items()]))

    # By products of bytes that are summed without loss, in which only the rounding between layers differs.
    assert max(off(engine) for engine in by_openvino) < 1.15 * off(usual)


@pytest.mark.parametrize("name", ["top_down", "bottom_up"])
def test_the_8_bit_networks_that_ship_are_of_those_that_ship(name: str) -> None:
    entries = {entry.name: entry for entry in list_weights()}
    remedy = "make it anew: dualpose export NETWORK --precision int8 --calibration PICTURES, dualpose weights install"
    assert entries[f"{name}_int8"].data["made_of"] == entries[name].sha256, remedy


def test_exports_that_can_not_be_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "needs --calibration" in refused(capsys, "export", "top-down", "--precision", "int8")
    for name in ("gcn", "detector"):
        assert "gains nothing in 8 bits" in refused(capsys, "export", name, "--precision", "int8")
    assert "needs --run, or another --precision" in refused(capsys, "export", "top-down")


def test_a_shipped_network_is_exported_in_8_bits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "small.onnx"
    clip = str(ROOT / "demo" / "clip.mp4")
    command = [
        "export",
        "bottom-up",
        "--precision",
        "int8",
        "--calibration",
        clip,
        "--count",
        "8",
        "--out",
        str(target),
    ]
    assert cli.main(command) == 0
    assert "speedup" in capsys.readouterr().out
    entry = install_weights(target, target.with_suffix(".json"), "bottom_up_int8", tmp_path / "weights")
    assert entry.figures["heatmaps_mean_difference"] < 0.01
    assert entry.data["made_of"] == {e.name: e.sha256 for e in list_weights()}["bottom_up"]
    assert "calibrated on 7 of its inputs from clip.mp4" in entry.trained_on


def test_inputs_that_leave_none_to_calibrate_on_are_refused(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One in eight is held apart, the first among them."""
    _, picture = cv2.VideoCapture(str(ROOT / "demo" / "clip.mp4")).read()
    cv2.imwrite(str(tmp_path / "one.png"), picture)
    given = ("export", "bottom-up", "--precision", "int8", "--calibration", str(tmp_path / "one.png"), "--count", "8")
    said = refused(capsys, *given, "--out", str(tmp_path / "small.onnx"))
    assert "two pictures with people are the least" in said and [p.name for p in tmp_path.iterdir()] == ["one.png"]
    with pytest.raises(GraphError, match=r"no inputs of .*top_down\.onnx to take its activations' ranges from"):
        quantised(network, [])
