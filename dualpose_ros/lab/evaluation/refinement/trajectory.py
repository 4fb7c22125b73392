"""Table 7 of the paper: how well windows of past frames foretell where joints of captured movements go next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.datasets.motion import Clip, at_rate
from dualpose_ros.refinement.trajectory import PUBLISHED_WINDOWS, Windows, trajectory_weights

TABLE_7_WINDOWS: tuple[Windows, ...] = (
    (2, 0, 0), (3, 0, 0), (5, 0, 0), (2, 3, 3), (2, 5, 5), (2, 7, 7), (3, 3, 3), (3, 5, 5), (3, 7, 7)
)  # fmt: skip
TABLE_7_RATES = (25.0, 33.0, 50.0)
PAST_FRAMES = max(max(windows) for windows in TABLE_7_WINDOWS)
"""The longest window: all windows foretell the same frames, those with so many before them."""


def trajectory_table(
    clips: Sequence[Clip],
    rates: Sequence[float] = TABLE_7_RATES,
    windows: Sequence[Windows] = TABLE_7_WINDOWS,
) -> list[dict[str, Any]]:
    """A row for each rate and windows: "hz", "windows", "mpjpe_mm", and "over_published", its ratio to 2/5/5's error.

    An order whose window holds too few frames for it is left out, so that 2/3/3 is 2/3/0. ValueError where no clip
    is long enough at a rate.
    """
    rows: list[dict[str, Any]] = []
    for hz in rates:
        movements = [joints for clip in clips if len(joints := at_rate(clip.joints_m, clip.fps, hz)) > PAST_FRAMES]
        if not movements:
            raise ValueError(f"no clip has more than {PAST_FRAMES} frames at {hz} Hz")
        errors = {choice: prediction_error(movements, hz, choice) for choice in {*windows, PUBLISHED_WINDOWS}}
        published = errors[PUBLISHED_WINDOWS]
        rows += [
            {"hz": hz, "windows": windows_name(choice), "mpjpe_mm": 1e3 * errors[choice],
             "over_published": errors[choice] / published}
            for choice in windows
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
