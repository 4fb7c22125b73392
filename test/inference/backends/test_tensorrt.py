"""TensorRT's engine on stand-ins for its libraries, and on the names and signatures of its real bindings."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import dualpose_ros.inference.backends.tensorrt_engine as module
from dualpose_ros import cli
from dualpose_ros.inference.backends.tensorrt_build import plan_file, profile_of
from dualpose_ros.inference.backends.tensorrt_engine import TensorRtEngine
from dualpose_ros.inference.cuda import Gpu
from dualpose_ros.inference.engine import EngineError
from dualpose_ros.inference.load import load_engine
from dualpose_ros.inference.parity import difference, example_inputs
from dualpose_ros.weights import weights_path
from support.command_line import refused
from support.fake_tensorrt import FakeCuda, FakeTensorRt

pytest.importorskip("onnx")
GPU = Gpu("a GPU", "9.0", 13000)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    fake = FakeCuda()
    bindings = SimpleNamespace(runtime=fake)
    for name, value in (("cuda", SimpleNamespace(bindings=bindings)), ("cuda.bindings", bindings)):
        monkeypatch.setitem(sys.modules, name, value)
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", fake)
    return fake


@pytest.fixture
def trt(cuda: FakeCuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTensorRt:
    fake = FakeTensorRt()
    monkeypatch.setitem(sys.modules, "tensorrt", fake)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(module, "find_gpu", lambda: GPU)
    return fake


def finish() -> None:
    for thread in [t for t in threading.enumerate() if t.name == "tensorrt"]:
        thread.join(timeout=60)


def fusion(precision: str = "auto") -> tuple[TensorRtEngine, Any]:
    return TensorRtEngine(weights_path("fusion"), 1, precision), load_engine(weights_path("fusion"))


@pytest.mark.parametrize("name", ["detector", "top_down", "bottom_up", "gcn", "lifting", "fusion"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_every_network_is_built_compared_and_run(name: str, precision: str, trt: FakeTensorRt) -> None:
    engine, reference = TensorRtEngine(weights_path(name), 1, precision), load_engine(weights_path(name))
    inputs = example_inputs(reference.inputs, 1, 2)
    off = engine.prepare({n: value.shape for n, value in inputs.items()})
    assert off <= module.TOLERANCES[precision]
    assert trt.built[0]["flags"] == 1 << 1 and (7 in trt.built[0]["cleared"]) == (precision == "fp32")
    assert max(difference(engine.run(inputs), reference.run(inputs)).values()) <= module.TOLERANCES[precision]


def test_the_cpu_answers_until_the_plan_is_there(trt: FakeTensorRt) -> None:
    engine, reference = fusion()
    inputs = example_inputs(engine.inputs, 3, 1)
    first = engine.run(inputs)
    finish()
    assert len(trt.built) == 1
    second, expected = engine.run(inputs), reference.run(inputs)
    for found in (first, second):
        assert max(difference(found, expected).values()) < 1e-6
    again, _ = fusion()
    again.run(inputs)
    finish()
    assert len(trt.built) == 1, "the plan was kept"


def test_calls_above_the_profile_are_split(trt: FakeTensorRt) -> None:
    engine, reference = fusion()
    inputs = example_inputs(engine.inputs, 77, 1)
    engine.run(inputs)
    finish()
    assert trt.built[0]["features"] == ((1, 185), (8, 185), (32, 185))
    found, expected = engine.run(inputs), reference.run(inputs)
    assert found["joints_rel"].shape == expected["joints_rel"].shape
    assert max(difference(found, expected).values()) < 1e-6


def test_answers_stay_when_the_next_call_comes(trt: FakeTensorRt) -> None:
    engine, _ = fusion()
    inputs = example_inputs(engine.inputs, 2, 1)
    engine.prepare({n: value.shape for n, value in inputs.items()})
    first = engine.run(inputs)["joints_rel"]
    kept = first.copy()
    engine.run(example_inputs(engine.inputs, 2, 1, seed=9))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("parse", "can't read fusion.onnx: no importer for Atan"),
        ("build", "can't build fusion.onnx"),
        ("crash", "out of workspace"),
        ("wrong", "fp32 plan is .* from ONNX Runtime, more than 1e-03: it is not used"),
        ("context", "the GPU's memory is full"),
        ("run", "failed to run the network"),
        ("memory", "the GPU's memory is full"),
        ("synchronise", "CUDA's cudaStreamSynchronize failed"),
    ],
)
def test_whatever_fails_the_cpu_goes_on(
    fault: str, line: str, trt: FakeTensorRt, cuda: FakeCuda, caplog: pytest.LogCaptureFixture
) -> None:
    trt.faults.add(fault)
    cuda.faults.add(fault)
    engine, reference = fusion()
    inputs = example_inputs(engine.inputs, 2, 1)
    for _ in range(3):
        assert difference(engine.run(inputs), reference.run(inputs)) == dict.fromkeys(reference.outputs, 0.0)
        finish()
    with pytest.raises((EngineError, RuntimeError), match=line):
        engine.prepare({n: value.shape for n, value in inputs.items()})
    given_up = [r.getMessage() for r in caplog.records if "runs on the CPU" in r.getMessage()]
    assert len(given_up) == 1 and given_up[0].startswith("fusion.onnx runs on the CPU: ")


def test_a_gpu_that_fails_later_is_left(trt: FakeTensorRt, caplog: pytest.LogCaptureFixture) -> None:
    engine, reference = fusion()
    inputs = example_inputs(engine.inputs, 2, 1)
    engine.prepare({n: value.shape for n, value in inputs.items()})
    trt.faults.add("run")
    for _ in range(2):
        assert difference(engine.run(inputs), reference.run(inputs)) == dict.fromkeys(reference.outputs, 0.0)
    assert sum("runs on the CPU" in record.getMessage() for record in caplog.records) == 1


def test_a_plan_that_can_not_be_read_is_built_anew(trt: FakeTensorRt, tmp_path: Path) -> None:
    engine, _ = fusion()
    shapes = {n: value.shape for n, value in example_inputs(engine.inputs, 2, 1).items()}
    engine.prepare(shapes)
    (plan,) = (tmp_path / "dualpose_ros" / "tensorrt").glob("*.plan")
    plan.write_bytes(b"stale")
    fusion()[0].prepare(shapes)
    assert len(trt.built) == 2 and plan.read_bytes() != b"stale"


def test_timings_of_another_gpu_are_not_used(trt: FakeTensorRt, tmp_path: Path) -> None:
    folder = tmp_path / "dualpose_ros" / "tensorrt"
    folder.mkdir(parents=True)
    (folder / "timings_11.4.0").write_bytes(b"of another GPU")
    engine, _ = fusion()
    engine.prepare({n: value.shape for n, value in example_inputs(engine.inputs, 2, 1).items()})
    assert (folder / "timings_11.4.0").read_bytes() == b"timings"


def test_a_plan_serves_only_what_it_was_built_for() -> None:
    profile = {"x": ((1, 2), (4, 2), (8, 2))}
    base = (b"net", "11.4", GPU, "fp16", profile)
    others = [
        (b"other", "11.4", GPU, "fp16", profile),
        (b"net", "10.16", GPU, "fp16", profile),
        (b"net", "11.4", Gpu("B", "9.0", 13000), "fp16", profile),
        (b"net", "11.4", Gpu("a GPU", "8.9", 13000), "fp16", profile),
        (b"net", "11.4", Gpu("a GPU", "9.0", 12080), "fp16", profile),
        (b"net", "11.4", GPU, "fp32", profile),
        (b"net", "11.4", GPU, "fp16", {"x": ((1, 2), (4, 2), (9, 2))}),
    ]
    assert plan_file(*base) == plan_file(*base)  # type: ignore[arg-type]
    assert len({plan_file(*what) for what in (base, *others)}) == 8  # type: ignore[arg-type]


def test_profiles_are_of_true_sizes() -> None:
    whole = load_engine(weights_path("detector")).inputs
    size = (1, 224, 384, 3)
    assert profile_of(whole, {"image": size}) == {"image": (size, size, size)}
    patches = load_engine(weights_path("top_down")).inputs
    side = int(patches["patches"].shape[1])
    assert [shape[0] for shape in profile_of(patches, {"patches": (3, side, side, 3)})["patches"]] == [1, 4, 8]


def test_more_sizes_than_plans_stay_on_the_cpu(trt: FakeTensorRt, caplog: pytest.LogCaptureFixture) -> None:
    engine = TensorRtEngine(weights_path("detector"), 1, "fp32")
    for cells in range(1, module.MAX_PLANS + 4):
        engine.run(example_inputs(engine.inputs, 1, cells))
        finish()
    assert len(trt.built) == module.MAX_PLANS
    assert sum("in more than" in record.getMessage() for record in caplog.records) == 1


def test_tensorrt_is_not_touched_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_gpu", lambda: None)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(EngineError, match="needs an NVIDIA GPU"):
        load_engine(weights_path("fusion"), "tensorrt")


def test_building_says_how_far_it_is(trt: FakeTensorRt, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        engine, _ = fusion()
        engine.prepare({n: value.shape for n, value in example_inputs(engine.inputs, 2, 1).items()})
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == "TensorRT builds fusion.onnx for a GPU: some minutes, once"
    assert "TensorRT builds fusion.onnx: Building, 5 of 20" in said


def test_plans_are_built_by_the_command(trt: FakeTensorRt, capsys: pytest.CaptureFixture[str]) -> None:
    shape = "image=1x64x96x3"
    assert cli.main(["export", "detector", "--engine", "tensorrt", "--precision", "fp16", "--shapes", shape]) == 0
    assert "detector.onnx: TensorRT's plan for image 1x64x96x3 is kept" in capsys.readouterr().out
    engine = TensorRtEngine(weights_path("detector"), 1, "fp16")
    engine.run(example_inputs({n: s.fixed((1, 64, 96, 3)) for n, s in engine.inputs.items()}, 1, 1))
    finish()
    assert len(trt.built) == 1, "a node reads what the command built"


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("--shapes", "image=1x64"), "input 'image'"),
        (("--shapes", "picture=1x64x96x3"), "--shapes names picture; detector.onnx takes image"),
        (("--shapes", "image=1,64"), "is no NAME=AxBxC"),
        (("--precision", "int8"), "takes --precision fp16 or fp32"),
    ],
)
def test_what_can_not_be_built_is_told(
    args: tuple[str, ...], line: str, trt: FakeTensorRt, capsys: pytest.CaptureFixture[str]
) -> None:
    assert line in refused(capsys, "export", "detector", "--engine", "tensorrt", *args)


def test_the_command_needs_a_gpu(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_gpu", lambda: None)
    assert "needs an NVIDIA GPU" in refused(capsys, "export", "fusion", "--engine", "tensorrt")


def test_fp16_networks_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import onnx

    target = tmp_path / "half.onnx"
    assert cli.main(["export", "top-down", "--precision", "fp16", "--out", str(target)]) == 0
    assert "opset 20" in capsys.readouterr().out
    graph = onnx.load(target).graph
    weights = {tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT16}
    assert len(weights) > 100
    wide = {tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    assert {node.op_type for node in graph.node if wide & {*node.input}} <= {"Resize"}, "its scales are always fp32"
    assert not [node.name for node in graph.node if node.op_type == "Cast" and node.input[0] in weights]
    assert load_engine(target).inputs == load_engine(weights_path("top_down")).inputs


CONTRACT = """
import importlib.util, sys
from tensorrt_bindings import tensorrt as t
def says(of, *words):
    missing = [word for word in words if word not in (of.__doc__ or "")]
    assert not missing, (of, missing, of.__doc__)
