"""Pickles of arrays from others, without running what else they may hold."""

import pickle
from pathlib import Path
from typing import Any

from dualpose_ros.datasets.apart import read_apart
from dualpose_ros.datasets.published.truth import DatasetError

_ALLOWED = {
    ("numpy", "ndarray"), ("numpy", "dtype"), ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"), ("_codecs", "encode"), ("copy_reg", "_reconstructor"),
    ("collections", "OrderedDict"), ("collections", "defaultdict"), ("__builtin__", "object"), ("builtins", "object"),
}  # fmt: skip


class _Arrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not allowed")


def _load(path: Path) -> Any:
    with path.open("rb") as file:
        return _Arrays(file, encoding="latin1").load()


def read_arrays(path: Path) -> Any:
    """What a pickle of Python 2 or 3 holds, made of arrays, lists and mappings alone; DatasetError for anything else,
    and for a file that is missing or cut short."""
    try:
        return read_apart(_load, path)
    except OSError as error:
        raise DatasetError(f"{path} can't be read: {error.strerror}") from None
    except Exception as error:  # a damaged pickle can make the unpickler raise anything
        raise DatasetError(f"{path} is no pickle of arrays, or damaged: {' '.join(str(error).split())}") from None
