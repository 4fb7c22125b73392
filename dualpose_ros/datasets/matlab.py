"""MATLAB files, read in a process of their own: some that are damaged crash SciPy's reader."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path
from typing import Any


def read_matlab(path: Path) -> dict[str, Any]:
    """The variables of a file by name; ValueError, of one line, for one that is none or damaged."""
    try:
        return dict(_apart().submit(_load, path).result())
    except BrokenProcessPool:
        _apart.cache_clear()
        raise ValueError("what is in it crashes SciPy's reader") from None
    except Exception as error:  # SciPy has no common base class for what a damaged file makes it raise
        raise ValueError(f"{type(error).__name__} {' '.join(str(error).split())}") from None


def _load(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    return dict(loadmat(path))


@cache
def _apart() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
