"""What is refused before a graph is started: a domain that is taken, a folder that can't be written."""

import importlib.util
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from dualpose_ros.errors import InputError
from dualpose_ros.recording.node_log import NodeLog
from dualpose_ros.runs import session
from dualpose_ros.runs.session import (
    VIEW,
    GraphError,
    GraphOptions,
    claimed_domain,
    claimed_folder,
    node_specs,
    run_graph,
)
from dualpose_ros.standalone.launcher import NodeSpec, NodeState


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


def test_a_folder_has_one_run_at_a_time(tmp_path: Path) -> None:
    with claimed_folder(tmp_path / "a" / "out"):
        (tmp_path / "a" / "out" / "poses.jsonl").touch()
        with (
            pytest.raises(InputError, match=r"another run writes into --out .*out: name another"),
            claimed_folder(tmp_path / "a" / "out"),
        ):
            pass
    with claimed_folder(tmp_path / "a" / "out"), claimed_folder(tmp_path / "refused"):
        pass
    assert (tmp_path / "a" / "out" / "poses.jsonl").is_file() and not (tmp_path / "refused").exists()


def test_a_graph_that_never_answers_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that waits for it would go on for hours, frame by frame."""
    recording: Any = SimpleNamespace(num_poses=0, disk=SimpleNamespace(is_full=False))
    recorder = SimpleNamespace(info_stamps_ns=[], errors={"top_down_node": "MemoryError"}, status=lambda *_: "playing")
    going: Any = SimpleNamespace(told=False)
    nobody: Any = None
    options = GraphOptions(tmp_path, {}, every_frame=True)
    made = session._Run(options, nobody, nobody, recording, nobody, going, None)
    assert not made._is_over(recorder)
    monkeypatch.setattr(session, "_SILENCE_LIMIT_S", 0.05)
    recorder.info_stamps_ns = [1, 2, 3]
    recording.num_poses = 1
    assert not made._is_over(recorder)
    time.sleep(0.1)
    with pytest.raises(GraphError, match=r"no poses came .*top_down_node: MemoryError.*nodes\.log"):
        made._is_over(recorder)
    recording.num_poses = 2
    assert not made._is_over(recorder)


@pytest.mark.parametrize(
    ("code", "says"), [(1, "the last line"), (-9, r"SIGKILL.*memory"), (-11, "died of SIGSEGV"), (3, "the last line")]
)
def test_a_signal_is_told_and_not_what_was_printed_last(tmp_path: Path, code: int, says: str) -> None:
    log = NodeLog(tmp_path / "nodes.log")
    log.write("[fusion_node] the last line\n")
    assert re.search(says, session._last_words(NodeState("fusion_node", "failed", None, 5, code), log))
    log.close()


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


def test_without_an_overlay_the_source_does_not_wait_for_the_recorder() -> None:
    options = [GraphOptions(Path(), {}, keep_frames=keeps) for keeps in (False, True)]
    assert [node_specs(one)[0].parameters["wait_for_subscribers"] for one in options] == [3, 4]
