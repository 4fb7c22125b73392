"""What holds for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dualpose_ros.inference import load


@pytest.fixture(autouse=True, scope="session")
def _the_usual_cpu() -> Iterator[None]:
    """Networks in the tests' own process run as on a CPU without AMX, whatever this one is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load, "computes_bf16_fast", lambda: False)
        yield
