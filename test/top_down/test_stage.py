from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from dualpose_ros.arrays import AnyArray, AnyFloats, Floats
from dualpose_ros.camera import Camera, camera_from_hfov
from dualpose_ros.heatmap import find_peaks
from dualpose_ros.inference.engine import EngineError, TensorSpec
from dualpose_ros.people import Pose2D, Source, Track, TrackingState
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.floor import FloorConfig
from dualpose_ros.top_down.identities import FIRST_STRANGER
from dualpose_ros.top_down.lifting.lifter import LiftedPose
from dualpose_ros.top_down.stage import RootVelocities, TopDownConfig, TopDownStage, absolute_stddev
from dualpose_ros.top_down.sway import rotation
from support import people_maps as maps

K = H36M17.num_joints
CAMERA = camera_from_hfov(640, 480, 1.0)
IMAGE = np.zeros((480, 640, 3), np.uint8)


class IdealNetwork:
    """Answers with the maps of known people of the image, for patches around known boxes."""

    # The protocol asks for a plain attribute.
    inputs: dict[str, TensorSpec] = {"patches": TensorSpec("patches", np.dtype(np.uint8), ("N", 256, 256, 3))}  # noqa: RUF012
    outputs: tuple[str, ...] = ("heatmaps", "tags")
    metadata: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, people: Sequence[AnyFloats], boxes: Sequence[AnyFloats]) -> None:
        self.people, self.boxes, self.runs = people, boxes, 0

    def run(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        assert inputs["patches"].dtype == np.uint8 and inputs["patches"].shape[1:] == (256, 256, 3)
        first, self.runs = self.runs, self.runs + len(inputs["patches"])
        answers = []
        for box in self.boxes[first : self.runs]:
            side = 1.25 * max(box[2] - box[0], box[3] - box[1])
            corner = (box[:2] + box[2:]) / 2 - side / 2
            placed = [(joints - corner) * 256 / side - 0.5 for joints in self.people]
            answers.append(maps.ideal_maps(placed, [3.0 * i for i in range(len(placed))]))
        heatmaps, tags = zip(*answers, strict=True)
        return {"heatmaps": np.stack(heatmaps), "tags": np.stack(tags)}


class KnownLifter:
    """Answers with a root on the pelvis's ray, 3 m + the id away; ids under 0 can't be lifted."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, list[int]]] = []

    def update(self, stamp_ns: int, camera: Camera, poses: Sequence[tuple[int, Pose2D]], /) -> dict[int, LiftedPose]:
        self.calls.append((stamp_ns, [track_id for track_id, _ in poses]))
        ray = {i: (p.joints_px[0] - (camera.cx, camera.cy)) / camera.fx for i, p in poses}
        rel = np.random.default_rng(0).normal(0, 0.4, (K, 3))
        return {i: LiftedPose(rel, np.full(K, 0.05), 3.0 + i, 0.2, ray[i]) for i, _ in poses if i >= 0}


def track(track_id: int, joints: Floats, state: TrackingState = TrackingState.CONFIRMED) -> Track:
    return Track(track_id, state, maps.figure_box(joints), 0.9)


def stage_for(people: list[Any], tracks: list[Track], **settings: Any) -> tuple[TopDownStage, KnownLifter]:
    lifter = KnownLifter()
    network = IdealNetwork(people, [t.box_px for t in tracks])
    # The network answers patch by patch, and knows of no mirrored ones.
    given = {"floor": FloorConfig(enabled=False), "flip_test_people": 0, **settings}
    return TopDownStage(TopDownConfig(**given), network, lifter), lifter


def test_tracked_people_come_out_with_their_joints_ids_and_states() -> None:
    left, right = maps.figure(200, 100, 240), maps.figure(290, 110, 230)
    tracks = [track(4, left), track(7, right, TrackingState.TENTATIVE)]
    stage, _ = stage_for([left, right], tracks)
    result = stage.process(IMAGE, 10, CAMERA, tracks)
    assert [(p.track_id, p.state, p.source) for p in result.persons] == [
        (4, TrackingState.CONFIRMED, Source.TOP_DOWN),
        (7, TrackingState.TENTATIVE, Source.TOP_DOWN),
    ]
    for person, truth in zip(result.persons, (left, right), strict=True):
        assert np.abs(person.keypoints_px - truth).max() < 1.5
        assert person.score > 0.8 and person.joint_scores.shape == (K,)
        depth = 3.0 + person.track_id
        root = [*((person.keypoints_px[0] - (CAMERA.cx, CAMERA.cy)) / CAMERA.fx * depth), depth]
        rel = np.random.default_rng(0).normal(0, 0.4, (K, 3))
        assert np.allclose(person.joints_cam, rel + root)
        assert (person.joint_stddev > 0.2).all()


def test_combined_heatmaps_show_all_people_in_image_coordinates() -> None:
    left, right = maps.figure(120, 80, 240), maps.figure(480, 150, 260)
    tracks = [track(0, left), track(1, right)]
    stage, _ = stage_for([left, right], tracks)
    heatmaps = stage.process(IMAGE, 0, CAMERA, tracks).heatmaps
    assert heatmaps.channels == H36M17.joint_names and heatmaps.data.shape == (K, 120, 160)
    for k in (0, 10, 13):
        peaks = find_peaks(heatmaps.data[k : k + 1] * heatmaps.scale, 0.5)
        at = peaks.xy @ heatmaps.to_image[:, :2].T + heatmaps.to_image[:, 2]
        for truth in (left[k], right[k]):
            assert np.linalg.norm(at - truth, axis=1).min() < 1.5


def test_heatmaps_are_given_before_poses_are_read() -> None:
    left = maps.figure(200, 100, 240)
    stage, lifter = stage_for([left], [track(4, left)])
    lifts, events = lifter.update, list[Any]()

    def lift(stamp_ns: int, camera: Camera, poses: Any) -> Any:
        events.append("lift")
        return lifts(stamp_ns, camera, poses)

    lifter.update = lift  # type: ignore[method-assign]
    result = stage.process(IMAGE, 0, CAMERA, [track(4, left)], events.append)
    assert events[0] is result.heatmaps and events[1:] == ["lift"]


def test_heatmaps_that_are_nan_are_not_given() -> None:
    left = maps.figure(200, 100, 240)
    stage, _ = stage_for([left], [track(4, left)])
    run = stage._estimator.engine.run

    def broken(inputs: Any) -> Any:
        answers = run(inputs)
        return {**answers, "heatmaps": np.full_like(answers["heatmaps"], np.nan)}

    stage._estimator.engine.run = broken  # type: ignore[method-assign]
    given: list[Any] = []
    with pytest.raises(ValueError, match="NaN"):
        stage.process(IMAGE, 0, CAMERA, [track(4, left)], given.append)
    assert not given


def test_people_whom_no_track_owns_come_out_where_they_are_wanted() -> None:
    """Somebody within another's patch, whom the detector finds later: one id from the first frame on."""
    left, right = maps.figure(200, 100, 240), maps.figure(290, 110, 230)
    tracks = [track(4, left)]
    alone, _ = stage_for([left, right], tracks)
    assert [p.track_id for p in alone.process(IMAGE, 0, CAMERA, tracks).persons] == [4]
    later = [*tracks, track(5, right)]
    stage, _ = stage_for([left, right], [*tracks, *tracks, *later], others_min_score=0.4)
    found = [stage.process(IMAGE, n * 10**8, CAMERA, tracks if n < 2 else later).persons for n in range(3)]
    for persons in found:
        assert [p.track_id for p in persons] == [4, FIRST_STRANGER]
        for person, truth in zip(persons, (left, right), strict=True):
            assert np.median(np.linalg.norm(person.keypoints_px - truth, axis=1)) < 1
    assert found[0][1].state == TrackingState.TENTATIVE and found[2][1].state == TrackingState.CONFIRMED


def test_joints_outside_the_image_are_not_seen() -> None:
    cut = maps.figure(300, 330, 240)
    stage, _ = stage_for([cut], [track(1, cut)])
    (person,) = stage.process(IMAGE, 0, CAMERA, [track(1, cut)]).persons
    seen = cut[:, 1] < 479.5
    assert 0 < seen.sum() < K
    np.testing.assert_array_equal(person.joint_scores > 0, seen)


def test_somebody_found_on_a_coasting_track_is_seen_and_one_with_nobody_there_left_out() -> None:
    left = maps.figure(200, 100, 240)
    gone = track(9, maps.figure(500, 120, 200), TrackingState.COASTING)
    tracks = [track(4, left, TrackingState.COASTING), gone]
    stage, lifter = stage_for([left], tracks)
    result = stage.process(IMAGE, 10, CAMERA, tracks)
    assert [(p.track_id, p.state) for p in result.persons] == [(4, TrackingState.CONFIRMED)]
    assert lifter.calls == [(10, [4])]


def test_of_whom_the_detector_is_sure_fewer_joints_are_asked_for() -> None:
    close_up = maps.figure(200, 100, 240)
    close_up[[*range(8), 13, 15, 16]] += 5000
    top, width = close_up[10, 1] - 20, np.ptp(close_up[[11, 14], 0])
    box = np.array([close_up[10, 0] - width, top, close_up[10, 0] + width, close_up[12, 1] + 20])

    def found(score: float, state: TrackingState, **settings: Any) -> int:
        known = Track(4, state, box, score)
        stage, _ = stage_for([close_up], [known], **{"min_score": 0.7, **settings})
        return len(stage.process(IMAGE, 0, CAMERA, [known]).persons)

    # Head and shoulders are as many joints as anybody needs.
    assert found(0.5, TrackingState.CONFIRMED) == found(0.9, TrackingState.COASTING) == 1
    close_up[[8, 12]] += 5000
    assert found(0.9, TrackingState.CONFIRMED) == found(0.9, TrackingState.TENTATIVE) == 1
    assert found(0.5, TrackingState.CONFIRMED) == found(0.9, TrackingState.COASTING) == 0
    assert found(0.9, TrackingState.CONFIRMED, detection_gain=0.0) == 0
    assert [found(score, TrackingState.CONFIRMED, min_score=0.95) for score in (1.0, 90.0)] == [0, 0]
    whole = maps.figure(200, 100, 240)
    unknown = Track(4, TrackingState.CONFIRMED, maps.figure_box(whole), float("nan"))
    assert len(stage_for([whole], [unknown])[0].process(IMAGE, 0, CAMERA, [unknown]).persons) == 1


def test_no_tracks_still_give_heatmaps_and_tell_the_lifter() -> None:
    stage, lifter = stage_for([], [])
    result = stage.process(IMAGE, 5, CAMERA, [])
    assert len(result.persons) == 0 and result.heatmaps.data.shape == (K, 120, 160) and result.heatmaps.data.max() == 0
    assert lifter.calls == [(5, [])]


def test_only_the_best_tracks_are_run_and_bad_boxes_are_skipped() -> None:
    people = [maps.figure(100 + 150 * i, 100, 240) for i in range(3)]
    states = (TrackingState.TENTATIVE, TrackingState.CONFIRMED, TrackingState.CONFIRMED)
    tracks = [track(i, p, s) for i, (p, s) in enumerate(zip(people, states, strict=True))]
    absurd = ([0, 0, np.nan, 9.0], [5.0, 5, 5, 9], [-1e300, 0, 1e300, 1], [0, 0, 1e-9, 1e-9], [1e9, 0, 1e9 + 9, 9])
    broken = [Track(8, TrackingState.CONFIRMED, np.array(b), 1.0) for b in absurd]
    stage, lifter = stage_for(people, tracks[1:], max_people=2)
    stage.process(IMAGE, 0, CAMERA, [*broken, *tracks])
    assert lifter.calls == [(0, [1, 2])]


def test_people_who_cannot_be_lifted_are_left_out() -> None:
    left = maps.figure(200, 100, 240)
    stage, _ = stage_for([left], [track(-1, left)])
    assert len(stage.process(IMAGE, 0, CAMERA, [track(-1, left)]).persons) == 0


def test_two_tracks_on_one_person_put_out_one_and_keep_its_id() -> None:
    left = maps.figure(200, 100, 240)
    both = [track(4, left), Track(5, TrackingState.CONFIRMED, maps.figure_box(left) + np.array([8, 0, 30, -60]), 0.6)]
    stage, _ = stage_for([left], [both[0], *both, both[1]])
    ids = [
        [person.track_id for person in stage.process(IMAGE, stamp * 50_000_000, CAMERA, tracks).persons]
        for stamp, tracks in enumerate([both[:1], both, both[1:]])
    ]
    assert ids == [[4], [4], [4]]


class EverybodyIsAverage:
    """Knows what people look like, but puts all of them at the depth of a person of average size."""

    def __init__(self, people: list[Floats], sizes: Floats) -> None:
        self.people = [joints / size for joints, size in zip(people, sizes, strict=True)]

    def update(self, stamp_ns: int, camera: Camera, poses: Sequence[tuple[int, Pose2D]], /) -> dict[int, LiftedPose]:
        joints = {i: self.people[i] for i, _ in poses}
        return {
            i: LiftedPose(j - j[0], np.full(K, 0.05), j[0, 2], 0.08 * j[0, 2], j[0, :2] / j[0, 2])
            for i, j in joints.items()
        }


def test_people_on_one_floor_get_the_sizes_that_put_them_there() -> None:
    sizes = np.array([0.94, 1.06, 0.97, 1.03])
    people = []
    for size, x, depth in zip(sizes, (-1.3, -0.5, 0.9, 2.2), (3.0, 4.2, 5.0, 6.5), strict=True):
        flat = (maps.figure(0, 0, 100) - maps.figure(0, 0, 100)[0]) / 100 * 1.7 * size
        joints = np.column_stack([flat, np.zeros(K)]) + np.array([x, 0.0, depth])
        people.append(joints + np.array([0.0, 1.1 - joints[:, 1].max(), 0.0]))
    seen = [joints[:, :2] / joints[:, 2:] * CAMERA.fx + (CAMERA.cx, CAMERA.cy) for joints in people]
    tracks = [track(i, joints) for i, joints in enumerate(seen)]
    network = IdealNetwork(seen, [t.box_px for t in tracks] * 40)
    stage = TopDownStage(TopDownConfig(flip_test_people=0), network, EverybodyIsAverage(people, sizes))
    errors = []
    for k in range(40):
        persons = stage.process(IMAGE, k * 250_000_000, CAMERA, tracks).persons
        assert len(persons) == 4
        errors.append([person.joints_cam[0, 2] / people[person.track_id][0, 2] - 1 for person in persons])
    # Four people who never move leave some of it to the floor's tilt.
    assert np.abs(errors[-1]).mean() < 0.5 * np.abs(1 / sizes - 1).mean()


def test_velocity_follows_a_steady_walk_and_forgets() -> None:
    velocities = RootVelocities(0.3)
    for step in range(60):
        now = step * 33_000_000
        found = velocities.update(1, now, np.array([0.5, 0.0, -1.2]) * now * 1e-9 + (1, 2, 3))
        velocities.forget(now)
    assert np.allclose(found, [0.5, 0, -1.2], atol=0.01)
    assert np.array_equal(velocities.update(1, now + 2_000_000_000, np.zeros(3)), np.zeros(3))
    assert np.array_equal(velocities.update(1, 0, np.ones(3)), np.zeros(3))


def test_deviation_is_the_root_mean_square_of_both_parts() -> None:
    """Against random draws of joint and depth errors."""
    rng = np.random.default_rng(0)
    ray = np.array([0.4, -0.2])
    lifted = LiftedPose(np.zeros((K, 3)), np.full(K, 0.06), 4.0, 0.25, ray)
    depth_error = rng.normal(0, 0.25, 200_000)[:, None] * np.array([0.4, -0.2, 1.0])
    along = np.sqrt((depth_error**2).sum(axis=1).mean() + 0.06**2)
    assert absolute_stddev(lifted) == pytest.approx(along, rel=0.01)


def test_wrong_images_and_networks_are_refused() -> None:
    left = maps.figure(200, 100, 240)
    stage, _ = stage_for([left], [track(0, left)])
    with pytest.raises(ValueError, match="RGB image"):
        stage.process(np.zeros((480, 640), np.uint8), 0, CAMERA, [])
    with pytest.raises(ValueError, match="640x480"):
        stage.process(np.zeros((100, 100, 3), np.uint8), 0, CAMERA, [])

    class OtherNetwork(IdealNetwork):
        def run(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
            return {"centre": np.zeros((1, 1))}

    other = TopDownStage(TopDownConfig(), OtherNetwork([], []), KnownLifter())
    with pytest.raises(EngineError, match="no top-down network"):
        other.process(IMAGE, 0, CAMERA, [track(0, left)])


@pytest.mark.parametrize(("settings", "most"), [({}, 8), ({"max_people": 3}, 3)])
def test_warming_up_is_for_each_number_of_patches(settings: dict[str, int], most: int) -> None:
    figure = maps.figure(200, 100, 240)
    counts: list[int] = []
    stage, lifter = stage_for([figure], [track(n, figure) for n in range(40)], **settings)
    network: Any = stage._estimator.engine
    run = network.run

    def counted(inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        counts.append(len(inputs["patches"]))
        answer: dict[str, AnyArray] = run(inputs)
        return answer

    network.run = counted
    while stage.warm_up():
        pass
    assert sorted(counts) == list(range(1, most + 1)) and not lifter.calls


def test_feet_are_told_to_the_floor_without_the_camera_s_sway(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = maps.figure(200, 100, 240)
    tracks = [track(4, figure)]
    feet: list[Floats] = []
    for turn in (np.eye(3), rotation(0.1, 0.0)):
        stage, _ = stage_for([figure], tracks, floor=FloorConfig())
        monkeypatch.setattr(stage._sway, "update", lambda *_, turn=turn: turn)
        monkeypatch.setattr(stage._floor, "add", lambda _, feet_by_id: feet.append(feet_by_id[4]))
        stage.process(IMAGE, 0, CAMERA, tracks)
    np.testing.assert_allclose(feet[1], rotation(0.1, 0.0) @ feet[0])
