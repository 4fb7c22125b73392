"""Health of a node over time."""

import time
from typing import Any

import numpy as np
import pytest

from dualpose_ros.nodes.diagnostics import HealthLog
from dualpose_ros.nodes.fusion_node import FusionNode

from std_msgs.msg import Header  # isort: skip

SECOND = 1_000_000_000


def test_rate_and_latency_of_a_steady_stream() -> None:
    log = HealthLog(0)
    latencies = np.random.default_rng(0).integers(10_000_000, 90_000_000, 300)
    for index, latency in enumerate(latencies):
        now = int((index + 1) * SECOND / 30)
        log.frame(now, now - int(latency))
    health = log.read(10 * SECOND)
    assert health.level == "ok"
    assert float(health.values["frames_per_second"]) == pytest.approx(30, abs=0.3)
    recent = latencies[-150:] / 1e6
    assert float(health.values["latency_ms_p50"]) == pytest.approx(np.percentile(recent, 50), abs=2)
    assert float(health.values["latency_ms_p95"]) == pytest.approx(np.percentile(recent, 95), abs=2)
    assert health.values["frames"] == "300"


def test_error_holds_and_then_passes() -> None:
    log = HealthLog(0)
    log.frame(SECOND, SECOND)
    log.error(SECOND, "K is all zero")
    log.frame(2 * SECOND, 2 * SECOND)
    assert (log.read(2 * SECOND).level, log.read(2 * SECOND).message) == ("error", "K is all zero")
    log.frame(5 * SECOND, 5 * SECOND)
    health = log.read(5 * SECOND)
    assert health.level == "ok" and health.values["last_error"] == "K is all zero" and health.values["errors"] == "1"


def test_silence_is_a_warning() -> None:
    log = HealthLog(0)
    assert log.read(SECOND).message == "waiting for input"
    assert log.read(10 * SECOND).level == "warn"
    log.frame(11 * SECOND, 11 * SECOND)
    assert log.read(12 * SECOND).level == "ok"
    assert log.read(20 * SECOND).message == "no frame for 9 s"


def test_clock_set_back_does_not_stay_wrong() -> None:
    log = HealthLog(100 * SECOND)
    log.frame(100 * SECOND, 100 * SECOND)
    log.frame(2 * SECOND, 2 * SECOND)
    health = log.read(2 * SECOND)
    assert float(health.values["latency_ms_p50"]) == 0.0


def test_what_a_status_says_beside_health(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As diagnostic_updater has it: whose hardware, and values of rate, time and engine by name."""
    node = started(FusionNode)
    sent: list[Any] = []
    monkeypatch.setattr(node.diagnostics._publisher, "publish", sent.append)
    node.diagnostics.inputs_hz = {"/robot1/image_raw": 29.97}

    def work(one: int, other: int) -> int:
        time.sleep(0.002)
        return one + other

    for _ in range(10):
        assert node.diagnostics.timed(work, 1, 2) == 3
    node.time_of(Header(frame_id="eye"))
    node.diagnostics.publish()
    (status,) = sent[0].status
    values = {item.key: item.value for item in status.values}
    assert (status.name, status.hardware_id) == ("fusion_node: pipeline", "eye")
    assert values["robot1.image_raw_hz"] == "29.97" and values["lifecycle"] == "active"
    assert 2 <= float(values["stage_ms_p50"]) <= float(values["stage_ms_p95"])
    engine = node.stage_configs[0].engine
    assert (values["engine.backend"], values["engine.threads"]) == (engine.backend, str(engine.threads))
