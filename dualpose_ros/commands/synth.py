"""`dualpose synth`: labelled images and clips of the synthetic world."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dualpose_ros.errors import InputError


class SynthKind(str, Enum):
    """What can be made."""

    patches = "patches"
    frames = "frames"
    clip = "clip"
    recordings = "recordings"
    body = "body"


def synth(
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
    body: Annotated[
        Path | None, typer.Option("--body", help="Skinned body (.npz); a simple built-in one without.")
    ] = None,
    mocap: Annotated[
        Path | None, typer.Option("--mocap", help="Motion-capture clips (.npz) to move by; procedural motion without.")
    ] = None,
    makehuman: Annotated[
        Path | None, typer.Option("--makehuman", help="MakeHuman's `data` folder or a checkout of it, for `body`.")
    ] = None,
) -> None:
    """Render labelled images of the synthetic world: exact boxes, joints in 2D and 3D, visibility, masks.

    Deterministic by seed, and resumable: run it again and it goes on with the shards that are missing.
    """
    require_numba("synth")
    if kind is SynthKind.body:
        _convert(makehuman, out)
        return
    total, work = _work(kind, out, count, seconds, length, enlarge, seed, workers, body, mocap)
    columns = (TextColumn(kind.value), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    made = 0
    with Progress(*columns) as progress:
        task = progress.add_task(kind.value, total=total)
        for done in work:
            made += done
            progress.update(task, completed=made)
    made_of = {SynthKind.clip: "frames of the clip", SynthKind.recordings: "sequences"}.get(kind, kind.value)
    typer.echo(f"{out}: {made} {made_of} made")


def require_numba(command: str) -> None:
    """InputError that names the extra to install, where numba is missing."""
    if importlib.util.find_spec("numba") is None:
        raise InputError(
            f"`dualpose {command}` needs numba, which the base install leaves out: pip install 'dualpose_ros[synth]'"
        )


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


def _work(
    kind: SynthKind,
    out: Path,
    count: int,
    seconds: float,
    length: int,
    enlarge: float,
    seed: int,
    workers: int,
    body: Path | None,
    mocap: Path | None,
) -> tuple[int | None, Iterator[int]]:
    """How many images there are to make, and their making step by step."""
    from dualpose_ros.lab.synthetic.scenes.world import WorldConfig

    for name, path in (("--body", body), ("--mocap", mocap)):
        if path is not None and not path.is_file():
            raise InputError(f"{name} {path} is no file")
    world = WorldConfig(body=body, mocap=mocap)
    if kind is SynthKind.clip:
        from dualpose_ros.lab.synthetic.scenes.clip import ClipConfig, write_clip

        config = ClipConfig(duration_s=seconds)
        return round(config.duration_s * config.fps), write_clip(out, seed, world, config)
    if kind is SynthKind.recordings:
        from dualpose_ros.lab.evaluation.record import missing_sequences, write_recordings
        from dualpose_ros.lab.synthetic.scenes.sequences import SequenceConfig

        return missing_sequences(out, count), write_recordings(
            out, count, seed, world, workers, SequenceConfig(frames=length)
        )
    from dualpose_ros.datasets.cache import missing_shards
    from dualpose_ros.lab.synthetic.scenes.generate import SHARD_SIZE, write_samples

    shards = -(-count // SHARD_SIZE)
    total = sum(min(SHARD_SIZE, count - index * SHARD_SIZE) for index in missing_shards(out, shards))
    return total, write_samples(kind.value, out, count, seed, world, workers, enlarge)
