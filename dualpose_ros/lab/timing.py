"""How long calls take."""

import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

Answer = TypeVar("Answer")

WARM_UP = 5
"""Calls that come before those that count."""


def timed(call: Callable[[], Answer]) -> tuple[float, Answer]:
    """Duration of a call in seconds, and its answer."""
    started = time.perf_counter()
    answer = call()
    return time.perf_counter() - started, answer


def median_ms(call: Callable[[], object], repeats: int = 200) -> float:
    """Median duration of a call in milliseconds, after a few that warm up."""
    return 1000 * float(np.median([timed(call)[0] for _ in range(repeats + WARM_UP)][WARM_UP:]))
