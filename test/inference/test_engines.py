from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dualpose_ros.inference import load
from dualpose_ros.inference.cache import kept
from dualpose_ros.inference.cuda import Gpu, find_gpu
from dualpose_ros.inference.engine import EngineError, TensorSpec, check_inputs
from dualpose_ros.inference.load import EngineConfig, load_engine
from dualpose_ros.inference.parity import difference, example_inputs
from dualpose_ros.weights import INT8, list_weights, weights_path

onnx = pytest.importorskip("onnx")


def write_network(path: Any) -> Any:
    """y = sum over channels of x as float, z = 2 k; x in bytes, height and width multiples of 4."""
    tensor, helper = onnx.TensorProto, onnx.helper
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["xf"], to=tensor.FLOAT),
            helper.make_node("ReduceSum", ["xf", "axes"], ["y"], keepdims=0),
            helper.make_node("Mul", ["k", "two"], ["z"]),
        ],
        "g",
        [
            helper.make_tensor_value_info("x", tensor.UINT8, ["N", "4*H", "4*W", 3]),
            helper.make_tensor_value_info("k", tensor.FLOAT, ["N"]),
        ],
        [
            helper.make_tensor_value_info("y", tensor.FLOAT, ["N", "4*H", "4*W"]),
            helper.make_tensor_value_info("z", tensor.FLOAT, ["N"]),
        ],
        [helper.make_tensor("axes", tensor.INT64, [1], [3]), helper.make_tensor("two", tensor.FLOAT, [1], [2.0])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


@pytest.fixture(scope="module")
def network_file(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return write_network(tmp_path_factory.mktemp("net") / "net.onnx")


@pytest.fixture(params=["onnxruntime", "openvino", "torch"])
def engine(request: pytest.FixtureRequest, network_file: Any) -> Any:
    pytest.importorskip(request.param)
    return load_engine(network_file, request.param)


def with_checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).digest() + content


def good_inputs(n: Any = 2, h: Any = 8, w: Any = 4) -> Any:
    rng = np.random.default_rng(0)
    return {"x": rng.integers(0, 256, (n, h, w, 3), dtype=np.uint8), "k": rng.random(n, dtype=np.float32)}


@pytest.mark.parametrize("size", [(1, 4, 4), (3, 8, 12), (2, 16, 4)])
def test_every_backend_computes_the_network(engine: Any, size: Any) -> None:
    inputs = good_inputs(*size)
    outputs = engine.run(inputs)
    assert list(outputs) == ["y", "z"] == list(engine.outputs)
    np.testing.assert_allclose(outputs["y"], inputs["x"].astype(np.float32).sum(axis=3))
    np.testing.assert_allclose(outputs["z"], 2 * inputs["k"], rtol=1e-6)
    assert outputs["y"].dtype == np.float32


def test_outputs_of_a_run_survive_the_next(engine: Any) -> None:
    first = engine.run(good_inputs())
    kept = {name: value.copy() for name, value in first.items()}
    engine.run({"x": np.zeros((2, 8, 4, 3), np.uint8), "k": np.zeros(2, np.float32)})
    for name, value in first.items():
        np.testing.assert_array_equal(value, kept[name])


def test_shapes_have_plans_of_their_own(network_file: Any) -> None:
    openvino_engine = pytest.importorskip("dualpose_ros.inference.backends.openvino_engine")
    engine: Any = load_engine(network_file, "openvino")
    for _ in range(3):
        for size in [(n, 4 + 4 * (n % 2), 4) for n in (1, 7, 4, 8)]:
            inputs = good_inputs(*size)
            outputs = engine.run(inputs)
            np.testing.assert_allclose(outputs["y"], inputs["x"].astype(np.float32).sum(axis=3))
            np.testing.assert_allclose(outputs["z"], 2 * inputs["k"], rtol=1e-6)
        # Seven are computed as 4, 2 and 1, eight as 4 and 4.
        assert len(engine._plans) == 4
    for height in range(4, 64, 4):
        assert engine.run(good_inputs(1, height, 8))["y"].shape == (1, height, 8)
    assert len(engine._plans) == openvino_engine._MOST_PLANS + 1, "and one for all others"


_LET_GO = """
import gc, os, signal, sys
from pathlib import Path
import numpy as np
from dualpose_ros.inference.backends.openvino_engine import OpenVinoEngine
told = []
signal.signal(signal.SIGINT, lambda *_: told.append(1))
engine = OpenVinoEngine(Path(sys.argv[1]), 1)
for rows in (1, 1, 2, 2):
    engine.run({"x": np.zeros((rows, 8, 4, 3), np.uint8), "k": np.zeros(rows, np.float32)})
del engine
gc.collect()
os.kill(os.getpid(), signal.SIGINT)
sys.exit(len(told))
"""


def test_a_signal_after_networks_were_let_go_is_no_crash(network_file: Any) -> None:
    pytest.importorskip("openvino")
    assert subprocess.run([sys.executable, "-c", _LET_GO, str(network_file)], timeout=60).returncode == 1


def test_views_that_are_not_contiguous(engine: Any) -> None:
    inputs = good_inputs(2, 8, 8)
    mirrored = engine.run({**inputs, "x": inputs["x"][:, :, ::-1]})
    np.testing.assert_array_equal(mirrored["y"], engine.run(inputs)["y"][:, :, ::-1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros(1)}, "unknown input 'image'; the network takes x, k"),
        ({"k": None}, "input 'k' is missing"),
        ({"x": np.zeros((2, 8, 4, 3), np.float32)}, "input 'x' is float32, not uint8"),
        ({"k": [1.0, 2.0]}, "input 'k' is a list"),
        ({"x": np.zeros((2, 8, 4), np.uint8)}, "3 axes instead of 4"),
        ({"x": np.zeros((2, 8, 4, 4), np.uint8)}, "axis 3 is 4 instead of 3"),
        ({"x": np.zeros((0, 8, 4, 3), np.uint8)}, "axis 0 is empty"),
    ],
)
def test_inputs_that_do_not_fit_are_named(engine: Any, change: Any, message: Any) -> None:
    inputs = {name: value for name, value in {**good_inputs(), **change}.items() if value is not None}
    with pytest.raises(EngineError, match=message):
        engine.run(inputs)


