"""Files whose readers crash on some that are damaged: another process reads them."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path
from typing import Any


def read_apart(read: Callable[[Path], Any], path: Path) -> Any:
    """What `read`, a function of a module, gives for a file; its errors, and ValueError where it crashed."""
    try:
        return _process().submit(read, path).result()
    except BrokenProcessPool:
        _process.cache_clear()
        raise ValueError("what is in it crashes its reader") from None


def read_matlab(path: Path) -> dict[str, Any]:
    """The variables of a MATLAB file by name; ValueError, of one line, for one that is none or damaged."""
    try:
        return dict(read_apart(_matlab, path))
    except Exception as error:  # SciPy has no common base class for what a damaged file makes it raise
        raise ValueError(f"{type(error).__name__} {' '.join(str(error).split())}") from None


def _matlab(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    return dict(loadmat(path))


@cache
def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
