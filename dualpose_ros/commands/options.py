"""Options that more than one command has, said once."""

import importlib
import importlib.util
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dualpose_ros.errors import InputError
from dualpose_ros.standalone.stopping import leave_command, stop_signals


def folder_to_write(path: Path | None) -> Path | None:
    """Callback of an option: a folder that can't be written into is refused before anything is computed."""
    if path is not None:
        _check_way(path, path)
    return path


def file_to_write(path: Path | None) -> Path | None:
    """Callback of an option: a file that can't be written is refused before anything is computed."""
    if path is not None:
        if path.is_dir():
            raise typer.BadParameter(f"{path} is a folder; name a file")
        _check_way(path, path.absolute().parent)
    return path


def _check_way(path: Path, folder: Path) -> None:
    """Refuse a path whose folder is none, can't be made or written into."""
    nearest = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not nearest.is_dir():
        raise typer.BadParameter(f"{nearest} is {'a file' if nearest.exists() else 'a link to nothing'}, no folder"
                                 f"{'' if nearest == path else f' that {path} could be in'}")  # fmt: skip
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise typer.BadParameter(f"{path} can't be written: {nearest} is read-only")


def folder_option(flag: str, text: str) -> Any:
    """An option that names a folder to write into."""
    return typer.Option(flag, help=text, callback=folder_to_write)


def file_option(flag: str, text: str) -> Any:
    """An option that names a file to write."""
    return typer.Option(flag, help=text, callback=file_to_write)


JsonOption = Annotated[Path | None, file_option("--json", "Write tables and goals to this file too.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Recorded with the result; chooses samples.")]

CaptureOption = Annotated[
    Path,
    typer.Option(
        "--data",
        envvar="DUALPOSE_DATA",
        help="Folder with motion capture, motion/*.npz, and a body, makehuman/*.npz; docs/data.md has their form.",
    ),
]
FramesOption = Annotated[
    Path, typer.Option("--data", help="Folder of labelled frames, as `dualpose synth frames` writes.")
]
PartOption = Annotated[
    float,
    typer.Option("--part", min=0.01, max=1, help="Share of the images and movements, for a quicker, coarser look."),
]
CountOption = Annotated[int, typer.Option("--count", min=1, help="Most images to use.")]
TopDownWeightsOption = Annotated[
    str | None,
    typer.Option("--weights", help="Another top-down network: FILE.onnx, or KIND:FILE.onnx of a published one."),
]

BodyOption = Annotated[Path | None, typer.Option("--body", help="Skinned body (.npz); a simple built-in one without.")]
MocapOption = Annotated[
    Path | None, typer.Option("--mocap", help="Motion-capture clips (.npz) to move by; procedural motion without.")
]

OutOption = Annotated[Path, folder_option("--out", "Folder for the output; made if it isn't there.")]
DetectorOption = Annotated[
    str | None,
    typer.Option(
        "--detector",
        help="`own` (the package's), `own:FILE.onnx`, `yolox:FILE.onnx`, or `fasterrcnn` (needs that extra). "
        "Without this, what the parameter file says.",
    ),
]
RateOption = Annotated[
    float, typer.Option("--rate", min=0, help="Pace of a file: 1 its own, 2 twice as fast, 0 as fast as it decodes.")
]
MaxRateOption = Annotated[
    float | None, typer.Option("--max-rate", min=0, help="Most frames a second that are processed; 0 for no limit.")
]
FpsOption = Annotated[
    float | None,
    typer.Option(
        "--fps",
        min=0.01,
        max=1000,
        help="Frames a second of a file instead of what it states; of a folder 30 without this. Pictures that have "
        "nothing to do with each other: 0.1.",
    ),
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
ComposedOption = Annotated[
    bool, typer.Option("--composed", help="All nodes in one process, by arrays: less work, one fate.")
]
ViewOption = Annotated[
    bool,
    typer.Option(
        "--view", help="Show the run in a browser while it goes on, and keep view.rrd (needs the extra `view`)."
    ),
]
BrowserOption = Annotated[
    bool | None, typer.Option("--browser/--no-browser", help="Open the page of --view; its address is printed anyway.")
]
ViewPortOption = Annotated[
    int | None,
    typer.Option(
        "--view-port", min=1, max=65534, help="Port of that page, on loopback, 9090 without; its data has the next one."
    ),
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show what the nodes print; it is in nodes.log anyway.")
]


class Storage(str, Enum):
    """How an ONNX file holds large weights."""

    fp32 = "fp32"
    fp16 = "fp16"
    int8 = "int8"


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="Settings (YAML), or `paper` for those of the paper's size, instead of config/training/NETWORK.yaml.",
    ),
]
StorageOption = Annotated[
    Storage, typer.Option("--storage", help="How the ONNX file stores large weights; it computes in fp32.")
]


