"""A picture of one joint's depth over time, as several ways have it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dualpose_ros.arrays import Floats, Mask
from dualpose_ros.drawing import write_figure

_COLOURS = ("#e69f00", "#cc79a7", "#0072b2", "#009e73")
_LONGEST_LINE_S = 0.4


@dataclass(frozen=True)
class Curve:
    """One way's depths (n,) in metres at times (n,) in seconds, NaN where it has none, and how they are drawn."""

    label: str
    colour: str
    times: Floats
    depths: Floats
    size: float = 2.2


def draw_depths(
    path: Path, title: str, times: Floats, true_depth: Floats, named: Mapping[str, tuple[Floats, Floats]]
) -> None:
    """Write a picture (PNG, by the suffix) of depths over time, and of their errors below.

    true_depth (T,) in metres at times (T,) in seconds; named: times (n,), some of those, and depths (n,) of each way;
    NaN where it has none.
    """
    curves = []
    for (name, (when, depth)), colour in zip(named.items(), _COLOURS, strict=False):
        error = depth - np.interp(when, times, true_depth)
        rms = 1000 * np.sqrt(np.nanmean(error**2)) if np.isfinite(error).any() else np.nan
        curves.append(Curve(f"{name}: error {rms:.0f} mm RMS", colour, when, depth))
    draw_curves(path, title, times, true_depth, curves)


def draw_curves(
    path: Path, title: str, times: Floats, true_depth: Floats, curves: Sequence[Curve], seen: Mask | None = None
) -> None:
    """Write a picture (PNG, by the suffix) of curves over the truth (T,) at times (T,), and of their errors below.

    seen (T,): where the truth is not, it is faint.
    """
    # on the object interface alone: no global state, no display
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 6.5), dpi=110, layout="constrained")
    over_time, errors = figure.subplots(2, 1, height_ratios=(1.6, 1.0), sharex=True)
    figure.suptitle(title)
    if seen is not None:
        over_time.plot(times, true_depth, color="black", alpha=0.3, linewidth=1.3)
    shown = true_depth if seen is None else np.where(seen, true_depth, np.nan)
    over_time.plot(times, shown, color="black", linewidth=1.3, label="true")
    errors.axhline(0, color="black", linewidth=0.8)
    for curve in curves:
        error = curve.depths - np.interp(curve.times, times, true_depth)
        style = {"color": curve.colour, "marker": "o", "markersize": curve.size, "linewidth": 0.9}
        over_time.plot(*_without_gaps(curve.times, curve.depths), **style, label=curve.label)
        errors.plot(*_without_gaps(curve.times, error), **style)
    over_time.set(ylabel="depth z (m)")
    errors.set(xlabel="time (s)", ylabel="error (m)", xlim=(times[0], times[-1] + 1e-3))
    for axes in (over_time, errors):
        axes.grid(alpha=0.25)
    over_time.legend(loc="best", fontsize=9)
    write_figure(path, figure)


def _without_gaps(times: Floats, values: Floats) -> tuple[Floats, Floats]:
    """The finite points, with a NaN between any two that are so far apart that no line should join them."""
    known = np.isfinite(values)
    times, values = times[known], values[known]
    breaks = np.flatnonzero(np.diff(times) > _LONGEST_LINE_S) + 1
    return np.insert(times, breaks, np.nan), np.insert(values, breaks, np.nan)
