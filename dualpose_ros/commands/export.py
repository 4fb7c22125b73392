"""`dualpose export`: a training run's best checkpoint as ONNX, or a network in another precision."""

import json
import re
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from dualpose_ros.commands.options import ConfigOption, Storage, StorageOption, file_option, needs_torch, refuse
from dualpose_ros.commands.train import NETWORKS, Network, build_engine
from dualpose_ros.errors import InputError
from dualpose_ros.paths import write_whole, written_whole
from dualpose_ros.weights import MADE_OF, inputs_and_precision, portable_command, sha256_of, weights_path

HELD_APART = 8
"""Of so many inputs one is not calibrated on, but measured."""


class Precision(str, Enum):
    """What a network computes in."""

    fp32 = "fp32"
    fp16 = "fp16"
    int8 = "int8"


class Form(str, Enum):
    """What is made of a network."""

    onnx = "onnx"
    tensorrt = "tensorrt"


def _network(name: str) -> Network:
    if name not in NETWORKS:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(NETWORKS)}")
    return NETWORKS[name]


def export(
    context: typer.Context,
    network: Annotated[
        Network, typer.Argument(metavar="NETWORK", parser=_network, help=f"One of {', '.join(NETWORKS)}.")
    ],
    run: Annotated[
        Path | None, typer.Option("--run", help="Folder that `dualpose train NETWORK --out` wrote.")
    ] = None,
    config: ConfigOption = None,
    storage: StorageOption = Storage.fp16,
    engine: Annotated[
        Form, typer.Option("--engine", help="`tensorrt`: a plan for this machine's GPU, kept for the nodes.")
    ] = Form.onnx,
    shapes: Annotated[
        list[str] | None,
        typer.Option("--shapes", help="For tensorrt: an input's shape, such as image=1x224x384x3; may be repeated. "
                     "An image of 4:3 and 384 px without."),
    ] = None,
    precision: Annotated[Precision, typer.Option("--precision", help="What the network computes in.")] = Precision.fp32,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", help="Without --run: the ONNX file to convert, instead of the shipped network."),
    ] = None,
    calibration: Annotated[
        list[Path] | None,
        typer.Option(
            "--calibration", help="For int8: a video, or a folder of pictures with people; may be repeated. "
            "The shipped networks look at them to make what this one is fed.",
        ),
    ] = None,
    count: Annotated[int, typer.Option("--count", min=HELD_APART, help="Most pictures of each --calibration.")] = 64,
    out: Annotated[
        Path | None,
        file_option("--out", "The file to write; in the run, or here, without."),
    ] = None,
) -> None:  # fmt: skip
    """Export the best checkpoint of a run to ONNX, or a network in another precision, and check what it computes.

    A run is exported beside its checkpoints and compared with torch; `dualpose train` does so when it ends. With
    --precision, the shipped network, or --weights, or the run's, is converted; what that costs and gains is printed,
    and written as NAME_PRECISION.json for `dualpose weights install`, which puts it in use under NAME_PRECISION.
    """
    if not network.task:
        raise InputError(f"`dualpose train {network.name} --resume` exports its two networks; there is no other way")
    if run is None and precision is Precision.fp32 and engine is Form.onnx:
        raise InputError(f"`dualpose export {network.name}` needs --run, or another --precision or --engine")
    if run is not None and weights is not None:
        raise InputError("`dualpose export` takes either --run or --weights")
    if run is None:
        refuse(context, ("config", "storage"), "without --run")
    if engine is Form.onnx:
        refuse(context, ("shapes",), "without --engine tensorrt")
    if precision is not Precision.int8:
        refuse(context, ("calibration", "count"), "without --precision int8")
    if engine is Form.tensorrt:
        refuse(context, ("out",), "with --engine tensorrt, whose plans are kept for the nodes")
    elif precision is Precision.fp32:
        refuse(context, ("out",), "with --precision fp32: the network lies in the run")
    with needs_torch(f"export {network.name}"):
        if weights is not None:
            _check_kind(network, weights)
        source = weights if weights is not None else _exported(network, run, config, storage)
        if engine is Form.tensorrt:
            if precision is Precision.int8:
                raise InputError("--engine tensorrt takes --precision fp16 or fp32")
            build_engine(source, precision.value, dict(map(_shape, shapes or ())))
            return
        target = out or (run or Path()) / f"{network.file}_{precision.value}.onnx"
        if precision is Precision.int8:
            _to_int8(network, source, target, calibration or [], count)
        elif precision is Precision.fp16:
            _to_fp16(source, target)


