"""How many threads a network has."""

from __future__ import annotations

import os

import pytest

from dualpose_ros.inference import load
from dualpose_ros.inference.cpu import usable_cores, usual_threads
from dualpose_ros.inference.load import EngineConfig


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (4, 1), (7, 1), (8, 2), (16, 4), (64, 4)])
def test_threads_follow_the_cores(cores: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr(load, "usable_cores", lambda: cores)
    monkeypatch.setattr(load, "computes_bf16_fast", lambda: False)
    monkeypatch.setattr(load, "load_engine", lambda path, backend, count, precision: given.append(count))
    EngineConfig().load("x.onnx")
    EngineConfig(threads=3).load("x.onnx")
    assert given == [usual_threads(cores), 3] == [threads, 3]


def test_cores_are_those_that_the_process_may_use() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert usable_cores() == len(before)
