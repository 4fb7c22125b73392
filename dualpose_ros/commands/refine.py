"""`dualpose refine`: a recorded run refined anew, with all of its frames at hand."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from dualpose_ros.commands.options import JsonOption, file_option, refuse, report


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
        Path | None, typer.Option("--calibration", help="Another camera than the recorded camera_info.")
    ] = None,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Steps of each of the paper's two stages.")] = 3000,
    json_file: JsonOption = None,
) -> None:
    """Refine the fused poses of a run off line, and say how much that changed them."""
    if method is not Method.two_stage:
        refuse(context, ("steps",), f"with --method {method.value}")
    from dualpose_ros.lab.evaluation.refinement.offline import refine_recording

    result = refine_recording(recording, method.value, out or recording / "refined.jsonl", calibration, steps)
    report(context, result, json_file)
