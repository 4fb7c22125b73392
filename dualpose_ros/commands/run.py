"""`dualpose run`: the graph on any video, directory of images or camera."""

from pathlib import Path
from typing import Annotated

import typer

from dualpose_ros.commands import options as opt
from dualpose_ros.errors import InputError
from dualpose_ros.standalone.process import RestartPolicy

SourceOption = Annotated[
    str,
    typer.Option(
        "--source",
        help="Video file, image, folder of images, camera (index such as `0`, or /dev/videoN), stream (`rtsp://`, "
        "`http://`), or GStreamer pipeline where OpenCV has that.",
    ),
]
HfovOption = Annotated[
    float | None, typer.Option("--hfov", min=1, max=175, help="Horizontal field of view of the camera in degrees.")
]
CalibrationOption = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        help="Calibration file of ROS's camera_calibration, OpenCV or Kalibr, instead of --hfov; of several "
        "cameras one by `FILE:cam1`.",
    ),
]
PaceOption = Annotated[
    float | None,
    typer.Option("--rate", min=0, help="Live pace of a file: 1 its own, 2 twice as fast; 0 is --every-frame."),
]
EveryFrameOption = Annotated[
    bool | None,
    typer.Option(
        "--every-frame/--live",
        help="Work on every frame of a file, in order, at the graph's pace: the default for files. Or play it like a "
        "camera: what comes while the graph is busy is dropped.",
    ),
]

CameraHeightOption = Annotated[
    float | None,
    typer.Option("--camera-height", help="Metres of the camera above the ground: people then stand on it."),
]
CameraPitchOption = Annotated[
    float, typer.Option("--camera-pitch", min=-90, max=90, help="Degrees by which the camera looks down.")
]
HungOption = Annotated[
    float,
    typer.Option(
        "--hung-after", min=0, help="Seconds after which a node that serves nothing is started anew; 0: none."
    ),
]
CameraRollOption = Annotated[
    float, typer.Option("--camera-roll", min=-180, max=180, help="Degrees by which its right side is lower.")
]


def run(
    context: typer.Context,
    source: SourceOption,
    out: opt.OutOption = Path("out"),
    detector: opt.DetectorOption = None,
    hfov_deg: HfovOption = None,
    calibration: CalibrationOption = None,
    camera_height_m: CameraHeightOption = None,
    camera_pitch_deg: CameraPitchOption = 0.0,
    camera_roll_deg: CameraRollOption = 0.0,
    every_frame: EveryFrameOption = None,
    fps: opt.FpsOption = None,
    rate: PaceOption = None,
    max_rate: opt.MaxRateOption = None,
    max_frames: opt.MaxFramesOption = None,
    params_file: opt.ParamsOption = None,
    domain_id: opt.DomainOption = None,
    overlay: opt.OverlayOption = True,
    composed: opt.ComposedOption = False,
    view: opt.ViewOption = False,
    browser: opt.BrowserOption = None,
    view_port: opt.ViewPortOption = None,
    hung_s: HungOption = RestartPolicy.hung_s,
    verbose: opt.VerboseOption = False,
) -> None:
    """Run the graph on a video or camera: each node a process of its own, speaking ROS 2 over DDS.

    Writes into the output folder: `poses.mcap` (rosbag2: poses, markers, camera_info), `poses.jsonl`,
    `overlay.mp4`, `summary.json`, `refinement.yaml` and `nodes.log`. Ctrl-C ends a run early; what was recorded is
    kept.
    """
    if not view:
        opt.refuse(context, ("browser", "view_port"), "without --view")
    from dualpose_ros.recording.progress import run_console
    from dualpose_ros.runs.live import LiveOptions, run_and_write
    from dualpose_ros.runs.session import claimed_folder

    if every_frame and rate:
        raise InputError("--every-frame leaves the pace to the graph: leave out --rate")
    if every_frame is None and rate:
        every_frame = False
    options = LiveOptions(
        source, out, detector=detector, hfov_deg=hfov_deg, calibration=calibration, camera_height_m=camera_height_m,
        camera_pitch_deg=camera_pitch_deg, camera_roll_deg=camera_roll_deg, fps=fps, rate=rate,
        every_frame=every_frame, max_rate=max_rate, max_frames=max_frames,
        params_file=params_file, domain_id=domain_id, overlay=overlay, verbose=verbose, composed=composed, view=view,
        browser=browser, view_port=view_port, hung_s=hung_s,
    )  # fmt: skip
    with claimed_folder(out):
        run_and_write(options, run_console())
