"""Files with spoilt bytes to every reader: no crash, and errors that are the package's own, one line each.

DUALPOSE_FUZZ=10000 makes it so many files a reader.
"""

import json
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from dualpose_ros.datasets.cache import read_shard
from dualpose_ros.datasets.clip import load_clip_truth
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.evaluation.refinement.offline import read_frames
from dualpose_ros.lab.evaluation.refinement.recorded import cameras_of
from dualpose_ros.paths import share_dir
from dualpose_ros.people import Pose3D, Source, TrackingState
from dualpose_ros.recording.mcap_file import McapFile
from dualpose_ros.recording.pose_lines import PoseFrame, to_line
from dualpose_ros.recording.video import VideoWriter
from dualpose_ros.skeleton import H36M17
from dualpose_ros.sources.calibration import load_calibration
from dualpose_ros.sources.frames import open_source
from dualpose_ros.sources.stated_size import overstates, stated_size
from dualpose_ros.standalone.arguments import read_parameter_file
from dualpose_ros.standalone.messages import deserialize, message_class, serialize
from dualpose_ros.weights import list_weights, weights_path
from support.spoiling import COUNT, SPOILS, Reader, Spoils, check, spoilt


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


def json_calibration(path: Path) -> None:
    """Flow style is YAML too, and has fields that `spoilt` can replace."""
    calibration(path)
    path.write_text(json.dumps(yaml.safe_load(path.read_text())))


def manifest(path: Path) -> None:
    path.write_bytes((share_dir() / "weights" / "manifest.json").read_bytes())


def pose_lines(path: Path) -> None:
    k = H36M17.num_joints
    person = Pose3D(7, TrackingState.CONFIRMED, Source.FUSED, 0.9, np.array([1.0, 2, 30, 40]), np.full((k, 3), 2.0),
                 np.ones(k), np.zeros(k), np.ones((k, 2)))  # fmt: skip
    one = to_line(PoseFrame(1, 2, "eye", (person, person), 0))
    path.write_text(f"{one}\n{to_line(PoseFrame(2, 3, 'eye', ()))}\n")


def mcap(path: Path) -> None:
    kind = "sensor_msgs/msg/CameraInfo"
    info = message_class(kind)(width=64, height=48, k=[50.0, 0.0, 32.0, 0.0, 50.0, 24.0, 0.0, 0.0, 1.0])
    with McapFile(path) as file:
        for stamp in range(3):
            file.write("/camera_info", kind, serialize(info), log_ns=stamp, publish_ns=stamp)


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


READERS = {
    "calibration": Reader("c.yaml", calibration, load_calibration),
    "opencv": Reader("c.yml", opencv_calibration, load_calibration),
    "json": Reader("c.json", json_calibration, load_calibration),
    "parameters": Reader("p.yaml", parameters, read_parameter_file),
    "mp4": Reader("v.mp4", video, read_all),
    "avi": Reader("v.avi", motion_jpeg, read_all),
    **{
        kind: Reader(f"folder/i.{kind}", picture, lambda path: read_all(path.parent))
        for kind in ("png", "jpg", "bmp", "ppm", "tiff", "webp")
    },
    "truth": Reader("t.npz", truth, load_clip_truth),
    "shard": Reader("t.npz", truth, read_shard, reads_good=False),
    "onnx": Reader("n.onnx", network, load_engine),
    "manifest": Reader("manifest.json", manifest, lambda path: list_weights(path.parent)),
    "pose lines": Reader("poses.jsonl", pose_lines, read_frames),
    "mcap": Reader("poses.mcap", mcap, cameras_of),
}
SEEDS: list[Spoils] = [
    # A zip archive of a version that zipfile has not.
    [("set", 0.9213263935153908, b"\0\0@")],
    # JSON with numbers for words, and stamps of two kinds.
    [("field", 0.021315359617944618, b"M")],
    [("field", 0.004127543933928002, b"d)"), ("field", 0.8008413800321367, b"~")],
    # MCAP whose names are no UTF-8, whose chunks are no Zstandard, whose records end early.
    [("set", 0.14661205366132168, b"\x0e\x1e:\xb4f"), ("double", 0.861528807281104, b"\xb5\xc2j")],
    [("set", 0.45544367924212026, b"\xbc!,"), ("set", 0.2569663494159333, b"\xc6\xc1\xda\xfd\x0f\xac")],
    [("set", 0.2092294160745264, b"\xcd"), ("insert", 0.8813663796527488, b"O\xe7")],
]


@pytest.mark.parametrize("name", READERS)
def test_a_spoilt_file_is_one_clear_error_at_most(tmp_path: Path, name: str) -> None:
    check(READERS[name], tmp_path, *SEEDS)


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
    def run(spoils: Spoils) -> None:
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


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".ppm", ".jpg"])
def test_a_picture_that_says_it_is_huge_takes_no_memory(tmp_path: Path, suffix: str) -> None:
    """Its file is small, and the 4 GB that it says it has would be taken before it is known to be damaged."""
    path = tmp_path / f"i{suffix}"
    picture(path)
    data = path.read_bytes()
    assert stated_size(data) == (32, 24)
    if suffix == ".ppm":
        data = data.replace(b"32 24", b"40000 40000", 1)
    else:
        old, new = ((24, 32), (40_000, 40_000)) if suffix == ".jpg" else ((32, 24), (40_000, 40_000))
        kind = {".png": ">II", ".bmp": "<ii", ".jpg": ">HH"}[suffix]
        data = data.replace(struct.pack(kind, *old), struct.pack(kind, *new), 1)
    path.write_bytes(data)
    with pytest.raises(ValueError, match="40000x40000 pixels, which is absurd"):
        read_all(tmp_path)


def test_a_chunk_that_says_it_is_huge_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "i.png"
    picture(path)
    data = bytearray(path.read_bytes())
    assert not overstates(data)
    at = data.index(b"IDAT") - 4
    for length in (len(data), 2**32 - 1):
        data[at : at + 4] = struct.pack(">I", length)
        assert overstates(bytes(data)) and overstates(np.frombuffer(data, np.uint8))
        path.write_bytes(data)
        with pytest.raises(ValueError, match="cannot be decoded"):
            read_all(tmp_path)


@pytest.mark.parametrize("quality", [50, 101])
def test_the_size_of_webp(tmp_path: Path, quality: int) -> None:
    """Lossy and lossless; the largest it can say, 16384 x 16384, is refused."""
    data = cv2.imencode(".webp", np.full((24, 32, 3), 90, np.uint8), [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()
    assert stated_size(data) == (32, 24)
    canvas = b"RIFF\x30\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + (b"\xff\x3f\0" * 2) + bytes(20)
    assert stated_size(canvas) == (16384, 16384)
    (tmp_path / "i.webp").write_bytes(canvas)
    with pytest.raises(ValueError, match="absurd"):
        read_all(tmp_path)
