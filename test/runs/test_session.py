"""What is refused before a graph is started: a domain that is taken, a folder that can't be written."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dualpose_ros.errors import InputError
from dualpose_ros.runs.session import VIEW, GraphError, GraphOptions, claimed_domain, node_specs, run_graph
from dualpose_ros.standalone.launcher import NodeSpec


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


@pytest.mark.parametrize("composed", [False, True])
def test_the_view_is_a_process_of_its_own_that_the_source_waits_for(composed: bool) -> None:
    def specs(view: dict[str, Any] | None) -> dict[str, NodeSpec]:
        return {spec.name: spec for spec in node_specs(GraphOptions(Path(), {}, composed=composed, view=view))}

    without, shown = specs(None), specs({"web_port": 9000})
    assert set(shown) - set(without) == {VIEW} and shown[VIEW].parameters == {"web_port": 9000}
    assert importlib.util.find_spec(shown[VIEW].module) is not None
    name, prefix = ("composed", "camera_node:") if composed else ("camera_node", "")
    key = f"{prefix}wait_for_subscribers"
    assert shown[name].parameters[key] == without[name].parameters[key] + 1
