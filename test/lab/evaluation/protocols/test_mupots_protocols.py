"""MuPoTS-3D's two protocols, step by step and by hand."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from dualpose_ros.datasets.predictions import FoundPeople
from dualpose_ros.datasets.published.mupots import JOINTS
from dualpose_ros.datasets.published.truth import TruthFrame, TruthSequence, true_people
from dualpose_ros.lab.evaluation.protocols import mupots

RNG = np.random.default_rng(2)
SEQUENCE = TruthSequence("TS1", JOINTS, lambda: iter(()))


def bodies(count: int) -> np.ndarray:
    return RNG.normal(size=(count, 17, 3)) * 0.4 + np.arange(count)[:, None, None] * (1.5, 0, 0) + (0, 0, 5.0)


def pixels(joints: np.ndarray) -> np.ndarray:
    return 1500 * joints[..., :2] / joints[..., 2:] + (960, 540)


def frame(joints: np.ndarray, found: np.ndarray, index: int = 0) -> tuple[TruthFrame, FoundPeople]:
    people = true_people(np.arange(len(joints)), joints, pixels(joints), "here")
    return TruthFrame(index, index / 30, None, None, people), FoundPeople(
        np.arange(len(found)), np.ones(len(found)), found, pixels(found)
    )


def run(protocol: mupots.Protocol, *frames: tuple[TruthFrame, FoundPeople]) -> dict[str, float]:
    def pairs() -> Iterator[tuple[TruthFrame, FoundPeople]]:
        yield from frames

    return protocol.tables({"TS1": protocol.measure(SEQUENCE, pairs())})[protocol.name][0]


@pytest.mark.parametrize("protocol", [mupots.OFFICIAL, mupots.RELEASED], ids=lambda p: p.name)
def test_the_truth_scores_full_and_nobody_none(protocol: mupots.Protocol) -> None:
    joints = bodies(3)
    row = run(protocol, frame(joints, joints), frame(joints, joints[::-1]))
    assert row["pck_all"] == 100 and row["pck_abs_all"] == 100 and row["found"] == 100
    # An error of 0 is not below the first threshold of 0.
    steps = 31 if protocol is mupots.OFFICIAL else 40
    assert row["auc_all"] == pytest.approx(100 * (steps - 1) / steps)
    assert run(protocol, frame(joints, joints[:0]))["pck_all"] == 0


def test_a_missed_person_counts_in_all_and_not_in_matched() -> None:
    joints = bodies(2)
    row = run(mupots.OFFICIAL, frame(joints, joints[:1]))
    assert (row["pck_all"], row["pck_matched"], row["found"]) == (50, 100, 50)


def test_official_matching_is_one_to_one_and_the_first_true_person_first() -> None:
    joints = bodies(1)
    two = np.concatenate([joints, np.add(joints, (0.001, 0, 0))])
    assert mupots.match_in_pixels(pixels(two), pixels(joints)).tolist() == [0, -1]
    assert mupots.match_in_pixels(pixels(joints), pixels(two)).tolist() == [0]
    away = np.add(pixels(joints), (41.0, 0.0))
    assert mupots.match_in_pixels(pixels(joints), away).tolist() == [-1]
    part = away.copy()
    part[0, 13] = pixels(joints)[0, 13]
    assert mupots.match_in_pixels(pixels(joints), part).tolist() == [0]


def test_bones_get_the_truths_lengths_and_keep_their_directions() -> None:
    truth, found = bodies(2)
    mapped = mupots.with_true_bones(found, truth)
    for joint in mupots.TRAVERSAL:
        parent = mupots.PARENTS[joint]
        own, true, given = (side[joint] - side[parent] for side in (mapped, truth, found))
        assert np.linalg.norm(own) == pytest.approx(np.linalg.norm(true))
        assert own @ given == pytest.approx(np.linalg.norm(own) * np.linalg.norm(given))
    np.testing.assert_array_equal(mapped[mupots.PELVIS], found[mupots.PELVIS])


def test_the_released_bones_are_others() -> None:
    """Parents by position: the same body with other proportions gets errors that the official scoring doesn't see."""
    truth = bodies(1)[0]
    found = truth[mupots.PELVIS] + 1.3 * (truth - truth[mupots.PELVIS])
    official = np.linalg.norm(mupots.with_true_bones(found, truth) - truth, axis=-1)
    released = np.linalg.norm(mupots.with_bones_by_position(found, truth) - truth, axis=-1)
    assert official.max() == pytest.approx(0, abs=1e-9) and released.max() > 0.05


def test_the_released_root_needs_no_right_depth() -> None:
    """Depths of half of the truth's are fitted away; the official scoring holds them against a system."""
    joints = bodies(3) + np.array([[[0, 0, 0]], [[0, 0, 1]], [[0, 0, 3]]])
    near = joints - 0.5 * joints[:, mupots.PELVIS, None] * (0, 0, 1)
    moved = frame(joints, near)
    moved = moved[0], FoundPeople(moved[1].ids, moved[1].scores, near, pixels(joints))
    assert run(mupots.RELEASED, moved)["pck_abs_all"] == 100
    assert run(mupots.OFFICIAL, moved)["pck_abs_all"] == 0 and run(mupots.OFFICIAL, moved)["pck_all"] == 100


def test_a_person_without_a_joint_counts_as_missed() -> None:
    joints = bodies(1)
    part = joints.copy()
    part[0, 4] = np.nan
    row = run(mupots.OFFICIAL, (frame(joints, joints)[0], FoundPeople(np.arange(1), np.ones(1), part, pixels(joints))))
    assert row["found"] == 0 and row["pck_all"] == 0


def test_depths_fitted_by_hand() -> None:
    np.testing.assert_allclose(mupots.fitted_depths(np.array([1.0, 2, 3]), np.array([4.0, 6, 8])), [4, 6, 8])
    np.testing.assert_allclose(mupots.fitted_depths(np.array([2.0]), np.array([5.0])), [5])
    assert len(mupots.fitted_depths(np.zeros(0), np.zeros(0))) == 0
