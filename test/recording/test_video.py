"""The MP4 writer, read back by an independent demuxer call."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from dualpose_ros.recording.video import VideoWriter


def test_frames_keep_their_times_and_colours(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    times_ms = [0, 100, 250, 300, 500]
    colours = [(220, 30, 30), (30, 220, 30), (30, 30, 220), (128, 128, 128), (240, 240, 240)]
    with VideoWriter(path) as writer:
        for time_ms, colour in zip(times_ms, colours, strict=True):
            image = np.full((101, 140, 3), colour, np.uint8)
            writer.write(image, int(7e18) + time_ms * 1_000_000)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(stream)]
    assert [time for time, _ in frames] == pytest.approx([t / 1000 for t in times_ms], abs=1e-4)
    for (_, image), colour in zip(frames, colours, strict=True):
        assert image.shape == (100, 140, 3)
        assert np.abs(image.reshape(-1, 3).mean(0) - colour).max() < 12


@pytest.mark.parametrize("fps", [10, 20, 24])
def test_a_steady_video_has_its_frame_rate(fps: int, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    rng = np.random.default_rng(0)
    with VideoWriter(path) as writer:
        for index in range(60):
            writer.write(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8), index * 10**9 // fps)
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(fps, rel=1e-4)
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 60


def test_repeated_stamp_is_not_fatal(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "clip.mp4") as writer:
        for stamp in (0, 0, 10_000_000):
            writer.write(np.zeros((64, 64, 3), np.uint8), stamp)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert len(list(container.decode(video=0))) == 3


def test_a_frame_of_another_size_is_fitted_in(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "clip.mp4") as writer:
        writer.write(np.full((64, 96, 3), 200, np.uint8), 0)
        writer.write(np.full((128, 64, 3), 200, np.uint8), 40_000_000)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert [image.shape for image in images] == [(64, 96, 3)] * 2
    bright = images[1][..., 1] > 100
    assert bright.mean() == pytest.approx(32 / 96, abs=0.05) and bright[:, 40:56].all()


def test_a_picture_of_one_pixel_is_a_video_too(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "dot.mp4") as video:
        video.write(np.full((1, 1, 3), 200, np.uint8), 0)
    with av.open(str(tmp_path / "dot.mp4")) as container:
        (frame,) = container.decode(video=0)
        assert container.streams.video[0].duration * container.streams.video[0].time_base == 1
    assert frame.to_ndarray(format="rgb24").mean() > 180
