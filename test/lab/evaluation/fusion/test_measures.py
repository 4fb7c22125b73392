"""Measures of both branches on recordings: what the truth itself earns, and what people in each other's way cost."""

from dataclasses import fields, replace

import numpy as np
import pytest

from dualpose_ros.camera import camera_from_hfov, project
from dualpose_ros.datasets.labels import VISIBLE
from dualpose_ros.datasets.recordings import Estimates, Frames, Recordings, Truth
from dualpose_ros.fusion.integrate import hard, linear
from dualpose_ros.lab.evaluation.fusion import measures
from dualpose_ros.lab.synthetic.motion.contact import penetration
from dualpose_ros.lab.synthetic.motion.kinematics import REST_JOINTS_M
from dualpose_ros.metrics.pairs import pair_row
from dualpose_ros.people import Persons, Pose3D, Source, TrackingState
from dualpose_ros.skeleton import K

CAMERA = camera_from_hfov(640, 480, 1.2)
PLACES: tuple[list[tuple[float, float]], ...] = (
    [(-1.0, 4.0), (0.6, 5.0)],
    [(-0.9, 4.0), (0.5, 5.0), (2.0, 6.0)],
    [],
    [(0.0, 5.0)],
)
"""(x, z) of the people of four frames, of two sequences."""


def standing(x: float, z: float, up: float = 0.0) -> np.ndarray:
    """Somebody on the floor, 1 m below a level camera."""
    return REST_JOINTS_M * [-1.0, -1.0, 1.0] + np.array([x, 1.0 - up, z])


