"""The fusion stage: who comes out, with what, from which branch."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dualpose_ros.fusion.identities import IdentityConfig
from dualpose_ros.fusion.integrate import hard, linear
from dualpose_ros.fusion.matching import MatchConfig
from dualpose_ros.fusion.pairs import Pairs
from dualpose_ros.fusion.probability import SITUATIONS, ScoreScale, probabilities
from dualpose_ros.fusion.stage import FusionConfig, FusionStage
from dualpose_ros.people import Pose3D, Poses, Source, TrackingState
from dualpose_ros.settings import SettingError
from dualpose_ros.skeleton import H36M17
from support import fusion_people as people

body, pose = people.body, people.pose

FRAME_NS = 100_000_000


def stage(**config: Any) -> FusionStage:
    return FusionStage(FusionConfig(method="linear", **config))


def summary(persons: Sequence[Pose3D]) -> list[tuple[int, str, str]]:
    return [(person.track_id, person.source.name, person.state.name) for person in persons]


def test_pairs_and_people_of_one_branch() -> None:
    result = stage().process(
        FRAME_NS, [pose(body(0, 4), 4), pose(body(2, 5), 6)], [pose(body(-2, 5)), pose(body(0, 4.2))]
    )
    assert summary(result.persons) == [
        (4, "FUSED", "CONFIRMED"), (6, "TOP_DOWN", "CONFIRMED"), (7, "BOTTOM_UP", "TENTATIVE"),
    ]  # fmt: skip
    assert result.pairs == 1
    np.testing.assert_allclose(result.persons[0].joints_cam, body(0, 4.1), atol=1e-6)
    np.testing.assert_allclose(result.persons[1].joints_cam, body(2, 5))
    np.testing.assert_allclose(result.persons[2].joints_cam, body(-2, 5))


def test_nobody() -> None:
    for said in ((), None):
        result = stage().process(FRAME_NS, said, said)
        assert len(result.persons) == 0 and result.pairs == 0


def test_a_branch_that_has_not_looked_leaves_everybody_to_the_other() -> None:
    made = stage()
    both = [pose(body(0, 4), 4)], [pose(body(0, 4.2))]
    sources = []
    for number, (top_down, bottom_up) in enumerate((both, (both[0], None), (None, both[1]), both), start=1):
        (person,) = made.process(number * FRAME_NS, top_down, bottom_up).persons
        sources.append(person.source.name)
        assert (person.track_id, person.state.name) == (4, "CONFIRMED")
    assert sources == ["FUSED", "TOP_DOWN", "BOTTOM_UP", "FUSED"]


def test_somebody_at_an_impossible_depth_is_not_another_person() -> None:
    twin = body(0, 4) * (9 / 4)
    result = stage().process(FRAME_NS, [pose(body(0, 4), 4)], [pose(twin), pose(body(3, 9))])
    assert summary(result.persons) == [(4, "TOP_DOWN", "CONFIRMED"), (5, "BOTTOM_UP", "TENTATIVE")]


def test_somebody_whom_the_bottom_up_branch_found_twice_is_one_person_the_better_one() -> None:
    worse, better = pose(body(0.02, 4), score=0.5), pose(body(0, 4.1), score=0.7)
    (person,) = stage().process(FRAME_NS, [], [worse, better]).persons
    np.testing.assert_allclose(person.joints_cam, better.joints_cam)
    assert len(stage().process(FRAME_NS, [], [worse, pose(body(1.5, 4))]).persons) == 2


def test_poor_people_of_the_bottom_up_branch_need_a_partner() -> None:
    poor = pose(body(0, 4), score=0.2)
    assert len(stage(min_score=0.3).process(FRAME_NS, [], [poor]).persons) == 0
    assert len(stage(min_score=0.2, min_new_score=0.2).process(FRAME_NS, [], [poor]).persons) == 1
    (person,) = stage(min_score=0.3).process(FRAME_NS, [pose(body(0, 4), 1)], [poor]).persons
    assert person.source is Source.FUSED


def test_a_doubtful_newcomer_of_the_bottom_up_branch_alone_waits_until_confirmed() -> None:
    """Most of those who are there for one frame are nobody."""
    made, doubtful = stage(min_score=0.3, min_new_score=0.5), pose(body(0, 4), score=0.4)
    published = [len(made.process(number * FRAME_NS, [], [doubtful]).persons) for number in range(1, 5)]
    assert published == [0, 0, 1, 1]
    assert len(stage().process(FRAME_NS, [], [pose(body(0, 4), score=0.6)]).persons) == 1
    assert len(stage().process(FRAME_NS, None, [doubtful]).persons) == 1, "the other branch has not looked"


def test_somebody_of_whom_the_bottom_up_branch_sees_no_joint_is_nobody() -> None:
    guessed, head = np.full(17, 0.2), np.full(17, 0.2)
    head[[9, 10]] = 0.8
    for scores, count in ((guessed, 0), (head, 1)):
        made, only = stage(), replace(pose(body(0, 4)), joint_scores=scores)
        for number in range(1, 5):
            persons = made.process(number * FRAME_NS, [], [only]).persons
        assert len(persons) == count
    partner = replace(pose(body(0, 4)), joint_scores=guessed)
    assert len(stage().process(FRAME_NS, [pose(body(0, 4), 1)], [partner]).persons) == 1


def test_somebody_of_the_bottom_up_branch_is_confirmed_after_some_frames() -> None:
    made = stage(identity=IdentityConfig(confirm_frames=3))
    states = []
    for number in range(1, 5):
        (person,) = made.process(number * FRAME_NS, [], [pose(body(0.1 * number, 4))]).persons
        states.append(person.state.name)
    assert states == ["TENTATIVE", "TENTATIVE", "CONFIRMED", "CONFIRMED"]
    np.testing.assert_allclose(person.root_velocity, (0.6, 0, 0), atol=0.2)
    tentative = pose(body(0.5, 4), 8, state=TrackingState.TENTATIVE)
    (person,) = made.process(5 * FRAME_NS, [tentative], []).persons
    assert (person.track_id, person.state) == (1, TrackingState.CONFIRMED)


def test_what_is_taken_from_which_branch() -> None:
    better = np.arange(17) % 2 == 0
    own = pose(body(0, 4), 4, joint_scores=np.where(better, 0.9, 0.2), state=TrackingState.COASTING,
               root_velocity=np.array([1.0, 2, 3]))  # fmt: skip
    other = pose(body(0, 4), joint_scores=np.where(better, 0.5, 0.6), keypoints_px=own.keypoints_px + 5)
    (person,) = stage().process(FRAME_NS, [own], [other]).persons
    np.testing.assert_array_equal(person.keypoints_px, own.keypoints_px + np.where(better, 0, 5)[:, None])
    np.testing.assert_array_equal(person.box_px, own.box_px)
    np.testing.assert_array_equal(person.root_velocity, own.root_velocity)
    assert person.state is TrackingState.COASTING


def test_a_neighbour_s_joint_that_is_seen_a_little_better_is_not_taken() -> None:
    own = pose(body(0, 4), 4, joint_scores=np.full(17, 0.8))
    knee = H36M17.index("left_knee")
    keypoints, scores = own.keypoints_px.copy(), np.full(17, 0.8)
    keypoints[knee, 0] += 200
    scores[knee] = 1.0
    other = pose(body(0, 4), joint_scores=scores, keypoints_px=keypoints)
    (person,) = stage().process(FRAME_NS, [own], [other]).persons
    np.testing.assert_array_equal(person.keypoints_px, own.keypoints_px)


def test_a_hand_over_is_smooth() -> None:
    made = stage(handover_time_constant_s=0.5)
    near, far = pose(body(0, 4), 4), pose(body(0, 4.4))
    made.process(FRAME_NS, [near], [])
    (person,) = made.process(2 * FRAME_NS, None, [far]).persons
    assert person.joints_cam[0, 2] == pytest.approx(4.4 - 0.4 * np.exp(-0.2))
    assert person.joint_stddev[0] == pytest.approx(np.hypot(0.15, 0.4))
    for number in range(3, 60):
        (person,) = made.process(number * FRAME_NS, None, [far]).persons
    assert person.joints_cam[0, 2] == pytest.approx(4.4)


def test_what_is_not_finite_is_left_out() -> None:
    broken = body(0, 4)
    broken[3, 1] = np.nan
    result = stage().process(FRAME_NS, [pose(broken, 1), pose(body(2, 5), 2)], [pose(body(0, 4), score=np.nan)])
    assert [person.track_id for person in result.persons] == [2]

    def bad(pairs: Pairs) -> Poses:
        answer = linear(pairs)
        answer.joints_cam[0] = np.nan
        return answer

    made = FusionStage(FusionConfig(method="linear"), bad)
    result = made.process(FRAME_NS, [pose(body(0, 4), 1), pose(body(2, 5), 2)], [])
    assert [person.track_id for person in result.persons] == [2]


def test_two_tracks_on_one_person_are_one_person_the_likelier() -> None:
    """Though neither is a pair with the bottom-up branch's pose at another depth."""
    twice = [pose(body(0, 4), 4, score=0.9), pose(body(0.03, 4.1), 7, score=0.6), pose(body(2, 5), 9)]
    assert [person.track_id for person in stage().process(FRAME_NS, twice, []).persons] == [4, 9]
    apart = stage(matching=MatchConfig(same_person_oks=1.0))
    assert [person.track_id for person in apart.process(FRAME_NS, twice, []).persons] == [4, 7, 9]


