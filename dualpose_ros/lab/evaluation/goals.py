"""Goals of evaluations: a measured value and the bounds it was to keep, in the form that `report` writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Rows = list[dict[str, Any]]
"""A table, a dict by column for each row."""

CALIBRATED = (("within_1_sigma", 0.60, 0.76), ("within_2_sigma", 0.90, 0.99))
"""Columns of a calibrated answer's row, the least and the most that they are to be."""


@dataclass(frozen=True)
class Bound:
    """A value, None where it could not be measured, and the least and the most that it was to be; strict: not that
    itself; words: the goal as it is told, where the numbers don't say it well."""

    name: str
    value: float | None
    least: float | None = None
    most: float | None = None
    strict: bool = False
    words: str | None = None

    @property
    def goal(self) -> str:
        """The bounds in words."""
        if self.words is not None:
            return self.words
        if self.least is not None and self.most is not None:
            return f"{self.least:g}..{self.most:g}"
        sign, limit = (">", self.least) if self.least is not None else ("<", self.most)
        return f"{sign}{'' if self.strict else '='} {limit:g}"

    @property
    def met(self) -> bool:
        """Whether the value was measured and keeps them."""
        if self.value is None or (self.strict and self.value in (self.least, self.most)):
            return False
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)


def judged(bounds: Iterable[Bound]) -> list[dict[str, Any]]:
    """The goals of a result, as `report` takes them."""
    return [
        {
            "name": bound.name,
            "value": None if bound.value is None else round(float(bound.value), 4),
            "goal": bound.goal,
            "met": bound.met,
        }
        for bound in bounds
    ]
