"""What kind of numbers an array holds, one name for each; and records of arrays that have a row for each person.

Shapes, units and frames stand in the docstring of whoever takes or gives an array.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

AnyArray: TypeAlias = npt.NDArray[Any]
AnyFloats: TypeAlias = npt.NDArray[np.floating]  # of any precision: what a function accepts
AnyInts: TypeAlias = npt.NDArray[np.integer]
Floats: TypeAlias = npt.NDArray[np.float64]  # what is computed with
Float32s: TypeAlias = npt.NDArray[np.float32]  # what networks and files hold
Ints: TypeAlias = npt.NDArray[np.int64]
Int32s: TypeAlias = npt.NDArray[np.int32]
UInt8s: TypeAlias = npt.NDArray[np.uint8]
Indices: TypeAlias = npt.NDArray[np.intp]  # rows of another array
Mask: TypeAlias = npt.NDArray[np.bool_]
RgbImage: TypeAlias = npt.NDArray[np.uint8]  # (height, width, 3), red first

RowsType = TypeVar("RowsType", bound="Rows")


def rows_of(*shape: int, dtype: type = np.float64) -> dict[str, Any]:
    """Metadata of a field of `Rows`: the shape of one row, which is checked then, and what it holds."""
    return {"shape": shape, "dtype": dtype}


@cache
def _row_shapes(kind: type[Rows]) -> tuple[tuple[int, ...] | None, ...]:
    return tuple(item.metadata.get("shape") for item in fields(kind))  # type: ignore[arg-type]


class Rows:
    """Base of frozen dataclasses whose fields are arrays, or `Rows` again, with one row for each person, pair or frame.

    They are indexed as one array is (slice, mask, indices), joined end to end and chosen from row by row.
    ValueError on construction names a field with another number of rows or another shape.
    """

    def __post_init__(self) -> None:
        count = len(self)
        shapes = _row_shapes(type(self))  # type: ignore[arg-type]  # mypy takes a class for what its instances are
        for (name, value), row in zip(vars(self).items(), shapes, strict=True):
            if len(value) != count or (row is not None and value.shape[1:] != row):
                found = f"{value.shape}" if isinstance(value, np.ndarray) else f"{len(value)} rows"
                wanted = (count, *row) if row is not None else f"{count} rows"
                raise ValueError(f"{type(self).__name__}.{name} has {found} instead of {wanted}")

    def __len__(self) -> int:
        return len(next(iter(vars(self).values())))

    def __getitem__(self: RowsType, index: slice | Mask | Indices | Ints | list[int]) -> RowsType:
        some = object.__new__(type(self))
        # All is checked already, and this is called many times a frame.
        vars(some).update({name: value[index] for name, value in vars(self).items()})
        return some

    @classmethod
    def empty(cls: type[RowsType]) -> RowsType:
        """No rows, of a record whose fields all say the shape of one."""
        return cls(*(np.zeros((0, *i.metadata["shape"]), i.metadata["dtype"]) for i in fields(cls)))  # type: ignore[arg-type]

    @classmethod
    def concatenate(cls: type[RowsType], parts: Sequence[RowsType]) -> RowsType:
        """All rows of one or more records, end to end."""
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*(type(c[0]).concatenate(c) if isinstance(c[0], Rows) else np.concatenate(c) for c in columns))

    @classmethod
    def where(cls: type[RowsType], chosen: Mask, one: RowsType, other: RowsType) -> RowsType:
        """The rows of `one` where chosen (N,), of `other` elsewhere."""
        columns = []
        for item in fields(cls):  # type: ignore[arg-type]
            first, second = getattr(one, item.name), getattr(other, item.name)
            choose = type(first).where if isinstance(first, Rows) else _where
            columns.append(choose(chosen, first, second))
        return cls(*columns)


def _where(chosen: Mask, one: AnyArray, other: AnyArray) -> AnyArray:
    return np.where(chosen.reshape(-1, *[1] * (one.ndim - 1)), one, other)


DAMAGED = (
    OSError, EOFError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, MemoryError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What NumPy and zipfile raise for an archive (.npz) that is damaged or none; found by fuzzing."""
