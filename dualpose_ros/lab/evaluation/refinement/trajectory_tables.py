"""The trajectory model in tables, as `dualpose eval trajectory` reports it: Table 7 of the paper, what windows fit."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dualpose_ros.datasets.motion import Clip, load_clips
from dualpose_ros.lab.evaluation.data_folder import find_data
from dualpose_ros.lab.evaluation.goals import Bound, Rows, judged
from dualpose_ros.lab.evaluation.refinement.trajectory import TABLE_7_RATES, trajectory_table, windows_name
from dualpose_ros.refinement.trajectory import PUBLISHED_WINDOWS, windows_for_interval

HELD_OUT, ALL = "held-out movements", "all movements"
PUBLISHED_RATES = (25.0, 33.0)
"""Where the published windows are to be the best, or nearly."""

MARGIN = 1.02


def evaluate_trajectory(data: Path) -> dict[str, Any]:
    """Table 7 on movements that nothing learnt from, and on all; the goals are of the former.

    data: folder with motion capture in motion/*.npz. Errors: InputError without it.
    """
    started = time.monotonic()
    mocap, _ = find_data(data)
    tables = trajectory_tables(load_clips(mocap, "held_out"), load_clips(mocap, "all"))
    seconds = round(time.monotonic() - started, 2)
    return {"what": "trajectory", "seconds": seconds, "tables": tables, "goals": judged(trajectory_goals(tables))}


def trajectory_tables(held_out: Sequence[Clip], all_clips: Sequence[Clip]) -> dict[str, Rows]:
    """Errors by rate, a column for each, and what the rule chooses there."""
    long = {name: trajectory_table(clips) for name, clips in ((HELD_OUT, held_out), (ALL, all_clips))}
    tables = {f"predictions of {name} (mm)": _wide(rows) for name, rows in long.items()}
    return {**tables, "windows chosen by frame interval": [_choice(rows, name, hz) for name, rows in long.items()
                                                          for hz in TABLE_7_RATES]}  # fmt: skip


def _wide(rows: Rows) -> Rows:
    by_windows: dict[str, dict[str, Any]] = {}
    for row in rows:
        line = by_windows.setdefault(row["windows"], {"windows": row["windows"]})
        line[f"{row['hz']:g}_hz"] = row["mpjpe_mm"]
    return list(by_windows.values())


def _choice(rows: Rows, movements: str, hz: float) -> dict[str, Any]:
    """The best windows at a rate, how far the published ones and those of the rule are from them."""
    errors = {row["windows"]: row["mpjpe_mm"] for row in rows if row["hz"] == hz}
    best = min(errors, key=lambda name: errors[name])
    chosen = windows_name(windows_for_interval(1 / hz))
    return {
        "movements": movements,
        "hz": hz,
        "best": best,
        "best_mm": errors[best],
        "published_over_best": errors[windows_name(PUBLISHED_WINDOWS)] / errors[best],
        "rule": chosen,
        "rule_over_best": errors[chosen] / errors[best],
    }


def trajectory_goals(tables: dict[str, Rows]) -> list[Bound]:
    """The published windows within 2 % of the best where they are meant for, the rule's everywhere."""
    found = []
    rows = [row for row in tables["windows chosen by frame interval"] if row["movements"] == HELD_OUT]
    for row in rows:
        if row["hz"] in PUBLISHED_RATES:
            found.append(Bound(f"published_over_best_{row['hz']:g}_hz", row["published_over_best"], most=MARGIN))
    for row in rows:
        found.append(Bound(f"rule_over_best_{row['hz']:g}_hz", row["rule_over_best"], most=MARGIN))
    return found
