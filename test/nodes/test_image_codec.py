"""Decoding of sensor_msgs/Image against a slow, pixel-by-pixel reading of the same bytes."""

import struct
from array import array

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpose_ros.nodes.image_codec import ENCODINGS, ImageError, decode_image, encode_image
from dualpose_ros.sources.pictures import IntensityRange

from sensor_msgs.msg import CompressedImage, Image  # isort: skip - nodes puts it in place where there is no ROS 2
from std_msgs.msg import Header  # isort: skip

# encoding -> (struct code, order of the channels in memory)
CHANNELS = {
    "rgb8": ("B", "rgb"), "bgr8": ("B", "bgr"), "rgba8": ("B", "rgba"), "bgra8": ("B", "bgra"),
    "mono8": ("B", "g"), "8UC1": ("B", "g"), "8UC3": ("B", "bgr"), "8UC4": ("B", "bgra"),
    "rgb16": ("H", "rgb"), "bgr16": ("H", "bgr"), "rgba16": ("H", "rgba"), "bgra16": ("H", "bgra"),
    "mono16": ("H", "g"), "16UC1": ("H", "g"), "32FC1": ("f", "g"), "32FC3": ("f", "bgr"),
}  # fmt: skip


def message(encoding: str, width: int, height: int, step: int, data: bytes, bigendian: bool = False) -> Image:
    image = Image()
    image.encoding, image.width, image.height, image.step = encoding, width, height, step
    image.is_bigendian = int(bigendian)
    image.data = array("B", data)
    return image


def random_message(encoding: str, width: int, height: int, padding: int, bigendian: bool, seed: int) -> Image:
    code, order = CHANNELS[encoding]
    rng = np.random.default_rng(seed)
    row_values = width * len(order)
    rows = []
    for _ in range(height):
        high = {"B": 256, "H": 65536, "f": 1}[code]
        values = rng.random(row_values) if code == "f" else rng.integers(0, high, row_values)
        rows.append(struct.pack((">" if bigendian else "<") + code * row_values, *values.tolist()) + b"\xab" * padding)
    return message(encoding, width, height, len(rows[0]), b"".join(rows), bigendian)


def slow_decode(image: Image) -> np.ndarray:
    """One pixel at a time, one channel at a time; 16 bits are those of a sensor of 12 where all values fit in these."""
    code, order = CHANNELS[image.encoding]
    size = struct.calcsize(code)
    raw = bytes(image.data)
    values = {}
    for row in range(image.height):
        for column in range(image.width):
            for index, name in enumerate(order):
                at = row * image.step + (column * len(order) + index) * size
                (value,) = struct.unpack((">" if image.is_bigendian else "<") + code, raw[at : at + size])
                values[row, column, name] = value
    sixteen_bits = 65535 if max(values.values()) > 4095 else 4095
    scale = {"B": 1.0, "H": 255 / sixteen_bits, "f": 255.0}[code]
    result = np.zeros((image.height, image.width, 3), np.uint8)
    for row in range(image.height):
        for column in range(image.width):
            found = {name: round(values[row, column, name] * scale) for name in order}
            result[row, column] = [found.get(name, found.get("g")) for name in "rgb"]
    return result


@pytest.mark.parametrize("encoding", CHANNELS)
@pytest.mark.parametrize("bigendian", [False, True])
@settings(max_examples=8, deadline=None)
@given(width=st.integers(1, 7), height=st.integers(1, 5), padding=st.integers(0, 9), seed=st.integers(0, 999))
def test_matches_slow_reference(
    encoding: str, bigendian: bool, width: int, height: int, padding: int, seed: int
) -> None:
    image = random_message(encoding, width, height, padding, bigendian, seed)
    decoded = decode_image(image)
    assert decoded.dtype == np.uint8 and decoded.flags.c_contiguous
    # A float half-way between two integers may round to either.
    assert np.abs(decoded.astype(int) - slow_decode(image)).max() <= (1 if encoding.startswith("32") else 0)


def test_every_known_encoding_is_tested() -> None:
    others = {e for e in ENCODINGS if e.startswith(("bayer_", "yu", "uyvy", "nv"))}
    assert set(CHANNELS) | others == set(ENCODINGS)


