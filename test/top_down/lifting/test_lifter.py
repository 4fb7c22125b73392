"""The live lifter against engines whose answer is known, and what it remembers of each track."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from dualpose_ros.camera import Camera, camera_from_hfov, project
from dualpose_ros.inference.engine import LOOKAHEAD_FRAMES, EngineError, TensorSpec
from dualpose_ros.inference.load import load_engine
from dualpose_ros.people import Pose2D
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.lifting.completion import (
    JOINTS_REL,
    LONGEST_GAP_S,
    MIRRORED_VIEW,
    NUM_FEATURES,
    complete,
    mirrored,
    time_feature,
)
from dualpose_ros.top_down.lifting.lifter import Lifter, lookahead_frames
from dualpose_ros.top_down.lifting.person_view import view_person
from dualpose_ros.weights import WeightsEntry, list_weights, weights_path

CAMERA = camera_from_hfov(640, 480, np.radians(70))
STEPS, CHANNELS = 6, 4


def person(seed: int = 0, depth: float = 4.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(0, [0.3, 0.5, 0.25], (17, 3)) + np.array([0.4, 0.1, depth])


def pose_of(joints_cam: np.ndarray, camera: Camera = CAMERA) -> Pose2D:
    return Pose2D(project(camera, joints_cam), np.full(17, 0.9))


class Answer:
    """A lifting network that gives everybody the same answer, counts its calls by track in the memory, and
    remembers its input."""

    def __init__(self, joints: np.ndarray, log_depth_extent: float) -> None:
        self.joints, self.log_depth_extent = joints, log_depth_extent
        self.seen: dict[str, np.ndarray] = {}
        f32 = np.dtype(np.float32)
        self.inputs = {
            "features": TensorSpec("features", f32, ("people", "frames", NUM_FEATURES)),
            "past_features": TensorSpec("past_features", f32, ("people", 2, NUM_FEATURES)),
            "past": TensorSpec("past", f32, ("people", CHANNELS, STEPS)),
        }
        self.outputs = ("joints",)
        self.metadata = {LOOKAHEAD_FRAMES: "0"}

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.seen = {name: np.array(value) for name, value in inputs.items()}
        n = len(inputs["features"])
        known = np.concatenate([inputs["past_features"], inputs["features"]], axis=1)
        return {
            "joints": np.tile(self.joints, (n, 1, 1, 1)).astype(np.float32),
            "log_stddev": np.full((n, 1, 17), np.log(0.05), np.float32),
            "log_depth_extent": np.full((n, 1), self.log_depth_extent, np.float32),
            "log_depth_stddev": np.full((n, 1), np.log(0.1), np.float32),
            "new_past_features": known[:, 1:],
            "new_past": inputs["past"] + 1,
        }


class Completer:
    """A GCN that puts what is missing at (0.5, -0.5) extents and leaves the rest, and knows one 3D pose; of the mirror
    images, the second half of those whom it is given, it says the same, mirrored."""

    def __init__(self, joints_rel: np.ndarray) -> None:
        self.joints_rel = joints_rel
        self.inputs: dict[str, Any] = {}
        self.outputs = ("joints_2d", "log_stddev_2d", "joints_rel")
        self.metadata: dict[str, str] = {}

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        joints = inputs["joints"]
        missing = joints[..., 2:] == 0
        n = len(joints)
        guess = np.repeat(np.array([[0.5, -0.5], [-0.5, -0.5]], np.float32), n // 2, axis=0)[:, None]
        poses = np.tile(self.joints_rel, (n // 2, 1, 1)).astype(np.float32)
        return {
            "joints_2d": np.where(missing, guess, joints[..., :2]),
            "log_stddev_2d": np.full((n, 17), -3.0, np.float32),
            "joints_rel": np.concatenate([poses, mirrored(poses)]),
        }


def lifter(joints: np.ndarray | None = None, log_depth_extent: float = 0.0) -> tuple[Lifter, Answer]:
    engine = Answer(np.zeros((17, 3)) if joints is None else joints, log_depth_extent)
    return Lifter(engine, None), engine


def test_lifted_people_are_where_and_as_the_network_says() -> None:
    truth = person(6)
    view = view_person((truth[:, :2] / truth[:, 2:])[None], np.full((1, 17), 0.9))
    virtual = np.einsum("ab,ka->kb", view.to_camera[0], truth)
    live, _ = lifter(virtual - virtual[0], float(np.log(virtual[0, 2] * view.extent[0])))
    pose = live.update(10**9, CAMERA, [(7, pose_of(truth))])[7]
    np.testing.assert_allclose(pose.joints_cam, truth, atol=1e-5)
    np.testing.assert_allclose(pose.joints_rel, truth - truth[0], atol=1e-5)
    assert pose.root_depth == pytest.approx(truth[0, 2], abs=1e-5)
    assert 0.03 * truth[0, 2] < pose.root_depth_stddev < 0.1 * truth[0, 2]  # the pose's own fit agrees
    np.testing.assert_allclose(pose.joint_stddev, 0.05, rtol=1e-5)


def test_joints_that_are_not_found_are_less_sure() -> None:
    truth = person(6)
    scores = np.full(17, 0.9)
    scores[[3, 10]], scores[6] = 0.0, 0.25
    live, _ = lifter(truth - truth[0])
    seen = Pose2D(pose_of(truth).joints_px, scores)
    stddev = live.update(0, CAMERA, [(1, seen)])[1].joint_stddev
    np.testing.assert_allclose(np.delete(stddev, [3, 6]), 0.05, rtol=1e-5)
    assert stddev[3] == pytest.approx(1.35 * 0.05) and 0.05 < stddev[6] < stddev[3]


def test_distortion_and_resolution_do_not_change_the_input() -> None:
    truth = person(8)
    features = []
    bent = Camera(640, 480, 450.0, 450.0, 320.0, 240.0, (-0.2, 0.05, 0.001, -0.001, 0.0))
    for camera in (CAMERA, CAMERA.resized(1280, 960), bent):
        live, engine = lifter()
        live.update(0, camera, [(1, pose_of(truth, camera))])
        features.append(engine.seen["features"])
    np.testing.assert_allclose(features[1], features[0], atol=1e-5)
    np.testing.assert_allclose(features[2], features[0], atol=1e-4)


def test_each_frame_finds_what_the_one_before_left() -> None:
    live, engine = lifter()
    stamps = [0, 40_000_000, 140_000_000]
    for count, stamp in enumerate(stamps):
        live.update(stamp, CAMERA, [(1, pose_of(person(count)))])
        assert (engine.seen["past"] == count).all()
    remembered = engine.seen["past_features"][0]
    assert remembered[0, -1] == pytest.approx(float(time_feature(np.array(LONGEST_GAP_S))))
    assert remembered[1, -1] == pytest.approx(float(np.log(30 * 0.04)), abs=1e-5)
    assert engine.seen["features"][0, 0, -1] == pytest.approx(float(np.log(30 * 0.1)), abs=1e-5)


def test_a_track_that_was_away_for_long_starts_anew() -> None:
    live, engine = lifter()
    live.update(0, CAMERA, [(1, pose_of(person()))])
    live.update(int(0.9 * LONGEST_GAP_S * 1e9), CAMERA, [(1, pose_of(person()))])
    assert (engine.seen["past"] == 1).all()
    live.update(int(2.1 * LONGEST_GAP_S * 1e9), CAMERA, [(1, pose_of(person()))])
    assert (engine.seen["past"] == 0).all()
    assert (engine.seen["past_features"] == 0).all()


def test_tracks_do_not_mix_and_are_forgotten() -> None:
    live, engine = lifter()
    live.update(0, CAMERA, [(1, pose_of(person(0)))])
    both = [(2, pose_of(person(1))), (1, pose_of(person(0)))]
    assert set(live.update(33_000_000, CAMERA, both)) == {1, 2}
    assert engine.seen["past"][:, 0, 0].tolist() == [0, 1]
    alone, other = lifter()
    alone.update(0, CAMERA, both[:1])
    np.testing.assert_allclose(engine.seen["features"][0], other.seen["features"][0], atol=1e-6)
    live.update(5_000_000_000, CAMERA, both[:1])
    assert set(live._tracks) == {2}


def test_time_that_runs_back_starts_anew() -> None:
    live, engine = lifter()
    live.update(10**9, CAMERA, [(1, pose_of(person(0)))])
    live.update(10**9 - 10**8, CAMERA, [(1, pose_of(person(1)))])
    assert (engine.seen["past"] == 0).all()


def test_joints_not_found_may_hold_anything() -> None:
    joints = project(CAMERA, person())
    scores = np.full(17, 0.9)
    scores[3:6] = 0
    joints[3:6] = np.nan
    live, engine = lifter()
    result = live.update(0, CAMERA, [(1, Pose2D(joints, scores))])
    assert np.all(np.isfinite(engine.seen["features"]))
    assert np.all(np.isfinite(result[1].joints_cam))
    assert live.update(33_000_000, CAMERA, [(2, Pose2D(np.full((17, 2), np.nan), np.zeros(17)))]) == {}
    assert live.update(66_000_000, CAMERA, []) == {}


def test_bad_calls_are_refused_with_a_reason() -> None:
    live, _ = lifter()
    with pytest.raises(ValueError, match="17 joints"):
        live.update(0, CAMERA, [(1, Pose2D(np.zeros((16, 2)), np.ones(16)))])
    with pytest.raises(ValueError, match="given twice"):
        live.update(1, CAMERA, [(2, pose_of(person())), (2, pose_of(person()))])
    with pytest.raises(EngineError, match="no lifting network"):
        Lifter(Completer(np.zeros((17, 3))), None)
    lifting = load_engine(weights_path("lifting"))
    with pytest.raises(
        EngineError, match=r"no network that completes joints \(gcn\): it takes features, past_features"
    ):
        Lifter(lifting, lifting)
    older = load_engine(weights_path("lifting"))
    older.inputs["features"] = older.inputs["features"].fixed((1, 1, 90))
    with pytest.raises(EngineError, match=r"takes features .* not 123"):
        Lifter(older, None)


@pytest.mark.parametrize("frames", [1, 2, 13])
def test_a_network_that_says_that_it_looks_ahead_is_not_live(frames: int) -> None:
    late = Answer(np.zeros((17, 3)), 0.0)
    late.metadata = {LOOKAHEAD_FRAMES: str(frames)}
    with pytest.raises(EngineError, match=f"{frames} frames ahead"):
        Lifter(late, None)
    late.metadata = {LOOKAHEAD_FRAMES: "some"}
    with pytest.raises(EngineError, match="no number"):
        Lifter(late, None)


class Shifted(Answer):
    """A network of before files said so: moves a little what the features hold of so many frames before."""

    def __init__(self, late: int, moved: float = 0.4) -> None:
        super().__init__(np.zeros((17, 3)), 0.0)
        self.metadata, self.late, self.moved = {}, late, moved
        self.inputs["past_features"] = TensorSpec(
            "past_features", np.dtype(np.float32), ("people", max(2, late), NUM_FEATURES)
        )

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        known = np.concatenate([inputs["past_features"], inputs["features"]], axis=1)
        first = known.shape[1] - inputs["features"].shape[1] - self.late
        held = known[:, first : first + inputs["features"].shape[1], JOINTS_REL]
        return {"joints": held.reshape(*held.shape[:2], 17, 3) + np.float32(self.moved)}


@pytest.mark.parametrize("late", [0, 1, 2, 3, 13, 121])
def test_a_file_that_does_not_say_how_far_it_looks_ahead_is_asked(late: int) -> None:
    assert lookahead_frames(Shifted(late)) == late
    with pytest.raises(EngineError, match="does not say"):
        lookahead_frames(Shifted(late, moved=40.0))


@pytest.mark.parametrize(
    "entry", [e for e in list_weights() if "lifting" in e.name or "window_" in e.name], ids=lambda e: e.name
)
def test_networks_that_ship_are_live_but_for_the_centred_one(entry: WeightsEntry) -> None:
    assert lookahead_frames(load_engine(weights_path(entry.name))) == 0


def test_the_centred_network_that_ships_looks_half_its_window_ahead() -> None:
    with pytest.raises(EngineError, match="13 frames ahead"):
        Lifter(load_engine(weights_path("baseline_centred_27")), None)


def test_completed_joints_lie_where_the_gcn_says_in_the_camera() -> None:
    truth = person(11)
    rays = (truth[:, :2] / truth[:, 2:])[None]
    scores = np.full((1, 17), 0.8)
    scores[0, [3, 13]] = 0
    pose_3d = np.random.default_rng(0).normal(0, 0.3, (17, 3))
    found, done = view_person(rays, scores), complete(rays, scores, Completer(pose_3d))
    seen = scores[0] > 0
    there = done.view.to_camera[0] @ np.concatenate([done.view.rays[0], np.ones((17, 1))], axis=1).T
    np.testing.assert_allclose((there[:2] / there[2]).T[seen], rays[0][seen], atol=1e-5)
    middle = np.concatenate([np.tile([0.5, -0.5], (2, 1)) * found.extent[0], np.ones((2, 1))], axis=1)
    expected = (found.to_camera[0] @ middle.T).T
    np.testing.assert_allclose((there[:2] / there[2]).T[~seen], expected[:, :2] / expected[:, 2:], atol=1e-5)
    # The same 3D pose, told along the axes of the new view.
    told = done.features[0, JOINTS_REL].reshape(17, 3) @ done.view.to_camera[0].T
    np.testing.assert_allclose(told, pose_3d @ found.to_camera[0].T, atol=1e-5)
    np.testing.assert_array_equal(done.view.confidence[0] > 0, seen)


def test_a_mirror_image_is_completed_to_the_mirror_image() -> None:
    """By a GCN that ships, which does not treat both sides alike."""
    rng = np.random.default_rng(12)
    rays, scores = rng.normal(0, 0.2, (3, 17, 2)), rng.uniform(0.1, 1, (3, 17))
    scores[:, [3, 13]] = 0
    gcn = load_engine(weights_path("gcn"))
    found = view_person(rays, scores)
    alone = gcn.run({"joints": np.stack([found.joints_found(), mirrored(found.joints_found())])[:, 0],
                     "view": np.stack([found.features()[0], found.features()[0] * MIRRORED_VIEW])})  # fmt: skip
    assert np.abs(mirrored(alone["joints_rel"][1:]) - alone["joints_rel"][:1]).max() > 1e-3
    done = complete(rays, scores, gcn).features
    other = complete(mirrored(rays.astype(np.float32)), scores[:, list(H36M17.mirror)], gcn).features
    for part in (slice(0, 34), JOINTS_REL):
        shape = (3, 17, -1)
        np.testing.assert_allclose(mirrored(other[:, part].reshape(shape)), done[:, part].reshape(shape), atol=1e-4)


def test_without_a_gcn_nothing_is_made_up() -> None:
    rays = np.random.default_rng(0).normal(0, 0.2, (1, 17, 2))
    scores = np.full((1, 17), 0.8)
    scores[0, 5] = 0
    done = complete(rays, scores, None)
    assert (done.features[0, 10:12] == 0).all()
    assert (done.features[0, JOINTS_REL] == 0).all()
