"""Perfect maps through decoding: exact for people apart, and honest about what overlaps."""

import numpy as np
import pytest

from dualpose_ros.camera import camera_from_hfov
from dualpose_ros.lab.evaluation.bottom_up import round_trip as module
from dualpose_ros.lab.evaluation.bottom_up.round_trip import crowd, overlaps, round_trip, round_trip_row
from dualpose_ros.skeleton import K

POSE_M = np.random.default_rng(0).normal(0, 0.35, (K, 3))


def test_overlaps_against_loops() -> None:
    rng = np.random.default_rng(1)
    joints = rng.uniform(0, 120, (5, K, 2))
    joints[1, 3] = np.nan
    got = overlaps(joints, 3.0)
    for n in range(5):
        for k in range(K):
            near = [np.hypot(*(joints[n, k] - joints[m, k])) < 12 for m in range(5) if m != n]
            assert got[n, k] == any(near)
    assert 0 < got.mean() < 1


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1000, 300)])
def test_people_apart_come_back_exactly(size: tuple[int, int]) -> None:
    camera = camera_from_hfov(*size, 1.0)
    joints = POSE_M * 0.4 + np.array([[-1.2, 0, 5.0], [1.2, 0.1, 7.0]])[:, None]
    trip = round_trip(joints, camera)
    assert trip.asked == len(trip.errors_m) == 2 * K - trip.overlapped - trip.at_rim
    assert trip.asked > K
    assert trip.errors_m.max() < 0.005


def test_the_crowd_is_ten_people_in_view() -> None:
    joints, camera = crowd(POSE_M * (0.3, 0.6, 0.3))
    assert joints.shape == (10, K, 3)
    trip = round_trip(joints, camera)
    assert trip.asked >= 8 * K and len(trip.errors_m) == trip.asked
    assert trip.errors_m.max() < 0.005


def test_whoever_stands_behind_another_is_left_out_and_counted() -> None:
    camera = camera_from_hfov(640, 480, 1.0)
    joints = np.stack([POSE_M * 0.4 + [0, 0, 5.0], POSE_M * 0.41 + [0, 0, 5.2]])
    trip = round_trip(joints, camera)
    assert trip.asked == 0 and trip.overlapped > K
    alone = round_trip(joints[:1], camera)
    assert alone.overlapped == 0 and alone.asked == K


def test_a_decoder_that_errs_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = camera_from_hfov(640, 480, 1.0)
    joints = (POSE_M * 0.4 + [0, 0, 6.0])[None]
    exact = module.decode_frame
    monkeypatch.setattr(module, "decode_frame", lambda maps, focal: exact(maps, 1.01 * focal))
    row = round_trip_row([(joints, camera)], 4.25)
    assert row["max_mm"] == pytest.approx(60, abs=5) and row["joints"] == K and row["found_pct"] == 100
    assert row["median_mm"] <= row["p95_mm"] <= row["max_mm"]
    nobody = round_trip_row([], 4.25)
    assert nobody["max_mm"] is None and nobody["joints"] == 0
