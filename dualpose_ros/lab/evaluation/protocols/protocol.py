"""What a protocol is: how it scores one sequence, how it puts sequences together, and what it assumes.

N true people, M found ones, J joints of the data set; metres in the camera frame.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dualpose_ros.arrays import AnyFloats
from dualpose_ros.datasets.predictions import FoundPeople
from dualpose_ros.datasets.published.truth import TruthFrame, TruthSequence
from dualpose_ros.lab.evaluation.report import Rows

Pairs = Iterator[tuple[TruthFrame, FoundPeople]]
"""The frames of a sequence with the people found in each, whose joints are the data set's, in its order."""


@dataclass(frozen=True)
class Protocol:
    """A way to score a data set.

    name: what tables are called after it; dataset: whose truth it takes; assumes: what a reader of its figures has to
    know, a line each; measure: a sequence's frames into whatever `tables` needs of them; tables: all sequences'
    measurements, by name, into tables whose first rows are the sequences'; truth: another form of the data set's
    truth that it asks the reader for; has_curve: whether a table is its PCK over distances.
    """

    name: str
    dataset: str
    assumes: tuple[str, ...]
    measure: Callable[[TruthSequence, Pairs], Any]
    tables: Callable[[Mapping[str, Any]], dict[str, Rows]]
    truth: Mapping[str, str] | None = None
    has_curve: bool = True


def curve_rows(**errors_m: AnyFloats) -> Rows:
    """PCK over distances of 0, 5, ... 150 mm: the share of errors (any shape, NaN left out) below each, in per cent, a
    column for each kind of error."""
    known = {name: errors[np.isfinite(errors)] for name, errors in errors_m.items()}
    return [
        {"mm": limit, **{f"pck_{name}_pct": 100 * float((errors < limit / 1000).mean()) if errors.size else None
                         for name, errors in known.items()}}
        for limit in range(0, 151, 5)
    ]  # fmt: skip


def mean_row(rows: Sequence[Mapping[str, Any]], name: str = "mean") -> dict[str, Any]:
    """A last row: the mean of each column of numbers over rows, None where no row has one."""
    row: dict[str, Any] = {}
    for column, value in rows[0].items():
        values = [own[column] for own in rows if isinstance(own[column], int | float)]
        row[column] = name if isinstance(value, str) else sum(values) / len(values) if values else None
    return row
