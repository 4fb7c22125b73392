"""Accuracy and identities of tracks, by hand and against every assignment tried."""

from itertools import permutations

import numpy as np
import pytest

from dualpose_ros.metrics.tracks import TrackedFrame, track_figures


def frame(true_ids: list[int], ids: list[int], places: dict[int, float], true_places: dict[int, float]) -> TrackedFrame:
    distance = np.abs(
        np.array([[true_places[a] - places[b] for b in ids] for a in true_ids]).reshape(len(true_ids), len(ids))
    )
    return TrackedFrame(np.array(true_ids), np.array(ids), distance)


def test_two_people_who_swap_their_ids_once() -> None:
    """Ten frames, swapped from the sixth on: two switches of twenty, and each is one id for five frames."""
    frames = [frame([0, 1], [5, 6], {5: 0.0, 6: 1.0}, {0: 0.0, 1: 1.0}) for _ in range(5)]
    frames += [frame([0, 1], [5, 6], {5: 1.0, 6: 0.0}, {0: 0.0, 1: 1.0}) for _ in range(5)]
    figures = track_figures(frames, 0.5)
    assert figures["id_switches"] == 2 and figures["mota"] == pytest.approx(1 - 2 / 20)
    assert figures["idf1"] == pytest.approx(2 * 10 / 40)


def test_a_miss_and_a_ghost() -> None:
    frames = [frame([0], [1], {1: 0.1}, {0: 0.0}), frame([0], [], {}, {0: 0.0}), frame([0], [1, 2], {1: 0.1, 2: 9.0},
              {0: 0.0})]  # fmt: skip
    figures = track_figures(frames, 0.5)
    assert (figures["misses"], figures["ghosts"], figures["id_switches"]) == (1, 1, 0)
    assert figures["mota"] == pytest.approx(1 / 3) and figures["idf1"] == pytest.approx(2 * 2 / 6)


def test_a_pair_stays_one_though_another_is_nearer() -> None:
    near = [frame([0], [1], {1: 0.3}, {0: 0.0}), frame([0], [1, 2], {1: 0.4, 2: 0.0}, {0: 0.0})]
    assert track_figures(near, 0.5)["id_switches"] == 0
    far = [near[0], frame([0], [1, 2], {1: 0.6, 2: 0.0}, {0: 0.0})]
    assert track_figures(far, 0.5)["id_switches"] == 1


def test_identities_against_every_assignment() -> None:
    rng = np.random.default_rng(3)
    frames = [
        TrackedFrame(np.arange(3), np.flatnonzero(rng.random(4) < 0.8), np.zeros(0)) for _ in range(25)
    ]  # fmt: skip
    frames = [TrackedFrame(f.true_ids, f.ids, rng.random((3, len(f.ids)))) for f in frames]
    best = 0
    for order in permutations(range(4), 3):
        hits = sum(
            frame.distance[person, list(frame.ids).index(track)] <= 0.4
            for frame in frames for person, track in enumerate(order) if track in frame.ids
        )  # fmt: skip
        best = max(best, hits)
    total = 75 + sum(len(frame.ids) for frame in frames)
    assert track_figures(frames, 0.4)["idf1"] == pytest.approx(2 * best / total)


def test_motmetrics_says_the_same() -> None:
    mm = pytest.importorskip("motmetrics", reason="motmetrics is not installed")
    rng = np.random.default_rng(5)
    frames, accumulator = [], mm.MOTAccumulator(auto_id=True)
    for _ in range(60):
        true_ids, ids = np.flatnonzero(rng.random(5) < 0.8), np.flatnonzero(rng.random(6) < 0.7)
        distance = rng.random((len(true_ids), len(ids)))
        frames.append(TrackedFrame(true_ids, ids, distance))
        accumulator.update(true_ids, ids, np.where(distance <= 0.4, distance, np.nan))
    theirs = mm.metrics.create().compute(accumulator, metrics=["mota", "idf1", "num_switches"]).iloc[0]
    ours = track_figures(frames, 0.4)
    assert [ours["mota"], ours["idf1"], ours["id_switches"]] == pytest.approx(list(theirs))


def test_an_id_twice_in_a_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="id 7 is there twice"):
        track_figures([TrackedFrame(np.array([0]), np.array([7, 7]), np.zeros((1, 2)))], 1.0)


def test_nobody_is_not_a_number() -> None:
    assert np.isnan(track_figures([], 1.0)["mota"])
