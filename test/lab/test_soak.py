"""What a soak does to a camera, and what it makes of what came out."""

from __future__ import annotations

import mmap
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dualpose_ros.lab.benchmarks.faults import (
    CAMERA_OFF,
    CLOCK,
    DISORDER,
    DROP,
    FAULTS,
    KILL,
    LATE,
    TWICE,
    CameraFaults,
    Fault,
    fault_at,
    plan,
)
from dualpose_ros.lab.benchmarks.soak import anonymous_mb, gaps_of, growth_of, ids_kept, memory_of


def test_a_plan_has_every_fault_and_quiet_between_them() -> None:
    faults = plan(300.0, seed=3)
    assert {fault.kind for fault in faults} == set(FAULTS) and plan(300.0, seed=3) == faults != plan(300.0, seed=4)
    assert all(b.start_s - a.end_s > 5 for a, b in pairwise(faults))
    assert faults[-1].end_s < 300 and fault_at(faults, faults[2].start_s) is faults[2] and fault_at(faults, 0) is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (None, [0, 1, 2, 3, 4, 5]),
        (CAMERA_OFF, []),
        (DROP, [0, 2, 4]),
        (TWICE, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]),
        (DISORDER, [1, 0, 3, 2, 5, 4]),
        (LATE, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_what_a_camera_sends(kind: str | None, expected: list[int]) -> None:
    camera = CameraFaults()
    out = [camera.send(number, number, kind) for number in range(6)]
    out.append(camera.send(6, 6, None)[:-1])
    assert [number for frames in out for number, _ in frames] == expected
    assert kind != LATE or [len(frames) for frames in out] == [0, 0, 0, 0, 5, 0, 1]


def test_a_clock_that_jumps() -> None:
    assert CameraFaults().send(1, 10, CLOCK) == [(1, 10 + 60 * 10**9)]


def test_gaps_by_fault() -> None:
    faults = [Fault(KILL, 10.0, 12.0, 0), Fault(CAMERA_OFF, 20.0, 23.0, 0)]
    times = [5.0, *np.arange(5.5, 10.0, 0.5), 12.5, *np.arange(13, 20, 0.25), 23.5]
    gaps = gaps_of([float(at) for at in times], faults, 30.0)
    assert gaps == {"none": [0.5], KILL: [3.0], CAMERA_OFF: [3.75]}
    assert gaps_of([1.0], [Fault(KILL, 2.0, 3.0, 0)], 10.0)[KILL] == [9.0]


def test_ids_that_were_kept_and_changed() -> None:
    left, right = [0.0, 0, 3], [3.0, 0, 3]
    outputs = [
        (1.0, 1, [1, 2], np.array([left, right])),
        (1.1, 2, [2, 1], np.array([right, left])),
        (1.2, 3, [7], np.array([left])),
        (9.0, 4, [8], np.array([left])),
    ]
    assert ids_kept(outputs, []) == (2, 1)
    assert ids_kept(outputs, [Fault(KILL, 0.5, 0.9, 0)]) == (0, 0)


def test_memory_is_what_no_file_has(tmp_path: Path) -> None:
    file = tmp_path / "read"
    file.write_bytes(bytes(40 << 20))
    before = anonymous_mb(os.getpid())
    read = np.memmap(file, np.uint8, "r")
    assert read.sum() == 0 and anonymous_mb(os.getpid()) - before < 20
    # Not by NumPy, whose memory may be some that was let go before.
    with mmap.mmap(-1, 40 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as made:
        made.write(b"1" * len(made))
        assert anonymous_mb(os.getpid()) - before >= 39


def test_growth_of_what_has_settled() -> None:
    def rows(per_hour: float, threads: int) -> list[tuple[float, float, int, int]]:
        return [
            (t, 500.0 if t < 60 else 100 + per_hour * t / 3600, 5 + threads * (t > 150), 9) for t in range(0, 200, 5)
        ]

    samples = {("a", 1): rows(2.0, 0), ("b", 2): rows(4.0, 1), ("b", 3): rows(900.0, 9)[:8]}
    slope, threads, files = growth_of(samples, 60.0)
    assert slope == pytest.approx(2 * 3.0) and (threads, files) == (1.0, 0.0)
    assert [(row["node"], row["mb_h"]) for row in memory_of(samples, 60.0)] == [("a", 2.0), ("b", 4.0)]
    # What was seen for three times as long counts for far more.
    longer = {("a", 1): rows(2.0, 0), ("a", 2): [(3 * t, 100 + 4.0 * t * 3 / 3600, 5, 9) for t, *_ in rows(0.0, 0)]}
    assert growth_of(longer, 60.0)[0] == pytest.approx(4.0, abs=0.2)
    assert growth_of({}, 60.0) == (None, None, None)
