"""A stage that publishes some frames late: under whose stamps, who is in them, and when they go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dualpose_ros.people import Pose3D, TrackingState
from dualpose_ros.refinement.bones import USUAL_SIZE_M
from dualpose_ros.refinement.config import RefinementConfig
from dualpose_ros.refinement.stage import RefinementStage
from support import windows

LAG_S = 0.1
"""Between frames: ten a second, at which people come far within a lag."""
SPEED = np.array([0.75, 0.0, -0.3])


def gliding(number: int, track_id: int = 1) -> Pose3D:
    """Somebody of usual size who glides at a constant velocity, exactly seen; the score says which frame it is."""
    joints = windows.usual_body(USUAL_SIZE_M) + np.array([-0.5, 0.1, 4.0]) + number * LAG_S * SPEED
    pose = windows.pose_of(joints, track_id=track_id, relative=0.02, depth=0.02)
    return replace(pose, score=number / 100)


def glided(seen: dict[int, list[Pose3D]], count: int, lag: int, **settings: float) -> list[dict[int, Pose3D]]:
    """People by track of each of so many frames, which come out under their own stamps, `lag` late."""
    stage = RefinementStage(RefinementConfig(lag_frames=lag, **settings))  # type: ignore[arg-type]
    frames: list[Any] = []
    for number in range(count):
        given = stage.process(round(number * LAG_S * 1e9), windows.CAMERA, seen.get(number, []))
        assert len(given) == (number >= lag)
        frames += given
    frames += stage.flush()
    assert [frame.stamp_ns for frame in frames] == [round(n * LAG_S * 1e9) for n in range(count)]
    return [{person.track_id: person for person in frame.persons} for frame in frames]


@pytest.mark.parametrize("lag", [0, 1, 5])
def test_people_are_published_where_they_were_at_the_stamp(lag: int) -> None:
    born, gap, end, count = 4, (11, 12), 20, 23
    found = glided({n: [gliding(n)] for n in range(born, end) if n not in gap}, count, lag)
    for number, persons in enumerate(found):
        assert list(persons) == ([1] if number >= born else []), "nobody before they were seen"
        for person in persons.values():
            seen = number < end and number not in gap
            assert person.state == (TrackingState.CONFIRMED if seen else TrackingState.COASTING), number
            assert bool((person.joint_scores == 0.9).all()) == seen
            assert not seen or person.score == number / 100
            root = gliding(number).joints_cam[0]
            # Those who vanished slow down in what is predicted of them.
            assert np.linalg.norm(person.joints_cam[0] - root) < (0.02 if number < end else 0.1), number
    known_later = found[gap[1]][1].joint_stddev.mean(), found[end + 1][1].joint_stddev.mean()
    assert lag < 2 or known_later[0] < 0.8 * known_later[1]


@pytest.mark.parametrize("lag", [0, 1, 5])
def test_a_lag_gives_up_people_when_they_have_been_gone_for_too_long(lag: int) -> None:
    seen = {n: [gliding(n)] for n in (*range(8), *range(14, 20))}
    found = glided(seen, 20, lag, max_coast_s=0.25)
    assert [1 in persons for persons in found] == [True] * 10 + [False] * 4 + [True] * 6
    for number in (7, 14, 19):
        assert found[number][1].state == TrackingState.CONFIRMED
        assert np.linalg.norm(found[number][1].joints_cam[0] - gliding(number).joints_cam[0]) < 0.02


@pytest.mark.parametrize("lag", [0, 1, 5])
def test_a_lag_does_not_let_tentative_people_coast(lag: int) -> None:
    seen = {n: [replace(gliding(n), state=TrackingState.TENTATIVE)] for n in (2, 3, 5)}
    assert [1 in persons for persons in glided(seen, 7, lag)] == [False, False, True, True, False, True, False]


def test_frames_without_a_camera_keep_their_place_and_time_set_back_gives_what_waits() -> None:
    stage, step_ns = RefinementStage(RefinementConfig(lag_frames=2)), 40_000_000
    cameras = [windows.CAMERA, None, windows.CAMERA]
    given = [f for n, c in enumerate(cameras) for f in stage.process(n * step_ns, c, [gliding(n)])]
    assert [frame.stamp_ns for frame in given] == [0]
    as_it_was = gliding(1)
    given = [*stage.process(0, windows.CAMERA, [gliding(0)])]
    assert [(f.stamp_ns, f.camera) for f in given] == [(step_ns, None), (2 * step_ns, windows.CAMERA)]
    np.testing.assert_array_equal(given[0].persons[0].joints_cam, as_it_was.joints_cam)
    assert [frame.stamp_ns for frame in stage.flush()] == [0]


def test_a_lag_longer_than_the_window_is_refused() -> None:
    assert RefinementConfig(lag_frames=7).lag_frames == 7
    with pytest.raises(ValueError, match="lag_frames is 8"):
        RefinementConfig(lag_frames=8)
