"""Table 7 of the paper, as `dualpose eval trajectory` reports it: how well past frames foretell the next."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.datasets.motion import Clip, at_rate, load_clips
from dualpose_ros.lab.evaluation.data_folder import find_data
from dualpose_ros.lab.evaluation.report import Outcome, Rows, evaluation
from dualpose_ros.metrics.goals import Goal, judged
from dualpose_ros.refinement.trajectory import PUBLISHED_WINDOWS, Windows, trajectory_weights, windows_for_interval

TABLE_7_WINDOWS: tuple[Windows, ...] = (
    (2, 0, 0), (3, 0, 0), (5, 0, 0), (2, 3, 3), (2, 5, 5), (2, 7, 7), (3, 3, 3), (3, 5, 5), (3, 7, 7)
)  # fmt: skip
TABLE_7_RATES = (25.0, 33.0, 50.0)
PAST_FRAMES = max(max(windows) for windows in TABLE_7_WINDOWS)
"""The longest window: all windows foretell the same frames, those with so many before them."""


HELD_OUT, ALL = "held-out movements", "all movements"
PUBLISHED_RATES = (25.0, 33.0)
"""Where the published windows are to be the best, or nearly."""

MARGIN = 1.02


@evaluation("trajectory")
def evaluate_trajectory(data: Path) -> Outcome:
    """Table 7 on movements that nothing learnt from, and on all; the goals are of the former.

    data: folder with motion capture in motion/*.npz. Errors: InputError without it.
    """
    mocap, _ = find_data(data)
    tables = trajectory_tables(load_clips(mocap, "held_out"), load_clips(mocap, "all"))
    return tables, judged(trajectory_goals(tables))


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


def trajectory_goals(tables: dict[str, Rows]) -> list[Goal]:
    """The published windows within 2 % of the best where they are meant for, the rule's everywhere."""
    found = []
    rows = [row for row in tables["windows chosen by frame interval"] if row["movements"] == HELD_OUT]
    for row in rows:
        if row["hz"] in PUBLISHED_RATES:
            found.append(Goal(f"published_over_best_{row['hz']:g}_hz", row["published_over_best"], most=MARGIN))
    for row in rows:
        found.append(Goal(f"rule_over_best_{row['hz']:g}_hz", row["rule_over_best"], most=MARGIN))
    return found


def trajectory_table(clips: Sequence[Clip], rates: Sequence[float] = TABLE_7_RATES) -> list[dict[str, Any]]:
    """A row for each rate and windows: "hz", "windows", "mpjpe_mm", and "over_published", its ratio to 2/5/5's error.

    An order whose window holds too few frames for it is left out, so that 2/3/3 is 2/3/0. ValueError where no clip
    is long enough at a rate.
    """
    rows: list[dict[str, Any]] = []
    for hz in rates:
        movements = [joints for clip in clips if len(joints := at_rate(clip.joints_m, clip.fps, hz)) > PAST_FRAMES]
        if not movements:
            raise ValueError(f"no clip has more than {PAST_FRAMES} frames at {hz} Hz")
        errors = {choice: prediction_error(movements, hz, choice) for choice in TABLE_7_WINDOWS}
        published = errors[PUBLISHED_WINDOWS]
        rows += [
            {"hz": hz, "windows": windows_name(choice), "mpjpe_mm": 1e3 * errors[choice],
             "over_published": errors[choice] / published}
            for choice in TABLE_7_WINDOWS
        ]  # fmt: skip
    return rows


def windows_name(windows: Windows) -> str:
    """Windows as Table 7 has them: 2/5/5."""
    return "/".join(str(window) for window in windows)


def prediction_error(movements: Sequence[Floats], hz: float, windows: Windows) -> float:
    """Mean distance in metres between joints (T, K, 3) of movements at hz and their predictions."""
    weights = trajectory_weights(np.arange(PAST_FRAMES) / hz, PAST_FRAMES / hz, windows)
    distances = []
    for joints in movements:
        last = len(joints) - PAST_FRAMES
        predicted = sum(weights[i] * joints[i : i + last] for i in range(PAST_FRAMES))
        distances.append(np.linalg.norm(predicted - joints[PAST_FRAMES:], axis=-1).mean(axis=1))
    return float(np.concatenate(distances).mean())
