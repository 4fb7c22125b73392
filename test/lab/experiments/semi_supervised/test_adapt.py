"""The installed networks adapted to a video: what it is read from, and what is left where it helped or did not."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from dualpose_ros.camera import CameraError
from dualpose_ros.datasets.recordings import Recordings, load_recordings, save_recordings
from dualpose_ros.errors import InputError
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.experiments.semi_supervised import adapt as adapting
from dualpose_ros.lab.experiments.semi_supervised import run
from dualpose_ros.lab.experiments.semi_supervised.adapt import Footage, adapt, best_of, off_image_pct
from dualpose_ros.lab.experiments.semi_supervised.evaluation import track_input
from dualpose_ros.lab.experiments.semi_supervised.footage import SEQUENCE_FRAMES, read_footage
from dualpose_ros.lab.training.loop.task import TrainingError
from dualpose_ros.lab.training.settings import read_settings
from dualpose_ros.nodes import convert  # brings the message packages, with or without ROS 2
from dualpose_ros.people import Persons, Source
from dualpose_ros.recording.mcap_file import McapFile
from dualpose_ros.runs.refinement_settings import keep_refinement_settings
from dualpose_ros.sources.frames import SourceError
from dualpose_ros.top_down.lifting.lifter import empty_memory
from dualpose_ros.weights import weights_path
from support import made_recordings as made
from support.data import ROOT

SETTINGS = ROOT / "config" / "training"
SHIPPED = read_settings(SETTINGS / "lifting.yaml")["task"]["network"]
TINY: dict[str, dict[str, Any]] = {
    "run": {
        "common": {"batch_size": 1, "workers": 0, "bf16": False, "channels_last": False, "validations": 1,
                   "weight_decay": 0.0},
        "rows": {name: {"epochs": 1.0, "lr": 1e-9} for name in ("lifting", "fusion")},
    },
    "task": {
        "terms": {"meetings": 8, "epoch": 2},
        "lifting": {"network": SHIPPED,
                    "discriminator": {"people": 2, "hidden": 8}, "tracks": 3, "groups": 4, "samples": 2},
        "fusion": {"network": {"hidden": 256}, "discriminator": {"people": 2, "hidden": 8}, "groups": 4, "samples": 2},
    },
}  # fmt: skip
CALIBRATION = f"""
image_width: {made.CAMERA.width}
image_height: {made.CAMERA.height}
camera_matrix: {{data: [{made.CAMERA.fx}, 0, {made.CAMERA.cx}, 0, {made.CAMERA.fy}, {made.CAMERA.cy}, 0, 0, 1]}}
distortion_coefficients: {{data: [0, 0, 0, 0, 0]}}
camera_height_m: 1.0
camera_pitch_deg: 20.0
"""


def tracked(recordings: Recordings) -> Recordings:
    top_down = recordings.top_down
    return dataclasses.replace(
        recordings, top_down=dataclasses.replace(top_down, track=recordings.truth.person[top_down.truth])
    )


def write_run(folder: Path, recordings: Recordings, zoomed: int = -1) -> None:
    """What a run of the graph leaves of both branches, and nothing of any truth; zoomed: the frame from which on the
    camera has twice the focal length."""
    from rclpy.serialization import serialize_message
    from std_msgs.msg import Header

    folder.mkdir()
    with McapFile(folder / "poses.mcap") as out:
        for frame in range(len(recordings.frames.stamp_s)):
            header = Header()
            header.stamp.nanosec = frame * 50_000_000 % 10**9
            header.stamp.sec = frame * 50_000_000 // 10**9
            stamp = frame * 50_000_000
            if frame in (0, zoomed):
                camera = dataclasses.replace(made.CAMERA, fx=(2 if frame else 1) * made.CAMERA.fx)
                info = serialize_message(convert.camera_to_info(camera, header))
                out.write("/camera_info", "sensor_msgs/msg/CameraInfo", info, log_ns=stamp, publish_ns=stamp)
            for name, source in (("top_down", Source.TOP_DOWN), ("bottom_up", Source.BOTTOM_UP)):
                branch = getattr(recordings, name)
                own = branch[branch.frame == frame]
                people = Persons.seen(own.poses, own.keypoints_px, source, own.track)
                message = serialize_message(convert.poses_to_message(people, header, (640, 480)))
                kind = "dualpose_ros/msg/MultiPersonPose3D"
                out.write(f"/dualpose/{name}/poses3d", kind, message, log_ns=stamp, publish_ns=stamp)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, one of them longer than a sequence."""
    folder = tmp_path_factory.mktemp("video")
    for name, frames in (("a", 6), ("b", SEQUENCE_FRAMES + 3)):
        write_run(folder / name, tracked(made.made_recordings(np.random.default_rng(5), 1, frames)))
    return folder


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labelled")
    recordings = tracked(made.made_recordings(np.random.default_rng(6), 8, 6))
    save_recordings(folder / "recordings_00000.npz", recordings)
    return folder


