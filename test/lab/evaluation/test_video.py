"""Evaluation of real videos: people made of the truth with known errors, ghosts, ids, and the stages on a clip."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dualpose_ros.camera import camera_from_hfov, project
from dualpose_ros.datasets.clip import load_clip_truth
from dualpose_ros.datasets.video_truth import Take, VideoTruth, VideoTruthError
from dualpose_ros.lab.evaluation import video
from dualpose_ros.people import Pose3D, Source, TrackingState
from dualpose_ros.skeleton import H36M17, ROOT, K
from dualpose_ros.sources.frames import FrameSource, open_source
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


class NobodyFound:
    """Stages without networks."""

    def __init__(self, *_: object) -> None:
        self.stamps_s: list[float] = []

    def process(self, image: np.ndarray, stamp_ns: int, camera: object) -> dict[str, tuple[Pose3D, ...]]:
        self.stamps_s.append(stamp_ns * 1e-9)
        return {stage: () for stage in video.STAGES}


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> NobodyFound:
    made = NobodyFound()
    monkeypatch.setattr(video, "Branches", NobodyFound)
    monkeypatch.setattr(video, "LiveStages", lambda *_: made)
    return made


def pictures(folder: Path, count: int = 8) -> video.VideoFiles:
    """A folder of grey pictures, and the truth of them at ten a second."""
    folder.mkdir()
    for n in range(count):
        cv2.imwrite(str(folder / f"{n}.png"), np.full((480, 640, 3), 99, np.uint8))
    return replace(FILES, source=str(folder))


def changed(joints: np.ndarray, first_s: float = 0.0) -> VideoTruth:
    return VideoTruth((Take(first_s + np.arange(len(joints)) / HZ, joints),), True)


JOINTS = FILES.truth.takes[0].joints_cam


@pytest.mark.parametrize(
    ("truth", "what"),
    [
        (
            changed(JOINTS * [-1, 1, -1]),
            r"-4\.829\) m.*behind the camera; check rotation, translation_m and axes.*units",
        ),
        (changed(np.add(JOINTS, [30, 0, 0])), r"px of an image of 640x480; check rotation"),
        (changed(JOINTS * 1000), r"4829\) m"),
        (changed(np.full_like(JOINTS, np.nan)), "nobody has 6 measured joints"),
        (changed(JOINTS, 100.0), r"from 100 to 100\.7 s; check start_s"),
    ],
)
def test_a_truth_that_is_never_in_view_is_refused_before_the_networks_run(
    tmp_path: Path, stages: NobodyFound, truth: VideoTruth, what: str
) -> None:
    with pytest.raises(VideoTruthError, match="nobody of the truth is in view.*" + what):
        video.evaluate_video(replace(pictures(tmp_path / "images"), truth=truth))
    assert not stages.stamps_s


def test_a_truth_after_the_last_frame_is_refused(tmp_path: Path, stages: NobodyFound) -> None:
    with pytest.raises(VideoTruthError, match=r"end at 0\.233333 s .*from 0\.4 to 1\.1 s; check start_s"):
        video.evaluate_video(replace(pictures(tmp_path / "images"), truth=changed(JOINTS, 0.4)))


def test_pictures_have_the_rate_that_is_given(tmp_path: Path, stages: NobodyFound) -> None:
    result = video.evaluate_video(pictures(tmp_path / "images"), fps=HZ)
    assert np.allclose(stages.stamps_s, np.arange(8) / HZ) and result["tables"]["notes"] == []
    assert result["tables"]["video"][0]["people"] == 16


def test_pictures_that_can_not_be_used_are_told(tmp_path: Path, stages: NobodyFound) -> None:
    files = pictures(tmp_path / "images")
    (tmp_path / "images" / "2.png").write_bytes(b"\x89PNG no more")
    cv2.imwrite(str(tmp_path / "images" / "5.png"), np.zeros((48, 64, 3), np.uint8))
    result = video.evaluate_video(files, fps=HZ)
    assert np.allclose(stages.stamps_s, np.array([0, 1, 3, 4, 6, 7]) / HZ)
    (note,) = result["tables"]["notes"]
    assert note["note"].startswith("2 frames are left out") and "2.png" in note["note"]
    (tmp_path / "images" / "0.png").write_bytes(b"\x89PNG no more")
    with pytest.raises(VideoTruthError, match=r"no frame.*0\.png"):
        video.evaluate_video(files, max_frames=1)


def test_a_truth_that_goes_on_after_the_video_is_told(tmp_path: Path, stages: NobodyFound) -> None:
    files = replace(pictures(tmp_path / "images"), truth=changed(JOINTS, 0.2))
    (note,) = video.evaluate_video(files, fps=HZ)["tables"]["notes"]
    assert note["note"].startswith("2 of the truth's 8 frames")


def test_a_damaged_video_and_a_doubtful_camera_are_told(
    tmp_path: Path, stages: NobodyFound, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(source: str) -> FrameSource:
        opened = open_source(source)
        opened.info = replace(opened.info, count=20)
        return opened

    monkeypatch.setattr(video, "open_source", cut_off)
    files = replace(pictures(tmp_path / "images"), camera=replace(CAMERA, cx=0.0, cy=0.0))
    files = replace(files, truth=changed(np.add(JOINTS, [3.5, 2, 0])))
    notes = [row["note"] for row in video.evaluate_video(files, fps=HZ)["tables"]["notes"]]
    assert "cx 0 is far from the middle" in notes[0] and "states 20 frames, but has 8: is it damaged?" in notes[1]
    assert len(video.evaluate_video(files, fps=HZ, max_frames=5)["tables"]["notes"]) == 1


def test_folders_say_what_they_lack(tmp_path: Path) -> None:
    with pytest.raises(VideoTruthError, match="no folder"):
        video.find_files(tmp_path / "none")
    with pytest.raises(VideoTruthError, match="no video"):
        video.find_files(tmp_path)
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    with pytest.raises(VideoTruthError, match="2 videos"):
        video.find_files(tmp_path)


def test_the_setup_of_a_folder_may_end_in_yml(tmp_path: Path) -> None:
    (tmp_path / "truth.yml").write_text("scale: 2")
    demo = CHECKOUT / "demo"
    with pytest.raises(VideoTruthError, match=r"truth\.yml"):
        video.find_files(tmp_path, str(demo / "clip.mp4"), demo / "camera.yaml", [demo / "truth.npz"])


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