def test_the_chance_that_somebody_is_there_decides_who_is_published() -> None:
    """However sure a branch is of them itself."""

    def doubtful(pairs: Pairs) -> Poses:
        return replace(hard(pairs), scores=np.full(len(pairs), 0.1))

    sure, own = pose(body(0, 4), score=0.95), pose(body(0, 4), 1)
    scores = []
    for top_down, bottom_up in (([own], [sure]), ([own], []), ([], [sure]), ([own], None), (None, [sure])):
        (person,) = (
            FusionStage(FusionConfig(min_score=0, min_new_score=0), doubtful)
            .process(FRAME_NS, top_down, bottom_up)
            .persons
        )
        scores.append(person.score)
        for limit, published in ((person.score - 1e-6, 1), (person.score + 1e-6, 0)):
            strict = FusionStage(FusionConfig(min_score=limit, min_new_score=0), doubtful)
            assert len(strict.process(FRAME_NS, top_down, bottom_up).persons) == published
    assert len(set(scores)) == 5, "chances differ by who looked and who saw them"
    assert scores[0] > max(scores[1:3]) and scores[3] > scores[1] and scores[4] > scores[2]


def test_chances_rise_with_scores_in_every_situation() -> None:
    scores = np.linspace(0, 1, 101)
    for situation in range(len(SITUATIONS)):
        chances = probabilities(scores, np.full(101, situation), ScoreScale())
        assert (np.diff(chances) > 0).all() and 0 < chances[0] < 0.01 and 0.99 < chances[-1] < 1
    for wrong in ((1.0,), (1.0, 0.0), (1.0, -1.0)):
        with pytest.raises(SettingError, match="both"):
            ScoreScale(both=wrong)