def test_a_run_of_the_graph_is_footage_without_truth(video: Path, tmp_path: Path) -> None:
    found = read_footage(video, None)
    assert len(found.truth) == 0 and not found.frames.level.any() and (found.top_down.truth == -1).all()
    assert np.unique(found.frames.sequence, return_counts=True)[1].tolist() == [6, SEQUENCE_FRAMES, 3]
    expected = made.made_recordings(np.random.default_rng(5), 1, 6)
    np.testing.assert_allclose(found.top_down.joints_cam[:18], expected.top_down.joints_cam, atol=1e-5)
    np.testing.assert_allclose(found.bottom_up.keypoints_px[:18], expected.bottom_up.keypoints_px, atol=1e-2)
    np.testing.assert_allclose(np.diff(found.frames.stamp_s[:6]), 0.05)
    calibration = tmp_path / "camera.yaml"
    calibration.write_text(CALIBRATION)
    down = read_footage(video / "a", calibration).frames.down
    np.testing.assert_allclose(down, np.tile([0, np.cos(np.radians(20)), np.sin(np.radians(20))], (6, 1)), atol=1e-6)


def test_a_run_has_its_own_cameras_and_ground(tmp_path: Path) -> None:
    write_run(tmp_path / "run", tracked(made.made_recordings(np.random.default_rng(5), 1, 6)), zoomed=4)
    keep_refinement_settings(
        tmp_path / "run", None, {"ground.camera_height_m": 1.0, "ground.camera_pitch_rad": np.pi / 6}
    )
    frames = read_footage(tmp_path / "run", None).frames
    assert frames.sequence.tolist() == [0, 0, 0, 0, 1, 1]
    np.testing.assert_allclose(frames.camera[:, 0], made.CAMERA.fx * np.array([1, 1, 1, 1, 2, 2]))
    np.testing.assert_allclose(frames.down, np.tile([0, np.sqrt(0.75), 0.5], (6, 1)), atol=1e-6)


