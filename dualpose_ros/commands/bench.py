"""`dualpose bench`: what things cost, as ratios within one run."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from dualpose_ros.commands.report import report


class Benchmark(str, Enum):
    """What can be timed."""

    pipeline = "pipeline"


def bench(
    what: Annotated[
        Benchmark,
        typer.Argument(help="`pipeline`: every stage on a frame of a clip, against the detector's network alone."),
    ],
    source: Annotated[
        str | None, typer.Option("--source", help="Video or folder of images; the demo's clip without.")
    ] = None,
    repeats: Annotated[int, typer.Option("--repeats", min=3, help="Frames that are timed.")] = 60,
    threads: Annotated[int, typer.Option("--threads", min=1, help="CPU threads of each network.")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the table to this file too.")] = None,
) -> None:
    """Time the stages on real frames: median, spread (quartiles), and the ratio to a stated reference.

    Compare ratios, not milliseconds, between runs: reference and stages take turns frame by frame,
    so that whatever else the machine does meets both alike.
    """
    from dualpose_ros.commands.bench_pipeline import bench_pipeline

    report(bench_pipeline(source, repeats, threads), json_file, seed=0)
