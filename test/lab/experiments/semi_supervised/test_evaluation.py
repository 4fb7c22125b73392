"""Recorded tracks lifted and fused anew: as the live stages do it, and what the rows of Table 4 come to."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dualpose_ros.datasets.recordings import Recordings, camera_of
from dualpose_ros.fusion.integrate import linear
from dualpose_ros.fusion.matching import match_poses
from dualpose_ros.fusion.stage import FusionStage
from dualpose_ros.inference.engine import Engine, EngineError
from dualpose_ros.inference.export import export_onnx
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.evaluation.fusion.measures import COLUMNS, pose_row, recorded_frames, staged
from dualpose_ros.lab.experiments.semi_supervised import evaluation
from dualpose_ros.lab.training.fusion.pair_rows import pair_rows
from dualpose_ros.lab.training.lifting.task import LiftingTask, LiftingTraining
from dualpose_ros.people import Pose2D
from dualpose_ros.top_down.lifting.completion import LONGEST_GAP_S
from dualpose_ros.top_down.lifting.lifter import Lifter
from dualpose_ros.top_down.lifting.network import LiftingConfig, TemporalLifter
from dualpose_ros.top_down.stage import absolute_stddev
from support import made_recordings as made


@pytest.fixture(scope="module")
def recordings() -> Recordings:
    """Two sequences of six frames; somebody is not seen for two of them, somebody else for longer than a track lives,
    and two people take each other's place in the list."""
    found: Recordings = made.made_recordings(np.random.default_rng(0), 2, 6)
    frames = found.frames
    stamps = np.tile([0, 0.1, 0.2, 0.3, 0.4, 0.5 + LONGEST_GAP_S], 2)
    track = (10 + found.truth.person[found.top_down.truth]).astype(np.int32)
    kept = ~((track == 11) & np.isin(found.top_down.frame, (2, 3)))
    columns = {f.name: getattr(found.top_down, f.name)[kept] for f in dataclasses.fields(found.top_down)}
    top_down = dataclasses.replace(found.top_down, **{**columns, "track": track[kept]})
    rows = np.flatnonzero(top_down.frame == 1)
    swapped = np.arange(len(top_down.frame))
    swapped[rows] = rows[::-1]
    columns = {f.name: getattr(top_down, f.name)[swapped] for f in dataclasses.fields(top_down)}
    return dataclasses.replace(
        found,
        frames=dataclasses.replace(frames, stamp_s=stamps, level=frames.sequence == 0),
        top_down=dataclasses.replace(top_down, **columns),
    )


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A lifting network of random weights, which remembers."""
    torch.manual_seed(0)
    config = LiftingConfig(window=9, channels=12, hidden=16, blocks=1, dropout=0.0)
    model = TemporalLifter(config)
    torch.nn.init.normal_(model.head.weight, std=0.05)
    path = tmp_path_factory.mktemp("lifting") / "lifting.onnx"
    export_onnx(model, LiftingTask(LiftingTraining(network=config)).export_spec(), path)
    return load_engine(path)


def test_tracks_are_split_where_the_live_stage_starts_anew(recordings: Recordings) -> None:
    rows, top_down = evaluation.track_rows(recordings), recordings.top_down
    assert sorted(rows[rows >= 0].tolist()) == list(range(len(top_down.frame)))
    # Each track's last frame comes after a gap that is too long; one track of the first sequence lacks two frames.
    assert sorted((rows >= 0).sum(axis=1).tolist()) == sorted([5, 1, 3, 1, 5, 1, 5, 1, 5, 1, 5, 1])
    for row in rows:
        own = row[row >= 0]
        assert len(set(top_down.track[own].tolist())) == 1 and (np.diff(top_down.frame[own]) > 0).all()


def test_tracks_are_lifted_as_the_live_stage_lifts_them(recordings: Recordings, engine: Engine) -> None:
    lifted = evaluation.relifted(recordings, engine).top_down
    given, frames = recordings.top_down, recordings.frames
    assert not np.allclose(lifted.joints_cam, given.joints_cam, atol=0.05)
    for sequence in range(2):
        live = Lifter(engine, None)
        for frame in np.flatnonzero(frames.sequence == sequence):
            rows = np.flatnonzero(given.frame == frame)
            poses = [(int(given.track[r]), Pose2D(given.keypoints_px[r], given.joint_scores[r])) for r in rows]
            answer = live.update(round(frames.stamp_s[frame] * 1e9), camera_of(recordings, int(frame)), poses)
            for row in rows:
                pose = answer[int(given.track[row])]
                np.testing.assert_allclose(lifted.joints_cam[row], pose.joints_cam, atol=2e-3)
                np.testing.assert_allclose(lifted.joint_stddev[row], absolute_stddev(pose), rtol=2e-3)


def test_only_the_top_down_poses_change(recordings: Recordings, engine: Engine) -> None:
    lifted = evaluation.relifted(recordings, engine)
    assert lifted.bottom_up is recordings.bottom_up and lifted.truth is recordings.truth
    for name in ("frame", "track", "truth", "joint_scores", "score", "keypoints_px"):
        assert getattr(lifted.top_down, name) is getattr(recordings.top_down, name)


def test_another_network_is_refused(recordings: Recordings) -> None:
    other = SimpleNamespace(inputs={}, outputs={})
    with pytest.raises(EngineError, match="no lifting network"):
        evaluation.relifted(recordings, other)


def test_rows_are_the_pairs_of_each_frame_and_those_alone(recordings: Recordings) -> None:
    wanted = recordings.frames.level
    rows = pair_rows(recordings, wanted)
    expected: set[tuple[int, int, int]] = set()
    for number, frame in enumerate(recorded_frames(recordings)):
        if not wanted[number]:
            continue
        own, other = (np.flatnonzero(b.frame == number) for b in (recordings.top_down, recordings.bottom_up))
        matches = match_poses(top_down=frame.top_down, bottom_up=frame.bottom_up)
        pairs = {(int(own[i]), int(other[j])) for i, j in zip(matches.top_down, matches.bottom_up, strict=True)}
        expected |= {(number, i, j) for i, j in pairs}
        expected |= {(number, int(i), -1) for i in own if int(i) not in {pair[0] for pair in pairs}}
        expected |= {(number, -1, int(j)) for j in other if int(j) not in {pair[1] for pair in pairs}}
    found = list(zip(rows.frame.tolist(), rows.top_down.tolist(), rows.bottom_up.tolist(), strict=True))
    assert len(found) == len(expected) > 10 and set(found) == expected
    assert (rows.top_down < 0).any() and ((rows.top_down >= 0) == rows.pairs.top_down.present).all()
    seen = rows.bottom_up >= 0
    joints = recordings.bottom_up.joints_cam[rows.bottom_up[seen]]
    np.testing.assert_array_equal(rows.pairs.bottom_up.joints_cam[seen], joints)
    assert not rows.pairs.bottom_up.present[~seen].any()


def test_each_sequence_has_a_stage_of_its_own(recordings: Recordings) -> None:
    frames = list(recorded_frames(recordings))
    fuse = staged(linear)
    found = [fuse(frame) for frame in frames]
    expected = []
    for sequence in range(2):
        stage, own = FusionStage(integrator=linear), [frame for frame in frames if frame.sequence == sequence]
        expected += [stage.process(frame.stamp_ns, frame.top_down, frame.bottom_up).persons for frame in own]
    for fused, other in zip(found, expected, strict=True):
        assert [p.track_id for p in fused] == [p.track_id for p in other]
        for a, b in zip(fused, other, strict=True):
            np.testing.assert_array_equal(a.joints_cam, b.joints_cam)
    assert pose_row("linear", frames, staged(linear))["pck_rel"] > 90


def test_the_gap_that_is_closed() -> None:
    def row(name: str, *values: float | None) -> dict[str, object]:
        return {"row": name, **dict(zip(COLUMNS, values, strict=True))}

    rows = [row("none", 10.0, 20.0, 30.0, None), row("rep", 15.0, 18.0, 99.0, 1.0), row("full", 20.0, 30.0, 30.0, 5.0)]
    assert list(evaluation.gap_closed(rows, "rep").values()) == [0.5, pytest.approx(-0.2), None, None]
    assert list(evaluation.gap_closed(rows, "full").values()) == [1.0, 1.0, None, None]
