"""`dualpose weights`: what networks there are, whether they are whole, and putting new ones in place."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from dualpose_ros.commands.options import Storage, StorageOption, TopDownWeightsOption, folder_option, needs_torch
from dualpose_ros.weights import (
    INT8,
    OBTAIN_BASELINES,
    WeightsError,
    install_weights,
    is_left_out,
    list_weights,
    replace_file,
    verify_weights,
    weights_dir,
    weights_path,
)

app = typer.Typer(help="The trained networks: list, verify, install, rewrite.", no_args_is_help=True)

DirOption = Annotated[
    Path | None, typer.Option("--dir", help="Folder with manifest.json; the package's own without this.")
]


@app.command("list")
def list_command(directory: DirOption = None) -> None:
    """List the networks: size, domain, what they were trained on, and their figures."""
    heads = ("network", "file", "MB", "domain", "trained on", "figures")
    table = Table(*(Column(head, overflow="fold") for head in heads), title=str(directory or weights_dir()))
    total, left_out = 0, 0
    for entry in list_weights(directory):
        if is_left_out(entry, directory):
            left_out += 1
            continue
        figures = "\n".join(f"{name} {value:.3g}" for name, value in entry.figures.items())
        table.add_row(entry.name, entry.file, f"{entry.bytes / 1e6:.2f}", entry.domain, entry.trained_on, figures)
        total += entry.bytes
    table.caption = f"{total / 1e6:.2f} MB together"
    Console(markup=False, emoji=False).print(table)
    if left_out:
        typer.echo(f"{left_out} not installed: {OBTAIN_BASELINES}")


@app.command("verify")
def verify_command(directory: DirOption = None) -> None:
    """Check every file against the manifest's sha256; exit code 2 if one is missing or another one.

    Networks that only evaluations compare with may be absent all together: a wheel and a ROS installation leave them
    out.
    """
    problems = verify_weights(directory)
    for name, problem in problems.items():
        typer.echo(f"{name}: {problem or 'ok'}")
    left_out = sum(is_left_out(entry, directory) for entry in list_weights(directory))
    if left_out:
        typer.echo(f"{left_out} not installed: {OBTAIN_BASELINES}")
    wrong = [name for name, problem in problems.items() if problem]
    if wrong:
        raise WeightsError(f"{len(wrong)} of {len(problems)} networks are not as the manifest says: {', '.join(wrong)}")


@app.command("install")
def install_command(
    onnx: Annotated[Path, typer.Argument(help="The network, as `dualpose export` or `dualpose train` wrote it.")],
    report: Annotated[Path, typer.Option("--report", help="report.json of its training.")],
    name: Annotated[
        str,
        typer.Option(
            "--name",
            help="Its name in the manifest. The nodes run `detector`, `top_down`, `bottom_up`, `gcn`, `lifting` and "
            "`fusion`, which it replaces; any other lies beside them, one that begins with `baseline_` in baselines/.",
        ),
    ],
    directory: DirOption = None,
    domain: Annotated[
        str | None, typer.Option("--domain", help="What it was trained on in a word, if the report doesn't say.")
    ] = None,
) -> None:
    """Copy a trained network into the weights folder and record it in manifest.json."""
    entry = install_weights(onnx, report, name, directory, domain)
    typer.echo(f"{entry.name}: {entry.file}, {entry.bytes / 1e6:.2f} MB, sha256 {entry.sha256[:12]}")


@app.command("rewrite")
def rewrite_command(directory: DirOption = None) -> None:
    """Rewrite the graphs of installed networks as `dualpose export` writes them now, with the same answers to the bit.

    Engines refuse bytes that anything but a cast reads, as networks exported by older versions have them.
    """
    with needs_torch("weights rewrite"):
        from dualpose_ros.inference.export import with_cast_first

        for entry in list_weights(directory):
            if is_left_out(entry, directory) or entry.name.endswith(INT8):
                continue
            data = with_cast_first(weights_path(entry.name, directory))
            after = replace_file(entry.name, data, directory) if data is not None else entry
            state = f"sha256 {entry.sha256[:12]} -> {after.sha256[:12]}" if data is not None else "as it should be"
            typer.echo(f"{entry.name}: {state}")


@app.command("import")
def import_command(
    path: Annotated[
        Path,
        typer.Argument(
            help="A published checkpoint (.pth, .safetensors), a folder of the paper's release (ckpts, or one of its "
            "folders), or its archive (3DMPP.zip)."
        ),
    ],
    out: Annotated[Path, folder_option("--out", "Folder for the ONNX files.")],
    storage: StorageOption = Storage.fp32,
) -> None:
    """Turn published checkpoints into ONNX files: the paper's eight networks, HRNet-W32 and HigherHRNet-W32.

    Which network a checkpoint is, its names and shapes say. Nothing in it is run. Networks that are published as ONNX
    need no import: name them as `movenet:FILE.onnx`, `rtmpose:FILE.onnx`, `rtmo:FILE.onnx` or
    `vitpose:FILE.onnx`.
    """
    with needs_torch("weights import"):
        from dualpose_ros.lab.published.importing import import_published
    for imported in import_published(path, out, storage.value):
        unused = f"; not used: {', '.join(imported.unused)}" if imported.unused else ""
        typer.echo(f"{imported.source} -> {imported.file}, within {imported.difference:.1e}{unused}")


@app.command("run")
def run_command(
    networks: Annotated[
        Path, typer.Argument(help="Folder of the paper's eight networks, as `weights import` made it.")
    ],
    source: Annotated[str, typer.Argument(help="Video, or folder of images.")],
    calibration: Annotated[Path, typer.Option("--calibration", help="Calibration file of the camera.")],
    out: Annotated[Path, folder_option("--out", "Folder for predictions, which `dualpose eval` scores.")],
    name: Annotated[str | None, typer.Option("--name", help="Of the sequence; the source's without.")] = None,
    weights: TopDownWeightsOption = None,
) -> None:
    """Run the paper's released networks over a whole video, off line: they look 121 frames ahead.

    2D joints and tracks are those of the live detector and top-down branch; the release has neither.
    """
    from dualpose_ros.datasets.predictions import write_predictions
    from dualpose_ros.lab.published.runner import load_released, predict_video
    from dualpose_ros.sources.calibration import load_calibration

    called = name or Path(source).stem
    predictions = predict_video(
        load_released(networks), source, load_calibration(calibration), weights or "top_down", called
    )
    file = write_predictions(out, predictions)
    people = sum(len(frame) for frame in predictions.frames.values())
    typer.echo(f"{file}: {len(predictions.frames)} frames, {people} people in them")
