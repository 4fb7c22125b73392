"""Records of arrays with a row for each person: chosen, joined and checked as one array is."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from dualpose_ros.arrays import Floats, Ints, Rows, rows_of


@dataclass(frozen=True, eq=False)
class Places(Rows):
    at: Floats = field(metadata=rows_of(2))
    number: Ints = field(metadata=rows_of(dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Trips(Rows):
    start: Places
    end: Places


def places(count: int, first: int = 0) -> Places:
    number = np.arange(first, first + count)
    return Places(np.stack([number, -number], axis=1).astype(float), number)


@pytest.mark.parametrize("index", [slice(1, 3), np.array([2, 0]), np.array([True, False, True, False]), [], [3]])
def test_rows_are_chosen_in_every_field(index: Any) -> None:
    trips = Trips(places(4), places(4, 10))
    some = trips[index]
    expected = np.arange(4)[index]
    assert isinstance(some, Trips) and len(some) == len(expected)
    np.testing.assert_array_equal(some.start.number, expected)
    np.testing.assert_array_equal(some.end.at[:, 1], -10.0 - expected)


def test_records_are_joined_end_to_end() -> None:
    joined = Trips.concatenate([Trips(places(2), places(2, 10)), Trips(places(1, 5), places(1, 15))])
    assert joined.start.number.tolist() == [0, 1, 5] and joined.end.number.tolist() == [10, 11, 15]
    assert joined.start.at.shape == (3, 2)


def test_rows_of_either_record() -> None:
    mixed = Trips.where(np.array([True, False]), Trips(places(2), places(2)), Trips(places(2, 5), places(2, 7)))
    assert mixed.start.number.tolist() == [0, 6] and mixed.end.at.tolist() == [[0, 0], [8, -8]]


def test_no_rows_have_the_right_shapes() -> None:
    nothing = Places.empty()
    assert len(nothing) == 0 and nothing.at.shape == (0, 2) and nothing.number.dtype == np.int64


@pytest.mark.parametrize(
    ("at", "number", "said"),
    [
        (np.zeros((3, 2)), np.zeros(2, int), r"Places.number has \(2,\) instead of \(3,\)"),
        (np.zeros((3, 3)), np.zeros(3, int), r"Places.at has \(3, 3\) instead of \(3, 2\)"),
    ],
)
def test_other_shapes_are_named(at: Floats, number: Ints, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Places(at, number)
    with pytest.raises(ValueError, match=r"Trips\.end has 2 rows instead of 3 rows"):
        Trips(places(3), places(2))
