"""`dualpose parameters`: what the nodes can be told, as a parameter file or as a page."""

from typing import Annotated

import typer

from dualpose_ros.errors import InputError


def parameters(
    nodes: Annotated[
        list[str] | None, typer.Argument(help="Nodes, such as fusion_node; all of them by default.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Write tables instead of a parameter file.")] = False,
) -> None:
    """Print the parameters of the nodes with their defaults, units, ranges and what they do.

    What it prints is a parameter file: `dualpose parameters > my.yaml`, change it, and give it to
    `dualpose run --params-file my.yaml` or to the launch file as `params_file:=my.yaml`.
    """
    # Here, not at the top: importing anything from nodes puts rclpy, or what stands for it, in place.
    from dualpose_ros.runs.parameter_lists import NODES, as_markdown, as_yaml

    wanted = nodes or list(NODES)
    if unknown := [name for name in wanted if name not in NODES]:
        raise InputError(f"there is no node {unknown[0]}; there are {', '.join(NODES)}")
    typer.echo((as_markdown if markdown else as_yaml)(wanted), nl=False)
