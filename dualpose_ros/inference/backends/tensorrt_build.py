"""Building TensorRT's plan of a network, and where plans are kept.

The interface is the one that TensorRT 8.6, 10 and 11 share. Precision is that of the graph: networks are strongly typed
where the version has that, and 8.6 is allowed fp16 for an fp16 graph.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualpose_ros.inference.cache import cache_file, cache_folder, write_atomically
from dualpose_ros.inference.cuda import Gpu
from dualpose_ros.inference.engine import EngineError, TensorSpec

_LOGGER = logging.getLogger(__name__)

WORKSPACE_BYTES = 1 << 30
PATCH_ROWS, ROWS = (1, 4, 8), (1, 8, 32)
"""Least, usual and most rows of a call: of patches, and of networks on vectors. Larger calls are split."""

Shape = tuple[int, ...]
Profile = dict[str, tuple[Shape, Shape, Shape]]
"""Least, usual and largest shape of every input."""


_USUAL_CELLS = {"height": 9, "width": 12}
"""Of an image of 4:3 whose longer side is 384, in units of 32."""


def is_whole(specs: Mapping[str, TensorSpec]) -> bool:
    """Whether a network takes whole images, of any size."""
    return any("*" in str(size) for spec in specs.values() for size in spec.shape)


def usual_shapes(specs: Mapping[str, TensorSpec]) -> dict[str, Shape]:
    """Shapes of a network's usual call: an image of 4:3 and 384 px, four patches, one person or pair."""

    def length(size: int | str) -> int:
        if isinstance(size, int):
            return size
        multiple, star, name = size.partition("*")
        return int(multiple) * _USUAL_CELLS.get(name, 1) if star else 1

    rows = 4 if not is_whole(specs) and any(spec.dtype == "uint8" for spec in specs.values()) else 1
    shapes = {name: tuple(length(size) for size in spec.shape) for name, spec in specs.items()}
    return {name: (max(rows, shape[0]), *shape[1:]) for name, shape in shapes.items()}


def profile_of(specs: Mapping[str, TensorSpec], shapes: Mapping[str, Shape]) -> Profile:
    """What shapes a plan is to serve, by those of a call: any number of rows up to the most, all else as in the call.

    Networks on whole images, whose size is free, get that size and number of images alone.
    """
    whole = is_whole(specs)
    rows = PATCH_ROWS if any(spec.dtype == "uint8" for spec in specs.values()) else ROWS
    profile: Profile = {}
    for name, spec in specs.items():
        shape = tuple(int(size) for size in shapes[name])
        free = isinstance(spec.shape[0], str) and not whole
        least, usual, most = ((count, *shape[1:]) if free else shape for count in rows)
        profile[name] = (least, usual, most)
    return profile


def plan_file(onnx_bytes: bytes, version: str, gpu: Gpu, precision: str, profile: Profile) -> Path:
    """File of the plan of this graph for this GPU, driver, TensorRT, precision and shapes: it serves no other."""
    what = (version, gpu.name, gpu.capability, gpu.driver, precision, sorted(profile.items()), WORKSPACE_BYTES)
    return cache_file("tensorrt", "plan", __file__, onnx_bytes, *what)


def build_plan(trt: Any, logger: Any, onnx_bytes: bytes, profile: Profile, precision: str, name: str) -> bytes:
    """A network's plan, with the timings of earlier builds reused; EngineError says what TensorRT can't do.

    name: of the network, for messages about progress.
    """
    builder = trt.Builder(logger)
    flags, typed = trt.NetworkDefinitionCreationFlag, False
    bits = 0
    for flag in ("EXPLICIT_BATCH", "STRONGLY_TYPED"):
        if hasattr(flags, flag):
            bits |= 1 << int(getattr(flags, flag))
            typed = flag == "STRONGLY_TYPED"
    network = builder.create_network(bits)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx_bytes):
        reasons = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise EngineError(f"TensorRT can't read {name}: {reasons}")
    settings = builder.create_builder_config()
    settings.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    if precision == "fp32" and hasattr(trt.BuilderFlag, "TF32"):
        settings.clear_flag(trt.BuilderFlag.TF32)
    if precision == "fp16" and not typed:
        settings.set_flag(trt.BuilderFlag.FP16)
    shapes = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index).name
        shapes.set_shape(tensor, *profile[tensor])
    settings.add_optimization_profile(shapes)
    timings = cache_folder("tensorrt") / f"timings_{trt.__version__}"
    cache = settings.create_timing_cache(timings.read_bytes() if timings.is_file() else b"")
    # A cache of another GPU or driver is refused, which only means that timing starts anew.
    if not settings.set_timing_cache(cache, False):
        settings.set_timing_cache(settings.create_timing_cache(b""), False)
    if hasattr(trt, "IProgressMonitor") and hasattr(settings, "progress_monitor"):
        settings.progress_monitor = _progress_monitor(trt, name)
    plan = builder.build_serialized_network(network, settings)
    if plan is None:
        raise EngineError(f"TensorRT can't build {name}; its message is on stderr")
    write_atomically(timings, bytes(settings.get_timing_cache().serialize()))
    return bytes(plan)


def _progress_monitor(trt: Any, name: str) -> Any:
    """Says in the log how far a build is, at every phase of several steps."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps
            if not parent_phase or num_steps > 1:
                _LOGGER.info("TensorRT builds %s: %s, %d steps", name, phase_name, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            total = self._steps.get(phase_name, 0)
            if total >= 10 and (step + 1) % max(1, total // 4) == 0:
                _LOGGER.info("TensorRT builds %s: %s, %d of %d", name, phase_name, step + 1, total)
            return True

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Monitor()
