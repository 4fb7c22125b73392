"""A recorded run refined off line: what is written, what is left alone, what is refused."""

from pathlib import Path

import numpy as np
import pytest

from dualpose_ros import cli
from dualpose_ros.camera import camera_from_hfov, project
from dualpose_ros.lab.evaluation.refinement import offline
from dualpose_ros.lab.evaluation.refinement.published_solver import Stage
from dualpose_ros.people import Pose3D, Source, TrackingState
from dualpose_ros.recording.pose_lines import PoseFrame, read_pose_lines, to_line
from support.command_line import refused
from support.made_recordings import standing

CAMERA = camera_from_hfov(640, 480, 1.2)


def person(joints: np.ndarray, track: int, state: TrackingState = TrackingState.CONFIRMED) -> Pose3D:
    return Pose3D(track, state, Source.FUSED, 0.9, np.array([0.0, 0, 10, 10]), joints, np.full(17, 0.9),
                  np.full(17, 0.03), project(CAMERA, joints))  # fmt: skip


def walk(count: int = 12, noise_m: float = 0.03) -> tuple[list[PoseFrame], np.ndarray]:
    """Somebody who walks by at 10 frames/s, with errors in 3D and none in 2D, and the truth (T, K, 3)."""
    rng = np.random.default_rng(0)
    truth = np.stack([standing(-1 + 0.1 * t, 4.0) for t in range(count)])
    frames = []
    for t, joints in enumerate(truth):
        found = person(joints + rng.normal(0, noise_m, joints.shape), 3)
        coasting = person(joints + 1, 9, TrackingState.COASTING)
        exact = Pose3D(**{**vars(found), "keypoints_px": project(CAMERA, joints)})
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
    before, after = (np.array([frame.persons[0].joints_cam for frame in some]) for some in (frames, refined))
    off = [float(np.linalg.norm(own - truth, axis=-1).mean()) for own in (before, after)]
    assert off[1] < 0.9 * off[0]


def test_people_who_were_not_seen_and_short_tracks_stay() -> None:
    frames, _ = walk()
    refined = offline.by_tracks(frames, CAMERA, [Stage(steps=20)])
    for own, given in zip(refined, frames, strict=True):
        np.testing.assert_array_equal(own.persons[1].joints_cam, given.persons[1].joints_cam)
        assert np.abs(own.persons[0].joints_cam - given.persons[0].joints_cam).max() > 0
    short = offline.by_tracks(frames[: offline.FEWEST_FRAMES - 1], CAMERA, [Stage(steps=20)])
    np.testing.assert_array_equal(short[0].persons[0].joints_cam, frames[0].persons[0].joints_cam)


def test_what_is_missing_or_damaged_is_one_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "it is what `dualpose run --out` writes" in refused(capsys, "refine", tmp_path)
    folder = write_run(tmp_path / "run", walk(6)[0])
    assert "name one with --calibration" in refused(capsys, "refine", folder)
    (folder / "fused.jsonl").write_text('{"stamp_ns": 1}\n')
    assert "fused.jsonl is damaged" in refused(capsys, "refine", folder)
    (folder / "fused.jsonl").write_text("")
    assert "holds no frames" in refused(capsys, "refine", folder)
    assert not (folder / "refined.jsonl").exists()
