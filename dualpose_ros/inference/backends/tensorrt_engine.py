"""Networks on an NVIDIA GPU by TensorRT 8.6 to 11 (extra `tensorrt`), and by the CPU until their plan is built.

Written against the bindings of TensorRT 10.16 and 11.4 and run with stand-ins for its libraries; its authors had no GPU
to run it on. Without a GPU it refuses before the library is imported.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dualpose_ros.arrays import AnyArray
from dualpose_ros.inference.backends.onnxruntime_engine import OnnxRuntimeEngine
from dualpose_ros.inference.backends.tensorrt_build import Profile, Shape, build_plan, plan_file, profile_of
from dualpose_ros.inference.cache import write_atomically
from dualpose_ros.inference.cuda import CudaMemory, find_gpu
from dualpose_ros.inference.engine import Arrays, EngineError, check_inputs, gpu_precision
from dualpose_ros.inference.parity import difference, example_inputs

_LOGGER = logging.getLogger(__name__)

TOLERANCES = {"fp32": 1e-3, "fp16": 2e-2}
"""How far a plan may be from ONNX Runtime, relative to the largest value of each output."""
MAX_PLANS = 6
"""Plans of a network, one for each size of its input (the detector has two an image); more sizes stay on the CPU."""


class TensorRtEngine:
    """An ONNX file by TensorRT: plans are made of the shapes that come, in the background, while the CPU answers.

    Whatever goes wrong with one is said in one line, and the CPU goes on answering.
    """

    def __init__(self, path: Path, threads: int, precision: str = "auto") -> None:
        """EngineError without a GPU or for a file that can't be read; ImportError without TensorRT or cuda-bindings."""
        gpu = find_gpu()
        if gpu is None:
            raise EngineError("backend 'tensorrt' needs an NVIDIA GPU with its driver, and there is none here")
        import tensorrt
        from cuda.bindings import runtime  # noqa: F401  # so that its absence is told now

        self._trt: Any = tensorrt
        self._gpu, self._path = gpu, path
        self._cpu = OnnxRuntimeEngine(path, threads)
        self.inputs, self.outputs, self.metadata = self._cpu.inputs, self._cpu.outputs, self._cpu.metadata
        self._precision = gpu_precision(precision, self.inputs)
        self._plans: dict[str, _Plan | None] = {}
        self._lock = threading.Lock()

    def run(self, inputs: Mapping[str, AnyArray]) -> Arrays:
        checked = check_inputs(self.inputs, inputs)
        profile = profile_of(self.inputs, {name: value.shape for name, value in checked.items()})
        key = repr(profile)
        plan = self._plans.get(key)
        if plan is not None:
            try:
                return plan.run(checked)
            except EngineError as error:
                self._give_up(key, error)
        elif key not in self._plans and self._begin(key):
            threading.Thread(target=self._prepare, args=(key, profile), daemon=True, name="tensorrt").start()
        return self._cpu.run(checked)

    def prepare(self, shapes: Mapping[str, Shape]) -> float:
        """Build, or read, the plan for calls of these shapes now; how far it is from ONNX Runtime.

        EngineError says why there is none.
        """
        check_inputs(self.inputs, {name: np.zeros(shapes[name], spec.dtype) for name, spec in self.inputs.items()})
        profile = profile_of(self.inputs, shapes)
        plan = self._load(profile)
        self._plans[repr(profile)] = plan
        return self._off(plan, profile)

    def _begin(self, key: str) -> bool:
        """Note that a plan is on its way; False where there are enough."""
        with self._lock:
            if key in self._plans or len(self._plans) > MAX_PLANS:
                return False
            self._plans[key] = None
            if len(self._plans) > MAX_PLANS:
                _LOGGER.warning("%s comes in more than %d sizes: others run on the CPU", self._path.name, MAX_PLANS)
                return False
            return True

    def _prepare(self, key: str, profile: Profile) -> None:
        try:
            self._plans[key] = self._load(profile)
        except Exception as error:  # whatever a foreign library does in this thread, the CPU serves
            self._give_up(key, error)

    def _give_up(self, key: str, error: Exception) -> None:
        self._plans[key] = None
        _LOGGER.warning("%s runs on the CPU: %s", self._path.name, " ".join(str(error).split()))

    def _load(self, profile: Profile) -> _Plan:
        """The plan of a profile: from its file if that can be read, built and compared otherwise."""
        data = self._graph()
        file = plan_file(data, self._trt.__version__, self._gpu, self._precision, profile)
        logger = self._trt.Logger(self._trt.Logger.WARNING)
        if file.is_file():
            try:
                return _Plan(self._trt, logger, file.read_bytes(), profile)
            except EngineError as error:
                _LOGGER.warning("%s is built anew: %s", self._path.name, error)
                file.unlink(missing_ok=True)
        _LOGGER.warning("TensorRT builds %s for %s: some minutes, once", self._path.name, self._gpu.name)
        built = build_plan(self._trt, logger, data, profile, self._precision, self._path.name)
        plan = _Plan(self._trt, logger, built, profile)
        off = self._off(plan, profile)
        if not off <= TOLERANCES[self._precision]:
            raise EngineError(
                f"TensorRT's {self._precision} plan is {off:.1e} from ONNX Runtime, more than "
                f"{TOLERANCES[self._precision]:.0e}: it is not used"
            )
        write_atomically(file, built)
        return plan

    def _graph(self) -> bytes:
        if self._precision != "fp16":
            return self._path.read_bytes()
        from dualpose_ros.inference.graphs import in_fp16

        return bytes(in_fp16(self._path).SerializeToString())

    def _off(self, plan: _Plan, profile: Profile) -> float:
        """How far a plan's answers are from ONNX Runtime's, for the fewest and the most rows."""
        worst = 0.0
        for choice in (0, 2):
            specs = {name: spec.fixed(profile[name][choice]) for name, spec in self.inputs.items()}
            inputs = example_inputs(specs, 1, 1, seed=choice)
            worst = max(worst, *difference(plan.run(inputs), self._cpu.run(inputs)).values())
        return worst


