"""Results of evaluations and benchmarks: tables in the terminal, one JSON file."""

import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec

from rich.console import Console
from rich.table import Column, Table

from dualpose_ros.paths import version, write_whole
from dualpose_ros.recording.summary import plain
from dualpose_ros.weights import shipped_networks

Rows = list[dict[str, Any]]
"""A table, a dict by column for each row."""

Outcome = tuple[dict[str, Rows], Rows]
"""Tables by name, and the records of goals."""

CALIBRATED = (("within_1_sigma", 0.60, 0.76), ("within_2_sigma", 0.90, 0.99))
"""Columns of a calibrated answer's row, the least and the most that they are to be."""

_MOST_ROWS = 24
_ANY_WIDTH = 10_000
_Given = ParamSpec("_Given")


def evaluation(what: str) -> Callable[[Callable[_Given, Outcome]], Callable[_Given, dict[str, Any]]]:
    """Make the result of an evaluation of a function that measures.

    A result holds `what` was measured, the `seconds` that it took, `tables` by name and `goals`. Every evaluation
    raises InputError for data that is not there, WeightsError or EngineError for networks that can't be used.
    """

    def timed(measure: Callable[_Given, Outcome]) -> Callable[_Given, dict[str, Any]]:
        @functools.wraps(measure)
        def result(*args: _Given.args, **kwargs: _Given.kwargs) -> dict[str, Any]:
            started = time.monotonic()
            tables, goals = measure(*args, **kwargs)
            return {"what": what, "seconds": round(time.monotonic() - started, 2), "tables": tables, "goals": goals}

        return result

    return timed


def ratio(row: Mapping[str, Any], other: Mapping[str, Any], column: str) -> float | None:
    """A row's figure over another row's; None where one was not measured."""
    a, b = row.get(column), other.get(column)
    return a / b if a is not None and b else None


def report(result: Mapping[str, Any], json_file: Path | None, seed: int, console: Console | None = None) -> None:
    """Print the tables and goals of a result, and write it with version, seed and networks where a file is named.

    `result` is what an `evaluation` makes, with the command and its options where it has them.
    """
    console = console or Console(markup=False, emoji=False)
    for name, rows in result["tables"].items():
        _print_table(console, name, rows)
    if result["goals"]:
        _print_table(console, "goals", [{**goal, "met": "yes" if goal["met"] else "no"} for goal in result["goals"]])
    if json_file is not None:
        record = {
            "what": result["what"],
            **{name: result[name] for name in ("command", "options") if name in result},
            "version": version(),
            "seed": seed,
            "seconds": result["seconds"],
            "networks": shipped_networks(),
            "tables": result["tables"],
            "goals": result["goals"],
        }
        write_whole(json_file, json.dumps(plain(record), indent=2, allow_nan=False) + "\n")


def _print_table(console: Console, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    heads = list(dict.fromkeys(head for row in rows for head in row))
    lines = [[_text(row[head]) if head in row else "" for head in heads] for row in rows[:_MOST_ROWS]]
    table = _table(name, heads, lines)
    width = console.measure(table, options=console.options.update(max_width=_ANY_WIDTH)).maximum
    if len(lines) < len(heads) and width > console.width:
        # Headings that are cut off say nothing: a line for each of them.
        turned = [list(line) for line in zip(heads, *lines, strict=True)]
        table = _table(name, turned[0], turned[1:])
    if len(rows) > _MOST_ROWS:
        table.caption = f"and {len(rows) - _MOST_ROWS} more rows, which --json writes"
    console.print(table)


def _table(name: str, heads: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    table = Table(*(Column(head, overflow="fold") for head in heads), title=name)
    for line in lines:
        table.add_row(*line)
    return table


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
