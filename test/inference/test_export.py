from __future__ import annotations

import collections
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

from torch import Tensor, nn  # noqa: E402

from dualpose_ros.inference.export import Axis, ExportError, ExportSpec, compare, export_onnx, store_weights_small  # noqa: E402
from dualpose_ros.lab.training.loop.from_onnx import load_onnx  # noqa: E402


class Small(nn.Module):
    """Bytes to two maps at half size, through a convolution with batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.head = nn.Conv2d(16, 2, 1)
        bn: Any = self.conv[1]
        bn.running_mean.normal_(0, 0.5)
        bn.running_var.uniform_(0.2, 3)
        bn.weight.data.uniform_(0.5, 2)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.head(self.conv(image.permute(0, 3, 1, 2).float() / 255 - 0.5))
        return maps[:, :1].sigmoid(), maps[:, 1:]


def spec() -> ExportSpec:
    dynamic = {"image": {0: Axis("N"), 1: Axis("H", 8), 2: Axis("W", 8)}}
    return ExportSpec({"image": torch.zeros(2, 16, 24, 3, dtype=torch.uint8)}, ("score", "value"), dynamic)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return Small().eval()


def test_exported_file_computes_the_same_at_any_size(model: Any, tmp_path: Path) -> None:
    result = export_onnx(model, spec(), tmp_path / "small.onnx")
    assert set(result.difference) == {"score", "value"} and max(result.difference.values()) < 1e-5
    session = onnxruntime.InferenceSession(str(result.path), providers=["CPUExecutionProvider"])
    assert [(i.name, i.type) for i in session.get_inputs()] == [("image", "tensor(uint8)")]
    image = np.random.default_rng(3).integers(0, 256, (5, 40, 8, 3), dtype=np.uint8)
    with torch.no_grad():
        expected = model(torch.from_numpy(image))
    for a, b in zip(expected, session.run(["score", "value"], {"image": image}), strict=True):
        np.testing.assert_allclose(a.numpy(), b, atol=1e-5)
    operators = collections.Counter(node.op_type for node in onnx.load(result.path).graph.node)
    assert operators["BatchNormalization"] == 0 and operators["Conv"] == 2


def test_fp16_weights_halve_the_file_and_barely_change_the_result(model: Any, tmp_path: Path) -> None:
    full = export_onnx(model, spec(), tmp_path / "full.onnx")
    half = export_onnx(model, spec(), tmp_path / "half.onnx", storage="fp16")
    graph = onnx.load(half.path).graph
    stored = {t.name: t for t in graph.initializer}
    fp16 = [t for t in stored.values() if t.data_type == onnx.TensorProto.FLOAT16]
    assert sum(np.prod(t.dims) for t in fp16) == 3 * 16 * 9
    saved = full.path.stat().st_size - half.path.stat().st_size
    assert saved > 0.5 * 2 * 3 * 16 * 9
    assert 0 < max(half.difference.values()) < 5e-3


def rounded_like(values: np.ndarray, storage: str) -> np.ndarray:
    """What a large weight is after storing it, computed here one output channel after the other."""
    if storage == "fp16":
        return values.astype(np.float16).astype(np.float32)
    rows = []
    for channel in values:
        step = np.float32(np.abs(channel).max() / 127)
        rows.append(np.rint(channel / step) * step)
    return np.stack(rows).astype(np.float32)


@pytest.mark.parametrize("storage", ["fp16", "int8"])
def test_small_weights_run_like_the_rounded_ones(model: Any, tmp_path: Path, storage: Any) -> None:
    """Casting on load has to equal rounding the folded weights, to the last bit of fp32 computing."""
    full = onnx.load(export_onnx(model, spec(), tmp_path / "full.onnx").path)
    rounded = onnx.ModelProto()
    rounded.CopyFrom(full)
    for tensor in rounded.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size >= 256:
            tensor.CopyFrom(onnx.numpy_helper.from_array(rounded_like(values, storage), tensor.name))
    store_weights_small(full, storage)
    image = np.random.default_rng(4).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    results = [
        onnxruntime.InferenceSession(g.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, {"image": image}
        )
        for g in (full, rounded)
    ]
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_int8_steps_are_of_output_channels(tmp_path: Path) -> None:
    """Of a linear layer, whose matrix the exporter transposes, too: a channel's rounding knows only its own size."""
    layer = torch.nn.Linear(32, 24).eval()
    with torch.no_grad():
        layer.weight *= torch.logspace(-3, 1, 24)[:, None]
    shape = ExportSpec({"x": torch.randn(2, 32)}, ("y",), {"x": {0: Axis("N")}})
    path = export_onnx(layer, shape, tmp_path / "layer.onnx", storage="int8").path
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    assert any(array.dtype == np.int8 for array in stored.values())
    back = torch.nn.Linear(32, 24)
    assert load_onnx(back, path) == []
    off = (back.weight - layer.weight).abs().amax(dim=1) / layer.weight.abs().amax(dim=1)
    assert 0 < off.max() <= 0.5 / 127 + 1e-6


def test_other_ways_to_store_are_refused(model: Any, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="can't be stored as 'int4'"):
        export_onnx(model, spec(), tmp_path / "x.onnx", storage="int4")


def test_a_file_that_computes_something_else_is_not_written(model: Any, tmp_path: Path) -> None:
    data = export_onnx(model, spec(), tmp_path / "good.onnx").path.read_bytes()
    other = Small().eval()
    assert max(compare(other, spec(), data).values()) > 1e-2
    with pytest.raises(ExportError, match="differs from torch"):
        export_onnx(model, spec(), tmp_path / "bad.onnx", tolerance=0.0)
    assert not (tmp_path / "bad.onnx").exists()


def test_weights_beyond_fp16_are_refused(tmp_path: Path) -> None:
    model: Any = Small().eval()
    model.conv[0].weight.data *= 1e8
    model.conv[1].running_var.fill_(1.0)
    with pytest.raises(ExportError, match="too large for fp16"):
        export_onnx(model, spec(), tmp_path / "large.onnx", storage="fp16")
