"""The demo's accuracy from a recording: poses meet the frame of the clip that they are of."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dualpose_ros.camera import camera_from_hfov, project
from dualpose_ros.datasets.clip import ClipTruth
from dualpose_ros.errors import InputError
from dualpose_ros.lab.evaluation.demo.run import accuracy, estimated_frames, stages_table
from dualpose_ros.people import Pose3D, Source, TrackingState
from dualpose_ros.recording.pose_lines import PoseFrame
from dualpose_ros.recording.recording import Recording
from dualpose_ros.runs.session import GraphResult

FRAMES, FPS = 40, 20.0
START_NS = 1_700_000_000_000_000_000
CAMERA = camera_from_hfov(320, 240, 1.1)


def walkers() -> ClipTruth:
    """Two people who walk fast enough (3 m/s) that a pose held against the next frame would be 150 mm off."""
    body = np.random.default_rng(0).normal(0, 0.3, (17, 3)) * (1, 1, 0.2)
    joints = np.zeros((FRAMES, 2, 17, 3)) + body
    time = np.arange(FRAMES) / FPS
    joints[:, 0] += np.stack([-1.5 + 3 * time, 0 * time, 4 + 0 * time], axis=-1)[:, None]
    joints[:, 1] += np.stack([1.5 - 3 * time, 0 * time, 6 + 0 * time], axis=-1)[:, None]
    return ClipTruth(
        stamps_s=time,
        ids=np.array([1, 2]),
        joints_cam=joints,
        joints_px=project(CAMERA, joints),
        boxes_px=np.tile([10.0, 10, 50, 100], (FRAMES, 2, 1)),
        visibility=np.full((FRAMES, 2, 17), 2, np.uint8),
        visible_fraction=np.ones((FRAMES, 2)),
        present=np.ones((FRAMES, 2), bool),
        camera=CAMERA,
        fps=FPS,
    )


def stamp(index: int) -> int:
    return START_NS + round(index * 1e9 / FPS)


def record(
    folder: Path, truth: ClipTruth, published: list[int], sent: int, shift: int = 0, pace: float = 1.0
) -> GraphResult:
    """A finished run that published the truth, of `shift` frames later, for some frames; one person coasts in the last.

    At a pace of 2 the people move twice as fast as in the clip.
    """
    with Recording(folder, keep_frames=False) as recording:
        for index in published:
            persons = tuple(
                Pose3D(
                    track_id=7 + person,
                    state=TrackingState.COASTING if index == published[-1] and person else TrackingState.CONFIRMED,
                    source=Source.TOP_DOWN,
                    score=1.0,
                    box_px=truth.boxes_px[index, person],
                    joints_cam=truth.joints_cam[index + shift, person],
                    joint_scores=np.ones(17),
                    joint_stddev=np.ones(17),
                    keypoints_px=truth.joints_px[index, person],
                    root_velocity=np.array([3.0 - 6 * person, 0, 0]) * pace,
                )
                for person in range(2)
            )
            frame = PoseFrame(stamp(index), stamp(index), "camera", persons, index)
            recording.add_poses("/humans/poses3d", frame, b"")
            if index % 2:
                alone = replace(frame, persons=persons[:1])
                recording.add_stage_poses("top_down", "/dualpose/top_down/poses3d", alone, b"")
    recording.frames.discard()
    return GraphResult(
        recording=recording,
        camera=truth.camera,
        frames_sent=sent,
        frames_left_out=0,
        seconds=2.0,
        every_frame=False,
        interrupted=False,
        domain_id=1,
        usage=(),
        errors={},
    )


def test_true_poses_of_some_frames_are_perfect(tmp_path: Path) -> None:
    truth = walkers()
    published = [2, 3, 7, 20, 21, 33]
    result = record(tmp_path, truth, published, FRAMES)
    frames = estimated_frames(result, truth, rate=1.0)
    assert [frame.index for frame in frames] == published
    figures = accuracy(frames, truth)
    assert figures["recall"] == figures["precision"] == figures["pck150_rel"] == figures["pck150_abs"] == 1.0
    assert figures["mpjpe_rel_mm"] == pytest.approx(0, abs=0.2)
    assert figures["root_depth_rel_err"] == pytest.approx(0, abs=1e-4)
    assert figures["id_switches"] == 0


def test_the_stages_before_are_measured_beside_the_output(tmp_path: Path) -> None:
    truth = walkers()
    result = record(tmp_path, truth, [2, 3, 7, 20, 21, 33], FRAMES)
    frames = estimated_frames(result, truth, 1.0, result.recording.stage_lines("top_down"))
    assert [frame.index for frame in frames] == [3, 7, 21, 33]
    alone = accuracy(frames, truth)
    assert (alone["recall"], alone["precision"], alone["pck150_abs"]) == (0.5, 1.0, 1.0)
    stages = {"top_down": {**alone, "mpjpe_rel_mm": None}, "fused": {**alone, "recall": 0.25}}
    table = stages_table({**accuracy(estimated_frames(result, truth, 1.0), truth), **stages})
    cells = [list(column.cells) for column in table.columns]
    assert cells[0] == list(alone)
    shown = dict(zip(cells[0], zip(*cells[1:], strict=True), strict=True))
    assert shown["recall"] == ("1", "0.25", "0.5") and shown["mpjpe_rel_mm"][2] == "-"


@pytest.mark.parametrize(("rate", "known"), [(1.0, True), (2.0, True), (0.0, False)])
def test_velocities_are_those_of_the_clip_at_any_pace(tmp_path: Path, rate: float, known: bool) -> None:
    truth = walkers()
    result = record(tmp_path, truth, [2, 3, 7], FRAMES, pace=rate or 1.0)
    frames = estimated_frames(result, truth, rate)
    figures = accuracy(frames, truth)
    assert figures["coasting"] == pytest.approx(1 / 6, abs=1e-4)
    if known:
        assert figures["root_velocity_error"] == pytest.approx(0, abs=1e-3)
    else:
        assert figures["root_velocity_error"] is None


def test_poses_of_another_frame_are_not(tmp_path: Path) -> None:
    truth = walkers()
    result = record(tmp_path, truth, [2, 3, 7, 20, 21, 33], FRAMES, shift=2)
    figures = accuracy(estimated_frames(result, truth, rate=1.0), truth)
    assert figures["pck150_abs"] == 0.0
    assert figures["pck150_rel"] == 1.0


def test_nobody_found_has_no_figures_but_recall(tmp_path: Path) -> None:
    truth = walkers()
    result = record(tmp_path, truth, [], FRAMES)
    figures = accuracy(estimated_frames(result, truth, rate=1.0), truth)
    assert figures["recall"] == 0.0
    assert figures["mpjpe_rel_mm"] is None


def test_a_clip_longer_than_its_truth_is_refused(tmp_path: Path) -> None:
    truth = walkers()
    result = record(tmp_path, truth, [1], FRAMES + 1)
    with pytest.raises(InputError, match="do not belong together"):
        estimated_frames(result, truth, rate=1.0)
