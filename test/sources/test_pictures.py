"""Pictures of any depth and kind in 8 bits."""

import struct
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any
from zlib import crc32

import av
import cv2
import numpy as np
import pytest

from dualpose_ros.sources.frames import images_of, open_source
from dualpose_ros.sources.pictures import IntensityRange, read_picture
from dualpose_ros.sources.source import SourceError
from dualpose_ros.sources.stated_size import tiff_pages

COLOURS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("shift", [8, 4])
def test_sixteen_bits_and_twelve_of_them(suffix: str, shift: int, tmp_path: Path) -> None:
    path = tmp_path / f"bild ü人{suffix}"
    path.write_bytes(cv2.imencode(suffix, COLOURS.astype(np.uint16) << shift)[1].tobytes())
    assert np.abs(read_picture(path).astype(int) - COLOURS[..., ::-1]).max() <= 1


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_grey_colour_and_what_is_transparent(channels: int, tmp_path: Path) -> None:
    pixels = np.dstack([COLOURS, COLOURS[..., :1]])[..., :channels]
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    wanted = pixels[..., 2::-1] if channels > 1 else np.repeat(pixels, 3, axis=-1)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), wanted)


def test_the_ends_of_the_range_stay() -> None:
    intensities = IntensityRange()
    for values, wanted in (([], []), ([0, 4095], [0, 255]), ([0, 4096, 65535], [0, 16, 255])):
        assert intensities.eight_bit(np.array(values, np.uint16)).tolist() == wanted


def test_a_dark_picture_of_a_stream_of_sixteen_bits_stays_dark(tmp_path: Path) -> None:
    for name, value in (("1.png", 4000), ("2.png", 40000), ("3.png", 4000)):
        (tmp_path / name).write_bytes(cv2.imencode(".png", np.full((8, 8), value, np.uint16))[1].tobytes())
    source = open_source(str(tmp_path))
    assert [int(image.max()) for image in images_of(source)] == [249, 156, 16]


def test_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    (tmp_path / "empty.png").touch()
    for name, said in (("a", "decoded"), ("empty", "decoded"), ("none", "read: No such file")):
        with pytest.raises(SourceError, match=rf"{name}\.png cannot be {said}"):
            read_picture(tmp_path / f"{name}.png")


def write_film(path: Path, codec: str, pixels: str, count: int = 3) -> None:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 60 * (index + 1), np.uint8), format="rgb24")
            container.mux(stream.encode(frame.reformat(format=pixels)))
        container.mux(stream.encode(None))


def test_pictures_that_move_are_a_film_or_refused(tmp_path: Path) -> None:
    """They gave their first picture alone, without a word."""
    write_film(tmp_path / "film.apng", "apng", "rgb24")
    write_film(tmp_path / "film.gif", "gif", "rgb8")
    write_film(tmp_path / "film.webp", "libwebp_anim", "bgra")
    (tmp_path / "film.apng").rename(tmp_path / "film.png")
    for name in ("film.png", "film.gif"):
        source = open_source(str(tmp_path / name))
        assert [(source.number, round(source.time_ns / 1e6)) for _ in images_of(source)] == [(0, 0), (1, 200), (2, 400)]
    for name in ("film.webp", ""):
        with pytest.raises(SourceError, match=r"film\.(gif|webp) holds a film: write it as MP4"):
            open_source(str(tmp_path / name))


def test_a_film_of_one_picture_is_a_picture(tmp_path: Path) -> None:
    said = b"acTL" + (1).to_bytes(4, "big") + bytes(4)
    chunk = (8).to_bytes(4, "big") + said + crc32(said).to_bytes(4, "big")
    content = cv2.imencode(".png", COLOURS)[1].tobytes()
    (tmp_path / "one.png").write_bytes(content[:33] + chunk + content[33:])
    np.testing.assert_array_equal(read_picture(tmp_path / "one.png"), COLOURS[..., ::-1])


def test_pictures_of_kinds_that_may_move_are_had_from_a_folder_too(tmp_path: Path) -> None:
    """They were passed over without a word."""
    write_film(tmp_path / "1.gif", "gif", "rgb8", 1)
    (tmp_path / "2.jp2").write_bytes(cv2.imencode(".jp2", np.full((48, 64, 3), 120, np.uint8))[1].tobytes())
    cv2.imwrite(str(tmp_path / "3.png"), np.full((48, 64, 3), 180, np.uint8))
    (tmp_path / "4.HEIC").write_bytes(b"damaged")
    source = open_source(str(tmp_path))
    shown = [(source.file, round(int(image[0, 0, 1]) / 60)) for image in islice(images_of(source), 3)]
    assert shown == [("1.gif", 1), ("2.jp2", 2), ("3.png", 3)]
    with pytest.raises(SourceError, match=r"4\.HEIC cannot be read"):
        source.read()


def test_a_tiff_file_gives_all_its_pages_but_no_small_copies(tmp_path: Path) -> None:
    (folder := tmp_path / "folder").mkdir()
    pages = [np.full((48, 64, 3), 60 * (page + 1), np.uint8) for page in range(3)]
    cv2.imwritemulti(str(folder / "1.tif"), [pages[0], pages[1][::2, ::2].copy(), pages[1]])
    cv2.imwritemulti(str(folder / "2.TIFF"), [pages[2]])
    source = open_source(str(folder))
    found = [(source.number, source.file, int(image[0, 0, 0]), image.shape[0]) for image in images_of(source)]
    assert found == [(0, "1.tif", 60, 48), (1, "1.tif", 120, 48), (2, "2.TIFF", 180, 48)]
    source.rewind()
    assert source.info.count == len(list(images_of(source))) == 3
    # A mask says by its tag 254 that it is one.
    kind = struct.pack("<HHII", 254, 4, 1, 4)
    directory = struct.pack("<H", 3) + kind + struct.pack("<HHIIHHII", 256, 4, 1, 64, 257, 4, 1, 48) + bytes(4)
    plain = cv2.imencode(".tif", pages[0])[1].tobytes()
    (at,) = struct.unpack_from("<I", plain, 4)
    last = at + 2 + 12 * struct.unpack_from("<H", plain, at)[0]
    masked = plain[:last] + struct.pack("<I", len(plain)) + plain[last + 4 :] + directory
    assert tiff_pages(BytesIO(masked)) == [0] and tiff_pages(BytesIO(masked.replace(kind, b"\xfb" + kind[1:]))) == [
        0,
        1,
    ]
    whole = (folder / "1.tif").read_bytes()
    for length in (0, 4, 9, len(whole) // 2, len(whole) - 9):
        (tmp_path / "cut.tif").write_bytes(whole[:length])
        try:
            assert open_source(str(tmp_path / "cut.tif")).info.count in (1, 2)
        except SourceError as error:
            assert "cannot be decoded" in str(error)


@pytest.mark.parametrize("type_of", [np.float32, np.float64])
def test_floats_are_shares_of_white(type_of: type, tmp_path: Path) -> None:
    """As in messages; what they were taken for was damage."""
    cv2.imwrite(str(tmp_path / "a.tif"), (COLOURS / 255).astype(type_of))
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif"), COLOURS[..., ::-1])
    for values in (COLOURS.astype(type_of), COLOURS.astype(np.int16)):
        cv2.imwrite(str(tmp_path / "a.tif"), values)
        with pytest.raises(SourceError, match=rf"a\.tif holds {values.dtype} from 0 to 255; intensities are"):
            read_picture(tmp_path / "a.tif")
