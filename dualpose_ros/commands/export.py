"""`dualpose export`: the best checkpoint of a training run as ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dualpose_ros.commands.train import (
    ConfigOption,
    Network,
    NetworkArgument,
    Storage,
    StorageOption,
    default_config,
    make_task,
    read_config,
)
from dualpose_ros.errors import InputError, needs_torch


def export(
    network: NetworkArgument,
    run: Annotated[Path, typer.Option("--run", help="Folder that `dualpose train --out` wrote.")],
    config: ConfigOption = None,
    storage: StorageOption = Storage.fp16,
) -> None:
    """Export the best checkpoint of a run to ONNX, beside it, and check that it computes the same as torch.

    `dualpose train` does this when it ends; here it is for runs that were stopped.
    """
    if network is Network.semi_supervised:
        raise InputError("`dualpose train semi-supervised --resume` exports its two networks; there is no other way")
    path = config or default_config(network)
    content = read_config(path)
    with needs_torch(f"export {network.value}"):
        from dualpose_ros.inference.export import export_onnx
        from dualpose_ros.lab.training.loop.checkpoints import load_best

        task = make_task(network, path, content["task"])
        target = run / f"{network.file}.onnx"
        result = export_onnx(load_best(task, run), task.export_spec(), target, storage=storage.value)
        size = result.path.stat().st_size / 1e6
        worst = max(result.difference.values())
        typer.echo(f"{result.path}: {size:.2f} MB, differs from torch by at most {worst:.1e}")