@pytest.mark.parametrize("encoding", [e for e in ENCODINGS if e.startswith("bayer_")])
def test_bayer_mosaic_of_a_flat_colour(encoding: str) -> None:
    colour = {"r": 200, "g": 120, "b": 40}
    pattern = encoding.removeprefix("bayer_").rstrip("0123456789")
    cell = np.array([[colour[pattern[0]], colour[pattern[1]]], [colour[pattern[2]], colour[pattern[3]]]], np.uint8)
    mosaic = np.tile(cell, (4, 5))
    wide = encoding.endswith("16")
    data = (mosaic.astype("<u2") * 257 if wide else mosaic).tobytes()
    decoded = decode_image(message(encoding, 10, 8, 20 if wide else 10, data))
    assert np.array_equal(decoded, np.broadcast_to([200, 120, 40], (8, 10, 3)))
    packed = cv2.imencode(".png", mosaic.astype(np.uint16) * 257 if wide else mosaic)[1].tobytes()
    assert np.array_equal(decode_image(compressed(packed, f"{encoding}; png compressed ")), decoded)
    coloured = cv2.imencode(".png", decoded[..., ::-1])[1].tobytes()
    assert np.array_equal(decode_image(compressed(coloured, f"{encoding}; png compressed bgr8")), decoded)


@pytest.mark.parametrize(("encoding", "order"), [("yuv422", "UYVY"), ("uyvy", "UYVY"), ("yuyv", "YUYV"),
                                                 ("yuv422_yuy2", "YUYV")])  # fmt: skip
def test_yuv_against_the_bt601_formula(encoding: str, order: str) -> None:
    y, u, v = 130, 100, 160
    values = {"Y": y, "U": u, "V": v}
    data = bytes(values[c] for c in order) * 3 * 2
    decoded = decode_image(message(encoding, 6, 2, 12, data))
    luma = 1.164 * (y - 16)
    expected = [luma + 1.596 * (v - 128), luma - 0.813 * (v - 128) - 0.391 * (u - 128), luma + 2.018 * (u - 128)]
    assert np.abs(decoded - np.array(expected)).max() <= 1.5


@pytest.mark.parametrize(("encoding", "order"), [("nv12", "uv"), ("nv21", "vu"), ("nv24", "uv")])
def test_planes_of_luma_and_chroma_against_the_bt601_formula(encoding: str, order: str) -> None:
    """Two colours side by side, with padded rows."""
    colours = [{"y": 130, "u": 100, "v": 160}, {"y": 60, "u": 180, "v": 90}]
    luma = np.full((4, 10), 7, np.uint8)
    luma[:, :4], luma[:, 4:8] = colours[0]["y"], colours[1]["y"]
    pairs = np.array([[c[name] for name in order] for c in (colours[0], colours[0], colours[1], colours[1])], np.uint8)
    if encoding == "nv24":
        chroma = np.concatenate([np.repeat(pairs, 2, axis=0).reshape(-1), np.zeros(4, np.uint8)])
        rows = np.tile(chroma, 4)
    else:
        rows = np.tile(np.concatenate([pairs.reshape(-1), np.zeros(2, np.uint8)]), 2)
    decoded = decode_image(message(encoding, 8, 4, 10, luma.tobytes() + rows.tobytes()))
    for part, c in zip((decoded[:, :3], decoded[:, 5:]), colours, strict=True):
        y = 1.164 * (c["y"] - 16)
        expected = [y + 1.596 * (c["v"] - 128), y - 0.813 * (c["v"] - 128) - 0.391 * (c["u"] - 128),
                    y + 2.018 * (c["u"] - 128)]  # fmt: skip
        assert np.abs(part - np.clip(expected, 0, 255)).max() <= 1.5


def compressed(data: bytes, of: str = "rgb8; jpeg compressed bgr8") -> CompressedImage:
    return CompressedImage(format=of, data=array("B", data))


def test_compressed_images() -> None:
    picture = np.full((24, 40, 3), (200, 120, 40), np.uint8)
    for suffix, exact in ((".png", True), (".jpg", False)):
        _, data = cv2.imencode(suffix, picture[..., ::-1])
        decoded = decode_image(compressed(data.tobytes()))
        assert decoded.shape == picture.shape
        assert np.abs(decoded.astype(int) - picture).max() <= (0 if exact else 3)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "neither JPEG nor PNG"),
        (b"GIF89a" + bytes(40), "neither JPEG nor PNG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(8) + b"\x00\x01\x00\x00" * 2, "65536x65536 pixels is empty or absurd"),
        (b"\xff\xd8\xff\xe0\x00\x04\x00\x00\xff\xc2\x00\x11\x08\xff\xff\xff\xff\x03", "65535x65535 pixels"),
        (b"\xff\xd8\xff\xc0\x00\x11\x08\x00\x10\x00\x10\x03" + bytes(60), "is damaged"),
    ],
)
def test_compressed_images_that_are_none(data: bytes, says: str) -> None:
    with pytest.raises(ImageError, match=says):
        decode_image(compressed(data))