def recordings() -> Recordings:
    """Four frames in two sequences; the estimates of both branches are the truth, bottom-up in reverse order."""
    joints = np.array([standing(*place) for frame in PLACES for place in frame])
    frame = np.repeat(np.arange(4), [len(places) for places in PLACES]).astype(np.int32)
    pixels, rows = project(CAMERA, joints), len(joints)
    person = np.concatenate([np.arange(len(places)) for places in PLACES]).astype(np.int32)
    order = np.concatenate([np.flatnonzero(frame == f)[::-1] for f in range(4)])

    def branch(own: np.ndarray, track: np.ndarray) -> Estimates:
        return Estimates(
            frame, track, own.astype(np.int32), joints[own].astype(np.float32), np.full((rows, K), 0.9, np.float32),
            np.full((rows, K), 0.1, np.float32), np.linspace(0.9, 0.5, rows, dtype=np.float32)[own],
            pixels[own].astype(np.float32),
        )  # fmt: skip

    camera = (CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy, CAMERA.width, CAMERA.height)
    return Recordings(
        Frames(np.array([0, 0, 1, 1], np.int32), np.array([0, 0.1, 0, 0.1]),
               np.tile(np.array(camera, np.float32), (4, 1)), np.tile(np.array([0, 1, 0], np.float32), (4, 1)),
               np.ones(4, bool)),
        Truth(frame, person, np.full(rows, "walk"), joints.astype(np.float32), pixels.astype(np.float32),
              np.full((rows, K), VISIBLE, np.uint8), np.ones(rows, np.float32),
              np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1).astype(np.float32)),
        branch(np.arange(rows), 10 + person), branch(order, np.full(rows, -1, np.int32)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def frames() -> list[measures.RecordedFrame]:
    return list(measures.recorded_frames(recordings()))


def moved(pose: Pose3D, by: tuple[float, float, float]) -> Pose3D:
    return replace(pose, joints_cam=pose.joints_cam + np.array(by))


def test_frames_hold_what_was_recorded_of_them(frames: list[measures.RecordedFrame]) -> None:
    assert [frame.sequence for frame in frames] == [0, 0, 1, 1]
    assert [frame.stamp_ns for frame in frames] == [0, 100_000_000, 0, 100_000_000]
    assert [len(frame.people) for frame in frames] == [2, 3, 0, 1]
    for frame, places in zip(frames, PLACES, strict=True):
        count = len(places)
        assert frame.true_top_down.tolist() == list(range(count))
        assert frame.true_bottom_up.tolist() == list(range(count))[::-1]
        np.testing.assert_allclose(frame.down, [0, 1, 0])
        for pose, owner in zip(frame.bottom_up, frame.true_bottom_up, strict=True):
            np.testing.assert_allclose(pose.joints_cam, standing(*places[owner]), atol=1e-6)
            assert pose.track_id == -1 and pose.source == Source.BOTTOM_UP
            assert pose.state == TrackingState.CONFIRMED
        for person, pose in enumerate(frame.top_down):
            assert pose.track_id == 10 + person and pose.source == Source.TOP_DOWN
            low, high = pose.keypoints_px.min(axis=0), pose.keypoints_px.max(axis=0)
            assert (pose.box_px[:2] >= low).all() and (pose.box_px[2:] <= high + 1).all()


def test_who_is_nobody_stays_nobody() -> None:
    whole = recordings()
    strange = replace(whole, top_down=replace(whole.top_down, truth=np.array([-1, 0, 4, -1, 2, 5], np.int32)))
    found = [frame.true_top_down.tolist() for frame in measures.recorded_frames(strange)]
    assert found == [[-1, 0], [2, -1, 0], [], [0]]


def test_the_truth_earns_everything_and_nothing_earns_nothing(frames: list[measures.RecordedFrame]) -> None:
    row = measures.pose_row("truth", frames, measures.true_people)
    assert row["row"] == "truth" and row["people"] == 6 and set(measures.COLUMNS) <= row.keys()
    for name in (*measures.COLUMNS, "found"):
        assert row[name] == pytest.approx(100), name
    assert row["root_depth_pct"] == pytest.approx(0, abs=1e-4)
    row = measures.pose_row("nobody", frames, lambda frame: [])
    for name in (*measures.COLUMNS, "found"):
        assert row[name] == 0, name
    assert row["people"] == 6 and row["root_depth_pct"] is None
    empty = measures.pose_row("no frames", [], measures.true_people)
    assert empty["people"] == 0 and all(empty[name] is None for name in measures.COLUMNS)


def test_columns_fall_by_what_is_wrong(frames: list[measures.RecordedFrame]) -> None:
    deep = measures.pose_row("deep", frames, lambda frame: [moved(p, (0, 0, 0.2)) for p in measures.true_people(frame)])
    assert deep["pck_abs"] == 0 and deep["pck_rel"] == 100 and deep["auc_rel"] == pytest.approx(100)
    assert deep["ap_root_25"] == pytest.approx(100)
    far = measures.pose_row("far", frames, lambda frame: [moved(p, (0, 0, 0.3)) for p in measures.true_people(frame)])
    assert far["ap_root_25"] == 0 and far["pck_rel"] == 100 and far["found"] == 100

    def bent(frame: measures.RecordedFrame) -> list[Pose3D]:
        people = measures.true_people(frame)
        for pose in people:
            pose.joints_cam[3] += [0.0, 0.0, 0.0775]  # between two of the thirty thresholds
        return people

    row = measures.pose_row("bent", frames, bent)
    assert row["pck_rel"] == 100 and row["pck_abs"] == 100
    assert row["auc_rel"] == pytest.approx(100 * (15 + 15 / 30) / 16)
    missed = measures.pose_row("missed", frames, lambda frame: measures.true_people(frame)[1:])
    assert missed["found"] == 50 and missed["pck_rel"] == 50 and missed["auc_rel"] == pytest.approx(50)


@pytest.mark.parametrize("integrator", [hard, linear])
def test_fusion_without_matching_pairs_by_score(frames: list[measures.RecordedFrame], integrator) -> None:  # type: ignore[no-untyped-def]
    fuse = measures.unmatched_pairs(integrator)
    # Scores agree on who is best, so that here it is right.
    assert measures.pose_row("sorted", frames, fuse)["pck_abs"] == pytest.approx(100)
    for frame in frames:
        fused = fuse(frame)
        assert len(fused) == len(frame.people) and all(pose.source == Source.FUSED for pose in fused)
        assert [pose.score for pose in fused] == sorted((pose.score for pose in frame.top_down), reverse=True)
    # With two people's scores exchanged in one branch, they are mixed up.
    first = frames[0]
    scores = [pose.score for pose in first.bottom_up]
    wrong = [replace(p, score=s) for p, s in zip(first.bottom_up, scores[::-1], strict=True)]
    row = measures.pose_row("mixed", [replace(first, bottom_up=Persons.of(wrong))], fuse)
    assert row["pck_abs"] < 60


def test_fusion_without_matching_keeps_who_is_alone(frames: list[measures.RecordedFrame]) -> None:
    frame = replace(frames[1], bottom_up=frames[1].bottom_up[:1])
    fused = measures.unmatched_pairs(hard)(frame)
    assert [pose.track_id for pose in fused] == [10, 11, 12]
    only = replace(frames[1], top_down=Persons.empty())
    fused = measures.unmatched_pairs(hard)(only)
    best_first = sorted(only.bottom_up, key=lambda pose: -pose.score)
    for pose, own in zip(fused, best_first, strict=True):
        np.testing.assert_allclose(pose.joints_cam, own.joints_cam)
        np.testing.assert_array_equal(pose.keypoints_px, own.keypoints_px)
    assert measures.unmatched_pairs(hard)(frames[2]) == []


def test_pairs_of_a_frame(frames: list[measures.RecordedFrame]) -> None:
    row = pair_row("all", [measures.frame_pairs(frame) for frame in frames])
    assert row["pairs"] == 6 and row["precision"] == 100 and row["recall"] == 100
    pairs = measures.frame_pairs(frames[1])
    assert pairs.top_down.tolist() == [0, 1, 2] and pairs.bottom_up.tolist() == [2, 1, 0]
    far = replace(frames[1], bottom_up=Persons.of(moved(p, (5, 0, 9)) for p in frames[1].bottom_up))
    assert len(measures.frame_pairs(far).top_down) == 0


def crowd(*joints: np.ndarray, down: tuple[float, float, float] = (0, 1, 0)) -> measures.RecordedFrame:
    nobody = next(frame for frame in measures.recorded_frames(recordings()) if len(frame.people) == 0)
    like = next(iter(measures.recorded_frames(recordings()))).top_down[0]
    people = Persons.of(replace(like, joints_cam=one) for one in joints)
    return replace(nobody, down=np.array(down, dtype=np.float64), top_down=people)


def neighbours(*frames: measures.RecordedFrame) -> dict[str, object]:
    return measures.neighbour_row("some", frames, lambda frame: frame.top_down)


def test_neighbours_and_overlaps_are_counted() -> None:
    body = standing(0, 4)
    assert penetration(body, standing(0.1, 4)) > measures.OVERLAP_M and penetration(body, standing(1, 4)) == 0
    apart = neighbours(crowd(body, standing(1, 4), standing(1 + measures.NEIGHBOURS_M, 4.2)))
    assert apart == {"row": "some", "neighbours": 1, "interpenetrating_pct": 0, "implausible_pct": 0}
    three = neighbours(crowd(body, standing(0.1, 4), standing(1.2, 4)), crowd(body))
    assert three["neighbours"] == 3
    assert three["interpenetrating_pct"] == pytest.approx(100 / 3)
    assert three["implausible_pct"] == pytest.approx(100 / 3)


def test_people_who_do_not_stand_on_one_floor_are_implausible() -> None:
    body = standing(0, 4)
    for up, wrong in ((0.3, 0), (0.5, 100), (-0.5, 100)):
        row = neighbours(crowd(body, standing(1, 4, up)))
        assert row["interpenetrating_pct"] == 0 and row["implausible_pct"] == wrong
    # The same seen by a camera that is tilted down: height is along gravity, not along the image.
    tilt = np.array([[1, 0, 0], [0, np.cos(0.6), -np.sin(0.6)], [0, np.sin(0.6), np.cos(0.6)]])
    down = tuple(tilt @ np.array([0.0, 1.0, 0.0]))
    level = crowd(body @ tilt.T, standing(0.5, 5.5) @ tilt.T, down=down)
    assert neighbours(level)["implausible_pct"] == 0
    assert neighbours(replace(level, down=np.array([0.0, 1.0, 0.0])))["implausible_pct"] == 100
    # A pair is counted once, whatever is wrong with it.
    both = neighbours(crowd(body, body + np.array([0.0, -0.45, 0.05])))
    assert both["interpenetrating_pct"] == 100 and both["implausible_pct"] == 100


def test_nobody_near_anybody_has_no_shares(frames: list[measures.RecordedFrame]) -> None:
    row = neighbours(crowd(), crowd(standing(0, 4)))
    assert row["neighbours"] == 0 and row["interpenetrating_pct"] is None and row["implausible_pct"] is None
    truth = measures.neighbour_row("truth", frames, measures.true_people)
    assert truth["neighbours"] == 3 and truth["implausible_pct"] == 0


def test_true_people_are_the_truth(frames: list[measures.RecordedFrame]) -> None:
    for frame in frames:
        people = measures.true_people(frame)
        assert len(people) == len(frame.people)
        for person, pose in enumerate(people):
            np.testing.assert_array_equal(pose.joints_cam, frame.people.joints_cam[person])
            np.testing.assert_array_equal(pose.keypoints_px, frame.people.joints_px[person])
    assert {field.name for field in fields(measures.RecordedFrame)} >= {"people", "down", "true_top_down"}
