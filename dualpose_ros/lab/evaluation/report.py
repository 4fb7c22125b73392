"""Results of evaluations and benchmarks: tables in the terminal, one JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from dualpose_ros.paths import version
from dualpose_ros.recording.summary import plain
from dualpose_ros.weights import shipped_networks

_MOST_ROWS = 24


def report(result: Mapping[str, Any], json_file: Path | None, seed: int, console: Console | None = None) -> None:
    """Print the tables and goals of a result, and write it with version, seed and networks where a file is named.

    `result` holds `what`, `seconds`, `tables` (rows as mappings, by name) and `goals`
    (`name`, `value`, `goal`, `met`).
    """
    console = console or Console()
    for name, rows in result["tables"].items():
        _print_table(console, name, rows)
    if result["goals"]:
        _print_table(console, "goals", [{**goal, "met": "yes" if goal["met"] else "no"} for goal in result["goals"]])
    if json_file is not None:
        record = {
            "what": result["what"],
            "version": version(),
            "seed": seed,
            "seconds": result["seconds"],
            "networks": shipped_networks(),
            "tables": result["tables"],
            "goals": result["goals"],
        }
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(plain(record), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _print_table(console: Console, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    table = Table(*rows[0], title=name)
    for row in rows[:_MOST_ROWS]:
        table.add_row(*(_text(value) for value in row.values()))
    if len(rows) > _MOST_ROWS:
        table.caption = f"and {len(rows) - _MOST_ROWS} more rows, which --json writes"
    console.print(table)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
