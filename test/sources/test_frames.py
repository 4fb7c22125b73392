"""Sources of images: videos of every kind, folders, streams, and what is none."""

import os
import threading
from fractions import Fraction
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from dualpose_ros.sources import live
from dualpose_ros.sources.frames import images_of, open_source
from dualpose_ros.sources.live import LiveSource
from dualpose_ros.sources.source import SourceError


def numbered(index: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """A picture that tells its number by its grey level, red on the left."""
    image = np.full((size[1], size[0], 3), 10 * index, np.uint8)
    image[:, : size[0] // 2, 0] = 250
    return image


def write_video(path: Path, count: int) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.5, (64, 48))
    assert writer.isOpened()
    for index in range(count):
        writer.write(cv2.cvtColor(numbered(index), cv2.COLOR_RGB2BGR))
    writer.release()


def read_all(source: object) -> list[np.ndarray]:
    images = []
    while (image := source.read()) is not None:  # type: ignore[attr-defined]
        images.append(image)
    return images


def test_video(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    write_video(path, 9)
    source = open_source(str(path))
    assert (source.info.width, source.info.height, source.info.count, source.info.live) == (64, 48, 9, False)
    assert source.info.fps == pytest.approx(12.5)
    for _ in range(2):
        images = read_all(source)
        assert len(images) == 9
        for index, image in enumerate(images):
            assert image.dtype == np.uint8 and image.shape == (48, 64, 3)
            assert abs(int(image[24, 48, 1]) - 10 * index) <= 6
            assert image[24, 10, 0] > 200 > image[24, 10, 2] + 60
        source.rewind()
    source.close()


def write_h264(path: Path, count: int) -> None:
    """With frames that are stored in another order than they are shown in."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20, options={"bf": "3", "g": "12"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(numbered(index % 24), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_frames_behind_a_hole_keep_their_numbers(tmp_path: Path) -> None:
    whole, holed = tmp_path / "whole.mp4", tmp_path / "holed.mp4"
    write_h264(whole, 60)
    with av.open(str(whole)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        at = [p.pos for p in sorted(packets, key=lambda p: p.pos)][20:26]
    content = bytearray(whole.read_bytes())
    content[at[0] : at[-1]] = b"\xff" * (at[-1] - at[0])
    holed.write_bytes(content)
    for path, lost in ((whole, 0), (holed, 1)):
        source, found = open_source(str(path)), []
        while source.read() is not None:
            found.append((source.number, round(source.time_ns * 20e-9)))
        # A decoder may give a picture beside the hole too soon or too late; times go on as they were.
        wrong = [(number, at_time) for number, at_time in found if number != at_time]
        assert len(wrong) <= lost and all(abs(number - at_time) == 1 for number, at_time in wrong), found
        assert found[-1] == (59, 59) and (len(found) < 60) == bool(lost)


def test_a_picture_that_can_not_be_read_keeps_its_number(tmp_path: Path) -> None:
    for index in range(4):
        cv2.imwrite(str(tmp_path / f"{index}.png"), numbered(index))
    (tmp_path / "1.png").write_bytes(b"no picture")
    source, found = open_source(str(tmp_path)), []
    for _ in range(4):
        try:
            assert source.read() is not None
        except SourceError:
            continue
        found.append((source.number, source.file))
    assert found == [(0, "0.png"), (2, "2.png"), (3, "3.png")]
    source.rewind()
    assert source.read() is not None and (source.number, source.file) == (0, "0.png")


def test_a_file_may_be_named_as_url(tmp_path: Path) -> None:
    path = tmp_path / "a clip\nü.avi"
    write_video(path, 2)
    for url in (path.as_uri(), path.as_uri().replace("file://", "file://localhost")):
        assert len(read_all(open_source(url))) == 2
    with pytest.raises(SourceError, match=r"does not exist"):
        open_source("file:///nowhere.mp4")


def test_a_name_that_begins_like_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "~clip.avi", 2)
    assert len(read_all(open_source("~clip.avi"))) == 2
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(read_all(open_source("~/~clip.avi"))) == 2


def test_directory_in_natural_order(tmp_path: Path) -> None:
    for index in (1, 2, 10):
        cv2.imwrite(str(tmp_path / f"frame_{index}.png"), cv2.cvtColor(numbered(index), cv2.COLOR_RGB2BGR))
    (tmp_path / "notes.txt").write_text("not an image")
    source = open_source(str(tmp_path))
    assert source.info.count == 3
    assert [int(image[0, 63, 1]) for image in read_all(source)] == [10, 20, 100]
    source.rewind()
    image = source.read()
    assert image is not None and np.array_equal(image, numbered(1))


def test_directory_goes_on_after_a_bad_image(tmp_path: Path) -> None:
    for index in (1, 4):
        cv2.imwrite(str(tmp_path / f"{index}.png"), numbered(index))
    (tmp_path / "2.png").write_bytes(b"no png")
    cv2.imwrite(str(tmp_path / "3.png"), numbered(3, (32, 32)))
    source = open_source(str(tmp_path))
    assert source.read() is not None
    with pytest.raises(SourceError, match=r"2\.png cannot be decoded"):
        source.read()
    small = source.read()
    assert small is not None and small.shape == (32, 32, 3), "each has its own size"
    assert source.time_ns == round(2e9 / 30)
    assert source.read() is not None
    assert source.read() is None


def test_a_folder_as_systems_leave_it(tmp_path: Path) -> None:
    """What no image can be is passed over in silence, a damaged first one is not what the source is judged by."""
    (tmp_path / "._1.png").write_bytes(b"\0\5\x16\7")
    (tmp_path / "Thumbs.db").write_bytes(b"thumbs")
    (tmp_path / "0.png").symlink_to("0.png")
    (tmp_path / "01.png").mkdir()
    os.mkfifo(tmp_path / "02.png")
    (tmp_path / "1.png").touch()
    cv2.imwrite(str(tmp_path / "2.png"), numbered(2))
    source = open_source(str(tmp_path))
    assert (source.info.width, source.info.height, source.info.count) == (64, 48, 2)
    with pytest.raises(SourceError, match=r"1\.png cannot be decoded"):
        source.read()
    assert len(read_all(source)) == 1
    (tmp_path / "2.png").unlink()
    with pytest.raises(SourceError, match=r"1\.png cannot be decoded"):
        open_source(str(tmp_path))
    with pytest.raises(SourceError, match="a pipe or the like"):
        open_source(str(tmp_path / "02.png"))


def test_bad_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="no source given"):
        open_source("")
    with pytest.raises(SourceError, match=r"nowhere\.mp4 does not exist"):
        open_source(str(tmp_path / "nowhere.mp4"))
    with pytest.raises(SourceError, match="holds no images"):
        open_source(str(tmp_path))
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video at all" * 100)
    with pytest.raises(SourceError, match=r"broken\.mp4 cannot be read"):
        open_source(str(broken))
    with pytest.raises(SourceError, match="camera device /dev/video987"):
        open_source("/dev/video987")
    (tmp_path / "2024").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=r"camera device 2024 .*; the file or folder of that name is \./2024"):
        open_source("2024")


def encode(
    path: Path,
    times_ms: list[int],
    codec: str = "libx264",
    aspect: Fraction | None = None,
    image: np.ndarray | None = None,
) -> None:
    """Numbered pictures, or one again and again, with presentation times."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for index, at in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(numbered(index) if image is None else image, format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_frames_have_their_presentation_time(tmp_path: Path) -> None:
    """Ten frames at 30 a second, then some at 3, from a start that is not zero."""
    times = [500 + 33 * k for k in range(10)] + [830 + 333 * k for k in range(1, 5)]
    encode(tmp_path / "clip.mp4", times)
    source, found = open_source(str(tmp_path / "clip.mp4")), []
    while source.read() is not None:
        found.append(source.time_ns // 1_000_000)
    assert found == [at - 500 for at in times]


def test_frames_without_times_follow_one_another(tmp_path: Path) -> None:
    """A bare stream has no container that could tell times."""
    encode(tmp_path / "bare.h264", [40 * k for k in range(5)])
    source = open_source(str(tmp_path / "bare.h264"))
    times = [source.time_ns for _ in images_of(source)]
    step = round(1e9 / source.info.fps)
    assert times == pytest.approx([k * step for k in range(5)])


def test_films_that_were_joined_go_on(tmp_path: Path) -> None:
    encode(tmp_path / "one.ts", [100 * k for k in range(12)])
    one = (tmp_path / "one.ts").read_bytes()
    (tmp_path / "joined.ts").write_bytes(one + one)
    source = open_source(str(tmp_path / "joined.ts"))
    times = np.array([source.time_ns for _ in images_of(source)]) * 1e-6
    assert len(times) == 24
    assert np.diff(times)[[*range(11), *range(12, 23)]] == pytest.approx(100, abs=1)
    assert 0 < times[12] - times[11] < 200


def test_av1_is_decoded(tmp_path: Path) -> None:
    codec = next((name for name in ("libsvtav1", "libaom-av1") if name in av.codecs_available), None)
    if codec is None:
        pytest.skip("this PyAV has no AV1 encoder to make a clip with")
    encode(tmp_path / "clip.mkv", [40 * k for k in range(5)], codec)
    assert len(read_all(open_source(str(tmp_path / "clip.mkv")))) == 5


def test_pixels_are_made_square(tmp_path: Path) -> None:
    encode(tmp_path / "wide.mp4", [0, 40], aspect=Fraction(4, 3))
    encode(tmp_path / "high.mp4", [0, 40], aspect=Fraction(3, 4))
    wide, high = open_source(str(tmp_path / "wide.mp4")), open_source(str(tmp_path / "high.mp4"))
    assert (wide.info.width, wide.info.height) == (85, 48)
    assert (high.info.width, high.info.height) == (64, 64)


MARKED = np.zeros((48, 64, 3), np.uint8)
MARKED[:24, :32], MARKED[:24, 32:], MARKED[24:, :32] = (240, 0, 0), (0, 240, 0), (0, 0, 240)
DISPLAYED = {
    1: ((1, 0, 0, 1), MARKED),
    2: ((-1, 0, 0, 1), MARKED[:, ::-1]),
    3: ((-1, 0, 0, -1), MARKED[::-1, ::-1]),
    4: ((1, 0, 0, -1), MARKED[::-1]),
    5: ((0, 1, 1, 0), MARKED.swapaxes(0, 1)),
    6: ((0, 1, -1, 0), np.rot90(MARKED, -1)),
    7: ((0, -1, -1, 0), np.rot90(MARKED, 2).swapaxes(0, 1)),
    8: ((0, -1, 1, 0), np.rot90(MARKED)),
}
"""By EXIF's orientation: the same as a matrix (a, b, c, d) of a track's header, and how MARKED is then shown."""


@pytest.mark.parametrize("orientation", DISPLAYED)
def test_a_film_is_turned_and_mirrored_as_its_track_says(orientation: int, tmp_path: Path) -> None:
    path = tmp_path / "phone.mp4"
    encode(path, [0, 40], image=MARKED)
    data = bytearray(path.read_bytes())
    (a, b, c, d), shown = DISPLAYED[orientation]
    start = data.index(b"tkhd") + 44
    matrix = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]
    data[start : start + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    path.write_bytes(bytes(data))
    image = open_source(str(path)).read()
    assert image is not None and image.shape == shown.shape
    assert np.abs(image.astype(int) - shown).mean() < 20


@pytest.mark.parametrize("orientation", DISPLAYED)
def test_a_picture_is_the_same_alone_and_in_a_folder(orientation: int, tmp_path: Path) -> None:
    tag = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([orientation]) + b"\0\0\0\0\0\0"
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(MARKED, cv2.COLOR_RGB2BGR))[1].tobytes()
    (tmp_path / "a.JPG").write_bytes(jpeg[:2] + b"\xff\xe1" + (len(tag) + 2).to_bytes(2, "big") + tag + jpeg[2:])
    shown = DISPLAYED[orientation][1]
    for name in ("", "a.JPG"):
        source = open_source(str(tmp_path / name))
        (image,) = images_of(source)
        assert (source.info.width, source.info.height, source.info.count) == (shown.shape[1], shown.shape[0], 1)
        assert image.shape == shown.shape and np.abs(image.astype(int) - shown).mean() < 20


def test_twelve_bits_are_as_bright_alone_as_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", np.full((8, 8), 4000, np.uint16))[1].tobytes())
    for name in ("", "a.png"):
        assert [int(image.max()) for image in images_of(open_source(str(tmp_path / name)))] == [249]


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    encode(tmp_path / "clip.mp4", [0, 40])
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4")
    os.rename(tmp_path / "clip.mp4", path)
    assert len(read_all(open_source(path))) == 2
    with pytest.raises(SourceError, match=r"th..*does not exist"):
        open_source(path.replace("caf", "th"))
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/\xe9")
    os.mkdir(folder)
    Path(folder, "\udce9.png").write_bytes(cv2.imencode(".png", numbered(3))[1].tobytes())
    assert len(read_all(open_source(folder))) == 1


def test_a_film_that_breaks_off_gives_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    write_video(path, 25)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 4 // 5])
    assert 5 <= len(read_all(open_source(str(path)))) < 25
    path.write_bytes(data[:200])
    with pytest.raises(SourceError, match="cannot be read"):
        open_source(str(path))


def test_a_film_of_a_server(tmp_path: Path) -> None:
    encode(tmp_path / "clip.mp4", [0, 40, 80])

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        source = open_source(f"http://127.0.0.1:{server.server_port}/clip.mp4")
        assert not source.info.live and len(read_all(source)) == 3
        source.close()
        with pytest.raises(SourceError, match=r"none\.mp4 cannot be read"):
            open_source(f"http://someone:secret@127.0.0.1:{server.server_port}/none.mp4")
        server.shutdown()


def test_errors_of_streams_hide_the_password() -> None:
    with pytest.raises(SourceError) as caught:
        open_source("rtsp://someone:secret@127.0.0.1:1/stream")
    assert "secret" not in str(caught.value) and "127.0.0.1:1/stream cannot be read" in str(caught.value)


def test_a_pipeline_needs_an_opencv_that_has_gstreamer() -> None:
    if "GStreamer:                   YES" in cv2.getBuildInformation():
        pytest.skip("this OpenCV has GStreamer")
    with pytest.raises(SourceError, match="without GStreamer"):
        open_source("videotestsrc ! videoconvert ! appsink")


def test_what_is_live_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(live.time, "sleep", pauses.append)
    gives: list[int] = [2, -1, 0, 1]

    class Reader:
        fps = 30.0

        def __init__(self) -> None:
            self.left = gives.pop(0)
            if self.left < 0:
                raise SourceError("not there")

        def read(self) -> Any:
            self.left -= 1
            return numbered(1) if self.left >= 0 else None

        def close(self) -> None:
            pass

    source = LiveSource("the camera", Reader)
    assert source.info.live and source.read() is not None and source.read() is not None
    for _ in range(3):
        with pytest.raises(SourceError, match="the camera gives no more images"):
            source.read()
    assert source.read() is not None
    assert pauses == [0.5, 1.0, 2.0]


def test_a_codec_that_nobody_knows_is_named(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    encode(path, [0, 40])
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(SourceError, match=r"of an unknown codec|no frame in it can be decoded"):
        open_source(str(path))
