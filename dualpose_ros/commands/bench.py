"""`dualpose bench`: what things cost, as ratios within one run."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from dualpose_ros.commands.options import BodyOption, JsonOption, MocapOption, report, require_numba


class Benchmark(str, Enum):
    """What can be timed."""

    pipeline = "pipeline"
    synth = "synth"


def bench(
    what: Annotated[
        Benchmark,
        typer.Argument(
            help="`pipeline`: every stage on a frame of a clip, against the detector's network alone. "
            "`synth`: the rendering of labelled patches, against a blur of the same size."
        ),
    ],
    source: Annotated[
        str | None, typer.Option("--source", help="Video or folder of images; the demo's clip without.")
    ] = None,
    repeats: Annotated[int, typer.Option("--repeats", min=3, help="Frames or patches that are timed.")] = 60,
    threads: Annotated[int, typer.Option("--threads", min=1, help="CPU threads of each network.")] = 1,
    body: BodyOption = None,
    mocap: MocapOption = None,
    json_file: JsonOption = None,
) -> None:
    """Time the stages on real frames, or the synthetic world: median, spread (quartiles), ratio to a stated reference.

    Compare ratios, not milliseconds, between runs: the reference takes turns with what is timed,
    so that whatever else the machine does meets both alike. As in the nodes, BLAS has one thread.
    """
    if what is Benchmark.synth:
        require_numba("bench synth")
        from dualpose_ros.lab.benchmarks.synth import bench_synth

        report(bench_synth(body, mocap, repeats), json_file)
        return
    from threadpoolctl import threadpool_limits

    from dualpose_ros.lab.benchmarks.pipeline import bench_pipeline

    with threadpool_limits(1, user_api="blas"):
        report(bench_pipeline(source, repeats, threads), json_file)
