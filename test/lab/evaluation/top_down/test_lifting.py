"""Passages of clips through networks whose answer is known: what is counted, hidden, and late."""

from collections.abc import Mapping

import numpy as np
import pytest

from dualpose_ros.datasets.joint_errors import JointErrors
from dualpose_ros.datasets.motion import Clip
from dualpose_ros.inference.engine import LOOKAHEAD_FRAMES, EngineError, TensorSpec
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.evaluation.top_down import lifting as evaluation
from dualpose_ros.skeleton import H36M17, K
from dualpose_ros.top_down.lifting.completion import NUM_FEATURES
from dualpose_ros.top_down.lifting.lifter import UNSEEN_STDDEV_SCALE
from dualpose_ros.top_down.lifting.person_view import view_person
from dualpose_ros.weights import weights_path

F32 = np.dtype(np.float32)


def clip(seconds: float = 6.0, seed: int = 0) -> Clip:
    """Somebody whose joints swing about their places while they walk."""
    rng = np.random.default_rng(seed)
    times = np.arange(int(seconds * 60)) / 60
    rest = rng.normal(0, [0.2, 0.4, 0.2], (K, 3)) + np.array([0, 1, 0])
    swing = 0.1 * np.sin(2 * times[:, None, None] + rng.uniform(0, 6, (K, 3)))
    return Clip("walk", (rest + swing + np.array([0.3, 0, 0]) * times[:, None, None]).astype(np.float32), 60.0)


class Oracle:
    """A lifting network that knows the true passages, and answers `late` frames late with an error of its own."""

    def __init__(self, passages: evaluation.Passages, late: int = 0, error: float = 0.0, stddev: float = 0.05) -> None:
        n, t = passages.scores.shape[:2]
        flat = passages.joints_cam.reshape(-1, K, 3)
        view = view_person(flat[..., :2] / flat[..., 2:], np.ones((n * t, K)))
        virtual = np.einsum("nab,nka->nkb", view.to_camera, flat)
        rel = (virtual - virtual[:, :1]).reshape(n, t, K, 3)
        noise = np.random.default_rng(1).normal(0, error, rel.shape)
        noise[:, :, 0] = 0
        depth = np.log(virtual[:, 0, 2] * view.extent).reshape(n, t)
        answer = {"joints": rel + noise, "log_depth_extent": depth}
        self.answer = {name: np.roll(value, late, axis=1).astype(np.float32) for name, value in answer.items()}
        self.answer["log_stddev"] = np.full((n, t, K), np.log(stddev), np.float32)
        self.answer["log_depth_stddev"] = np.full((n, t), np.log(0.01), np.float32)
        self.inputs = {
            "features": TensorSpec("features", F32, ("n", "t", NUM_FEATURES)),
            "past_features": TensorSpec("past_features", F32, ("n", max(2, late), NUM_FEATURES)),
            "past": TensorSpec("past", F32, ("n", 4, 6)),
        }
        self.outputs = tuple(self.answer)
        self.metadata = {LOOKAHEAD_FRAMES: str(late)}

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert inputs["past"].shape == (len(inputs["features"]), 4, 6)
        return self.answer


@pytest.fixture(scope="module")
def passages() -> evaluation.Passages:
    return evaluation.film_clips([clip(), clip(1.0), clip(7.0, 2)], seed=3, views=4)


def test_passages_are_filmed_from_the_asked_distance_and_project_onto_their_rays(passages: evaluation.Passages) -> None:
    assert passages.joints_cam.shape == (12, evaluation.LONGEST_PASSAGE, K, 3)
    assert passages.frames.tolist() == [150] * 4 + [30] * 4 + [150] * 4
    assert not passages.counted[4:8].any()  # too short to have a history
    np.testing.assert_allclose(passages.rays, passages.joints_cam[..., :2] / passages.joints_cam[..., 2:])
    distance = np.linalg.norm(passages.joints_cam[:, :, 0].mean(axis=1), axis=1)
    assert distance.min() > 2 and distance.max() < 9
    head, foot = passages.joints_cam[..., 1].min(axis=2), passages.joints_cam[..., 1].max(axis=2)
    assert (foot > head).all()


def test_tilted_cameras_look_down_and_lean_as_far_as_they_may() -> None:
    rng, world = np.random.default_rng(0), np.tile([0.0, 1.0, 0.0], (5, K, 1))
    tilt = evaluation.Tilt(elevation_deg=(-10.0, 35.0), roll_deg=30.0, aside_deg=(0.0, 0.0))
    cameras = [evaluation._camera(world, tilt, rng) for _ in range(400)]
    down = np.degrees([np.arcsin(-rotation[2, 1]) for rotation, _ in cameras])
    assert -10.5 < down.min() < -5 and 30 < down.max() < 35.5
    lean = np.degrees([np.arctan2(rotation[0, 1], -rotation[1, 1]) for rotation, _ in cameras])
    assert -30.5 < lean.min() < -25 and 25 < lean.max() < 30.5
    distance = [np.linalg.norm(rotation @ world[0, 0] + shift) for rotation, shift in cameras]
    assert min(distance) > 2 and max(distance) < 9