@pytest.mark.parametrize("backend", ["onnxruntime", "torch"])
def test_named_axes_are_checked(network_file: Any, backend: Any) -> None:
    pytest.importorskip(backend)
    engine = load_engine(network_file, backend)
    with pytest.raises(EngineError, match=r"axis 1 is 6, not a multiple of 4"):
        engine.run(good_inputs(2, 6, 4))
    with pytest.raises(EngineError, match=r"axis 0 is 3, but 'N' is 2 elsewhere"):
        engine.run({**good_inputs(), "k": np.zeros(3, np.float32)})


@pytest.mark.parametrize("name", [e.name for e in list_weights() if not e.name.endswith(INT8)])
@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_every_backend_runs_every_network_alike(name: str, backend: str) -> None:
    pytest.importorskip(backend)
    ours, theirs = load_engine(weights_path(name), backend), load_engine(weights_path(name))
    assert ours.outputs == theirs.outputs and ours.metadata == theirs.metadata
    if backend == "torch":  # OpenVINO knows no names of axes
        assert ours.inputs == theirs.inputs
    images = any(spec.dtype == np.uint8 for spec in theirs.inputs.values())
    for rows in (1, 3) if images else (1, 3, 8, 33):
        inputs = example_inputs(theirs.inputs, rows, 2)
        found, expected = ours.run(inputs), theirs.run(inputs)
        assert [(n, v.dtype) for n, v in found.items()] == [(n, v.dtype) for n, v in expected.items()]
        assert max(difference(found, expected).values()) < 2e-4


def test_a_compiled_network_is_kept_and_serves_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network_file: Any
) -> None:
    openvino = pytest.importorskip("openvino")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = load_engine(network_file, "openvino")
    expected = [first.run(good_inputs()) for _ in range(3)]
    (file,) = (tmp_path / "dualpose_ros" / "openvino").iterdir()
    with monkeypatch.context() as patched:
        patched.setattr(openvino.Core, "compile_model", lambda *given: pytest.fail("compiled again"))
        again = load_engine(network_file, "openvino")
        assert (again.inputs, again.outputs, again.metadata) == (first.inputs, first.outputs, first.metadata)
        for answer in expected:
            assert all(np.array_equal(value, answer[name]) for name, value in again.run(good_inputs()).items())
    # Damaged as by a full disk, or spoilt with a checksum that holds, or in a folder that can't be: it is compiled.
    data = file.read_bytes()
    for spoilt in (data[:-9], b"", data[:40] + b"x" + data[41:], with_checksum(b"no blob")):
        file.write_bytes(spoilt)
        assert np.array_equal(load_engine(network_file, "openvino").run(good_inputs())["y"], expected[0]["y"])
        assert kept(file) and file.read_bytes() != spoilt
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    assert np.array_equal(load_engine(network_file, "openvino").run(good_inputs())["y"], expected[0]["y"])


