"""What is refused before a graph is started: a domain that is taken, a folder that can't be written."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from dualpose_ros.errors import InputError
from dualpose_ros.runs.session import GraphError, GraphOptions, claimed_domain, run_graph


def test_a_domain_has_one_run_at_a_time() -> None:
    with claimed_domain(None) as number:
        with claimed_domain(None) as other:
            assert other != number
        with pytest.raises(GraphError, match=f"another run is in domain {number}") as caught, claimed_domain(number):
            pass
        assert caught.value.exit_code == 2
    with claimed_domain(number) as again:
        assert again == number


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    options = GraphOptions(out=tmp_path / "file" / "out", camera={})
    with pytest.raises(InputError, match=r"--out .*file/out can't be written: Not a directory"):
        run_graph(options, Console(quiet=True))