@pytest.mark.parametrize("late", [0, 1, 2, 13])
def test_a_network_that_knows_the_truth_has_no_error(passages: evaluation.Passages, late: int) -> None:
    measured = evaluation.lift_passages(passages, Oracle(passages, late), None)
    row = evaluation.error_row(measured)
    assert max(row[name] for name in ("mpjpe_mm", "pa_mpjpe_mm", "root_depth_pct", "learned_pct", "fitted_pct")) < 0.05
    assert len(measured.joints_cam) == 8 * (150 - evaluation.FIRST_COUNTED - evaluation.AHEAD)


def test_errors_and_shares_are_those_that_were_put_in(passages: evaluation.Passages) -> None:
    measured = evaluation.lift_passages(passages, Oracle(passages, error=0.05, stddev=0.05), None)
    # The mean length of a 3D Gaussian is 1.596 sigma; the pelvis has no error.
    assert evaluation.error_row(measured)["mpjpe_mm"] == pytest.approx(50 * 1.596 * 16 / 17, rel=0.03)
    joints = evaluation.sigma_rows("exact", measured)[0]
    assert joints["within_1_sigma"] == pytest.approx(0.683, abs=0.01)
    assert joints["within_2_sigma"] == pytest.approx(0.954, abs=0.01)


def test_hidden_joints_are_neighbours_and_as_many_as_asked(passages: evaluation.Passages) -> None:
    hidden = evaluation.with_hidden(passages, 0.4, seed=1)
    assert ((hidden.scores == 0).sum(axis=2) == 7).all()
    for joints in {tuple(np.flatnonzero(frame == 0)) for frame in hidden.scores.reshape(-1, K)}:
        links = [(p, c) for p, c in H36M17.bones if p in joints and c in joints]
        assert len(links) == len(joints) - 1  # a tree in one piece
    spells = (np.diff(hidden.scores, axis=1) != 0).any(axis=2).sum(axis=1)
    assert spells.max() < evaluation.LONGEST_PASSAGE / evaluation.SPELL_FRAMES
    assert (evaluation.with_hidden(passages, 0.0, seed=1).scores == 1).all()


def test_noise_is_that_of_the_errors_given(passages: evaluation.Passages) -> None:
    everything = np.ones((3, K), bool)
    errors = JointErrors(np.full((3, K, 2), 0.03, np.float32), np.full((3, K), 0.7, np.float32), everything, everything)
    noisy = evaluation.with_noise(passages, errors, seed=0)
    size = np.ptp(passages.rays, axis=2).max(axis=2)[..., None, None]
    moved = (noisy.rays - passages.rays) / size
    assert np.median(np.abs(moved[..., 1])) == pytest.approx(0.03, abs=0.002)
    assert np.allclose(noisy.scores, 0.7)


def test_all_the_history_that_a_window_holds_is_as_good_as_all_there_is(passages: evaluation.Passages) -> None:
    """Of the network that ships, whose window of 27 reaches 26 frames back; less of it changes the answer."""
    lifting, gcn = (load_engine(weights_path(name)) for name in ("lifting", "gcn"))
    whole = evaluation.lift_passages(passages, lifting, gcn)
    enough = evaluation.lift_passages(passages, lifting, gcn, evaluation.FIRST_COUNTED)
    np.testing.assert_allclose(enough.people.joints_rel, whole.people.joints_rel, atol=1e-4)
    np.testing.assert_allclose(enough.people.root_cam, whole.people.root_cam, atol=1e-3)
    born = evaluation.lift_passages(passages, lifting, gcn, 0)
    assert np.abs(born.people.joints_rel - whole.people.joints_rel).max() > 0.01
    assert (born.joints_cam == whole.joints_cam).all()


def test_tracks_just_born_are_not_asked_of_a_network_that_looks_ahead(passages: evaluation.Passages) -> None:
    with pytest.raises(EngineError, match="2 frames ahead"):
        evaluation.lift_passages(passages, Oracle(passages, 2), None, history=3)


def test_another_network_is_refused() -> None:
    network = Oracle(evaluation.film_clips([clip()], seed=3, views=1))
    network.inputs = {"patches": TensorSpec("patches", F32, (1,))}
    with pytest.raises(EngineError, match="no lifting network"):
        evaluation.empty_memory(network, 1)


def test_a_part_that_is_never_seen_is_measured_by_itself(passages: evaluation.Passages) -> None:
    seen, hidden = evaluation.without_part(passages, "legs, below a table")
    names = [name for name, gone in zip(H36M17.joint_names, hidden, strict=True) if gone]
    assert sorted(names) == ["left_ankle", "left_knee", "right_ankle", "right_knee"]
    assert (seen.scores[..., hidden] == 0).all() and (seen.scores[..., ~hidden] == 1).all()
    oracle = Oracle(passages, error=0.05, stddev=0.05)
    oracle.answer["joints"][:, :, hidden] += np.float32(0.4)
    row = evaluation.part_row("legs", evaluation.lift_passages(seen, oracle, None), hidden)
    assert row["seen_mm"] < 90 and row["unseen_mm"] > 600
    assert row["stated_mm"] == pytest.approx(1000 * 0.05 * UNSEEN_STDDEV_SCALE[hidden].mean())
    assert row["within_2_sigma"] == 0