def test_a_dark_image_of_a_stream_of_sixteen_bits_stays_dark() -> None:
    """Raw and compressed: by itself it would be taken for one of 12 bits."""
    intensities, shown = IntensityRange(), []
    for value in (4000, 40000, 4000):
        pixels = np.full((2, 2), value, np.uint16)
        shown.append(decode_image(message("mono16", 2, 2, 4, pixels.astype("<u2").tobytes()), intensities))
    png = cv2.imencode(".png", np.full((2, 2), 4000, np.uint16))[1].tobytes()
    shown.append(decode_image(compressed(png), intensities))
    assert [int(image.max()) for image in shown] == [249, 156, 16, 16]


def test_yuv_of_odd_size_is_refused() -> None:
    with pytest.raises(ImageError, match="even width"):
        decode_image(message("uyvy", 3, 1, 6, bytes(6)))
    with pytest.raises(ImageError, match="even size, not 4x3"):
        decode_image(message("nv12", 4, 3, 4, bytes(18)))


def test_round_trip_and_no_copy_of_plain_rgb() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (12, 17, 3), np.uint8)
    header = Header(frame_id="camera")
    header.stamp.sec = 7
    encoded = encode_image(picture, header)
    assert isinstance(encoded.data, array) and encoded.data.typecode == "B"
    assert (encoded.header.frame_id, encoded.header.stamp.sec, encoded.step) == ("camera", 7, 51)
    decoded = decode_image(encoded)
    assert np.array_equal(decoded, picture)
    assert np.shares_memory(decoded, np.frombuffer(encoded.data, np.uint8))


def test_last_row_needs_no_padding() -> None:
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    data = picture[0].tobytes() + b"\0" * 5 + picture[1].tobytes()
    assert np.array_equal(decode_image(message("rgb8", 3, 2, 14, data)), picture)


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (message("jpeg2000", 4, 4, 12, bytes(48)), "'jpeg2000' is not supported.*rgb8"),
        (message("", 4, 4, 12, bytes(48)), "'' is not supported"),
        (message("rgb8", 0, 4, 12, bytes(48)), "empty"),
        (message("rgb8", 4, 4, 11, bytes(48)), "step of 11"),
        (message("rgb8", 4, 4, 12, bytes(47)), "47 bytes.*needs 48"),
        (message("rgb8", 4, 4, 12, b""), "0 bytes"),
    ],
)
def test_bad_images(image: Image, says: str) -> None:
    with pytest.raises(ImageError, match=says):
        decode_image(image)


@pytest.mark.parametrize(("value", "says"), [(np.nan, "1 values that are NaN"), (np.inf, "NaN or infinite"),
                                             (1200.0, "0..1.*depth"), (-0.5, "-0.5")])  # fmt: skip
def test_bad_floats(value: float, says: str) -> None:
    pixels = np.full((3, 4), 0.5, np.float32)
    pixels[1, 2] = value
    with pytest.raises(ImageError, match=says):
        decode_image(message("32FC1", 4, 3, 16, pixels.tobytes()))


def test_encode_refuses_other_arrays() -> None:
    with pytest.raises(ImageError, match=r"\(4, 4\)"):
        encode_image(np.zeros((4, 4), np.uint8), Header())
    with pytest.raises(ImageError, match="float32"):
        encode_image(np.zeros((4, 4, 3), np.float32), Header())


def test_bayer_picture_keeps_its_edges() -> None:
    """A real edge survives demosaicing in place: red stays left, blue stays right."""
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[:, :8, 0] = 255
    picture[:, 8:, 2] = 255
    mosaic = picture[..., 1].copy()
    mosaic[0::2, 0::2] = picture[0::2, 0::2, 0]
    mosaic[1::2, 1::2] = picture[1::2, 1::2, 2]
    decoded = decode_image(message("bayer_rggb8", 16, 16, 16, mosaic.tobytes()))
    assert np.array_equal(decoded[4:12, 2:6], picture[4:12, 2:6])
    assert np.array_equal(decoded[4:12, 10:14], picture[4:12, 10:14])
    assert cv2.absdiff(decoded, picture)[:, 7:9].max() > 0
