"""Files with spoilt bytes to every reader: no crash, and errors that are the package's own, one line each.

DUALPOSE_FUZZ=10000 makes it so many files a reader.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dualpose_ros.datasets.cache import read_shard
from dualpose_ros.datasets.clip import load_clip_truth
from dualpose_ros.inference.load import load_engine
from dualpose_ros.paths import share_dir
from dualpose_ros.recording.video import VideoWriter
from dualpose_ros.sources.calibration import load_calibration
from dualpose_ros.sources.frames import open_source
from dualpose_ros.standalone.arguments import read_parameter_file
from dualpose_ros.standalone.messages import deserialize, message_class, serialize
from dualpose_ros.weights import weights_path

COUNT = int(os.environ.get("DUALPOSE_FUZZ", "25"))


def calibration(path: Path) -> None:
    path.write_text(
        "image_width: 640\nimage_height: 480\ndistortion_model: plumb_bob\n"
        "camera_matrix: {rows: 3, cols: 3, data: [500, 0, 320, 0, 500, 240, 0, 0, 1]}\n"
        "distortion_coefficients: {rows: 1, cols: 5, data: [-0.1, 0.02, 0, 0, 0]}\n"
    )


def opencv_calibration(path: Path) -> None:
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE | cv2.FILE_STORAGE_FORMAT_YAML)
    storage.write("image_width", 640)
    storage.write("image_height", 480)
    storage.write("camera_matrix", np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]))
    storage.write("distortion_coefficients", np.zeros(5))
    storage.release()


def parameters(path: Path) -> None:
    path.write_bytes((share_dir() / "config" / "pipeline.yaml").read_bytes()[:3000])


def video(path: Path) -> None:
    with VideoWriter(path) as writer:
        for number in range(6):
            writer.write(np.full((32, 48, 3), 40 * number, np.uint8), number * 40_000_000)


def motion_jpeg(path: Path) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (48, 32))
    for number in range(6):
        writer.write(np.full((32, 48, 3), 40 * number, np.uint8))
    writer.release()


def picture(path: Path) -> None:
    path.write_bytes(cv2.imencode(path.suffix, np.full((24, 32, 3), 90, np.uint8))[1].tobytes())


def truth(path: Path) -> None:
    shape = (4, 1)
    np.savez(path, stamps_s=np.arange(4) / 10, fps=np.float64(10), ids=np.ones(shape, np.int32),
             joints_cam=np.ones((*shape, 17, 3)), joints_px=np.zeros((*shape, 17, 2)), boxes_px=np.ones((*shape, 4)),
             visibility=np.full((*shape, 17), 2, np.uint8), visible_fraction=np.ones(shape),
             present=np.ones(shape, bool), intrinsics=np.array([280.0, 280, 159.5, 119.5, 320, 240]))  # fmt: skip


def network(path: Path) -> None:
    path.write_bytes(weights_path("gcn").read_bytes())


def read_all(path: Path) -> None:
    source = open_source(str(path))
    try:
        while source.read() is not None:
            pass
    finally:
        source.close()


READERS: dict[str, tuple[str, Callable[[Path], None], Callable[[Path], Any]]] = {
    "calibration": ("c.yaml", calibration, load_calibration),
    "opencv": ("c.yml", opencv_calibration, load_calibration),
    "parameters": ("p.yaml", parameters, read_parameter_file),
    "mp4": ("v.mp4", video, read_all),
    "avi": ("v.avi", motion_jpeg, read_all),
    "png": ("folder/i.png", picture, lambda path: read_all(path.parent)),
    "jpg": ("folder/i.jpg", picture, lambda path: read_all(path.parent)),
    "truth": ("t.npz", truth, load_clip_truth),
    "shard": ("t.npz", truth, read_shard),
    "onnx": ("n.onnx", network, load_engine),
}

SPOILS = st.lists(
    st.tuples(st.sampled_from(["set", "cut", "double", "insert"]), st.floats(0, 1), st.binary(min_size=1, max_size=6)),
    min_size=1, max_size=4,
)  # fmt: skip


def spoilt(data: bytes, spoils: list[tuple[str, float, bytes]]) -> bytes:
    """Bytes set, cut off, doubled or put in between."""
    for how, where, what in spoils:
        at = int(where * len(data))
        if how == "set":
            data = data[:at] + what + data[at + len(what) :]
        elif how == "cut":
            data = data[:at]
        elif how == "double":
            data = data[:at] + data[at : at + 40] * 2 + data[at + 40 :]
        else:
            data = data[:at] + what + data[at:]
    return data


@pytest.mark.parametrize("name", READERS)
def test_a_spoilt_file_is_one_clear_error_at_most(tmp_path: Path, name: str) -> None:
    file, write, read = READERS[name]
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    write(path)
    good = path.read_bytes()
    read(path) if name != "shard" else None

    @settings(max_examples=COUNT, deadline=None, database=None, derandomize=True,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(SPOILS)
    # A zip archive of a version that zipfile has not.
    @example([("set", 0.9213263935153908, b"\0\0@")])
    def run(spoils: list[tuple[str, float, bytes]]) -> None:
        path.write_bytes(spoilt(good, spoils))
        try:
            read(path)
        except Exception as error:
            assert type(error).__module__.startswith("dualpose_ros."), f"{type(error).__name__}: {error}"
            assert str(error) and "\n" not in str(error)

    run()


KINDS = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo", "sensor_msgs/msg/CompressedImage",
         "vision_msgs/msg/Detection2DArray", "dualpose_ros/msg/MultiPersonPose3D", "dualpose_ros/msg/Heatmaps",
         "visualization_msgs/msg/MarkerArray", "diagnostic_msgs/msg/DiagnosticArray")  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_spoilt_bytes_on_the_wire_are_an_error_at_most(kind: str) -> None:
    """Any exception is one: the reader drops the message and says so. Time and memory have to be bounded."""
    good = serialize(message_class(kind)())

    @settings(max_examples=2 * COUNT, deadline=500, database=None, derandomize=True,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(SPOILS)
    def run(spoils: list[tuple[str, float, bytes]]) -> None:
        try:
            deserialize(spoilt(good, spoils), kind)
        except Exception as error:
            assert not isinstance(error, MemoryError)

    run()


def test_the_shapes_of_yaml_that_grow(tmp_path: Path) -> None:
    """A few lines that stand for more numbers than there is memory."""
    bomb = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
    )
    path = tmp_path / "c.yaml"
    path.write_text(bomb + "image_width: 640\nimage_height: 480\ncamera_matrix: *j\ndistortion_coefficients: [0]\n")
    with pytest.raises(ValueError, match="'camera_matrix' is no list of numbers"):
        load_calibration(path)
    path.write_text(json.dumps({"a": 1}) + "\n" + yaml.safe_dump([1]))
    with pytest.raises(ValueError, match=r"c\.yaml"):
        load_calibration(path)
