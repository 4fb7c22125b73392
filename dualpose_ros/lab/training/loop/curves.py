"""The curves of a training run: its log, line by line, and a picture of it."""

import json
import math
from pathlib import Path
from typing import Any

from dualpose_ros.drawing import write_figure
from dualpose_ros.paths import write_whole

NOT_CURVES = ("kind", "step", "seconds", "lr")


def append_line(path: Path, line: dict[str, Any]) -> None:
    """Append one line to a JSON-lines log; values that JSON lacks (nan, infinity) become null."""
    clean = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in line.items()}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(clean) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; one that was cut off while being written is left out."""
    if not path.is_file():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return lines


def forget_after(path: Path, step: int) -> None:
    """Drop the lines of steps after `step`: a resumed run makes them again."""
    if path.is_file():
        kept = [line for line in read_lines(path) if line["step"] <= step]
        write_whole(path, "".join(json.dumps(line) + "\n" for line in kept))


def draw_curves(log: Path, picture: Path, title: str) -> None:
    """Draw every figure of a log over the steps, training and validation apart, as one PNG.

    One panel for each name; loss and its parts on a logarithmic scale where they are positive.
    """
    # Without pyplot's global state, a figure needs no display.
    from matplotlib.figure import Figure

    lines = read_lines(log)
    names = list(dict.fromkeys(name for line in lines for name in line if name not in NOT_CURVES))
    names.append("lr")
    columns = min(3, len(names))
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(4.5 * columns, 3 * rows), layout="constrained")
    for number, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, number + 1)
        for kind in ("train", "val"):
            points = [
                (line["step"], line[name]) for line in lines if line["kind"] == kind and line.get(name) is not None
            ]
            if points:
                axes.plot(
                    [x for x, _ in points],
                    [y for _, y in points],
                    label=kind,
                    marker="o" if kind == "val" else None,
                    markersize=3,
                )
                if kind == "train" and name != "lr" and min(y for _, y in points) > 0:
                    axes.set_yscale("log")
        axes.set_title(name)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8)
    figure.suptitle(title)
    write_figure(picture, figure, 80)
