"""`dualpose run`: the graph on any video, directory of images or camera."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

OutOption = Annotated[Path, typer.Option("--out", help="Folder for what the run writes; made if it isn't there.")]
DetectorOption = Annotated[
    Optional[str],  # noqa: UP007 - typer reads the annotation at run time, on Python 3.10 too
    typer.Option(
        "--detector",
        help="`centre` (ships with the package), `yolox:FILE.onnx`, or `fasterrcnn` (needs the extra train).",
    ),
]
