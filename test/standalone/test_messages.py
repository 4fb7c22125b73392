"""Message classes: ROS 2's defaults, constants and checks; CDR bytes against rosbags' own."""

import array
from typing import Any

import numpy as np
import pytest
from random_messages import our_message, random_values, rosbags_message, vga_image
from rosbags.serde import SerdeError

from dualpose_ros.paths import share_dir
from dualpose_ros.standalone.errors import StandaloneError
from dualpose_ros.standalone.messages import deserialize, message_class, package_module, serialize
from dualpose_ros.standalone.typestore import PACKAGES, message_names, typestore

TYPES = [f"{package}/msg/{name}" for package in PACKAGES for name in message_names(package)]


@pytest.mark.parametrize("typename", TYPES)
def test_cdr_equals_that_of_rosbags(typename: Any) -> None:
    for seed in range(3):
        values = random_values(typename, np.random.default_rng(seed))
        ours = our_message(typename, values)
        expected = bytes(typestore().serialize_cdr(rosbags_message(typename, values), typename, little_endian=True))
        assert serialize(ours) == expected
        assert deserialize(expected, typename) == ours
        assert deserialize(expected + b"\0" * (-len(expected) % 4), typename) == ours


@pytest.mark.parametrize("typename", TYPES)
def test_default_message_round_trip(typename: Any) -> None:
    message = message_class(typename)()
    again = deserialize(serialize(message), typename)
    assert again == message
    assert repr(again) == repr(message)


def test_big_endian_bytes_are_read() -> None:
    values = random_values("sensor_msgs/msg/CameraInfo", np.random.default_rng(1))
    big = typestore().serialize_cdr(
        rosbags_message("sensor_msgs/msg/CameraInfo", values), "sensor_msgs/msg/CameraInfo", little_endian=False
    )
    assert deserialize(bytes(big), "sensor_msgs/msg/CameraInfo") == our_message("sensor_msgs/msg/CameraInfo", values)


def test_packages_hold_our_messages_and_vision_msgs() -> None:
    files = {path.stem for path in (share_dir() / "msg").glob("*.msg")}
    assert files == set(message_names("dualpose_ros"))
    assert {"Detection2D", "Detection2DArray", "ObjectHypothesisWithPose"} <= set(message_names("vision_msgs"))


def test_ros_defaults() -> None:
    pose: Any = message_class("geometry_msgs/msg/Pose")()
    assert (pose.orientation.w, pose.orientation.x, pose.position.x) == (1.0, 0.0, 0.0)
    info: Any = message_class("sensor_msgs/msg/CameraInfo")()
    assert isinstance(info.k, np.ndarray) and info.k.dtype == np.float64 and info.k.shape == (9,)
    assert isinstance(info.d, array.array) and info.d.typecode == "d"
    assert info.header.frame_id == "" and info.header.stamp.nanosec == 0
    header: Any = message_class("std_msgs/msg/Header")
    first, second = header(), header()
    first.stamp.sec = 5
    assert second.stamp.sec == 0


def test_constants() -> None:
    person: Any = message_class("dualpose_ros/msg/PersonPose3D")
    assert (person.TENTATIVE, person.CONFIRMED, person.COASTING) == (0, 1, 2)
    assert (person().TOP_DOWN, person.BOTTOM_UP, person.FUSED) == (0, 1, 2)
    marker: Any = message_class("visualization_msgs/msg/Marker")
    assert marker.LINE_LIST == 5
    # rclpy holds `byte` fields and constants as bytes of length 1.
    status: Any = message_class("diagnostic_msgs/msg/DiagnosticStatus")
    assert status.ERROR == b"\x02"
    assert status(level=status.WARN).level == b"\x01"


