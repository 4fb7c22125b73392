"""Films as cameras, editors and broadcasters leave them: numbers, times and shapes of their frames."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import pytest

from dualpose_ros.sources.frames import images_of, open_source
from dualpose_ros.sources.source import SourceError, SourceInfo, ends_early


def write(path: Path, count: int, shift_ms: int = 0, cover: bool = False, aspect: int = 1, **options: str) -> None:
    """A film of 25 pictures a second, as bright as their numbers; `cover`: behind a picture of one."""
    edits = {"avoid_negative_ts": "disabled", "use_editlist": "1"} if shift_ms else {}
    with av.open(str(path), "w", options=edits) as container:
        pictures: Any = container.add_stream("mjpeg", rate=1) if cover else None
        stream: Any = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(aspect)
        if cover:
            pictures.width, pictures.height, pictures.pix_fmt = 32, 32, "yuvj420p"
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 + 8 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = 40 * number + shift_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def frames_of(path: Path) -> list[tuple[int, int, int, int]]:
    """Of each frame that is read: its number and time in 40 ms, what its brightness says, and how wide it is."""
    source, found = open_source(str(path)), []
    while (image := source.read()) is not None:
        shown = round((int(image[24, image.shape[1] // 2, 1]) - 20) / 8)
        found.append((source.number, round(source.time_ns / 40e6), shown, image.shape[1]))
    return found


def test_the_cover_of_a_film_is_not_the_film(tmp_path: Path) -> None:
    write(tmp_path / "film.mkv", 20, cover=True)
    assert frames_of(tmp_path / "film.mkv") == [(n, n, n, 64) for n in range(20)]


def test_what_an_edit_list_leaves_out_is_no_frame_that_was_lost(tmp_path: Path) -> None:
    """As phones trim their films: everything is stored from a key frame on, and less of it shown."""
    write(tmp_path / "film.mp4", 25, shift_ms=-240, bf="2")
    assert frames_of(tmp_path / "film.mp4") == [(n, n, n + 6, 64) for n in range(19)]
    assert open_source(str(tmp_path / "film.mp4")).info.count == 19


def test_a_film_in_avi_has_its_frames_at_even_times(tmp_path: Path) -> None:
    write(tmp_path / "film.avi", 25, bf="3")
    assert frames_of(tmp_path / "film.avi") == [(n, n, n, 64) for n in range(25)]


@pytest.mark.parametrize("name", ["10:20:30.avi", "concat:a.avi", "%03d.avi", "-", "a ! b.avi"])
def test_a_name_that_means_more_to_ffmpeg(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.avi", 2)
    (tmp_path / "a.avi").rename(name)
    source = open_source(name)
    assert len(list(images_of(source))) == 2
    source.rewind()
    assert len(list(images_of(source))) == 2


def test_films_that_were_joined_are_counted_on(tmp_path: Path) -> None:
    write(tmp_path / "film.ts", 20, bf="2")
    (tmp_path / "joined.ts").write_bytes(2 * (tmp_path / "film.ts").read_bytes())
    assert [frame[::2] for frame in frames_of(tmp_path / "joined.ts")] == [(n, n % 20) for n in range(40)]


def test_pixels_that_change_their_shape_within_a_film_stay_square(tmp_path: Path) -> None:
    for aspect in (1, 2):
        write(tmp_path / f"{aspect}.ts", 20, aspect=aspect, bf="2")
    (tmp_path / "joined.ts").write_bytes(b"".join((tmp_path / f"{aspect}.ts").read_bytes() for aspect in (1, 2)))
    assert [frame[3] for frame in frames_of(tmp_path / "joined.ts")] == 20 * [64] + 20 * [128]


@pytest.mark.parametrize(("orientation", "quarters"), [(1, 0), (3, 2), (6, -1), (8, 1)])
def test_exif_in_the_pictures_of_a_film_stops_nothing(orientation: int, quarters: int, tmp_path: Path) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32] = 240
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    tag = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([orientation]) + b"\0\0\0\0\0\0"
    picture = jpeg[:2] + b"\xff\xe1" + (len(tag) + 2).to_bytes(2, "big") + tag + jpeg[2:]
    (tmp_path / "film.mjpeg").write_bytes(4 * picture)
    shown = open_source(str(tmp_path / "film.mjpeg")).read()
    assert shown is not None and shown.shape == np.rot90(image, quarters).shape
    assert np.abs(shown.astype(int) - np.rot90(image, quarters)).mean() < 5


def test_a_film_that_left_frames_out_is_not_damaged_but_one_that_is_cut_is(tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for at in range(0, 100, 4):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 2 * at, np.uint8), format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for share, is_early in ((1, False), (2, True)):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // share])
        source = open_source(str(path))
        assert source.info.count is not None and source.info.count > 90
        assert len(list(images_of(source))) <= 25
        assert ends_early(source) is is_early
    shown_for_a_minute: Any = SimpleNamespace(info=SourceInfo(64, 48, 2 / 61, 2, False), time_ns=10**9, number=1)
    assert not ends_early(shown_for_a_minute)


def test_a_text_and_a_pattern_of_names_are_no_films(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("0 0.5 0.5 0.2 0.4\n" * 200)
    with pytest.raises(SourceError, match=r"labels\.txt cannot be read: it is a text"):
        open_source(str(tmp_path / "labels.txt"))
    for name in ("*.jpg", "frame_%04d.png"):
        with pytest.raises(SourceError, match="does not exist: of pictures name their folder"):
            open_source(str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "times_ms"),
    [
        ("watched.mov", [0, 10_000, 20_000, 20_040, 20_080, 20_120, 30_000]),
        ("fast.mov", [0, 0.5, 1, 1.5, 2]),
        ("repeated.mkv", [0, 40, 40.2, 120]),
    ],
)
def test_frames_are_at_their_times_however_far_apart(name: str, times_ms: list[float], tmp_path: Path) -> None:
    """Bursts of a camera that watches for movement were drawn out tenfold."""
    with av.open(str(tmp_path / name), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=2000 if name == "fast.mov" else 25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        stream.codec_context.time_base = Fraction(1, 10_000)
        for at in times_ms:
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(10 * at), Fraction(1, 10_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    source = open_source(str(tmp_path / name))
    found = [source.time_ns / 1e6 for _ in images_of(source)]
    if name == "repeated.mkv":
        # Its times are whole milliseconds.
        assert found[:2] == [0, 40] and 41 < found[2] < 50 and found[3] == 120
    else:
        assert found == pytest.approx(times_ms)
    assert not ends_early(source)


def box(kind: bytes, content: bytes, version: int | None = None) -> bytes:
    head = b"" if version is None else bytes([version, 0, 0, 0])
    return struct.pack(">I", 8 + len(head) + len(content)) + kind + head + content


def tiled(tiles: Sequence[bytes], width: int, height: int) -> bytes:
    """A HEIF picture of tiles side by side: JPEGs here, where phones have HEVC."""
    count, items = len(tiles), range(1, len(tiles) + 2)
    grid = struct.pack(">BBBBHH", 0, 0, 0, count - 1, width * count, height)
    kinds = [b"jpeg"] * count + [b"grid"]
    entries = b"".join(
        box(b"infe", struct.pack(">HH", n, 0) + kind + b"\0", 2) for n, kind in zip(items, kinds, strict=True)
    )
    sizes = box(b"ispe", struct.pack(">II", width, height), 0) + box(
        b"ispe", struct.pack(">II", width * count, height), 0
    )
    owned = b"".join(struct.pack(">HBB", n, 1, 2 if n > count else 1) for n in items)
    refers = box(b"dimg", struct.pack(">HH", count + 1, count) + b"".join(struct.pack(">H", n) for n in items[:-1]))

    def meta(at: int) -> bytes:
        places = b""
        for n, content in zip(items, [*tiles, grid], strict=True):
            places += struct.pack(">HHHHII", n, 0, 0, 1, at, len(content))
            at += len(content)
        inside = [
            box(b"hdlr", b"\0\0\0\0pict" + bytes(13), 0),
            box(b"pitm", struct.pack(">H", count + 1), 0),
            box(b"iloc", b"\x44\0" + struct.pack(">H", count + 1) + places, 1),
            box(b"iinf", struct.pack(">H", count + 1) + entries, 0),
            box(b"iref", refers, 0),
            box(b"iprp", box(b"ipco", sizes) + box(b"ipma", struct.pack(">I", count + 1) + owned, 0)),
        ]
        return box(b"meta", b"".join(inside), 0)

    head = box(b"ftyp", b"heic\0\0\0\0mif1heic")
    return head + meta(len(head) + len(meta(0)) + 8) + box(b"mdat", b"".join([*tiles, grid]))


def test_one_tile_is_not_taken_for_a_phone_s_picture(tmp_path: Path) -> None:
    tile = cv2.imencode(".jpg", np.full((64, 64, 3), 90, np.uint8))[1].tobytes()
    (tmp_path / "IMG_1.HEIC").write_bytes(tiled([tile, tile], 64, 64))
    with pytest.raises(SourceError, match=r"IMG_1\.HEIC cannot be read: it is a picture in tiles, .* to JPEG"):
        open_source(str(tmp_path / "IMG_1.HEIC"))
