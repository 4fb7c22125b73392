"""`dualpose results`: the page of results, from what evaluations saved."""

from pathlib import Path
from typing import Annotated

import typer

from dualpose_ros.commands.options import file_to_write


def results(
    folder: Annotated[
        Path, typer.Option("--from", help="Folder of JSON files that `dualpose eval` wrote with --json.")
    ] = Path("docs/results"),
    out: Annotated[Path, typer.Option("--out", help="The page to write (Markdown).", callback=file_to_write)] = Path(
        "docs/results.md"
    ),
    demo: Annotated[
        list[Path] | None, typer.Option("--demo", help="summary.json of a demo, to be put into the folder first.")
    ] = None,
) -> None:
    """Write the page of results from the JSON of evaluations, one section each; it says which were not run."""
    from dualpose_ros.lab.evaluation.results import take_in, write_page

    for summary in demo or ():
        typer.echo(f"{take_in(summary, folder)}: taken from {summary}")
    count = write_page(folder, out)
    typer.echo(f"{out}: {count} results")
