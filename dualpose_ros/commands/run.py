"""`dualpose run`: the graph on any video, directory of images or camera."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dualpose_ros.errors import InputError

SourceOption = Annotated[
    str, typer.Option("--source", help="Video file, folder of images, or camera (index such as `0`, or /dev/videoN).")
]
OutOption = Annotated[Path, typer.Option("--out", help="Folder for the output; made if it isn't there.")]
DetectorOption = Annotated[
    str | None,
    typer.Option(
        "--detector",
        help="`centre` (the package's own), `centre:FILE.onnx`, `yolox:FILE.onnx`, or `fasterrcnn` (needs that extra). "
        "Without this, what the parameter file says.",
    ),
]
HfovOption = Annotated[
    float | None, typer.Option("--hfov", min=1, max=175, help="Horizontal field of view of the camera in degrees.")
]
CalibrationOption = Annotated[
    Path | None,
    typer.Option("--calibration", help="Calibration YAML as ROS's camera_calibration writes it, instead of --hfov."),
]
RateOption = Annotated[
    float, typer.Option("--rate", min=0, help="Pace of a file: 1 its own, 2 twice as fast, 0 as fast as it decodes.")
]
MaxRateOption = Annotated[
    float | None, typer.Option("--max-rate", min=0, help="Most frames a second that are processed; 0 for no limit.")
]
MaxFramesOption = Annotated[int | None, typer.Option("--max-frames", min=1, help="Stop after so many frames.")]
ParamsOption = Annotated[
    Path | None, typer.Option("--params-file", help="ROS parameters of the nodes, instead of config/pipeline.yaml.")
]
DomainOption = Annotated[
    int | None,
    typer.Option(
        "--domain-id",
        min=0,
        max=232,
        envvar="ROS_DOMAIN_ID",
        help="ROS domain to run in, to watch with `ros2 topic echo`; a random one without, so that runs never meet.",
    ),
]
OverlayOption = Annotated[bool, typer.Option("--overlay/--no-overlay", help="Draw overlay.mp4 after the run.")]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show what the nodes print; it is in nodes.log anyway.")
]


def run(
    source: SourceOption,
    out: OutOption = Path("out"),
    detector: DetectorOption = None,
    hfov: HfovOption = None,
    calibration: CalibrationOption = None,
    rate: RateOption = 1.0,
    max_rate: MaxRateOption = None,
    max_frames: MaxFramesOption = None,
    params_file: ParamsOption = None,
    domain_id: DomainOption = None,
    overlay: OverlayOption = True,
    verbose: VerboseOption = False,
) -> None:
    """Run the graph on a video or camera: each node a process of its own, speaking ROS 2 over DDS.

    Writes into the output folder: `poses.mcap` (rosbag2: poses, markers, camera_info), `poses.jsonl`,
    `overlay.mp4`, `summary.json` and `nodes.log`. Ctrl-C ends a run early; what was recorded is kept.
    """
    from dualpose_ros.recording.summary import write_summary
    from dualpose_ros.runs.live import LiveOptions, draw_overlay, live_figures, print_run, run_live

    console = Console(stderr=True)
    options = LiveOptions(
        source=source,
        out=out,
        detector=detector,
        hfov_deg=hfov,
        calibration=calibration,
        rate=rate,
        max_rate=max_rate,
        max_frames=max_frames,
        params_file=params_file,
        domain_id=domain_id,
        overlay=overlay,
        verbose=verbose,
    )
    result = run_live(options, console)
    with result.recording.frames:
        figures = live_figures(options, result)
        # Before the overlay, which takes a while: whoever stops that has the figures.
        write_summary(out / "summary.json", figures, [])
        if overlay:
            figures["overlay_frames"] = draw_overlay(result, console)
            write_summary(out / "summary.json", figures, [])
    print_run(console, figures, [], out)
    if result.frames_sent == 0 and not result.interrupted:
        raise InputError(f"no frame came from {source}; see {out / 'nodes.log'}")