class _Plan:
    """A plan in GPU memory. EngineError if it can't be read or run."""

    def __init__(self, trt: Any, logger: Any, data: bytes, profile: Profile) -> None:
        self._trt = trt
        self._runtime = trt.Runtime(logger)
        self._engine = self._runtime.deserialize_cuda_engine(data)
        if self._engine is None:
            raise EngineError("its plan can't be read")
        self._execution = self._engine.create_execution_context()
        if self._execution is None:
            raise EngineError("the GPU's memory is full")
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        self._outputs = [n for n in names if self._engine.get_tensor_mode(n) == trt.TensorIOMode.OUTPUT]
        self._most = min(largest[0] for _, _, largest in profile.values())
        self._memory = CudaMemory()

    def run(self, inputs: Arrays) -> Arrays:
        rows = max(len(value) for value in inputs.values())
        parts = [
            self._run({name: np.ascontiguousarray(value[start : start + self._most]) for name, value in inputs.items()})
            for start in range(0, rows, self._most)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._outputs}

    def _run(self, inputs: Arrays) -> Arrays:
        for name, value in inputs.items():
            if not self._execution.set_input_shape(name, value.shape):
                raise EngineError(f"input '{name}' of shape {list(value.shape)} is not what TensorRT's plan is for")
            self._execution.set_tensor_address(name, self._memory.upload(name, value))
        found = {}
        for name in self._outputs:
            shape = tuple(int(size) for size in self._execution.get_tensor_shape(name))
            dtype = np.dtype(self._trt.nptype(self._engine.get_tensor_dtype(name)))
            found[name] = (shape, dtype)
            size = int(np.prod(shape)) * dtype.itemsize
            self._execution.set_tensor_address(name, self._memory.reserve(name, size))
        if not self._execution.execute_async_v3(self._memory.stream):
            raise EngineError("TensorRT failed to run the network; its message is on stderr")
        results = {name: self._memory.download(name, *what) for name, what in found.items()}
        self._memory.finish()
        # Pinned memory is written again by the next run.
        return {name: value.copy() for name, value in results.items()}
