"""A disk that fills up while a run is recorded."""

import errno
import io
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.reader import make_reader

from dualpose_ros.recording import disk
from dualpose_ros.recording.disk import Disk
from dualpose_ros.recording.frame_store import FrameStore
from dualpose_ros.recording.pose_lines import PoseFrame, read_pose_lines
from dualpose_ros.recording.recording import POSES_TYPE, STALE, Recording


@pytest.fixture
def small_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder in which all files together hold 200 kB."""

    def write(file: io.FileIO, data: Any) -> int:
        used = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
        if used + len(data) > 200_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return io.FileIO.write(file, data)

    monkeypatch.setattr(disk, "_write", write)
    return tmp_path


def test_what_was_recorded_before_the_disk_was_full_is_whole(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dualpose_ros.recording.recording.Disk", lambda folder: Disk(folder, 50_000))
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    recording = Recording(small_disk)
    for number in range(200):
        recording.add_image(number + 1, noise)
        recording.add_poses("/humans/poses3d", PoseFrame(number + 1, number + 1, "eye", (), number), b"\0" * 2000)
    assert recording.disk.is_full and 5 < recording.num_poses < 200
    recording.close()
    recording.frames.discard()
    frames = list(read_pose_lines(recording.pose_lines))
    assert [frame.number for frame in frames] == list(range(len(frames)))
    with (small_disk / "poses.mcap").open("rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None and summary.statistics is not None
    assert summary.statistics.message_count == len(frames) == recording.num_poses
    assert not list(small_disk.glob(".*")) and POSES_TYPE in {schema.name for schema in summary.schemas.values()}


def test_a_disk_without_room_for_the_reserve_is_left_as_it_was(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="large"):
            Recording(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_files_that_cannot_be_begun_leave_no_others(tmp_path: Path) -> None:
    (tmp_path / "poses.mcap").mkdir()
    with pytest.raises(OSError, match="directory"):
        Recording(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["poses.mcap"]


def test_frames_are_kept_up_to_a_bound(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    with FrameStore(tmp_path / "frames", most_bytes=60_000) as store:
        for number in range(1, 50):
            store.add(number, noise)
            store.keep(number)
        assert store.is_full and 3 < len(store) < 20
        assert (tmp_path / "frames").stat().st_size <= 60_000
        assert all(store.read(stamp).shape == noise.shape for stamp in store.stamps_ns)


def test_a_second_run_leaves_nothing_of_the_first_beside_it(tmp_path: Path) -> None:
    for name in ("overlay.mp4", "summary.json", "tracks.png", "poses.jsonl"):
        (tmp_path / name).write_bytes(b"old")
    (tmp_path / "notes.txt").write_text("mine")
    recording = Recording(tmp_path)
    recording.close()
    recording.frames.discard()
    assert {path.name for path in tmp_path.iterdir()} == {
        "notes.txt", "poses.mcap", "poses.jsonl", "fused.jsonl", "top_down.jsonl"
    }  # fmt: skip


def test_a_folder_without_a_run_keeps_its_files(tmp_path: Path) -> None:
    """A picture of depths beside those that the run is on, say."""
    for name in STALE:
        (tmp_path / name).write_bytes(b"somebody else's")
    recording = Recording(tmp_path)
    recording.close()
    recording.frames.discard()
    assert all((tmp_path / name).is_file() for name in STALE)
