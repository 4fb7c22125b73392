"""What holds for all tests."""

import functools
import sys
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from dualpose_ros.inference import load

EXTRAS = ("numba", "onnx", "onnxscript", "torch")


@pytest.hookimpl(hookwrapper=True)  # as Humble's pytest has it
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, None]:
    """Tests whose module imports a library of an extra that is not installed are skipped."""
    report = (yield).get_result()
    call = getattr(report, "call", None)
    missing = call.excinfo.value.__cause__ if call and call.excinfo else None
    if isinstance(missing, ModuleNotFoundError) and missing.name in EXTRAS:
        report.outcome = "skipped"
        report.longrepr = (str(getattr(collector, "path", "")), 0, f"Skipped: {missing.name} is not installed")


@pytest.fixture(autouse=True, scope="session")
def _the_usual_cpu() -> Iterator[None]:
    """Networks in the tests' own process run as on a CPU without bf16, whatever this one is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load, "computes_bf16_fast", lambda: False)
        patch.setattr(load, "computes_bf16", lambda: False)
        yield


@pytest.fixture(autouse=True, scope="session")
def _the_exporter_reads_its_operators_once() -> Iterator[None]:
    """torch parses the source of all ONNX operators for each export: half of the time that a small network's takes."""
    with pytest.MonkeyPatch.context() as patch:
        if "torch" in sys.modules:
            from torch.onnx._internal.exporter._registration import ONNXRegistry

            patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(functools.cache(ONNXRegistry.from_torchlib)))
        yield
