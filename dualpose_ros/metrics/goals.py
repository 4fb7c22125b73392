"""Goals: a measured figure and the bounds it was to keep, of evaluations, benchmarks and runs alike."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Goal:
    """A value, None where it could not be measured, and the least and the most that it was to be; strict: not that
    itself; words: the goal as it is told, where the numbers don't say it well."""

    name: str
    value: float | None = None
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

    def record(self) -> dict[str, Any]:
        """The goal as results and `summary.json` hold it."""
        value = None if self.value is None else round(float(self.value), 4)
        return {"name": self.name, "value": value, "goal": self.goal, "met": self.met}


def judged(goals: Iterable[Goal]) -> list[dict[str, Any]]:
    """The records of goals."""
    return [goal.record() for goal in goals]


def goals_of(figures: Mapping[str, Any], goals: Sequence[Goal]) -> list[Goal]:
    """The goals with their values looked up by dotted name; a figure that is not there counts as not met."""
    return [replace(goal, value=_look_up(figures, goal.name)) for goal in goals]


def _look_up(figures: Mapping[str, Any], name: str) -> float | None:
    value: Any = figures
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return None if value is None else float(value)
