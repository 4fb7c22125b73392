"""The overlay video: what is drawn is where the poses are."""

from pathlib import Path

import av
import numpy as np
import pytest

from dualpose_ros.camera import camera_from_hfov, project
from dualpose_ros.drawing import track_colour
from dualpose_ros.people import Pose3D, Source, TrackingState
from dualpose_ros.recording.frame_store import FrameStore
from dualpose_ros.recording.overlay import TRAIL_NS, Trails, view_depth, write_overlay
from dualpose_ros.recording.pose_lines import PoseFrame, to_line

CAMERA = camera_from_hfov(320, 240, 1.0)
LEGS = [(0, 0), (-0.1, 0), (-0.1, 0.45), (-0.1, 0.9), (0.1, 0), (0.1, 0.45), (0.1, 0.9)]
TRUNK = [(0, -0.25), (0, -0.45), (0, -0.6), (0, -0.75)]
ARMS = [(0.2, -0.45), (0.45, -0.45), (0.7, -0.45), (-0.2, -0.45), (-0.45, -0.45), (-0.7, -0.45)]
T_POSE = np.array([(x, y, 0.0) for x, y in (*LEGS, *TRUNK, *ARMS)])


def person(track_id: int, x: float, z: float) -> Pose3D:
    joints = T_POSE + np.array([x, 0, z])
    return Pose3D(
        track_id=track_id,
        state=TrackingState.CONFIRMED,
        source=Source.TOP_DOWN,
        score=1.0,
        box_px=np.array([0.0, 0, 1, 1]),
        joints_cam=joints,
        joint_scores=np.ones(17),
        joint_stddev=np.zeros(17),
        keypoints_px=project(CAMERA, joints),
    )


def write_run(folder: Path, depths: list[float], frames_for: range) -> FrameStore:
    store = FrameStore(folder / "frames")
    with (folder / "poses.jsonl").open("w") as stream:
        for index, depth in enumerate(depths):
            stamp = index * 100_000_000
            stream.write(to_line(PoseFrame(stamp, stamp, "camera", (person(3, 0.0, depth),))) + "\n")
            if index in frames_for:
                store.add(stamp, np.full((240, 320, 3), 40, np.uint8))
                store.keep(stamp)
    return store


def test_skeletons_are_drawn_where_the_joints_are(tmp_path: Path) -> None:
    store = write_run(tmp_path, [4.0, 4.1, 4.2, 4.3], range(1, 4))
    seen: list[tuple[int, int]] = []

    def note(done: int, total: int) -> None:
        seen.append((done, total))

    drawn = write_overlay(tmp_path / "overlay.mp4", tmp_path / "poses.jsonl", store, CAMERA, note)
    assert drawn == 3
    assert seen == [(1, 3), (2, 3), (3, 3)]
    with av.open(str(tmp_path / "overlay.mp4")) as container:
        images = [(f.time, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    assert [time for time, _ in images] == pytest.approx([0.0, 0.1, 0.2], abs=1e-3)
    assert images[0][1].shape == (240, 320 + 240, 3)
    left_hand = np.round(project(CAMERA, person(3, 0.0, 4.1).joints_cam[13])).astype(int)
    patch = images[0][1][left_hand[1] - 1 : left_hand[1] + 2, left_hand[0] - 1 : left_hand[0] + 2].reshape(-1, 3)
    # Chroma is stored at half resolution: the colour's direction away from the grey ground is what stays.
    toward = (np.array(track_colour(3)) - 40.0) / np.linalg.norm(np.array(track_colour(3)) - 40.0)
    away = patch.mean(0) - 40.0
    assert np.linalg.norm(away) > 40
    assert away @ toward / np.linalg.norm(away) > 0.9
    assert np.abs(images[0][1][200:230, 20:60].mean((0, 1)) - 40).max() < 6


def test_joints_are_drawn_from_the_score_on_that_is_asked_for(tmp_path: Path) -> None:
    pictures = []
    for least in (0.0, 1.1):
        store = write_run(tmp_path, [4.0], range(1))
        write_overlay(tmp_path / "overlay.mp4", tmp_path / "poses.jsonl", store, None, min_joint_score=least)
        with av.open(str(tmp_path / "overlay.mp4")) as container:
            pictures.append(next(container.decode(video=0)).to_ndarray(format="rgb24")[:, :320].astype(int))
    hand = np.round(project(CAMERA, person(3, 0.0, 4.0).joints_cam[13])).astype(int)
    drawn, bare = (picture[hand[1] - 1 : hand[1] + 2, hand[0] - 1 : hand[0] + 2] for picture in pictures)
    assert np.abs(drawn - 40).max() > 40 > 10 > np.abs(bare - 40).max()


def test_what_was_drawn_stays_playable_when_the_user_stops_it(tmp_path: Path) -> None:
    store = write_run(tmp_path, [4.0] * 6, range(6))

    def stop_after_three(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_overlay(tmp_path / "overlay.mp4", tmp_path / "poses.jsonl", store, CAMERA, stop_after_three)
    with av.open(str(tmp_path / "overlay.mp4")) as container:
        assert len(list(container.decode(video=0))) == 3


def test_view_shows_nearly_everybody_but_no_outlier(tmp_path: Path) -> None:
    write_run(tmp_path, [3.0] * 50 + [5.5] * 49 + [29.0], range(0))
    assert view_depth(tmp_path / "poses.jsonl") == 7.0
    (tmp_path / "poses.jsonl").write_text("")
    assert view_depth(tmp_path / "poses.jsonl") == 8.0


def test_trails_forget() -> None:
    trails = Trails()
    trails.update(0, (person(1, 0.5, 3.0), person(2, -1.0, 4.0)))
    both = trails.update(TRAIL_NS // 2, (person(1, 0.6, 3.0),))
    np.testing.assert_allclose(both[1], [(0.5, 3.0), (0.6, 3.0)])
    assert set(both) == {1}, "who has gone, or was in another shot, leaves none"
    back = trails.update(TRAIL_NS + 1, (person(1, 0.7, 3.0), person(2, -0.9, 4.0)))
    np.testing.assert_allclose(back[1], [(0.6, 3.0), (0.7, 3.0)])
    np.testing.assert_allclose(back[2], [(-0.9, 4.0)])
