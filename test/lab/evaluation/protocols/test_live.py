"""Which pictures the live stages are shown for a data set's frames."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dualpose_ros.camera import Camera, camera_from_hfov
from dualpose_ros.datasets.published.truth import DatasetError, TruthFrame, TruthSequence, true_people
from dualpose_ros.lab.evaluation.branches import Seen
from dualpose_ros.lab.evaluation.protocols import live
from dualpose_ros.people import Persons
from dualpose_ros.sources.source import SourceError

CAMERA = camera_from_hfov(64, 48, 1.0)
NOBODY = true_people(np.zeros(0), np.zeros((0, 1, 3)), np.zeros((0, 1, 2)), "here")


class Watching:
    """Branches that find nobody, and keep what they were shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, int]] = []
        self.restarts = 0

    def restart(self) -> None:
        self.restarts += 1

    def process(self, image: np.ndarray, stamp_ns: int, camera: Camera) -> Seen:
        self.shown.append((round(float(image.mean()) / 20), stamp_ns))
        return Seen((), Persons.of([]), Persons.of([]))


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Watching:
    branches = Watching()
    monkeypatch.setattr(live, "_branches", lambda top_down: branches)
    return branches


def frame(index: int, stamp_s: float, picture: Path | None = None, camera: Camera = CAMERA) -> TruthFrame:
    return TruthFrame(index, stamp_s, picture, camera, NOBODY)


def sequence(**more: Any) -> TruthSequence:
    return TruthSequence("one", ("pelvis",), lambda: iter(()), **more)


def video(path: Path, frames: int) -> Path:
    """A video whose frame n is as bright as 20 n."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), 20 * number, np.uint8))
    writer.release()
    return path


def test_frames_of_a_video_by_their_index(watching: Watching, tmp_path: Path) -> None:
    """JTA counts from 1, and has no rows of frames without people: these are skipped in the video too."""
    made = sequence(video=video(tmp_path / "a.avi", 8), offset=1)
    found = list(live.predict(made, [[frame(1, 0.0), frame(4, 0.3), frame(5, 0.4)]], "fused", "top_down"))
    assert [shown for shown, _ in watching.shown] == [0, 3, 4] and watching.restarts == 1
    assert [seen.index for seen, _ in found] == [1, 4, 5]
    with pytest.raises(DatasetError, match="ends before frame 9"):
        list(live.predict(made, [[frame(9, 0.8)]], "fused", "top_down"))


def test_pictures_that_do_not_belong_together_are_seen_for_the_first_time(watching: Watching, tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), np.full((48, 64, 3), 20 * number, np.uint8))
    shots = live.shots_of(frame(n, 0.0, path) for n, path in enumerate(paths))
    list(live.predict(sequence(), shots, "refined", "movenet:FILE.onnx"))
    assert [shown for shown, _ in watching.shown] == [0, 1, 2] and watching.restarts == 3


def test_pictures_that_are_missing_or_of_another_size_are_named(watching: Watching, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.png cannot be read: No such file"):
        list(live.predict(sequence(), [[frame(0, 0.0, tmp_path / "none.png")]], "top_down", "top_down"))
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(DatasetError, match="frame 0 of one is 64x48, but its camera 640x480"):
        other = camera_from_hfov(640, 480, 1.0)
        list(live.predict(sequence(), [[frame(0, 0.0, tmp_path / "a.png", other)]], "top_down", "top_down"))
    with pytest.raises(DatasetError, match="one has no pictures"):
        list(live.predict(sequence(), [[frame(0, 0.0)]], "top_down", "top_down"))


def test_a_frame_that_is_not_later_begins_another_video() -> None:
    stamps = (0.0, 0.1, 0.2, 0.0, 0.0, 0.5)
    shots = live.shots_of(frame(n, stamp_s) for n, stamp_s in enumerate(stamps))
    assert [[own.index for own in shot] for shot in shots] == [[0, 1, 2], [3], [4, 5]]


def test_systems_are_called_by_what_makes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = tmp_path / "a.onnx"
    network.write_bytes(b"one")
    names = [live.system_of("refined", "top_down"), live.system_of("fused", "top_down")]
    names += [live.system_of("refined", given) for given in (str(network), f"movenet:{network}")]
    network.write_bytes(b"two")
    names.append(live.system_of("refined", str(network)))
    monkeypatch.setattr(live, "networks_digest", lambda: "0123")
    names.append(live.system_of("refined", "top_down"))
    assert len(set(names)) == len(names) == 6 and not any(str(tmp_path) in name for name in names)
