"""Figures and goals of a run."""

import json
from pathlib import Path

import numpy as np
import pytest

from dualpose_ros.metrics.goals import goals_of
from dualpose_ros.recording.summary import LIVE_GOALS, PoseTimes, write_summary


def test_rate_and_latency_of_a_steady_stream() -> None:
    stamps = [int(1e18) + i * 50_000_000 for i in range(101)]
    delays_ms = np.arange(101)
    received = [stamp + int(delay * 1e6) for stamp, delay in zip(stamps, delays_ms, strict=True)]
    times = PoseTimes(stamps, received)
    assert times.latency_ms() == {"p50": 50.0, "p95": 95.0}
    # 100 intervals in the 5 s between first and last stamp, and 0.1 s of added delay.
    assert times.fps() == pytest.approx(100 / 5.1)


def test_nothing_received() -> None:
    times = PoseTimes([], [])
    assert times.fps() == 0.0
    assert times.latency_ms() == {"p50": None, "p95": None}


def test_summary_holds_goals_met_or_not_and_no_nan(tmp_path: Path) -> None:
    figures = {"fps": np.float32(12.5), "latency_ms": {"p50": 80.0, "p95": 500.0}, "mpjpe_rel_mm": float("nan")}
    write_summary(tmp_path / "summary.json", figures, goals_of(figures, LIVE_GOALS))
    record = json.loads((tmp_path / "summary.json").read_text())
    assert record["fps"] == 12.5
    assert record["mpjpe_rel_mm"] is None
    assert [(goal["name"], goal["met"]) for goal in record["goals"]] == [("fps", True), ("latency_ms.p95", False)]
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]