assert t.NetworkDefinitionCreationFlag.STRONGLY_TYPED and t.BuilderFlag.TF32 and t.MemoryPoolType.WORKSPACE
assert t.TensorIOMode.OUTPUT and t.Logger.WARNING and t.ICudaEngine.num_io_tensors
says(t.Logger.__init__, "min_severity")
says(t.Builder.create_network, "flags: ")
says(t.Builder.build_serialized_network, "network: ", "config: ", "-> tensorrt_bindings.tensorrt.IHostMemory")
says(t.Builder.create_builder_config, "IBuilderConfig")
says(t.Builder.create_optimization_profile, "IOptimizationProfile")
says(t.OnnxParser.__init__, "network: ", "logger: ")
says(t.OnnxParser.parse, "model: ", "-> bool")
says(t.OnnxParser.get_error, "index: ")
assert t.OnnxParser.num_errors
says(t.IBuilderConfig.set_memory_pool_limit, "pool: ", "pool_size: ")
says(t.IBuilderConfig.clear_flag, "flag: ")
says(t.IBuilderConfig.create_timing_cache, "serialized_timing_cache: ")
says(t.IBuilderConfig.set_timing_cache, "cache: ", "ignore_mismatch: bool", "-> bool")
says(t.IBuilderConfig.get_timing_cache, "ITimingCache")
says(t.ITimingCache.serialize, "IHostMemory")
says(t.IBuilderConfig.add_optimization_profile, "profile: ")
assert t.IBuilderConfig.progress_monitor
says(t.IOptimizationProfile.set_shape, "input: str, min: ", "opt: ", "max: ")
says(t.IProgressMonitor.phase_start, "phase_name: str, parent_phase: str, num_steps: ")
says(t.IProgressMonitor.step_complete, "phase_name: str, step: ", "-> bool")
says(t.IProgressMonitor.phase_finish, "phase_name: str")
says(t.Runtime.__init__, "logger: ")
says(t.Runtime.deserialize_cuda_engine, "serialized_engine: ")
for name in ("get_tensor_name", "get_tensor_mode", "get_tensor_dtype", "create_execution_context"):
    assert getattr(t.ICudaEngine, name)