def test_footage_that_says_too_little_is_refused(video: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_footage(tmp_path / "none", None)
    with pytest.raises(InputError, match="--calibration is missing"):
        read_footage(tmp_path, None)
    calibration = tmp_path / "camera.yaml"
    calibration.write_text(CALIBRATION)
    with pytest.raises(InputError, match="no video, no images"):
        read_footage(tmp_path, calibration)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    with pytest.raises(SourceError, match=r"broken\.mp4"):
        read_footage(broken, calibration)
    empty = tmp_path / "images"
    empty.mkdir()
    for number in range(2):
        cv2.imwrite(str(empty / f"{number}.png"), np.full((480, 640, 3), 90, np.uint8))
    with pytest.raises(InputError, match="shows nobody"):
        read_footage(empty, calibration)
    cv2.imwrite(str(empty / "0.png"), np.full((64, 64, 3), 90, np.uint8))
    with pytest.raises(CameraError, match="is for 640x480; the images have 64x64, another aspect ratio"):
        read_footage(empty, calibration)
    cut = tmp_path / "run"
    cut.mkdir()
    (cut / "poses.mcap").write_bytes((video / "a" / "poses.mcap").read_bytes()[:900])
    with pytest.raises(InputError, match=r"poses\.mcap"):
        read_footage(cut, calibration)


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exporting takes its time, and is tested elsewhere: the installed networks stand in."""

    def copied(model: object, spec: object, path: Path, storage: str) -> None:
        shutil.copy(weights_path(path.stem), path)

    monkeypatch.setattr(run, "export_onnx", copied)


def test_networks_that_are_no_worse_are_left(video: Path, labelled: Path, tmp_path: Path, exported: None) -> None:
    adapted = adapt(Footage(video, None, labelled), tmp_path, TINY)
    assert sorted(path.name for path in tmp_path.rglob("*.onnx")) == ["lifting.onnx"]
    rows = adapted.tables["held out"]
    assert [row["networks"] for row in rows] == ["installed", *adapting.ADAPTED] and rows[0]["people"] == 18
    assert rows[1]["gain"] == pytest.approx(0, abs=2) and rows[1]["gain_error"] is None  # of one sequence
    both = load_recordings(tmp_path / "recordings")
    # One of the eight labelled sequences measures, and is not learnt from.
    assert both.frames.level.sum() == 42 and adapting.MEASURED not in both.frames.sequence[both.frames.level]
    assert (~both.frames.level).sum() == SEQUENCE_FRAMES + 9
    # With a learning rate of next to nothing they are what they were: weights, norms and memory came from the files.
    features = track_input(load_recordings(labelled), gcn=load_engine(weights_path("gcn"))).features
    engine = load_engine(weights_path("lifting"))
    given = {"features": features, **empty_memory(engine, len(features))}
    answered = engine.run(given)
    network: Any = adapted.results["lifting"].model.network
    network.eval()
    with torch.no_grad():
        joints, _, depth, *_ = network(*(torch.from_numpy(part) for part in given.values()))
    assert np.abs(joints.numpy() - answered["joints"]).mean() < 0.005
    assert np.abs(depth.numpy() - answered["log_depth_extent"]).mean() < 0.01


def test_networks_that_are_worse_are_not(
    video: Path, labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = {"ap_root_25": 30.0, "auc_rel": 40.0, "pck_rel": 60.0, "pck_abs": 20.0}
    names = ("installed", *adapting.ADAPTED)

    def rows(*auc: float) -> list[dict[str, Any]]:
        return [{"networks": name, **figures, "auc_rel": value} for name, value in zip(names, auc, strict=True)]

    worse = {"held out": rows(40.0, 39.5, 39.0), "video": []}

    def trained(row: str, recordings: Path, files: dict[str, Path], *given: Any, **more: Any) -> run.TrainedRow:
        for file in files.values():
            file.parent.mkdir()
            file.write_bytes(b"a network")
        return run.TrainedRow(files["lifting"], files["fusion"], {})

    monkeypatch.setattr(adapting, "train_both", trained)
    monkeypatch.setattr(adapting, "measure", lambda *given: worse)
    with pytest.raises(TrainingError, match=r"refused: .* auc_rel 40\.00 -> 39\.50"):
        adapt(Footage(video, None, labelled), tmp_path, TINY)
    assert not list(tmp_path.rglob("*.onnx")) and (tmp_path / "measured.json").is_file()
    assert best_of(rows(40.0, 39.5, 40.5)) == names[2] and best_of(rows(40.0, 40.5, 40.2)) == names[1]
    with pytest.raises(TrainingError, match="too few"):
        best_of([{**row, "ap_root_25": None} for row in rows(1.0, 2.0, 3.0)])


def test_the_distance_on_the_image_is_of_who_is_not_labelled() -> None:
    recordings = made.made_recordings(np.random.default_rng(7), 1, 2)
    assert off_image_pct(recordings) is None
    frames = dataclasses.replace(recordings.frames, level=np.zeros(2, dtype=bool))
    assert off_image_pct(dataclasses.replace(recordings, frames=frames)) == pytest.approx(0, abs=1e-3)
    moved = dataclasses.replace(recordings.top_down, keypoints_px=recordings.top_down.keypoints_px + np.float32(3))
    found = off_image_pct(dataclasses.replace(recordings, frames=frames, top_down=moved))
    assert found is not None and 0.5 < found < 5


def test_the_settings_for_videos_are_of_the_networks_that_ship() -> None:
    """Who adapts starts from the installed files."""
    task = read_settings(SETTINGS / "semi_supervised_video.yaml")["task"]
    sizes = ("window", "channels", "hidden", "blocks")
    assert [task["lifting"]["network"][name] for name in sizes] == [SHIPPED[name] for name in sizes]
    fusion = read_settings(SETTINGS / "fusion.yaml")["task"]
    assert task["fusion"]["network"]["hidden"] == fusion["network"]["hidden"]
