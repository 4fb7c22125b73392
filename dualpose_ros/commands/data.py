"""`dualpose data`: other people's data sets as training takes them."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from dualpose_ros.commands.options import counted, folder_option, refuse
from dualpose_ros.errors import InputError

app = typer.Typer(help="Data sets of others, made ready for training.", no_args_is_help=True)


@app.callback()
def data() -> None:
    """Data sets of others, made ready for training."""


class Format(str, Enum):
    """What can be read."""

    coco = "coco"
    lsp = "lsp"


@app.command("import")
def import_data(
    context: typer.Context,
    kind: Annotated[
        Format,
        typer.Argument(
            help="`coco`: pictures and a COCO keypoint file, as COCO, and MPII or CrowdPose converted, have them. "
            "`lsp`: Leeds Sports Pose, and its extended training set."
        ),
    ],
    root: Annotated[Path, typer.Option("--root", help="Folder of the data set.")],
    out: Annotated[Path, folder_option("--out", "Folder of shards to write; those that are there are kept.")],
    annotations: Annotated[
        Path | None, typer.Option("--annotations", help="Label file; ROOT/person_keypoints.json or joints.mat without.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of the pictures; ROOT/images without.")
    ] = None,
    weight: Annotated[
        list[str] | None, typer.Option("--weight", help="SOURCE=W: draw its pictures W times as often as others.")
    ] = None,
    squashed: Annotated[
        list[str] | None, typer.Option("--squashed", help="SOURCE=F: its widths are wrong by a factor of up to F.")
    ] = None,
    incomplete: Annotated[
        list[str] | None, typer.Option("--incomplete", help="SOURCE whose pictures show people without any box.")
    ] = None,
    joint: Annotated[
        list[str] | None, typer.Option("--joint", help="SOURCE.NAME=JOINT: a joint of ours by the source's name.")
    ] = None,
    max_side: Annotated[int, typer.Option("--max-side", min=64, help="Longer side of stored pictures, pixels.")] = 640,
    webp: Annotated[int | None, typer.Option("--webp", min=1, max=100, help="Store as WebP of this quality.")] = None,
) -> None:
    """Write a data set of photographs as shards, as `dualpose train` takes them.

    Joints are found by name. A joint that is not labelled is not judged: training neither asks for it nor denies
    it. People without labels and crowds are left out of the losses. A twentieth, by file name unless the data set
    says which, is for validation; pictures of a split `test` are left out. Run it again and it goes on with the shards
    that are missing.
    """
    if kind is Format.lsp:
        refuse(context, ("incomplete", "joint"), f"with `{context.command_path} lsp`")
    from dualpose_ros.datasets.cache import JPEG_QUALITY
    from dualpose_ros.datasets.coco import ImportOptions, read_coco
    from dualpose_ros.datasets.importing import missing, plan, write
    from dualpose_ros.datasets.labels import UNKNOWN
    from dualpose_ros.datasets.lsp import read_lsp

    options = ImportOptions(
        images=images,
        annotations=annotations,
        weights=numbers(weight, "--weight"),
        stretches=numbers(squashed, "--squashed", least=1.0),
        incomplete=frozenset(incomplete or ()),
        aliases=joints(joint),
        needs_joints=True,
    )
    encoding, quality = (".jpg", JPEG_QUALITY) if webp is None else (".webp", webp)
    photographs = (read_coco if kind is Format.coco else read_lsp)(root, options)
    shards = plan(photographs)
    made = counted(write(shards, out, max_side, encoding, quality), missing(shards, out), "pictures")
    ours = [p for shard in shards for p in shard]
    people = sum(len(p.people) for p in ours)
    labelled = sum(int((p.people.visibility != UNKNOWN).any(axis=1).sum()) for p in ours)
    held_out = sum(len(shard) for shard in shards if shard[0].split == "validation")
    all_of_them = f"{len(ours)} in all, {held_out} of them for validation, with {people} people, {labelled} of them"
    typer.echo(f"{out}: {made} pictures written, {all_of_them} with joints of ours")
    if apart := len(photographs) - len(ours):
        typer.echo(f"pictures of the split 'test', kept apart and in no shard: {apart}")


def numbers(given: list[str] | None, option: str, least: float = 0.0) -> dict[str, float]:
    """`SOURCE=NUMBER` options as a mapping; InputError names the one that is none."""
    found: dict[str, float] = {}
    for text in given or ():
        name, _, value = text.rpartition("=")
        try:
            found[name] = float(value)
        except ValueError:
            found[name] = -1.0
        if not name or not least <= found[name] < 1e6:
            raise InputError(f"{option} {text} is not SOURCE=NUMBER with a number of {least:g} or more")
    return found


def joints(given: list[str] | None) -> dict[str, dict[str, str]]:
    """`SOURCE.NAME=JOINT` options by source; InputError names the one that is none, or an unknown joint."""
    from dualpose_ros.skeleton import H36M17

    found: dict[str, dict[str, str]] = {}
    for text in given or ():
        named, _, target = text.partition("=")
        source, _, name = named.partition(".")
        if not (source and name and target in H36M17.joint_names):
            raise InputError(
                f"--joint {text} is not SOURCE.NAME=JOINT with one of the joints {', '.join(H36M17.joint_names)}"
            )
        found.setdefault(source, {})[name] = target
    return found