def _check_kind(network: Network, file: Path) -> None:
    """InputError for a file that is of another kind of network, or of another precision than fp32; WeightsError."""
    taken, precision = inputs_and_precision(file)
    expected, _ = inputs_and_precision(weights_path(network.file))
    if taken != expected:
        raise InputError(f"--weights {file} is no {network.name} network: it takes {taken}, not {expected}")
    if precision != "fp32":
        raise InputError(f"--weights {file} computes in {precision} already: name the network in fp32")


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, sizes = text.partition("=")
    if not name or not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", sizes):
        raise InputError(f"--shapes {text} is no NAME=AxBxC")
    return name, tuple(map(int, sizes.split("x")))


def _to_fp16(source: Path, target: Path) -> None:
    """Write a network that computes in fp16, and say how far it is from fp32."""
    from dualpose_ros.inference.graphs import in_fp16
    from dualpose_ros.inference.load import load_engine
    from dualpose_ros.inference.parity import worst_difference

    model = in_fp16(source)
    with written_whole(target) as file:
        file.write_bytes(model.SerializeToString())
    off = worst_difference(load_engine(target), load_engine(source))
    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    typer.echo(f"{target}: {target.stat().st_size / 1e6:.2f} MB, opset {opset}, differs from fp32 by at most {off:.1e}")


def _exported(network: Network, run: Path | None, config: Path | None, storage: Storage) -> Path:
    """The ONNX file of a run, written anew, or the shipped network."""
    if run is None:
        return weights_path(network.file)
    from dualpose_ros.inference.export import export_onnx
    from dualpose_ros.lab.training.loop.checkpoints import load_best
    from dualpose_ros.lab.training.settings import read_settings
    from dualpose_ros.lab.training.start import make_task

    path = network.settings(config)
    task = make_task(network.task, path, read_settings(path)["task"])
    result = export_onnx(load_best(task, run), task.export_spec(), run / f"{network.file}.onnx", storage.value)
    size = result.path.stat().st_size / 1e6
    typer.echo(f"{result.path}: {size:.2f} MB, differs from torch by at most {max(result.difference.values()):.1e}")
    return result.path


def _to_int8(network: Network, source: Path, target: Path, pictures: list[Path], count: int) -> None:
    """Write a network in 8 bits with its report, and say what it costs and gains on inputs held apart."""
    from dualpose_ros.inference.quantise import quantised
    from dualpose_ros.lab.training.quantisation import QUANTISED, calibration_inputs, compare

    if network.file not in QUANTISED:
        raise InputError(f"{network.name} gains nothing in 8 bits; these do: {', '.join(QUANTISED)}")
    if not pictures:
        raise InputError("--precision int8 needs --calibration: a video or a folder of pictures with people")
    inputs = calibration_inputs(network.file, source, pictures, count)
    if len(inputs) < 2:
        raise InputError(
            f"--calibration makes one input of {network.name}, and one in {HELD_APART} is held apart to be measured: "
            "two pictures with people are the least"
        )
    calibrating = [fed for index, fed in enumerate(inputs) if index % HELD_APART]
    model = quantised(source, calibrating)
    with written_whole(target) as file:
        file.write_bytes(model.SerializeToString())
    figures = compare(source, target, inputs[::HELD_APART])
    names = ", ".join(path.name for path in pictures)
    report = {
        "command": portable_command(" ".join(["dualpose", *sys.argv[1:]])),
        "trained_on": f"{network.file} in 8 bits, calibrated on {len(calibrating)} of its inputs from {names}",
        "figures": figures,
        "domain": "mixed",
        "data": {MADE_OF: sha256_of(source)},
    }
    write_whole(target.with_suffix(".json"), json.dumps(report, indent=2) + "\n")
    typer.echo(f"{target}: {target.stat().st_size / 1e6:.2f} MB")
    for name, value in figures.items():
        typer.echo(f"  {name.replace('_', ' ')}: {value:.3g}")
