"""`dualpose demo`: the graph on the clip that ships with the package, measured against its ground truth."""

from pathlib import Path
from typing import Annotated

import typer

from dualpose_ros.commands import options as opt


def demo(
    context: typer.Context,
    out: opt.OutOption = Path("demo_out"),
    clip: Annotated[
        Path | None,
        typer.Option("--clip", help="Folder that `dualpose synth clip` made, instead of the clip that ships with it."),
    ] = None,
    ground: Annotated[
        bool,
        typer.Option("--ground", help="Tell the camera's height and tilt, which camera.yaml has as they were drawn."),
    ] = False,
    detector: opt.DetectorOption = None,
    rate: opt.RateOption = 1.0,
    max_rate: opt.MaxRateOption = None,
    params_file: opt.ParamsOption = None,
    domain_id: opt.DomainOption = None,
    overlay: opt.OverlayOption = True,
    composed: opt.ComposedOption = False,
    view: opt.ViewOption = False,
    browser: opt.BrowserOption = None,
    view_port: opt.ViewPortOption = None,
    verbose: opt.VerboseOption = False,
) -> None:
    """Run the graph on a rendered clip of four people who cross and hide each other, and say how right it was.

    Each node is a process of its own, speaking ROS 2 over DDS. Writes what `dualpose run` writes, the
    accuracy against the exact truth in `summary.json`, `tracks.png`, true and estimated tracks from above, and
    `depth.png`, one joint's depth over time, before and after refinement.
    """
    if not view:
        opt.refuse(context, ("browser", "view_port"), "without --view")
    from dualpose_ros.lab.evaluation.demo.run import run_demo
    from dualpose_ros.recording.progress import run_console
    from dualpose_ros.runs.live import LiveOptions
    from dualpose_ros.runs.session import claimed_folder

    options = LiveOptions(
        "", out, detector=detector, calibrated_ground=ground, rate=rate, max_rate=max_rate, params_file=params_file,
        domain_id=domain_id, overlay=overlay, verbose=verbose, composed=composed, view=view, browser=browser,
        view_port=view_port,
    )  # fmt: skip
    with claimed_folder(out):
        run_demo(options, run_console(), clip, opt.given_options(context))
