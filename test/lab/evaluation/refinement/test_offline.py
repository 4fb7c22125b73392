"""A recorded run refined off line: what is written, what is left alone, what is refused."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dualpose_ros import cli
from dualpose_ros.camera import Camera, camera_from_hfov, ground_config, project
from dualpose_ros.lab.evaluation.refinement import offline
from dualpose_ros.lab.evaluation.refinement.published_solver import Stage
from dualpose_ros.lab.evaluation.refinement.recorded import Cameras, cameras_of
from dualpose_ros.nodes import convert  # brings the message packages, with or without ROS 2
from dualpose_ros.people import Pose3D, Source, TrackingState
from dualpose_ros.recording.mcap_file import McapFile
from dualpose_ros.recording.pose_lines import PoseFrame, read_pose_lines, to_line
from dualpose_ros.runs.refinement_settings import keep_refinement_settings, kept_refinement_settings
from support.command_line import refused
from support.made_recordings import standing

CAMERA = camera_from_hfov(640, 480, 1.2)


FISHEYE = Camera(640, 480, 300.0, 300.0, 319.5, 239.5, (0.02, -0.01, 0.003, -0.0004), fisheye=True)


def person(joints: np.ndarray, track: int, state: TrackingState = TrackingState.CONFIRMED) -> Pose3D:
    return Pose3D(track, state, Source.FUSED, 0.9, np.array([0.0, 0, 10, 10]), joints, np.full(17, 0.9),
                  np.full(17, 0.03), project(CAMERA, joints))  # fmt: skip


def walk(count: int = 12, noise_m: float = 0.03, *cameras: Camera) -> tuple[list[PoseFrame], np.ndarray]:
    """Somebody who walks by at 10 frames/s before cameras that take turns, with errors in 3D and none in 2D, and the
    truth (T, K, 3)."""
    rng = np.random.default_rng(0)
    truth = np.stack([standing(-1 + 0.1 * t, 4.0) for t in range(count)])
    cameras = cameras or (CAMERA,)
    frames = []
    for t, joints in enumerate(truth):
        found = person(joints + rng.normal(0, noise_m, joints.shape), 3)
        coasting = person(joints + 1, 9, TrackingState.COASTING)
        exact = Pose3D(**{**vars(found), "keypoints_px": project(cameras[t % len(cameras)], joints)})
        frames.append(PoseFrame(t * 100_000_000, t * 100_000_000, "camera", (exact, coasting)))
    return frames, truth


def write_run(folder: Path, frames: list[PoseFrame]) -> Path:
    folder.mkdir()
    (folder / "fused.jsonl").write_text("".join(to_line(frame) + "\n" for frame in frames))
    (folder / "camera.yaml").write_text(
        f"image_width: 640\nimage_height: 480\ncamera_matrix: {{rows: 3, cols: 3, data: "
        f"{CAMERA.matrix.ravel().tolist()}}}\ndistortion_model: plumb_bob\n"
        "distortion_coefficients: {rows: 1, cols: 5, data: [0, 0, 0, 0, 0]}\n"
    )
    return folder


@pytest.mark.parametrize("method", offline.METHODS)
def test_a_run_is_refined_by_the_command(method: str, tmp_path: Path) -> None:
    frames, truth = walk()
    folder = write_run(tmp_path / "run", frames)
    arguments = ["refine", str(folder), "--method", method, "--calibration", str(folder / "camera.yaml")]
    assert cli.main([*arguments, *(() if method == "ours" else ("--steps", "400"))]) == 0
    refined = list(read_pose_lines(folder / "refined.jsonl"))
    assert [frame.stamp_ns for frame in refined] == [frame.stamp_ns for frame in frames]
    assert off(refined, truth) < 0.9 * off(frames, truth)


def record_cameras(folder: Path, frames: list[PoseFrame], *infos: Any) -> None:
    """camera_info of each frame, in turns."""
    from rclpy.serialization import serialize_message

    with McapFile(folder / "poses.mcap") as out:
        for number, frame in enumerate(frames):
            info, stamp = infos[number % len(infos)], frame.stamp_ns
            info.header.stamp.sec, info.header.stamp.nanosec = divmod(stamp, 10**9)
            data = serialize_message(info)
            out.write("/camera_info", "sensor_msgs/msg/CameraInfo", data, log_ns=stamp, publish_ns=stamp)


def info_of(camera: Camera) -> Any:
    from std_msgs.msg import Header

    return convert.camera_to_info(camera, Header())


def off(frames: list[PoseFrame], truth: np.ndarray) -> float:
    return float(np.linalg.norm([f.persons[0].joints_cam for f in frames] - truth, axis=-1).mean())


@pytest.mark.parametrize("cameras", [(FISHEYE,), (CAMERA, CAMERA.resized(320, 240))], ids=["fisheye", "two sizes"])
@pytest.mark.parametrize("method", offline.METHODS)
def test_each_frame_is_refined_by_its_own_camera(method: str, cameras: tuple[Camera, ...], tmp_path: Path) -> None:
    frames, truth = walk(12, 0.03, *cameras)
    folder = write_run(tmp_path / "run", frames)
    record_cameras(folder, frames, *map(info_of, cameras))
    recorded = cameras_of(folder / "poses.mcap")
    assert [recorded.at(frame.stamp_ns) for frame in frames] == [cameras[t % len(cameras)] for t in range(12)]
    result = offline.refine_recording(folder, method, folder / "refined.jsonl", steps=400)
    assert off(list(read_pose_lines(folder / "refined.jsonl")), truth) < 0.9 * off(frames, truth)
    (row,) = result["tables"]["refine"]
    assert row["off_2d_after_px"] < row["off_2d_before_px"] < 8


def test_a_sensors_region_and_binning_hold(tmp_path: Path) -> None:
    info = info_of(Camera(1280, 960, 1000.0, 1000.0, 640.0, 480.0))
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 320, 240, 640, 480
    record_cameras(tmp_path, walk(2)[0], info)
    assert cameras_of(tmp_path / "poses.mcap").at(0) == Camera(640, 480, 1000.0, 1000.0, 320.0, 240.0)


def test_another_camera_is_rescaled_to_the_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames, _ = walk()
    folder = write_run(tmp_path / "run", frames)
    record_cameras(folder, frames, info_of(CAMERA.resized(320, 240)))
    assert cameras_of(folder / "poses.mcap", folder / "camera.yaml").cameras[0] == CAMERA.resized(320, 240)
    record_cameras(folder, frames, info_of(CAMERA.resized(640, 360)))
    told = refused(capsys, "refine", folder, "--calibration", folder / "camera.yaml")
    assert "camera.yaml is for 640x480; the images have 640x360" in told


PARAMETERS = """
/**:
  ros__parameters: {window_frames: 20, gauss_newton_steps: 2}
refinement_node:
  ros__parameters:
    gauss_newton_steps: 3
    ground: {camera_height_m: 1.1, accuracy: {height_stddev: 0.2}}
"""


def test_the_runs_own_settings_and_ground_are_begun_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Distances are a fifth too large, which the ground alone says."""
    frames, truth = walk(40, 0.01)
    frames = [replace(f, persons=tuple(replace(p, joints_cam=1.2 * p.joints_cam) for p in f.persons)) for f in frames]
    folder = write_run(tmp_path / "run", frames)
    record_cameras(folder, frames, info_of(CAMERA))
    height = float(truth[..., 1].max())
    command = ["refine", str(folder), "--out", str(folder / "a.jsonl")]
    # In a process of its own, where nothing has put rclpy in place yet.
    out = subprocess.run([sys.executable, "-m", "dualpose_ros.cli", *command], check=True, capture_output=True).stdout
    assert b"none is known" in out
    unaware = off(list(read_pose_lines(folder / "a.jsonl")), truth)
    keep_refinement_settings(folder, None, {"ground.camera_height_m": height})
    assert cli.main(command) == 0
    assert off(list(read_pose_lines(folder / "a.jsonl")), truth) < 0.5 * unaware
    (tmp_path / "p.yaml").write_text(PARAMETERS)
    keep_refinement_settings(folder, tmp_path / "p.yaml", {"ground.camera_roll_rad": 0.1})
    node, config = kept_refinement_settings(folder)
    assert (config.window_frames, config.gauss_newton_steps, config.ground.camera_height_m) == (20, 3, 1.1)
    assert config.ground.camera_roll_rad == 0.1 and not node.ground_frame
    own, known = offline.settings_of(folder, ground_config(height))
    assert (own.lag_frames, own.ground.camera_height_m, own.ground.accuracy.height_stddev) == (19, height, 0.2)
    assert known == f"camera {height:.2f} m above it"
    assert cli.main([*command, "--camera-height", str(height)]) == 0
    assert off(list(read_pose_lines(folder / "a.jsonl")), truth) < 0.7 * unaware
    keep_refinement_settings(folder, None, {"ground_frame": "map"})
    assert offline.settings_of(folder, None)[1] == "none is known; that of map by TF is not recorded"
    assert "--camera-height does nothing" in refused(
        capsys, "refine", folder, "--method", "two-stage", "--camera-height", 1
    )
    for text, said in (
        ("refinement_node: 1", "must hold `ros__parameters`"),
        ("refinement: {ros__parameters: {lag_frames: 3}}", "it says nothing of refinement_node"),
        ("refinement_node: {ros__parameters: {lag_frame: 3}}", "'lag_frame': did you mean lag_frames?"),
    ):
        (folder / "refinement.yaml").write_text(text)
        line = refused(capsys, "refine", folder)
        assert "refinement.yaml is damaged" in line and said in line
    keep_refinement_settings(folder, None, {"window_frames": -1})
    assert not (folder / "refinement.yaml").exists()


@pytest.mark.parametrize("method", offline.METHODS)
def test_repeated_frames_and_people_are_left_out(method: str, tmp_path: Path) -> None:
    frames, _ = walk()
    twice = [replace(frame, persons=(*frame.persons, frame.persons[0])) for frame in frames]
    folder = write_run(tmp_path / "run", [frame for frame in twice for _ in range(2)])
    record_cameras(folder, frames, info_of(CAMERA))
    (row,) = offline.refine_recording(folder, method, folder / "refined.jsonl", steps=20)["tables"]["refine"]
    assert (row["frames"], row["repeated_frames"]) == (12, 12)
    assert all(np.isfinite(row[f"acceleration_{when}_m_s2"]) for when in ("before", "after"))
    refined = list(read_pose_lines(folder / "refined.jsonl"))
    assert [frame.stamp_ns for frame in refined] == [frame.stamp_ns for frame in frames]


def test_people_who_were_not_seen_and_short_tracks_stay() -> None:
    frames, _ = walk()
    cameras = Cameras((0,), (CAMERA,))
    refined = offline.by_tracks(frames, cameras, [Stage(steps=20)])
    for own, given in zip(refined, frames, strict=True):
        np.testing.assert_array_equal(own.persons[1].joints_cam, given.persons[1].joints_cam)
        assert np.abs(own.persons[0].joints_cam - given.persons[0].joints_cam).max() > 0
    short = offline.by_tracks(frames[: offline.FEWEST_FRAMES - 1], cameras, [Stage(steps=20)])
    np.testing.assert_array_equal(short[0].persons[0].joints_cam, frames[0].persons[0].joints_cam)


def test_what_is_missing_or_damaged_is_one_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "it is what `dualpose run --out` writes" in refused(capsys, "refine", tmp_path)
    folder = write_run(tmp_path / "run", walk(6)[0])
    assert "name a camera with --calibration" in refused(capsys, "refine", folder)
    (folder / "fused.jsonl").write_text('{"stamp_ns": 1}\n')
    assert "fused.jsonl is damaged" in refused(capsys, "refine", folder)
    (folder / "fused.jsonl").write_text("")
    assert "holds no frames" in refused(capsys, "refine", folder)
    assert not (folder / "refined.jsonl").exists()
