"""Evaluation of real videos: people made of the truth with known errors, ghosts, ids, and the stages on a clip."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dualpose_ros.camera import camera_from_hfov, project
from dualpose_ros.datasets.clip import load_clip_truth
from dualpose_ros.datasets.video_truth import Take, VideoTruth, VideoTruthError
from dualpose_ros.lab.evaluation import video
from dualpose_ros.people import Pose3D, Source, TrackingState
from dualpose_ros.skeleton import H36M17, ROOT, K
from support.data import ROOT as CHECKOUT

CAMERA = camera_from_hfov(640, 480, 1.2)
HZ = 10.0


def body(x: float) -> np.ndarray:
    """Somebody 5 m away, joints spread over 1.6 m."""
    rng = np.random.default_rng(1)
    return rng.uniform(-0.8, 0.8, (K, 3)) * [0.5, 1, 0.3] + [x, 0, 5]


def video_truth(frames: int = 8) -> VideoTruth:
    joints = np.stack([np.stack([body(-1), body(1)])] * frames)
    joints[:, 0, 3] = np.nan
    return VideoTruth((Take(np.arange(frames) / HZ, joints),), True)


FILES = video.VideoFiles("", CAMERA, video_truth())


def pose(track: int, joints: np.ndarray) -> Pose3D:
    joints = np.where(np.isfinite(joints), joints, [0, 0, 5])
    pixels = project(CAMERA, joints)
    return Pose3D(
        track, TrackingState.CONFIRMED, Source.FUSED, 0.9, np.zeros(4), joints, np.ones(K), np.ones(K), pixels
    )


def published(error_m: float = 0.0, closer: float = 1.0) -> list[video.Published]:
    """Both people in every frame, all joints but the root off to the right, at a wrong depth along their rays."""
    off = np.array([error_m, 0, 0]) * (np.arange(K) != ROOT)[:, None]
    return [
        video.Published(t / HZ, tuple(pose(7 + n, (joints + off) * closer) for n, joints in enumerate(frame)))
        for t, frame in enumerate(FILES.truth.takes[0].joints_cam)
    ]


def test_the_truth_itself_is_perfect() -> None:
    row = video.figures_of(video.score_video(FILES, published()), True)
    assert row["people"] == 16 and row["found"] == 1 and row["id_switches"] == 0 and row["lasting_ghosts"] == 0
    assert row["median_mm"] == row["mean_mm"] == row["depth_pct"] == row["ghosts_a_person"] == 0
    assert row["jitter_m_s2"] == pytest.approx(0, abs=1e-6) and row["pa_mm"] == pytest.approx(0, abs=1e-6)


def test_known_errors_are_measured() -> None:
    row = video.figures_of(video.score_video(FILES, published(error_m=0.05)), True)
    assert row["median_mm"] == pytest.approx(50) and row["mean_mm"] == pytest.approx(50)
    assert row["depth_pct"] == 0 and 0 < float(row["pa_mm"] or 0) < 50


def test_somebody_at_a_wrong_depth_is_found() -> None:
    row = video.figures_of(video.score_video(FILES, published(closer=0.8)), True)
    assert row["found"] == 1 and row["depth_pct"] == pytest.approx(20)


def test_ids_that_change_and_ghosts_are_counted() -> None:
    frames = published()
    ghost = pose(99, body(0) + np.array([0, 0, 6]))
    frames = [
        replace(f, persons=(*(replace(p, track_id=p.track_id + 10 * (t > 3)) for p in f.persons), ghost))
        for t, f in enumerate(frames)
    ]
    row = video.figures_of(video.score_video(FILES, frames), True)
    assert row["id_switches"] == 2 and row["ids"] == 4 and row["found"] == 1
    assert row["ghosts_a_person"] == pytest.approx(8 / 16) and row["lasting_ghosts"] == 1
    unknown = video.figures_of(video.score_video(FILES, frames), False)
    assert unknown["ghosts_a_person"] is None and unknown["lasting_ghosts"] is None


def test_nobody_found_leaves_no_errors() -> None:
    row = video.figures_of(video.score_video(FILES, [replace(f, persons=()) for f in published()]), True)
    assert row["found"] == 0 and row["median_mm"] is None and row["jitter_m_s2"] is None


def test_matching_takes_the_nearest_of_all() -> None:
    truth = np.stack([body(0.0), body(0.15)])
    persons = [pose(0, body(0.16)), pose(1, body(0.02))]
    assert video.match_on_image(truth, persons, CAMERA) == [(0, 1), (1, 0)]
    assert video.match_on_image(truth, [pose(0, body(3.0))], CAMERA) == []
    assert video.match_on_image(truth[:0], persons, CAMERA) == [] and video.match_on_image(truth, [], CAMERA) == []


def test_folders_say_what_they_lack(tmp_path: Path) -> None:
    with pytest.raises(VideoTruthError, match="no folder"):
        video.find_files(tmp_path / "none")
    with pytest.raises(VideoTruthError, match="no video"):
        video.find_files(tmp_path)
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    with pytest.raises(VideoTruthError, match="2 videos"):
        video.find_files(tmp_path)


def test_the_stages_on_the_clip_that_ships(tmp_path: Path) -> None:
    clip = load_clip_truth(CHECKOUT / "demo" / "truth.npz")
    joints = np.where(clip.present[..., None, None], clip.joints_cam, np.nan)
    np.savez(tmp_path / "truth.npz", joints_m=joints, joint_names=np.array(H36M17.joint_names), stamps_s=clip.stamps_s)
    files = video.find_files(tmp_path, str(CHECKOUT / "demo" / "clip.mp4"), CHECKOUT / "demo" / "camera.yaml")
    result = video.evaluate_video(files, tmp_path / "out", max_frames=12)
    refined = result["tables"]["video"][-1]
    assert refined["stage"] == "refined" and refined["people"] > 12 and refined["found"] > 0.4
    assert refined["median_mm"] < 150 and refined["depth_pct"] < 20
    assert len(result["tables"]["joints"]) == K - 1
    assert (tmp_path / "out" / "joints.png").is_file() and list((tmp_path / "out").glob("frame_*.jpg"))
