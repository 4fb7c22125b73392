"""The people of a frame as arrays, and each of them by themselves."""

from dataclasses import fields

import numpy as np
import pytest

from dualpose_ros.people import K, Persons, Pose3D, Poses
from support.people import random_person


def same(one: Pose3D, other: Pose3D) -> bool:
    names = [item.name for item in fields(Pose3D)]
    kinds = all(type(getattr(one, name)) is type(getattr(other, name)) for name in names)
    return kinds and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


@pytest.fixture
def people() -> list[Pose3D]:
    rng = np.random.default_rng(0)
    return [random_person(rng, track_id=track_id) for track_id in (4, 2, 9)]


def test_each_comes_out_as_they_went_in(people: list[Pose3D]) -> None:
    persons = Persons.of(people)
    assert len(persons) == 3 and persons.joints_cam.shape == (3, K, 3) and persons.track_ids.tolist() == [4, 2, 9]
    assert all(same(one, other) for one, other in zip(persons, people, strict=True))
    assert same(persons[-1], people[2]) and same(persons[np.int64(1)], people[1])
    assert Persons.of(persons) is persons


def test_some_and_more(people: list[Pose3D]) -> None:
    persons = Persons.of(people)
    assert [p.track_id for p in persons[persons.track_ids > 3]] == [4, 9]
    joined = Persons.concatenate([persons[1:], persons[[0]]])
    assert joined.track_ids.tolist() == [2, 9, 4] and same(joined[2], people[0])
    np.testing.assert_array_equal(joined.roots, persons.joints_cam[[1, 2, 0], 0])
    np.testing.assert_allclose(joined.joints_rel[:, 0], 0)
    with pytest.raises(IndexError):
        persons[3]


def test_nobody() -> None:
    for nobody in (Persons.of([]), Persons.empty()):
        assert len(nobody) == 0 and list(nobody) == [] and not nobody
        assert nobody.keypoints_px.shape == (0, K, 2) and nobody.track_ids.dtype == np.int64


def test_poses_of_different_counts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Poses.scores has \(2,\) instead of \(3,\)"):
        Poses(np.zeros((3, K, 3)), np.zeros((3, K)), np.zeros((3, K)), np.zeros(2))