@pytest.mark.parametrize(
    ("typename", "field", "value"),
    [
        ("geometry_msgs/msg/Point", "x", 1),
        ("geometry_msgs/msg/Point", "x", np.float32(1)),
        ("sensor_msgs/msg/Image", "height", 1.0),
        ("sensor_msgs/msg/Image", "height", np.int64(1)),
        ("sensor_msgs/msg/Image", "height", -1),
        ("sensor_msgs/msg/Image", "is_bigendian", 256),
        ("sensor_msgs/msg/Image", "encoding", b"rgb8"),
        ("sensor_msgs/msg/Image", "data", np.zeros(3, np.uint8)),
        ("sensor_msgs/msg/Image", "data", array.array("b", [1])),
        ("sensor_msgs/msg/Image", "data", [1, 256]),
        ("sensor_msgs/msg/Image", "data", "abc"),
        ("sensor_msgs/msg/CameraInfo", "k", np.zeros(9, np.float32)),
        ("sensor_msgs/msg/CameraInfo", "k", [0.0] * 8),
        ("sensor_msgs/msg/CameraInfo", "header", {}),
        ("dualpose_ros/msg/PersonPose3D", "score", 1e39),
        ("dualpose_ros/msg/PersonPose3D", "joint_scores", [1]),
        ("dualpose_ros/msg/PersonPose3D", "joints", [1.0]),
        ("dualpose_ros/msg/MultiPersonPose3D", "joint_names", "abc"),
        ("dualpose_ros/msg/MultiPersonPose3D", "joint_names", [1]),
        ("dualpose_ros/msg/Heatmaps", "to_image", [0.0] * 5),
        ("diagnostic_msgs/msg/DiagnosticStatus", "level", 1),
        ("rcl_interfaces/msg/ParameterDescriptor", "read_only", 1),
    ],
)
def test_wrong_value_is_refused_as_in_rclpy(typename: Any, field: Any, value: Any) -> None:
    with pytest.raises(AssertionError, match=field):
        setattr(message_class(typename)(), field, value)
    with pytest.raises(AssertionError, match=field):
        message_class(typename)(**{field: value})


def test_bounded_sequence_is_bounded() -> None:
    limits = message_class("rcl_interfaces/msg/IntegerRange")
    descriptor: Any = message_class("rcl_interfaces/msg/ParameterDescriptor")
    assert len(descriptor(integer_range=[limits()]).integer_range) == 1
    with pytest.raises(AssertionError, match="integer_range"):
        descriptor(integer_range=[limits(), limits()])


def test_right_values_are_taken() -> None:
    person: Any = message_class("dualpose_ros/msg/PersonPose3D")(score=float("nan"), joint_scores=[0.5, 1.0])
    assert person.joint_scores == array.array("f", [0.5, 1.0])
    image: Any = message_class("sensor_msgs/msg/Image")(data=b"\x01\x02")
    assert image.data == array.array("B", [1, 2])
    info: Any = message_class("sensor_msgs/msg/CameraInfo")(k=[1.0] * 9)
    assert info.k.tolist() == [1.0] * 9


def test_unknown_fields_and_types_are_named() -> None:
    with pytest.raises(AssertionError, match="widht"):
        message_class("sensor_msgs/msg/Image")(widht=1)
    with pytest.raises(AttributeError):
        message_class("sensor_msgs/msg/Image")().widht = 1  # type: ignore[attr-defined]
    with pytest.raises(StandaloneError, match="nothing_msgs/msg/None"):
        message_class("nothing_msgs/msg/None")
    with pytest.raises(AttributeError, match=r"sensor_msgs\.msg"):
        _ = package_module("sensor_msgs").Imag


def test_malformed_bytes_raise() -> None:
    good = serialize(message_class("std_msgs/msg/Header")(frame_id="camera"))
    for bad in (b"", good[:7], b"\x00\x07" + good[2:], good[:12] + b"\xff\xff\xff\xff" + good[16:]):
        with pytest.raises(SerdeError):
            deserialize(bad, "std_msgs/msg/Header")


def test_large_array_is_copied_as_a_block() -> None:
    image = vga_image(3)
    data = serialize(image)
    again: Any = deserialize(data, "sensor_msgs/msg/Image")
    assert isinstance(again.data, array.array) and again == image
    # A writable copy of its own: changing it must not change another reader's message.
    again.data[0] ^= 255
    assert deserialize(data, "sensor_msgs/msg/Image") == image
