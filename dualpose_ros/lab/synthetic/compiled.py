"""Functions that numba compiles."""

from collections.abc import Callable
from typing import Any

import numba


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """numba.njit with `options`, and what it makes kept for the next process where there is a place to write it."""

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # package and home are read-only, and NUMBA_CACHE_DIR is not set
            return numba.njit(**options)(function)

    return decorate
