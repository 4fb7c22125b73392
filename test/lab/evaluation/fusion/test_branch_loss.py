"""The pause of the graph's output around the death of a branch, from made-up recordings."""

import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dualpose_ros.lab.evaluation.fusion import branch_loss
from dualpose_ros.lab.evaluation.fusion.branch_loss import WATCHED_S, Killer, loss_row
from dualpose_ros.people import Pose3D, Source, TrackingState
from dualpose_ros.recording.pose_lines import PoseFrame
from dualpose_ros.runs.session import BOTTOM_UP, TOP_DOWN
from dualpose_ros.standalone.launcher import NodeState

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
LATENCY = SECOND // 20


def frame(seconds: float, source: Source) -> PoseFrame:
    """Poses of an image taken so many seconds after the start."""
    k = np.zeros((17, 3))
    person = Pose3D(1, TrackingState.CONFIRMED, source, 1.0, np.zeros(4), k, k[:, 0], k[:, 0], k[:, :2])
    stamp = START + round(seconds * SECOND)
    return PoseFrame(stamp, stamp + LATENCY, "camera", (person,))


def run(times: list[float], away: tuple[float, float], other: Source) -> list[PoseFrame]:
    """Frames at given times; in between the other branch is alone."""
    return [frame(time, other if away[0] < time < away[1] else Source.FUSED) for time in times]


def test_a_pause_is_found_and_compared() -> None:
    times = [*np.arange(0, 6, 0.1), *np.arange(6.25, 20, 0.1)]
    killed = START + 6 * SECOND
    row = loss_row(run(times, (6.0, 8.5), Source.BOTTOM_UP), TOP_DOWN, killed, 0.2)
    assert row["longest_gap_ms"] == pytest.approx(350, abs=0.2)
    assert row["frame_period_ms"] == pytest.approx(100, abs=0.2)
    assert row["met"] is False and row["without"] == 23
    assert row["back_after_s"] == pytest.approx(2.6, abs=0.06)
    assert loss_row(run(times, (6.0, 8.5), Source.BOTTOM_UP), TOP_DOWN, killed, 0.3)["met"] is True


def test_who_is_predicted_is_not_seen_by_the_branch_that_they_came_from() -> None:
    times = list(np.arange(0, 20, 0.1))
    frames = run(times, (6.0, 8.5), Source.BOTTOM_UP)
    killed = START + 6 * SECOND
    gone = replace(frames[0].persons[0], state=TrackingState.COASTING)
    coasting = [replace(f, persons=(*f.persons, gone)) if 6 < (f.stamp_ns - START) / SECOND < 7 else f for f in frames]
    assert loss_row(coasting, TOP_DOWN, killed, 0.2) == loss_row(frames, TOP_DOWN, killed, 0.2)


def test_other_pauses_do_not_count() -> None:
    times = [*np.arange(0, 4, 0.1), *np.arange(5, 6 + WATCHED_S + 1, 0.1), *np.arange(6 + WATCHED_S + 3, 20, 0.1)]
    row = loss_row(run(times, (6.0, 8.0), Source.TOP_DOWN), BOTTOM_UP, START + 6 * SECOND, 0.2)
    assert row["longest_gap_ms"] == pytest.approx(100, abs=0.2) and row["met"] is True


def test_output_that_stops_for_good_and_a_branch_that_does_not_return() -> None:
    killed = START + 6 * SECOND
    over = loss_row(run(list(np.arange(0, 5.9, 0.1)), (6, 7), Source.TOP_DOWN), BOTTOM_UP, killed, 0.2)
    assert over["longest_gap_ms"] == 1000 * WATCHED_S and over["met"] is False
    gone = loss_row(run(list(np.arange(0, 15, 0.1)), (6, 99), Source.TOP_DOWN), BOTTOM_UP, killed, 0.2)
    assert gone["back_after_s"] is None and gone["met"] is True and gone["without"] >= 89


def test_nodes_are_killed_in_order_once_they_run(monkeypatch: pytest.MonkeyPatch) -> None:
    kills: list[tuple[int, int]] = []
    now = [100.0]
    monkeypatch.setattr(branch_loss.os, "kill", lambda pid, number: kills.append((pid, number)))
    monkeypatch.setattr(branch_loss.time, "monotonic", lambda: now[0])
    recording: Any = SimpleNamespace(num_poses=0)
    killer = Killer(((TOP_DOWN, 2.0), (BOTTOM_UP, 3.0)))
    running = [NodeState(name, "running", pid, 0, None) for name, pid in ((TOP_DOWN, 7), (BOTTOM_UP, 8))]
    waiting = [NodeState(TOP_DOWN, "waiting", None, 0, -9), running[1]]
    for seconds, poses, states in ((0, 0, running), (50, 1, running), (51, 9, running), (52.5, 9, waiting)):
        now[0], recording.num_poses = 100.0 + seconds, poses
        killer(recording, states)
        assert kills == []
    for _ in range(2):
        killer(recording, running)
        assert kills == [(7, signal.SIGKILL)]
    now[0] += 1
    for _ in range(2):
        killer(recording, running)
    assert kills == [(7, signal.SIGKILL), (8, signal.SIGKILL)]
    assert list(killer.killed_ns) == [TOP_DOWN, BOTTOM_UP]


def test_a_run_that_is_over_too_soon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(branch_loss, "run_live", lambda *args: None)
    with pytest.raises(branch_loss.GraphError, match="nothing could be killed"):
        branch_loss.branch_loss_rows(tmp_path)
