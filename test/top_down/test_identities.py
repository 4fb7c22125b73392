"""Ids by poses: people stay who they are whichever track follows them."""

import numpy as np
import pytest

from dualpose_ros.people import Pose2D
from dualpose_ros.top_down.identities import PoseIdentities, likeness, stacked

FRAME_NS = 50_000_000


def pose(person: int, frame: int = 0, scores: np.ndarray | None = None) -> Pose2D:
    """Person by number, 200 pixels from the next, walking slowly to the right."""
    middle = np.array([200.0 * person + 2.0 * frame, 240.0])
    joints = np.random.default_rng(person).normal(0, [20, 50], (17, 2)) + middle
    return Pose2D(joints, np.full(17, 0.9) if scores is None else scores)


def run(identities: PoseIdentities, frame: int, seen: list[tuple[int, Pose2D]]) -> list[int]:
    identities.begin(frame * FRAME_NS, [track_id for track_id, _ in seen])
    return identities.assign(frame * FRAME_NS, seen)


def test_likeness_of_the_same_of_others_and_of_fragments() -> None:
    assert likeness(pose(0), pose(0)) == pytest.approx(1)
    assert likeness(pose(0, 2), pose(0)) > 0.8
    assert likeness(pose(1), pose(0)) < 0.01
    few = np.zeros(17)
    few[:2] = 0.9
    assert likeness(pose(0, scores=few), pose(0)) == 0


def test_likeness_of_many_is_that_of_each() -> None:
    rng = np.random.default_rng(0)
    poses = [
        Pose2D(rng.normal(100, 40, (17, 2)), rng.random(17) * (rng.random(17) > miss)) for miss in (0, 0.5, 0.9, 1)
    ]
    many = stacked(poses)
    found = likeness(Pose2D(many.joints_px[:, None], many.scores[:, None]), many)
    assert found.shape == (4, 4)
    np.testing.assert_allclose(found, [[likeness(one, other) for other in poses] for one in poses])
    assert found[0, 0] == pytest.approx(1) and not found[3].any() and not found[:, 3].any()


def test_two_tracks_in_turn_on_one_person_are_one_id() -> None:
    identities = PoseIdentities()
    for frame in range(30):
        track = 5 if 8 <= frame < 12 or frame > 20 else 2
        assert run(identities, frame, [(track, pose(0, frame)), (3, pose(1, frame))]) == [2, 3]


def test_tracks_that_exchange_people_do_not_exchange_ids() -> None:
    identities = PoseIdentities()
    for frame in range(10):
        people = [pose(0, frame), pose(1, frame)] if frame < 5 else [pose(1, frame), pose(0, frame)]
        ids = run(identities, frame, [(1, people[0]), (2, people[1])])
        assert ids == ([1, 2] if frame < 5 else [2, 1])


def test_who_comes_to_where_somebody_was_before_they_were_hidden_keeps_their_own_id() -> None:
    identities = PoseIdentities()
    assert run(identities, 0, [(1, pose(0)), (2, pose(0, 48))]) == [1, 2]
    assert run(identities, 1, [(1, pose(0, 16))]) == run(identities, 2, [(1, pose(0, 32))]) == [1]
    # The first is where the second was, who shows again where the first was.
    assert run(identities, 3, [(1, pose(0, 48)), (2, pose(0, 32))]) == [1, 2]


def test_the_pose_before_is_that_of_the_last_frame_alone() -> None:
    identities = PoseIdentities()
    run(identities, 0, [(1, pose(0)), (2, pose(1))])
    identities.begin(FRAME_NS, [1, 2])
    identities.assign(FRAME_NS, [(1, pose(0, 1))])
    first, second = identities.begin(2 * FRAME_NS, [1, 2])
    assert first is not None and second is None


def test_somebody_new_gets_an_id_of_their_own_and_so_does_who_comes_late() -> None:
    identities = PoseIdentities(recent_s=0.5)
    assert run(identities, 0, [(1, pose(0))]) == [1]
    assert run(identities, 1, [(1, pose(0, 1)), (4, pose(2, 1))]) == [1, 4]
    assert run(identities, 40, [(9, pose(0, 1))]) == [9]


def test_a_track_whose_person_is_hidden_is_not_senior_with_the_pose_of_who_is_in_front() -> None:
    identities = PoseIdentities()
    for frame in range(20):
        seen = [(1, pose(0, frame)), (2, pose(1, frame))] if frame > 4 else [(1, pose(0, frame))]
        run(identities, frame, seen)
    identities.begin(20 * FRAME_NS, [1, 2])
    hidden, front = identities.seniority([(1, pose(1, 20)), (2, pose(1, 20))])
    assert hidden == 0 < front
    own, front = identities.seniority([(1, pose(0, 20)), (2, pose(1, 20))])
    assert own > front > 0
    assert identities.seniority([]).shape == (0,)


def test_who_comes_to_a_track_that_stayed_behind_somebody_is_somebody_else() -> None:
    identities = PoseIdentities(empty_s=3.0, new_ids=iter([100, 101]))
    assert run(identities, 0, [(1, pose(0)), (2, pose(2))]) == [1, 2]
    for frame in range(1, 80):  # the first track stays where its person was, the other one's goes on
        identities.begin(frame * FRAME_NS, [1, 2])
        assert identities.assign(frame * FRAME_NS, [(2, pose(2, frame))]) == [2]
    assert run(identities, 80, [(1, pose(0)), (2, pose(2, 80))]) == [100, 2]
    assert run(identities, 100, [(2, pose(2, 100))]) == [2]
    assert run(identities, 120, [(1, pose(0, 1)), (2, pose(2, 120))]) == [100, 2], "whoever they were before"


def test_a_track_that_its_tracker_finds_again_keeps_its_id() -> None:
    identities = PoseIdentities(empty_s=3.0)
    assert run(identities, 0, [(1, pose(0))]) == [1]
    for frame in range(1, 200, 10):
        identities.begin(frame * FRAME_NS, [])
    assert run(identities, 200, [(1, pose(0))]) == [1]
    for frame in range(201, 255):
        identities.begin(frame * FRAME_NS, [1])
    assert run(identities, 255, [(1, pose(0))]) == [1], "hidden for less than 3 s"


def test_last_poses_are_given_and_old_or_future_ones_are_not() -> None:
    identities = PoseIdentities(recent_s=0.5)
    run(identities, 10, [(1, pose(0))])
    run(identities, 11, [(7, pose(0, 1))])
    last = identities.begin(12 * FRAME_NS, [7, 1, 8])
    assert last[0] is not None and last[1] is not None and last[2] is None
    np.testing.assert_array_equal(last[0].joints_px, pose(0, 1).joints_px)
    assert identities.seniority([(7, pose(0, 1)), (8, pose(1))]).tolist() == [2, 0]
    assert identities.begin(40 * FRAME_NS, [7]) == [None]
    run(identities, 41, [(1, pose(0))])
    assert identities.begin(3 * FRAME_NS, [1]) == [None]


def test_no_id_is_given_twice_whatever_comes() -> None:
    rng = np.random.default_rng(0)
    identities = PoseIdentities()
    for frame in range(400):
        tracks = rng.permutation(8)[: rng.integers(0, 7)].tolist()
        ids = run(identities, frame, [(track, pose(int(rng.integers(4)), frame % 7)) for track in tracks])
        assert len(set(ids)) == len(ids) == len(tracks)
