"""Health of a node over time."""

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dualpose_ros.nodes.detection_node import DetectionNode
from dualpose_ros.nodes.diagnostics import HealthLog
from dualpose_ros.nodes.fusion_node import FusionNode

from rclpy.time import Time  # isort: skip
from std_msgs.msg import Header  # isort: skip

SECOND = 1_000_000_000


def test_rate_and_latency_of_a_steady_stream() -> None:
    log = HealthLog(0)
    latencies = np.random.default_rng(0).integers(10_000_000, 90_000_000, 300)
    for index, latency in enumerate(latencies):
        now = int((index + 1) * SECOND / 30)
        log.frame(now, int(latency))
    health = log.read(10 * SECOND)
    assert health.level == "ok"
    assert float(health.values["frames_per_second"]) == pytest.approx(30, abs=0.3)
    recent = latencies[-150:] / 1e6
    assert float(health.values["latency_ms_p50"]) == pytest.approx(np.percentile(recent, 50), abs=2)
    assert float(health.values["latency_ms_p95"]) == pytest.approx(np.percentile(recent, 95), abs=2)
    assert health.values["frames"] == "300"


def test_error_holds_and_then_passes() -> None:
    log = HealthLog(0)
    log.frame(SECOND, 0)
    log.error(SECOND, "K is all zero")
    log.frame(2 * SECOND, 0)
    assert (log.read(2 * SECOND).level, log.read(2 * SECOND).message) == ("error", "K is all zero")
    log.frame(5 * SECOND, 0)
    health = log.read(5 * SECOND)
    assert health.level == "ok" and health.values["last_error"] == "K is all zero" and health.values["errors"] == "1"


def test_silence_is_a_warning() -> None:
    log = HealthLog(0)
    assert log.read(SECOND).message == "waiting for input"
    assert log.read(10 * SECOND).level == "warn"
    log.frame(11 * SECOND, 0)
    assert log.read(12 * SECOND).level == "ok"
    assert log.read(20 * SECOND).message == "no frame for 9 s"


def test_a_clock_that_stands_or_jumps_changes_latencies_alone(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With use_sim_time a bag that begins, pauses or loops is no silence of the node, and no rate."""
    node = started(FusionNode)
    for now_s in (0, 1_700_000_000, 1_700_000_000, 1_600_000_000):
        monkeypatch.setattr(node, "get_clock", lambda now_s=now_s: SimpleNamespace(now=lambda: Time(seconds=now_s)))
        assert node.diagnostics.health().level == "ok"
        node.diagnostics.frame((now_s - 1) * SECOND)
    values = node.diagnostics.health().values
    assert float(values["frames_per_second"]) > 1 and values["latency_ms_p50"] == "1000.0"


def test_a_bag_that_pauses_looks_like_no_dead_camera(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    node = started(DetectionNode)
    sent: list[Any] = []
    monkeypatch.setattr(node.diagnostics._publisher, "publish", sent.append)
    steady_s, clock_s = [time.monotonic()], [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: steady_s[0])
    monkeypatch.setattr(time, "monotonic_ns", lambda: int(steady_s[0] * SECOND))
    monkeypatch.setattr(node, "get_clock", lambda: SimpleNamespace(now=lambda: Time(seconds=clock_s[0])))

    def second(moves: bool) -> tuple[int, str]:
        steady_s[0] += 1.0
        clock_s[0] += moves
        node._look_for_missing()
        node.diagnostics.publish()
        return sent[-1].status[0].level[0], sent[-1].status[0].message

    node._inputs.came(node.resolve_topic_name("image_raw"), steady_s[0])
    assert second(moves=True) == (0, "waiting for input")
    assert [second(moves=False) for _ in range(6)] == [(0, "/clock stands (a bag that pauses?)")] * 6
    resumed = [second(moves=True) for _ in range(6)]
    assert resumed[0][1].startswith("no frame for") and "no /image_raw" in resumed[-1][1] and resumed[-1][0] == 1


def test_images_whose_stamps_stand_are_told_of(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the first are left out as copies of it, and the graph seemed to wait for a camera."""
    node = started(DetectionNode)
    monkeypatch.setattr(node, "_process", lambda message: None)
    header, last = Header(frame_id="eye"), Header(frame_id="eye")
    header.stamp.sec, last.stamp.sec = 7, 8
    for _ in range(9):
        node._on_image(SimpleNamespace(header=header))
    assert node.diagnostics.health().level == "ok", "some may be copies"
    for _ in range(2):
        node._on_image(SimpleNamespace(header=header))
    health = node.diagnostics.health()
    assert health.level == "error" and "10 images in a row are stamped no later than one before" in health.message
    node._on_image(SimpleNamespace(header=last))
    assert node._pacer.late_in_a_row == 0


def test_a_clock_that_never_came_is_said(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    node = started(DetectionNode)
    monkeypatch.setattr(node, "get_clock", lambda: SimpleNamespace(now=Time))
    node._look_for_missing()
    assert "/clock" in node.diagnostics.missing
    monkeypatch.undo()
    node._look_for_missing()
    assert not node.diagnostics.missing


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