says(t.IExecutionContext.set_input_shape, "name: str, shape: ", "-> bool")
says(t.IExecutionContext.set_tensor_address, "name: str, memory: ", "-> bool")
says(t.IExecutionContext.get_tensor_shape, "name: str")
says(t.IExecutionContext.execute_async_v3, "stream_handle: ", "-> bool")
print("kept")
"""


def test_the_real_bindings_have_the_names_and_signatures_in_use(tmp_path: Path) -> None:
    """Their library opens with empty ones in the place of TensorRT's own, which weigh gigabytes; nothing is called."""
    found = importlib.util.find_spec("tensorrt_bindings")
    if found is None or not found.submodule_search_locations or not shutil.which("gcc") or not shutil.which("nm"):
        pytest.skip("needs tensorrt-cu13-bindings (pip install --no-deps), gcc and nm")
    library = next(Path(found.submodule_search_locations[0]).glob("tensorrt*.so"))
    listed = subprocess.run(["nm", "-D", "--undefined-only", str(library)], capture_output=True, text=True, check=True)
    names = [
        words[1] for words in map(str.split, listed.stdout.splitlines()) if words[0] == "U" and "@" not in words[1]
    ]
    dynamic = subprocess.run(["readelf", "-d", str(library)], capture_output=True, text=True, check=True).stdout
    needed = re.findall(r"NEEDED.*\[(lib(?:nvinfer|nvonnx)[^\]]*)\]", dynamic)
    symbols = "".join(f".globl {name}\n{name}: .zero 64\n" for name in names if not name.startswith(("Py", "_Py")))
    (tmp_path / "empty.s").write_text(f".data\n{symbols}")
    for name in needed:
        make = ["gcc", "-shared", "-nostdlib", f"-Wl,-soname,{name}", "-o", str(tmp_path / name), "empty.s"]
        subprocess.run(make, cwd=tmp_path, check=True)
        (tmp_path / "empty.s").write_text("\n")
    # Not the package itself: its __init__ looks for the libraries by other means.
    loader = f"""
import importlib.util, sys, types
package = types.ModuleType("tensorrt_bindings")
package.__path__ = [{str(library.parent)!r}]
sys.modules["tensorrt_bindings"] = package
{CONTRACT}"""
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", loader], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "kept", done.stderr


def test_cuda_bindings_have_the_names_in_use() -> None:
    """Without a driver too they can be imported: calls answer with an error."""
    runtime = pytest.importorskip("cuda.bindings.runtime")
    for name in vars(FakeCuda):
        assert name.startswith("_") or hasattr(runtime, name), name
    for kind in (FakeCuda.cudaError_t, FakeCuda.cudaMemcpyKind):
        assert all(hasattr(getattr(runtime, kind.__name__), n) for n in vars(kind) if not n.startswith("_"))
    error, *results = runtime.cudaMalloc(16)
    assert len(results) == 1 and isinstance(error, runtime.cudaError_t)