def test_the_first_answer_is_that_of_all_others_and_no_size_that_does_not_fit_has_one() -> None:
    pytest.importorskip("openvino")
    engine = load_engine(weights_path("detector"), "openvino", precision="bf16")
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), dtype=np.uint8)
    first, second = (engine.run({"image": image})["people"] for _ in range(2))
    assert np.array_equal(first, second)
    for _ in range(2):
        with pytest.raises(EngineError, match="OpenVINO failed"):
            engine.run({"image": image[:, :36]})


def test_no_patch_waits_for_a_plan() -> None:
    pytest.importorskip("openvino")
    engine: Any = load_engine(weights_path("top_down"), "openvino")
    plans = dict(engine._plans)
    assert len(plans) == 3
    for count in (1, 3, 8):
        engine.run({"patches": np.zeros((count, 192, 192, 3), np.uint8)})
    assert engine._plans == plans


@pytest.mark.parametrize("changed", ["version", "setting", "source"])
def test_a_compiled_network_serves_no_other_version_or_setting(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network_file: Any
) -> None:
    module = pytest.importorskip("dualpose_ros.inference.backends.openvino_engine")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    load_engine(network_file, "openvino").run(good_inputs())
    others = {"version": (module.openvino, "__version__", "1.0"), "source": (module, "__file__", __file__)}
    if changed in others:
        monkeypatch.setattr(*others[changed])
    load_engine(network_file, "openvino", threads=2 if changed == "setting" else 1).run(good_inputs())
    assert len(list((tmp_path / "dualpose_ros" / "openvino").iterdir())) == 2


def test_torch_computes_in_fp16_on_a_gpu_alone(network_file: Any) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("here it does: there is a GPU")
    with pytest.raises(EngineError, match="torch computes in fp16 on a GPU alone"):
        load_engine(network_file, "torch", precision="fp16")


def test_torch_names_what_it_does_not_know(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    model = onnx.load(write_network(tmp_path / "net.onnx"))
    model.opset_import[0].version = 12
    onnx.save(model, tmp_path / "old.onnx")
    with pytest.raises(EngineError, match="opset 12 is not known to backend 'torch'; use onnxruntime"):
        load_engine(tmp_path / "old.onnx", "torch")
    model.opset_import[0].version = 18
    model.graph.node[2].op_type = "Atan"
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(EngineError, match="operator Atan"):
        load_engine(tmp_path / "odd.onnx", "torch")


def test_check_inputs_orders_and_does_not_copy() -> None:
    specs = {"a": TensorSpec("a", np.dtype(np.float32), ("N", 2)), "b": TensorSpec("b", np.dtype(np.float32), ("N",))}
    a, b = np.zeros((3, 2), np.float32), np.zeros(3, np.float32)
    checked = check_inputs(specs, {"b": b, "a": a})
    assert list(checked) == ["a", "b"] and checked["a"] is a


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino", "torch"])
def test_files_that_are_no_networks(tmp_path: Path, backend: Any) -> None:
    pytest.importorskip(backend)
    with pytest.raises(EngineError, match="is not there"):
        load_engine(tmp_path / "none.onnx", backend)
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"")
    with pytest.raises(EngineError, match="is empty"):
        load_engine(path, backend)
    path.write_bytes(b"\x08rubbish")
    with pytest.raises(EngineError, match=r"can't load .*bad"):
        load_engine(path, backend)


def test_wrong_requests(network_file: Any) -> None:
    with pytest.raises(EngineError, match=r"unknown backend 'onnx'; there are onnxruntime"):
        load_engine(network_file, "onnx")
    with pytest.raises(EngineError, match="at least one thread"):
        load_engine(network_file, threads=0)


@pytest.mark.parametrize(
    ("backend", "blocked"), [("onnxruntime", "onnxruntime"), ("openvino", "openvino"), ("torch", "torch"),
                             ("tensorrt", "tensorrt"), ("tensorrt", "cuda.bindings")],
)  # fmt: skip
def test_a_library_that_is_not_installed_is_named(
    network_file: Any, backend: Any, blocked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dualpose_ros.inference.backends.tensorrt_engine as tensorrt_engine

    monkeypatch.setattr(tensorrt_engine, "find_gpu", lambda: Gpu("a GPU", "9.0", 13000))
    if backend != "tensorrt":
        for module in [m for m in sys.modules if m.startswith(f"dualpose_ros.inference.backends.{backend}")]:
            monkeypatch.delitem(sys.modules, module)
    if blocked == "cuda.bindings":
        monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace())
    monkeypatch.setitem(sys.modules, blocked, None)
    with pytest.raises(EngineError, match=rf"backend '{backend}' can't be imported .*pip install"):
        load_engine(network_file, backend)


def test_gpu_probe_survives_a_machine_without_driver() -> None:
    assert find_gpu("libno-such-driver.so") is None


