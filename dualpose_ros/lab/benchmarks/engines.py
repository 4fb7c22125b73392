"""What runs each network here, how far it is from ONNX Runtime in fp32, and how long it takes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dualpose_ros.inference.backends.tensorrt_build import is_whole, usual_shapes
from dualpose_ros.inference.engine import Engine, EngineError
from dualpose_ros.inference.load import SHIPPED, load_engine
from dualpose_ros.inference.parity import example_inputs, worst_difference
from dualpose_ros.lab.evaluation.report import Outcome, Rows, evaluation
from dualpose_ros.lab.timing import WARM_UP, timed
from dualpose_ros.metrics.goals import Goal, judged
from dualpose_ros.weights import network_file

BATCHES = (1, 3, 8, 33)
SMALL_CELLS = 2
"""Size of the images that are compared, over what it has to be a multiple of."""
GOAL_FP32 = 1e-3
WAYS = (
    ("onnxruntime", "int8"), ("openvino", "fp32"), ("openvino", "bf16"), ("openvino", "int8"),
    ("openvino", "int8, bf16"), ("torch", "fp32"), ("torch", "fp16"), ("onnxruntime_cuda", "fp32"),
    ("onnxruntime_cuda", "fp16"), ("tensorrt", "fp32"), ("tensorrt", "fp16"),
)  # fmt: skip
"""Backends and precisions, after 8 bits that of the rest, that are compared with ONNX Runtime in fp32."""


@evaluation("engines")
def bench_engines(repeats: int, threads: int) -> Outcome:
    """Every way to run every network: largest difference over batches, milliseconds, and both as ratios."""
    rows: Rows = []
    missing: dict[str, str] = {}
    for name in SHIPPED:
        reference = load_engine(network_file(name), threads=threads)
        for label, engine in _engines(name, threads, missing):
            rows.append({"network": name, **_compared(label, engine, reference, repeats)})
    exact = [row["difference"] for row in rows if row["precision"] == "fp32"]
    goals = judged([Goal("largest difference of fp32 engines", max(exact, default=None), most=GOAL_FP32)])
    return {"engines": rows, "not run": [{"backend": way, "why": why} for way, why in missing.items()]}, goals


def _engines(name: str, threads: int, missing: dict[str, str]) -> Iterator[tuple[tuple[str, str], Engine]]:
    """The ways that a network can be run here; why others can't goes to `missing`."""
    whole, small = network_file(name), network_file(name, int8=True)
    for backend, precision in WAYS:
        is_small = precision.startswith("int8")
        if is_small and small == whole:
            continue
        try:
            path: Path = small if is_small else whole
            engine = load_engine(path, backend, threads, precision.rpartition(", ")[2])
            if hasattr(engine, "prepare"):
                engine.prepare(usual_shapes(engine.inputs))
        except EngineError as error:
            missing[f"{backend}, {precision}"] = str(error)
            continue
        yield (backend, precision), engine


def _compared(way: tuple[str, str], engine: Engine, reference: Engine, repeats: int) -> dict[str, object]:
    # Of a size of image that TensorRT has no plan for, the CPU would answer.
    alone = way[0] == "tensorrt" and is_whole(reference.inputs)
    difference = worst_difference(engine, reference, (1,) if alone else BATCHES, SMALL_CELLS)
    shapes = usual_shapes(reference.inputs)
    specs = {name: spec.fixed(shapes[name]) for name, spec in reference.inputs.items()}
    inputs = example_inputs(specs, 1, 1)
    times = [(timed(lambda: engine.run(inputs))[0], timed(lambda: reference.run(inputs))[0]) for _ in range(repeats)]
    mine, theirs = np.median(np.array(times)[min(WARM_UP, repeats - 1) :], axis=0)
    return {
        "backend": way[0], "precision": way[1], "difference": float(f"{difference:.2e}"), "ms": round(1e3 * mine, 3),
        "ms_fp32_cpu": round(1e3 * theirs, 3), "speedup": round(theirs / mine, 2),
    }  # fmt: skip
