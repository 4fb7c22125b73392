"""`dualpose export`: the best checkpoint of a training run as ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dualpose_ros.commands.options import ConfigOption, Storage, StorageOption
from dualpose_ros.commands.train import NETWORKS, Network
from dualpose_ros.errors import InputError, needs_torch


def _network(name: str) -> Network:
    if name not in NETWORKS:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(NETWORKS)}")
    return NETWORKS[name]


def export(
    network: Annotated[
        Network, typer.Argument(metavar="NETWORK", parser=_network, help=f"One of {', '.join(NETWORKS)}.")
    ],
    run: Annotated[Path, typer.Option("--run", help="Folder that `dualpose train NETWORK --out` wrote.")],
    config: ConfigOption = None,
    storage: StorageOption = Storage.fp16,
) -> None:
    """Export the best checkpoint of a run to ONNX, beside it, and check that it computes the same as torch.

    `dualpose train` does this when it ends; here it is for runs that were stopped.
    """
    if not network.task:
        raise InputError(f"`dualpose train {network.name} --resume` exports its two networks; there is no other way")
    path = config or network.config
    with needs_torch(f"export {network.name}"):
        from dualpose_ros.inference.export import export_onnx
        from dualpose_ros.lab.training.loop.checkpoints import load_best
        from dualpose_ros.lab.training.settings import read_settings
        from dualpose_ros.lab.training.start import make_task

        task = make_task(network.task, path, read_settings(path)["task"])
        result = export_onnx(load_best(task, run), task.export_spec(), run / f"{network.file}.onnx", storage.value)
        size = result.path.stat().st_size / 1e6
        worst = max(result.difference.values())
        typer.echo(f"{result.path}: {size:.2f} MB, differs from torch by at most {worst:.1e}")