def refuse(context: typer.Context, options: Iterable[str], where: str) -> None:
    """InputError for an option on the command line that does nothing there.

    options: by their parameters; where: "with ..." or "without ...", in the words of the command line.
    """
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.name in options and source is not None and source.name == "COMMANDLINE":
            raise InputError(f"{option.opts[0]} does nothing {where}")


def refuse_others(context: typer.Context, kind: str, own: Iterable[str]) -> None:
    """InputError for an option that is none of a kind's own, by their parameters, where a command makes several."""
    options = {option.name for option in context.command.params if option.param_type_name == "option"}
    refuse(context, options.difference(own), f"with `{context.command_path} {kind}`")


_SHOWN_ONLY = ("json_file", "seed", "out", "pictures", "save", "domain_id", "overlay", "view", "browser", "view_port",
               "verbose")  # fmt: skip
"""Parameters of options that don't change what is measured, and the seed, which every result has."""


def given_options(context: typer.Context) -> dict[str, Any]:
    """What the command line says of what is measured, by flags without dashes; files and folders by their names alone.

    `KIND:FILE` keeps its kind. What is as it would be without the option is left out.
    """
    given: dict[str, Any] = {}
    for option in context.command.params:
        name = option.name or ""
        source, value = context.get_parameter_source(name), context.params.get(name)
        if option.param_type_name != "option" or name in _SHOWN_ONLY or value == option.default:
            continue
        if source is not None and source.name == "COMMANDLINE":
            given[option.opts[0].lstrip("-")] = _portable(value)
    return given


def _portable(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_portable(each) for each in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return value.absolute().name
    parts = re.fullmatch(r"(\w+:)?(.*/)(.+)", value) if isinstance(value, str) else None
    # Sequences of data sets have such names too.
    is_path = parts is not None and (parts[2].startswith("//") or Path(parts[2]).is_dir())
    return f"{parts[1] or ''}{parts[3]}" if parts is not None and is_path else value


def report(context: typer.Context, result: Mapping[str, Any], json_file: Path | None, seed: int = 0) -> None:
    """Print a result, and write it where a file is named, with the command and the options that were given."""
    from dualpose_ros.lab.evaluation.report import report as tell

    words, at = [context.info_name or ""], context.parent
    while at is not None and at.parent is not None:
        words.insert(0, at.info_name or "")
        at = at.parent
    tell({**result, "command": " ".join(words), "options": given_options(context)}, json_file, seed)


def counted(work: Iterable[int], total: int, what: str) -> int:
    """Under a progress bar, the sum of what comes piece by piece; KeyboardInterrupt says how far it came."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    made = 0
    with Progress(*columns, TimeRemainingColumn()) as progress:
        task = progress.add_task(what, total=total)
        try:
            for done in work:
                made += done
                progress.update(task, completed=made)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"stopped after {made} of {total} {what}: the same command makes what is missing"
            ) from None
    return made


def share_of(whole: int, part: float) -> int:
    """How many of so many a part of them is, one at least."""
    return max(round(part * whole), 1)


_TRAINING_PACKAGES = ("torch", "onnx", "onnxscript", "dacite", "numba")


@contextmanager
def needs_torch(command: str) -> Iterator[None]:
    """Import torch, and turn a failed import of it, or of what else training needs, into an InputError that names the
    extra. A signal while torch is imported ends the command at once."""
    try:
        with stop_signals(leave_command):
            importlib.import_module("torch")
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in _TRAINING_PACKAGES:
            raise
        raise InputError(
            f"`dualpose {command}` needs {error.name}, which the base install leaves out: "
            "pip install 'dualpose_ros[train]'"
        ) from error


def require_numba(command: str) -> None:
    """InputError that names the extra to install, where numba is missing."""
    if importlib.util.find_spec("numba") is None:
        raise InputError(
            f"`dualpose {command}` needs numba, which the base install leaves out: pip install 'dualpose_ros[synth]'"
        )