def test_providers_that_onnxruntime_lacks_are_named(network_file: Any) -> None:
    import onnxruntime

    for backend, provider in (("onnxruntime_cuda", "CUDA"), ("onnxruntime_tensorrt", "Tensorrt")):
        if f"{provider}ExecutionProvider" not in onnxruntime.get_available_providers():
            with pytest.raises(EngineError, match=f"has no {provider}ExecutionProvider; install onnxruntime-gpu"):
                load_engine(network_file, backend)
    for backend in ("torch", "tensorrt", "onnxruntime_cuda"):
        with pytest.raises(EngineError, match=f"'{backend}' does not compute in int8; onnxruntime and openvino do"):
            EngineConfig(backend, "int8").network("top_down")
    with pytest.raises(EngineError, match="computes in fp32 or int8, not in fp16"):
        load_engine(network_file, precision="fp16")


@pytest.mark.parametrize(
    ("installed", "providers", "torch_version", "chosen"),
    [
        ({"tensorrt", "cuda.bindings", "torch"}, ("CUDAExecutionProvider",), "2.13.0", "tensorrt"),
        ({"tensorrt", "torch"}, ("CUDAExecutionProvider",), "2.13.0", "onnxruntime_cuda"),
        ({"torch"}, (), "2.13.0", "torch"),
        ({"torch"}, (), "2.13.0+cpu", "onnxruntime"),
        (set(), (), "", "onnxruntime"),
    ],
)
def test_auto_takes_the_best_that_is_there(
    installed: set[str], providers: Any, torch_version: str, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    monkeypatch.setattr(load, "_is_installed", lambda module: module in installed)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*providers, "CPUExecutionProvider"])
    monkeypatch.setattr(load.importlib.metadata, "version", lambda _: torch_version)
    backend, reason = load.best_backend(Gpu("H200", "9.0", 13000))
    assert backend == chosen and "H200" in reason


@pytest.mark.parametrize("fast", [True, False])
def test_auto_computes_networks_over_images_in_bf16_where_the_cpu_does_so_fast(
    fast: bool, network_file: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loaded: list[tuple[str, str, str]] = []
    works = load.load_engine

    def watched(path: Any, backend: str = "onnxruntime", threads: int = 1, precision: str = "fp32") -> Any:
        loaded.append((Path(path).name, backend, precision))
        if backend == "openvino":
            raise EngineError("it is broken")
        return works(path, backend, threads, precision)

    monkeypatch.setattr(load, "load_engine", watched)
    monkeypatch.setattr(load, "find_gpu", lambda: None)
    monkeypatch.setattr(load, "computes_bf16_fast", lambda: fast)
    monkeypatch.setattr(load, "computes_int8_fast", lambda: True)
    monkeypatch.setattr(load, "_is_installed", lambda module: module == "openvino")
    load.choose_backend.cache_clear()
    for name in ("top_down", "gcn", "bottom_up"):
        EngineConfig().network(name)
    EngineConfig(precision="fp32").network("top_down")
    EngineConfig(precision="int8").network("bottom_up")
    load.choose_backend.cache_clear()
    tried = [("top_down.onnx", "bf16"), ("bottom_up.onnx", "bf16"), ("bottom_up_int8.onnx", "int8")]
    by_openvino = [(path, precision) for path, backend, precision in loaded if backend == "openvino"]
    assert by_openvino == (tried if fast else [])
    assert [path for path, backend, precision in loaded if backend == "onnxruntime" and precision == "fp32"] == [
        "top_down.onnx" if fast else "top_down_int8.onnx", "gcn.onnx",
        "bottom_up.onnx" if fast else "bottom_up_int8.onnx", "top_down.onnx", "bottom_up_int8.onnx",
    ]  # fmt: skip
    assert caplog.text.count("it is broken") == (3 if fast else 0)


def test_what_auto_chose_falls_back_with_one_line(
    network_file: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(load, "choose_backend", lambda: "tensorrt")
    monkeypatch.setattr(load, "computes_bf16_fast", lambda: False)
    engine = EngineConfig().load(network_file)
    assert type(engine).__name__ == "OnnxRuntimeEngine"
    assert [record.getMessage() for record in caplog.records] == [
        "net.onnx runs on the CPU: backend 'tensorrt' needs an NVIDIA GPU with its driver, and there is none here"
    ]
    with pytest.raises(EngineError, match="needs an NVIDIA GPU"):
        EngineConfig(backend="tensorrt").load(network_file)


def test_the_live_path_imports_neither_torch_nor_onnx(network_file: Any) -> None:
    code = (
        "import sys; from dualpose_ros.inference.load import load_engine; "
        f"load_engine({str(network_file)!r}); import dualpose_ros.weights; "
        "print([m for m in ('torch', 'onnx', 'openvino', 'tensorrt') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
