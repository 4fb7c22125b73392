"""sensor_msgs/Image, raw and compressed, to and from RGB arrays, with NumPy views and without cv_bridge.

Images are (H, W, 3) uint8 RGB. Where an encoding names no colour order (8UC3, 32FC3) it is
OpenCV's, blue first. 16-bit values are scaled by 1/257, or as those of 12 bits until the stream
has had a larger one; floats are intensities in 0..1.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image

from dualpose_ros.arrays import AnyArray, RgbImage, UInt8s
from dualpose_ros.nodes.wire import image_to_bytes
from dualpose_ros.sources.pictures import IntensityRange, decode_picture
from dualpose_ros.sources.stated_size import stated_size


class ImageError(ValueError):
    """An Image message that cannot be turned into a picture."""


def _swap(code: int) -> Callable[[AnyArray], AnyArray]:
    """An OpenCV colour conversion as a function."""
    return lambda pixels: cv2.cvtColor(pixels, code)


def _keep(pixels: AnyArray) -> AnyArray:
    return pixels


_GRAY, _BGR = _swap(cv2.COLOR_GRAY2RGB), _swap(cv2.COLOR_BGR2RGB)
_RGBA, _BGRA = _swap(cv2.COLOR_RGBA2RGB), _swap(cv2.COLOR_BGRA2RGB)

# encoding -> (NumPy type, channels, conversion to RGB of the 8-bit pixels).
# OpenCV names a Bayer pattern by its second row and column, ROS by its first.
_ENCODINGS: dict[str, tuple[str, int, Callable[[AnyArray], AnyArray]]] = {
    "rgb8": ("u1", 3, _keep),
    "bgr8": ("u1", 3, _BGR),
    "rgba8": ("u1", 4, _RGBA),
    "bgra8": ("u1", 4, _BGRA),
    "mono8": ("u1", 1, _GRAY),
    "8UC1": ("u1", 1, _GRAY),
    "8UC3": ("u1", 3, _BGR),
    "8UC4": ("u1", 4, _BGRA),
    "rgb16": ("u2", 3, _keep),
    "bgr16": ("u2", 3, _BGR),
    "rgba16": ("u2", 4, _RGBA),
    "bgra16": ("u2", 4, _BGRA),
    "mono16": ("u2", 1, _GRAY),
    "16UC1": ("u2", 1, _GRAY),
    "32FC1": ("f4", 1, _GRAY),
    "32FC3": ("f4", 3, _BGR),
    "bayer_rggb8": ("u1", 1, _swap(cv2.COLOR_BayerBG2RGB)),
    "bayer_rggb16": ("u2", 1, _swap(cv2.COLOR_BayerBG2RGB)),
    "bayer_bggr8": ("u1", 1, _swap(cv2.COLOR_BayerRG2RGB)),
    "bayer_bggr16": ("u2", 1, _swap(cv2.COLOR_BayerRG2RGB)),
    "bayer_gbrg8": ("u1", 1, _swap(cv2.COLOR_BayerGR2RGB)),
    "bayer_gbrg16": ("u2", 1, _swap(cv2.COLOR_BayerGR2RGB)),
    "bayer_grbg8": ("u1", 1, _swap(cv2.COLOR_BayerGB2RGB)),
    "bayer_grbg16": ("u2", 1, _swap(cv2.COLOR_BayerGB2RGB)),
    "yuv422": ("u1", 2, _swap(cv2.COLOR_YUV2RGB_UYVY)),
    "uyvy": ("u1", 2, _swap(cv2.COLOR_YUV2RGB_UYVY)),
    "yuv422_yuy2": ("u1", 2, _swap(cv2.COLOR_YUV2RGB_YUY2)),
    "yuyv": ("u1", 2, _swap(cv2.COLOR_YUV2RGB_YUY2)),
}

# Planes one below the other: luma, then pairs of chroma: rows of it for each two of luma, conversion of both.
_PLANAR: dict[str, tuple[float, Callable[[AnyArray], AnyArray]]] = {
    "nv12": (0.5, _swap(cv2.COLOR_YUV2RGB_NV12)),
    "nv21": (0.5, _swap(cv2.COLOR_YUV2RGB_NV21)),
    "nv24": (2.0, _swap(cv2.COLOR_YUV2RGB_NV12)),
}

ENCODINGS = (*_ENCODINGS, *_PLANAR)
"""Encodings that `decode_image` understands."""


def decode_image(message: Any, intensities: IntensityRange | None = None) -> RgbImage:
    """RGB image (H, W, 3) of a sensor_msgs/Image; shares memory with the message for unpadded rgb8.

    Honours `step` (padded rows) and `is_bigendian`. A CompressedImage (JPEG or PNG) is decoded too. intensities: of
    the stream that it belongs to. ImageError for an unknown encoding, an empty or truncated image, and floats that are
    not finite or not in 0..1.
    """
    if not hasattr(message, "encoding"):
        return _decompressed(message, intensities)
    if message.encoding in _PLANAR:
        return np.ascontiguousarray(_PLANAR[message.encoding][1](_planes(message)))
    if message.encoding not in _ENCODINGS:
        known = ", ".join(ENCODINGS)
        raise ImageError(f"image encoding '{message.encoding}' is not supported; convert it to one of {known}")
    kind, channels, convert = _ENCODINGS[message.encoding]
    pixels = _view(message, kind, channels)
    if channels == 2 and message.width % 2:
        raise ImageError(f"a {message.encoding} image needs an even width, not {message.width}")
    return np.ascontiguousarray(convert(_to_8_bit(pixels, message.encoding, intensities or IntensityRange())))


def _planes(message: Any) -> UInt8s:
    """Luma (H, W), and below it the chroma of each 2 x 2 pixels (H / 2, W), as OpenCV takes them."""
    height, width, step = int(message.height), int(message.width), int(message.step)
    share = _PLANAR[message.encoding][0]
    if height < 2 or width < 2 or height % 2 or width % 2:
        raise ImageError(f"a {message.encoding} image needs an even size, not {width}x{height}")
    if step < width:
        raise ImageError(f"image step of {step} bytes is less than a row of {width} {message.encoding} pixels")
    data = np.frombuffer(message.data, dtype=np.uint8)
    needed = step * height + round(step * height * share)
    if data.size < needed:
        raise ImageError(f"image data holds {data.size} bytes; {width}x{height} {message.encoding} needs {needed}")
    if message.encoding != "nv24":
        return np.ascontiguousarray(data[:needed].reshape(-1, step)[:, :width])
    luma = data[: step * height].reshape(height, step)[:, :width]
    chroma = data[step * height : needed].reshape(height, 2 * step)[::2, : 2 * width].reshape(height // 2, width, 2)
    return np.ascontiguousarray(np.vstack([luma, chroma[:, ::2].reshape(height // 2, width)]))


def _decompressed(message: Any, intensities: IntensityRange | None) -> RgbImage:
    """The picture of a sensor_msgs/CompressedImage; its stated size is looked at before memory is taken for it."""
    data = np.frombuffer(message.data, dtype=np.uint8)
    header = data[:_HEADER_BYTES].tobytes()
    size = stated_size(header) if header.startswith(_KINDS) else None
    if size is None:
        raise ImageError(f"compressed image of format '{message.format[:60]}' is neither JPEG nor PNG")
    if not 0 < size[0] * size[1] <= _MOST_PIXELS:
        raise ImageError(f"compressed image of {size[0]}x{size[1]} pixels is empty or absurd")
    image = decode_picture(data, intensities, cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise ImageError(f"compressed image of format '{message.format[:60]}' is damaged")
    # image_transport compresses a mosaic as it is: "bayer_rggb8; jpeg compressed ", with no colours behind it.
    encoding, _, packed = (part.strip() for part in message.format.partition(";"))
    if encoding.startswith("bayer_") and encoding in _ENCODINGS and packed.endswith("compressed"):
        return np.ascontiguousarray(_ENCODINGS[encoding][2](np.ascontiguousarray(image[..., 0])))
    return image


_MOST_PIXELS = 1 << 26
_HEADER_BYTES = 1 << 18
_KINDS = (b"\x89PNG", b"\xff\xd8")


def _view(message: Any, kind: str, channels: int) -> AnyArray:
    """The message's pixels (H, W) or (H, W, C) in place, in the type they have."""
    height, width, step = int(message.height), int(message.width), int(message.step)
    if height < 1 or width < 1:
        raise ImageError(f"image is empty ({width}x{height})")
    dtype = np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<")
    pixel = dtype.itemsize * channels
    if step < width * pixel:
        raise ImageError(f"image step of {step} bytes is less than a row of {width} {message.encoding} pixels")
    data = np.frombuffer(message.data, dtype=np.uint8)
    needed = step * (height - 1) + width * pixel
    if data.size < needed:
        raise ImageError(f"image data holds {data.size} bytes; {width}x{height} {message.encoding} needs {needed}")
    shape = (height, width) if channels == 1 else (height, width, channels)
    strides = (step, pixel) if channels == 1 else (step, pixel, dtype.itemsize)
    return np.ndarray(shape, dtype, buffer=data.data, strides=strides)


def _to_8_bit(pixels: AnyArray, encoding: str, intensities: IntensityRange) -> UInt8s:
    """Pixels of any supported type as uint8 of full range."""
    if pixels.dtype.kind == "u":
        if pixels.dtype.itemsize == 1:
            return pixels
        return intensities.eight_bit(pixels)
    low, high = float(pixels.min()), float(pixels.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = int(np.count_nonzero(~np.isfinite(pixels)))
        raise ImageError(f"{encoding} image holds {bad} values that are NaN or infinite")
    if low < 0 or high > 1:
        raise ImageError(
            f"{encoding} image holds values from {low:g} to {high:g}; "
            "intensities must lie in 0..1 (is this a depth image?)"
        )
    return np.rint(pixels.astype(np.float32) * 255).astype(np.uint8)


def encode_image(image: RgbImage, header: Any) -> Any:
    """sensor_msgs/Image (rgb8) of an RGB image (H, W, 3)."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(f"an RGB image is (H, W, 3) uint8, not {image.shape} {image.dtype}")
    return deserialize_message(image_to_bytes(image, header), Image)
