"""Poses as JSON lines."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from dualpose_ros.people import Source
from dualpose_ros.recording.pose_lines import PoseFrame, from_line, read_pose_lines, to_line
from support.people import random_person


def random_frame(seed: int, persons: int = 2) -> PoseFrame:
    rng = np.random.default_rng(seed)
    told = {"source": Source.TOP_DOWN, "height_m": 1.234, "height_stddev_m": 0.05}
    poses = tuple(random_person(rng, **told) for _ in range(persons))
    return PoseFrame(1_700_000_000_123_456_789 + seed, 1_700_000_000_200_000_000, "camera_optical_frame", poses)


def test_round_trip() -> None:
    frame = random_frame(3)
    back = from_line(to_line(frame))
    assert (back.stamp_ns, back.received_ns, back.frame_id) == (frame.stamp_ns, frame.received_ns, frame.frame_id)
    for got, want in zip(back.persons, frame.persons, strict=True):
        assert (got.track_id, got.state, got.source) == (want.track_id, want.state, want.source)
        np.testing.assert_allclose(got.joints_cam, want.joints_cam, atol=5.1e-5)
        np.testing.assert_allclose(got.keypoints_px, want.keypoints_px, atol=5.1e-3)
        np.testing.assert_allclose(got.root_velocity, want.root_velocity, atol=5.1e-5)
        assert (got.height_m, got.height_stddev_m) == (want.height_m, want.height_stddev_m)


@pytest.mark.parametrize("file", ["", "IMG 0012 ü.jpg"])
def test_a_picture_s_file_stands_beside_its_number(file: str) -> None:
    line = to_line(dataclasses.replace(random_frame(1), number=7, file=file))
    assert (from_line(line).number, from_line(line).file) == (7, file)
    assert json.loads(line).get("file", "") == file and ("file" in json.loads(line)) is bool(file)


def test_unknown_values_are_null_and_come_back_as_nan() -> None:
    frame = random_frame(1, persons=1)
    frame.persons[0].joints_cam[4] = np.nan
    line = to_line(frame)
    assert json.loads(line)["persons"][0]["joints_cam"][4] == [None, None, None]
    joints = from_line(line).persons[0].joints_cam
    assert np.isnan(joints[4]).all()
    assert np.isfinite(np.delete(joints, 4, axis=0)).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_is_null_too(value: float) -> None:
    frame = random_frame(1, persons=2)
    persons = (dataclasses.replace(frame.persons[0], score=value), frame.persons[1])
    line = to_line(dataclasses.replace(frame, persons=persons))
    assert [person["score"] for person in json.loads(line)["persons"]] == [None, round(frame.persons[1].score, 4)]
    assert np.isnan(from_line(line).persons[0].score)


def test_a_line_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "poses.jsonl"
    lines = [to_line(random_frame(seed)) for seed in range(3)]
    path.write_text("\n".join(lines)[:-20])
    assert [frame.stamp_ns for frame in read_pose_lines(path)] == [random_frame(s).stamp_ns for s in range(2)]
