"""What a soak does to a camera, and what it makes of what came out."""

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
    rests,
)
from dualpose_ros.lab.benchmarks.soak import anonymous_mb, gaps_of, growth_of, ids_kept, memory_of, more_than_before


def test_a_plan_has_every_fault_and_quiet_between_them() -> None:
    faults = plan(1200.0, seed=3)
    assert {fault.kind for fault in faults} == set(FAULTS) and plan(1200.0, seed=3) == faults != plan(1200.0, seed=4)
    assert all(b.start_s - a.end_s > 5 for a, b in pairwise(faults))
    assert faults[-1].end_s < 1200 and fault_at(faults, faults[2].start_s) is faults[2] and fault_at(faults, 0) is None


def test_most_of_the_time_processes_live_on_and_the_camera_rests() -> None:
    faults = plan(3600.0, seed=0)
    killed = [fault.start_s for fault in faults if fault.kind == KILL]
    assert len(killed) > 15 and all(at <= 600 or at >= 3000 for at in killed)
    for found in (faults, rests(3600.0)):
        off = [fault for fault in found if fault.kind == CAMERA_OFF]
        assert len(off) > 20 and all(fault.end_s - fault.start_s > 20 for fault in off)
        assert max(b.start_s - a.start_s for a, b in pairwise(off)) < 330


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


Row = tuple[float, float, int, int]
OFF = [Fault(CAMERA_OFF, start, start + 14.0, 0) for start in np.arange(0.0, 3600.0, 120.0)]


def seen(until_s: float, mb_h: float, threads: int = 0, noise_mb: float = 0.0) -> list[Row]:
    """Samples of a process that settles for a minute, and has up to 30 MB more in work than at rest."""
    rng = np.random.default_rng(7)
    rows = []
    for t in np.arange(0.0, until_s, 2.0):
        work = 0.0 if 4 <= t % 120 < 14 else rng.uniform(0, 30)
        settling = 400.0 if t < 60 else 100.0 + mb_h * t / 3600 + noise_mb * rng.normal()
        rows.append((float(t), settling + work, 5 + threads * (t > 300), 9))
    return rows


def test_growth_of_what_has_settled_and_rests() -> None:
    samples = {("a", 1): seen(1200, 2.0), ("b", 2): seen(1200, 4.0, threads=1), ("b", 3): seen(50, 900.0, threads=9)}
    rows, growth = memory_of(samples, OFF, 60.0)
    assert growth is not None and (growth.mb_h, growth.error_mb_h) == (pytest.approx(6.0), pytest.approx(0, abs=1e-6))
    assert [(row["node"], row["mb_h"], row["readings"]) for row in rows] == [("a", 2.0, 9), ("b", 4.0, 9)]
    assert more_than_before(samples, 60.0) == (1.0, 0.0)
    # One that was never seen for long enough may have grown.
    assert memory_of({**samples, ("c", 4): seen(50, 0.0)}, OFF, 60.0)[1] is None
    assert memory_of({}, OFF, 60.0) == ([], None) and more_than_before({}, 60.0) == (None, None)


def test_growth_counts_longer_lives_for_more() -> None:
    longer = {
        ("a", 1): seen(600, 0.0),
        ("a", 2): [(t + 600, mb, threads, files) for t, mb, threads, files in seen(2400, 4.0)],
    }
    growth = memory_of(longer, OFF, 60.0)[1]
    assert growth is not None and growth.mb_h == pytest.approx(4.0, abs=0.2)


def test_a_slope_says_how_sure_it_is() -> None:
    rng, times = np.random.default_rng(0), np.arange(0.0, 3600.0, 120.0)
    found = [growth_of([np.stack([times, rng.normal(0, 0.5, len(times))], axis=1)]) for _ in range(400)]
    slopes, errors = np.array([(growth.mb_h, growth.error_mb_h) for growth in found if growth is not None]).T
    assert len(slopes) == 400 and errors.mean() == pytest.approx(slopes.std(), rel=0.25)
    # Errors that follow each other show a slope by chance, and are not sure of it.
    noise, surely = rng.normal(0, 0.1, (400, len(times))), []
    for step in range(1, len(times)):
        noise[:, step] += 0.6 * noise[:, step - 1]
    for sizes in noise:
        growth = growth_of([np.stack([times, sizes], axis=1)])
        assert growth is not None
        surely.append(growth.mb_h > 2 * growth.error_mb_h)
    assert np.mean(surely) < 0.12
    noisy = growth_of([np.stack([times, rng.normal(0, 3.0, len(times))], axis=1)])
    assert noisy is not None and noisy.most_mb_h > 1
