"""A picture of one joint's depth over time, as several ways have it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_COLOURS = ("#e69f00", "#cc79a7", "#0072b2", "#009e73")
_LONGEST_LINE_S = 0.4


def draw_depths(
    path: Path, title: str, times: Floats, true_depth: Floats, named: Mapping[str, tuple[Floats, Floats]]
) -> None:
    """Write a picture (PNG, by the suffix) of depths over time, and of their errors below.

    true_depth (T,) in metres at times (T,) in seconds; named: times (n,), some of those, and depths (n,) of each way;
    NaN where it has none.
    """
    # on the object interface alone: no global state, no display
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 6.5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    over_time, errors = figure.subplots(2, 1, height_ratios=(1.6, 1.0), sharex=True)
    figure.suptitle(title)
    over_time.plot(times, true_depth, color="black", linewidth=1.4, label="true")
    errors.axhline(0, color="black", linewidth=0.8)
    for (name, (when, depth)), colour in zip(named.items(), _COLOURS, strict=False):
        error = depth - np.interp(when, times, true_depth)
        rms = 1000 * np.sqrt(np.nanmean(error**2)) if np.isfinite(error).any() else np.nan
        style = {"color": colour, "marker": "o", "markersize": 2.2, "linewidth": 0.9}
        # Where the person was lost for long, nothing joins what was said before and after.
        breaks = np.flatnonzero(np.diff(when) > _LONGEST_LINE_S) + 1
        at, shown, off = (np.insert(values, breaks, np.nan) for values in (when, depth, error))
        over_time.plot(at, shown, **style, label=f"{name}: error {rms:.0f} mm RMS")
        errors.plot(at, off, **style)
    over_time.set(ylabel="depth z (m)")
    errors.set(xlabel="time (s)", ylabel="error (m)", xlim=(times[0], times[-1] + 1e-3))
    for axes in (over_time, errors):
        axes.grid(alpha=0.25)
    over_time.legend(loc="best", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
