"""What becomes of /humans/poses3d when a branch is killed while the graph runs, and started again."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from dualpose_ros.paths import share_dir
from dualpose_ros.people import Pose3D, Source, TrackingState
from dualpose_ros.recording.pose_lines import PoseFrame, read_pose_lines
from dualpose_ros.recording.recording import Recording
from dualpose_ros.runs.live import LiveOptions, run_live
from dualpose_ros.runs.session import BOTTOM_UP, TOP_DOWN, GraphError
from dualpose_ros.standalone.launcher import NodeState

KILLS = ((TOP_DOWN, 6.0), (BOTTOM_UP, 14.0))
"""Which nodes are killed, and how many seconds after the first poses; the demo's clip lasts 22 s."""

WATCHED_S = 7.5
"""Seconds after the kill within which gaps count: the node is started again and works after about three."""

_WARM_UP_S = 2.0
_SOURCES = {TOP_DOWN: (Source.TOP_DOWN, Source.FUSED), BOTTOM_UP: (Source.BOTTOM_UP, Source.FUSED)}


def branch_loss_rows(out: Path) -> list[dict[str, Any]]:
    """Run the demo's graph into a folder, kill each branch once, and tell how long its output paused: a row each.

    longest_gap_ms: between two outputs, until `WATCHED_S` after the kill; frame_period_ms: median of that before
    the kill; max_wait_ms: the fusion node's; met: the gap is no longer than both together; without: frames
    that came out of the other branch alone; back_after_s: from the kill until the branch was part of the output
    again. GraphError if the run ends before a branch could be killed, and as of `run_graph`.
    """
    from dualpose_ros.nodes.fusion_node import FusionNodeConfig

    demo = share_dir() / "demo"
    options = LiveOptions(str(demo / "clip.mp4"), out, calibration=demo / "camera.yaml", overlay=False)
    killer = Killer(KILLS)
    result = run_live(options, Console(quiet=True), killer)
    if len(killer.killed_ns) < len(KILLS):
        raise GraphError(f"only {', '.join(killer.killed_ns) or 'nothing'} could be killed before the run was over")
    frames = list(read_pose_lines(result.recording.pose_lines))
    return [loss_row(frames, node, when, FusionNodeConfig().max_wait_s) for node, when in killer.killed_ns.items()]


class Killer:
    """Kills nodes at given times after the first poses; `killed_ns` is when that was, by the wall clock."""

    def __init__(self, plan: Sequence[tuple[str, float]]) -> None:
        self._plan = list(plan)
        self._first: float | None = None
        self.killed_ns: dict[str, int] = {}

    def __call__(self, recording: Recording, states: Sequence[NodeState]) -> None:
        """Kill what is due."""
        now = time.monotonic()
        if self._first is None and recording.num_poses:
            self._first = now
        if self._first is None or not self._plan or now - self._first < self._plan[0][1]:
            return
        node = self._plan[0][0]
        pid = next((state.pid for state in states if state.name == node and state.status == "running"), None)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            self.killed_ns[node] = time.time_ns()
            del self._plan[0]


def loss_row(frames: Sequence[PoseFrame], node: str, killed_ns: int, max_wait_s: float) -> dict[str, Any]:
    """The row of `branch_loss_rows` for a node that was killed at `killed_ns`, from all frames of the run."""
    received = np.array([frame.received_ns for frame in frames], dtype=np.int64)
    gaps_ms = np.diff(received) / 1e6
    began = received[0] + int(_WARM_UP_S * 1e9) if len(received) else 0
    before = gaps_ms[(received[1:] <= killed_ns) & (received[:-1] >= began)]
    after = gaps_ms[(received[1:] > killed_ns) & (received[:-1] < killed_ns + int(WATCHED_S * 1e9))]
    period_ms = float(np.median(before)) if len(before) else float("nan")
    # Nothing at all after the kill is a gap until the end of the time watched.
    longest_ms = float(after.max()) if len(after) else 1000 * WATCHED_S
    later = [frame for frame in frames if frame.stamp_ns > killed_ns]
    has = [any(_is_from(person, node) for person in frame.persons) for frame in later]
    # Frames that the branch had finished before it died may still come out.
    lost = has.index(False) if False in has else len(has)
    back = has.index(True, lost) if True in has[lost:] else None
    return {
        "killed": node,
        "longest_gap_ms": round(longest_ms, 1),
        "frame_period_ms": round(period_ms, 1),
        "max_wait_ms": round(1000 * max_wait_s, 1),
        "met": bool(longest_ms <= period_ms + 1000 * max_wait_s),
        "without": (len(has) if back is None else back) - lost,
        "back_after_s": None if back is None else round((later[back].received_ns - killed_ns) * 1e-9, 2),
    }


def _is_from(person: Pose3D, node: str) -> bool:
    """Whether a branch saw a person in this frame; who is predicted keeps the source that they had."""
    return person.source in _SOURCES[node] and person.state is not TrackingState.COASTING
