"""`dualpose synth`: labelled images and clips of the synthetic world."""

import os
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from dualpose_ros.commands.options import (
    BodyOption,
    MocapOption,
    counted,
    file_to_write,
    folder_to_write,
    refuse_others,
    require_numba,
)
from dualpose_ros.errors import InputError


class SynthKind(str, Enum):
    """What can be made."""

    patches = "patches"
    frames = "frames"
    clip = "clip"
    recordings = "recordings"
    body = "body"


_RENDERED = ("out", "seed", "body", "mocap")
_COUNTED = (*_RENDERED, "count", "workers")
OPTIONS = {
    SynthKind.patches: _COUNTED,
    SynthKind.frames: (*_COUNTED, "enlarge"),
    SynthKind.clip: (*_RENDERED, "seconds"),
    SynthKind.recordings: (*_COUNTED, "length"),
    SynthKind.body: ("out", "makehuman"),
}
"""What each can be told."""


def synth(
    context: typer.Context,
    kind: Annotated[
        SynthKind,
        typer.Argument(
            help="`patches`: 288 x 288 around one person each. `frames`: whole images of a few people. "
            "`clip`: a video of four people who cross each other, as the demo's. "
            "`recordings`: what both branches make of short videos, for training fusion. "
            "`body`: the file for --body, from MakeHuman's own data."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Folder to write into; what it holds already is kept. A file for `body`.")
    ],
    count: Annotated[int, typer.Option("--count", min=1, help="How many patches, frames or recorded videos.")] = 2000,
    seconds: Annotated[float, typer.Option("--seconds", min=1, max=120, help="Length of a clip.")] = 22.0,
    length: Annotated[int, typer.Option("--length", min=1, help="Frames of a recorded video.")] = 30,
    enlarge: Annotated[
        float, typer.Option("--enlarge", min=0.25, max=5, help="Size of frames, over some 384 pixels.")
    ] = 1.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed makes the same images.")] = 0,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = os.cpu_count() or 1,
    body: BodyOption = None,
    mocap: MocapOption = None,
    makehuman: Annotated[
        Path | None, typer.Option("--makehuman", help="MakeHuman's `data` folder or a checkout of it, for `body`.")
    ] = None,
) -> None:
    """Render labelled images of the synthetic world: exact boxes, joints in 2D and 3D, visibility, masks.

    Deterministic by seed, and resumable: run it again and it goes on with the shards that are missing.
    """
    refuse_others(context, kind.value, OPTIONS[kind])
    require_numba("synth")
    (file_to_write if kind is SynthKind.body else folder_to_write)(out)
    if kind is SynthKind.body:
        _convert(makehuman, out)
        return
    from dualpose_ros.lab.making import Making, make

    making = Making(out, count, seed, workers, body, mocap, seconds, length, enlarge)
    total, work = make(kind.value, making)
    made_of = {SynthKind.clip: "frames of the clip", SynthKind.recordings: "sequences"}.get(kind, kind.value)
    made = counted(work, total, made_of)
    typer.echo(f"{out}: {made} {made_of} made")


def _convert(makehuman: Path | None, out: Path) -> None:
    """Make the body file of `--body` from MakeHuman's own data."""
    from dualpose_ros.lab.synthetic.body.convert_makehuman import convert

    if makehuman is None:
        raise InputError(
            "`dualpose synth body` needs --makehuman, the data folder of MakeHuman "
            "(github.com/makehumancommunity/makehuman, all of it CC0)"
        )
    convert(makehuman, out)
    typer.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
