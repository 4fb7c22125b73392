"""Bounds of goals: what they say, and what keeps them."""

import pytest

from dualpose_ros.metrics.goals import Goal, judged


@pytest.mark.parametrize(
    ("bound", "goal", "met"),
    [
        (Goal("a", 4.0, most=4.0), "<= 4", True),
        (Goal("a", 4.1, most=4.0), "<= 4", False),
        (Goal("a", 1.0, most=1.0, strict=True), "< 1", False),
        (Goal("a", 0.99, most=1.0, strict=True), "< 1", True),
        (Goal("a", 100.0, least=100.0), ">= 100", True),
        (Goal("a", 0.0, least=0.0, strict=True), "> 0", False),
        (Goal("a", 0.7, 0.6, 0.76), "0.6..0.76", True),
        (Goal("a", 0.77, 0.6, 0.76), "0.6..0.76", False),
        (Goal("a", 0.5, 0.6, 0.76), "0.6..0.76", False),
        (Goal("a", None, least=0.0), ">= 0", False),
        (Goal("a", float("nan"), least=0.0), ">= 0", False),
    ],
)
def test_a_value_keeps_its_bounds_or_not(bound: Goal, goal: str, met: bool) -> None:
    assert (bound.goal, bound.met) == (goal, met)


def test_goals_are_in_the_form_of_results() -> None:
    rows = judged([Goal("b", 0.123456, least=0.2), Goal("c", None, most=1.0)])
    assert rows == [
        {"name": "b", "value": 0.1235, "goal": ">= 0.2", "met": False},
        {"name": "c", "value": None, "goal": "<= 1", "met": False},
    ]
