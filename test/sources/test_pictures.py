"""Pictures of any depth and kind in 8 bits."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from dualpose_ros.sources.frames import images_of, open_source
from dualpose_ros.sources.pictures import IntensityRange, read_picture
from dualpose_ros.sources.source import SourceError

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
