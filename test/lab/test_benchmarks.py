"""Where time is counted, crowds to time, and the model of more cores."""

import os
import time
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from dualpose_ros.lab.benchmarks.crowd import MOST, crowd_frames
from dualpose_ros.lab.benchmarks.pipeline import Load, Spent, loads_of, model_fps, on_cores
from dualpose_ros.lab.benchmarks.stages import Budget, node_rows, step_rows
from dualpose_ros.lab.benchmarks.stopwatch import Stopwatch


def busy(seconds: float) -> float:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass
    return seconds


def test_time_inside_a_step_is_not_counted_twice_and_functions_are_put_back() -> None:
    place = SimpleNamespace(inner=busy)
    watch = Stopwatch()
    with watch.watching([(place, "inner", "a: inner")]):

        def outer() -> float:
            busy(0.02)
            return place.inner(0.04)

        assert watch.call("a: outer", outer) == 0.04
        watch.end_frame()
        watch.call("b", lambda: time.sleep(0.02))
        watch.end_frame()
    assert place.inner is busy
    first, second = watch.frames
    assert first["a: inner"][0] == pytest.approx(0.04, abs=0.01)
    assert first["a: outer"][0] == pytest.approx(0.02, abs=0.01)
    assert second["b"][0] < 0.01 <= second["b"][1] and set(second) == {"b"}


def test_a_step_that_fails_is_counted_too() -> None:
    watch = Stopwatch()
    with pytest.raises(ZeroDivisionError):
        watch.call("a", lambda: 1 / 0)
    watch.call("b", lambda: busy(0.01))
    watch.end_frame()
    assert set(watch.frames[0]) == {"a", "b"} and watch.frames[0]["b"][0] >= 0.01


def test_crowds_have_so_many_people_side_by_side() -> None:
    frames = [np.zeros((480, 640, 3), np.uint8) for _ in range(7)]
    boxes = np.zeros((7, 2, 4))
    boxes[:, 0], boxes[:, 1] = (100, 100, 160, 300), (400, 50, 500, 450)
    for frame in frames[4:]:
        frame[100:300, 100:160] = (255, 0, 0)
        frame[50:450, 400:500] = (0, 255, 0)
    truth = SimpleNamespace(
        num_people=2, present=np.zeros((7, 2), bool), visible_fraction=np.ones((7, 2)), boxes_px=boxes
    )
    truth.present[4:] = True
    for people in (1, 3, MOST):
        last = list(crowd_frames(frames, truth, people))[-1]  # type: ignore[arg-type]
        middles = last[120::240, 40::80].reshape(-1, 3)
        seen = [tuple(pixel) in ((255, 0, 0), (0, 255, 0)) for pixel in middles.tolist()]
        assert seen == [True] * people + [False] * (MOST - people)


LOADS = {"camera": Load(0.0, 0.0, 1.0), "slow": Load(40.0, 30.0, 1.0), "quick": Load(20.0, 10.0, 0.0)}


def test_the_model_is_bound_by_cores_then_by_the_slowest_node_then_by_the_camera() -> None:
    assert model_fps(LOADS, 1, 30.0) == (pytest.approx((1000 - 60) / 60), "cores")
    assert model_fps(LOADS, 4, 60.0) == (pytest.approx((1000 - 60) / 40), "slow")
    assert model_fps(LOADS, 4, 10.0) == (10.0, "camera rate")
    faster, limit = model_fps(LOADS, 16, 90.0, threads=4, thread_gain=1.5)
    assert faster == pytest.approx((1000 - 90) / (10 + 30 / 1.5**2)) and limit == "slow"
    rates = [model_fps(LOADS, cores, 60.0)[0] for cores in (1, 2, 4, 8, 16)]
    assert rates == sorted(rates)


def test_budgets_add_up() -> None:
    ms = {"camera: image to message": 1.0, "a: image from bytes": 0.5, "a: network": 20.0, "a: rest": 4.0}
    budget = Budget(
        {step: np.full(10, value) for step, value in ms.items()}, {s: np.full(10, 2 * v) for s, v in ms.items()}
    )
    assert budget.total_ms() == pytest.approx(25.5) and budget.total_ms(networks=False) == pytest.approx(5.5)
    assert budget.total_ms(node="a") == pytest.approx(24.5)
    rows = {row["step"]: row for row in step_rows(budget)}
    assert rows["a: network"]["wall_ms"] == 40 and sum(row["share"] for row in rows.values()) == pytest.approx(
        1, abs=0.01
    )
    assert [row["node"] for row in node_rows(budget)] == ["camera", "a", "all"]
    assert loads_of(budget) == {"camera": Load(0.0, 0.0, 1.0), "a": Load(24.5, 20.0, 0.0)}, (
        "taken where it is worked on"
    )
    budget.cpu_ms["detection: image from bytes"] = np.full(10, 0.5)
    assert loads_of(budget)["detection"] == Load(0.0, 0.0, 0.5), "takes every image"


def test_a_run_keeps_to_its_cores() -> None:
    import os

    before = os.sched_getaffinity(0)
    with on_cores({min(before)}):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before


def test_what_a_start_takes_counts_for_no_frame() -> None:
    """A start of seconds, shared by some fifty frames, was most of what a frame seemed to cost."""
    spent, recording = Spent(), cast("Any", SimpleNamespace(num_poses=0))
    states = cast("Any", [SimpleNamespace(pid=os.getpid()), SimpleNamespace(pid=None)])
    for poses, seconds in ((0, 0.0), (1, 0.3), (5, 0.0), (9, 0.2), (9, 0.2)):
        busy(seconds)
        recording.num_poses = poses
        spent.look(recording, states)
    recording.num_poses = 10
    spent.look(recording, [])
    assert spent.ms_a_frame() == pytest.approx(40, abs=10)
    assert Spent().ms_a_frame() is None
