"""`dualpose bench`: what things cost."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from dualpose_ros.commands.options import (
    BodyOption,
    JsonOption,
    MocapOption,
    SeedOption,
    refuse_others,
    report,
    require_numba,
)


class Benchmark(str, Enum):
    """What can be timed."""

    pipeline = "pipeline"
    stages = "stages"
    engines = "engines"
    people = "people"
    transport = "transport"
    page = "page"
    synth = "synth"
    soak = "soak"


_TIMED, _ON_THREADS = ("repeats", "json_file"), ("repeats", "threads", "json_file")
OPTIONS = {
    Benchmark.pipeline: (*_TIMED, "composed"),
    Benchmark.stages: _ON_THREADS,
    Benchmark.engines: _ON_THREADS,
    Benchmark.people: _ON_THREADS,
    Benchmark.transport: _TIMED,
    Benchmark.page: ("results",),
    Benchmark.synth: (*_TIMED, "body", "mocap"),
    Benchmark.soak: ("minutes", "faults", "rate", "seed", "json_file"),
}
"""What each can be told."""


def bench(
    context: typer.Context,
    what: Annotated[
        Benchmark,
        typer.Argument(
            help="`stages`: every step of a frame of the demo's clip. `people`: a frame against the number of people. "
            "`engines`: every way to run every network here, and how far it is from ONNX Runtime in fp32. "
            "`pipeline`: the whole graph's frames/s and latency on 1, 2, ... cores, and by a model on more. "
            "`transport`: messages between processes, and within one. "
            "`page`: write speed.md, two folders above the results of these, from them. "
            "`synth`: the rendering of labelled patches, against a blur of the same size. "
            "`soak`: the graph for --minutes, with --faults; exit code 1 where it does not hold out."
        ),
    ],
    repeats: Annotated[int, typer.Option("--repeats", min=3, help="Frames, messages or patches that are timed.")] = 60,
    threads: Annotated[int, typer.Option("--threads", min=1, help="CPU threads of each network.")] = 1,
    composed: Annotated[bool, typer.Option("--composed", help="`pipeline` with all nodes in one process.")] = False,
    results: Annotated[
        Path, typer.Option("--results", help="`page`: folder of the others' results, NAME.json.")
    ] = Path("docs/results/speed"),
    minutes: Annotated[float, typer.Option("--minutes", min=0.5, help="`soak`: how long.")] = 60.0,
    faults: Annotated[
        bool,
        typer.Option(
            "--faults/--no-faults",
            help="`soak`: kill and stop nodes, starve processors, lose, delay, double and mix up frames, let the clock "
            "jump, change size and K, and switch the camera off.",
        ),
    ] = False,
    rate: Annotated[float, typer.Option("--rate", min=0.5, max=60, help="`soak`: images a second.")] = 10.0,
    seed: SeedOption = 0,
    body: BodyOption = None,
    mocap: MocapOption = None,
    json_file: JsonOption = None,
) -> None:
    """Time the graph, its steps and messages, or the synthetic world: medians and quartiles.

    Steps are timed by the processor time of one thread, which other programs disturb little; frames/s and latency
    need a machine that does nothing else. As in the nodes, BLAS and OpenCV have one thread.
    """
    refuse_others(context, what.value, OPTIONS[what])
    if what is Benchmark.synth:
        require_numba("bench synth")
        from dualpose_ros.lab.benchmarks.synth import bench_synth

        report(context, bench_synth(body, mocap, repeats), json_file)
        return
    if what is Benchmark.soak:
        from dualpose_ros.lab.benchmarks.soak import bench_soak

        result = bench_soak(minutes, faults, seed, rate)
        report(context, result, json_file, seed)
        if not all(goal["met"] for goal in result["goals"]):
            raise typer.Exit(1)
        return
    if what is Benchmark.page:
        from dualpose_ros.lab.benchmarks.page import write_page

        page = results.absolute().parents[1] / "speed.md"
        write_page(results, page)
        typer.echo(f"{page}: written from {results}")
        return
    import cv2
    from threadpoolctl import threadpool_limits

    from dualpose_ros.inference.cpu import keep_memory

    keep_memory()
    cv2.setNumThreads(1)
    with threadpool_limits(1, user_api="blas"):
        if what is Benchmark.pipeline:
            from dualpose_ros.lab.benchmarks.pipeline import bench_pipeline

            report(context, bench_pipeline(repeats, composed), json_file)
        elif what is Benchmark.engines:
            from dualpose_ros.lab.benchmarks.engines import bench_engines

            report(context, bench_engines(repeats, threads), json_file)
        elif what is Benchmark.transport:
            from dualpose_ros.lab.benchmarks.transport import bench_transport

            report(context, bench_transport(repeats), json_file)
        else:
            from dualpose_ros.lab.benchmarks.stages import bench_people, bench_stages

            report(context, (bench_stages if what is Benchmark.stages else bench_people)(repeats, threads), json_file)
