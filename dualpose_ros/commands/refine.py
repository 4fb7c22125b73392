"""`dualpose refine`: a recorded run refined anew, with all of its frames at hand."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from dualpose_ros.commands.options import JsonOption, file_option, refuse, report
from dualpose_ros.commands.run import CameraHeightOption, CameraPitchOption, CameraRollOption


class Method(str, Enum):
    """What refines."""

    two_stage = "two-stage"
    ours = "ours"


def refine(
    context: typer.Context,
    recording: Annotated[Path, typer.Argument(help="Folder that `dualpose run --out` wrote.")],
    method: Annotated[
        Method,
        typer.Option(
            "--method",
            help="`two-stage`: the paper's test-time optimisation (Eq. 16) over each whole track, minutes for a "
            "minute of video. `ours`: the live refinement, each frame with all that its window holds after it.",
        ),
    ] = Method.ours,
    out: Annotated[
        Path | None, file_option("--out", "File of JSON lines; `refined.jsonl` in the folder without.")
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            "--calibration", help="Another camera than the recorded one; and another ground, where it has one."
        ),
    ] = None,
    camera_height_m: CameraHeightOption = None,
    camera_pitch_deg: CameraPitchOption = 0.0,
    camera_roll_deg: CameraRollOption = 0.0,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Steps of each of the paper's two stages.")] = 3000,
    json_file: JsonOption = None,
) -> None:
    """Refine the fused poses of a run off line, and say how much that changed them.

    `ours` begins with the run's own settings and ground; --camera-height and the like, or a calibration file that has
    one, name another ground.
    """
    ground_options = ("camera_height_m", "camera_pitch_deg", "camera_roll_deg")
    refuse(context, ("steps",) if method is Method.ours else ground_options, f"with --method {method.value}")
    from dualpose_ros.lab.evaluation.refinement.offline import refine_recording
    from dualpose_ros.runs.refinement_settings import stated_ground

    ground = stated_ground(camera_height_m, camera_pitch_deg, camera_roll_deg, calibration)
    file = out or recording / "refined.jsonl"
    report(context, refine_recording(recording, method.value, file, calibration, steps, ground), json_file)
