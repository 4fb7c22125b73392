"""Poses and images straight from and to CDR bytes: the same as by the message's class, whatever comes."""

import struct
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from dualpose_ros.nodes.wire import (
    MOST_PERSONS,
    ImageBytes,
    MessageError,
    header_of,
    image_to_bytes,
    poses_from_bytes,
    poses_to_bytes,
    stamp_ns_of,
)
from dualpose_ros.people import Pose3D, Source, TrackingState
from dualpose_ros.skeleton import K
from dualpose_ros.standalone import messages
from dualpose_ros.standalone.messages import message_class

TYPE = "dualpose_ros/msg/MultiPersonPose3D"


def header(frame_id: str = "eye") -> messages.Message:
    stamp = message_class("builtin_interfaces/msg/Time")(sec=12, nanosec=5)
    return message_class("std_msgs/msg/Header")(stamp=stamp, frame_id=frame_id)


def people(number: int) -> list[Pose3D]:
    rng = np.random.default_rng(number)
    return [
        Pose3D(
            i - 1, TrackingState(i % 3), Source(i % 3), 0.25, np.array([1.0, 2.0, 30.0 + i, 50.0]),
            rng.normal(size=(K, 3)), rng.random(K).astype(np.float32), rng.random(K).astype(np.float32),
            rng.normal(size=(K, 2)), rng.normal(size=3), 1.75, 0.125,
        )
        for i in range(number)
    ]  # fmt: skip


@pytest.mark.parametrize("frame_id", ["", "a", "ab", "abc", "abcd", "abcdefgh"])
def test_bytes_are_those_of_the_message(frame_id: str) -> None:
    """Doubles begin at multiples of 8, so that the layout depends on what stands before them."""
    for number in (0, 1, 4):
        sent = people(number)
        data = poses_to_bytes(sent, header(frame_id), (640, 480))
        message: Any = messages.deserialize(data, TYPE)
        assert messages.serialize(message) == data and len(message.persons) == number
        foreign = bytes(messages._wire().store.serialize_cdr(message, TYPE, little_endian=False))
        for cdr in (data, messages.padded(data), foreign):
            assert str(header_of(cdr)) == str(header(frame_id)) and stamp_ns_of(cdr) == 12_000_000_005
            for back, one in zip(poses_from_bytes(cdr, finite=True), sent, strict=True):
                for field in fields(Pose3D):
                    assert np.array_equal(getattr(back, field.name), getattr(one, field.name)), field.name


def test_bytes_that_end_early_or_are_no_message_are_refused() -> None:
    data = poses_to_bytes(people(2), header())
    for length in range(len(data)):
        with pytest.raises(MessageError):
            poses_from_bytes(data[:length])
    with pytest.raises(MessageError, match="no plain CDR"):
        poses_from_bytes(b"\0\7" + data[2:])
    at = len(poses_to_bytes([], header())) - 4
    with pytest.raises(MessageError, match=f"at most {MOST_PERSONS}"):
        poses_from_bytes(data[:at] + struct.pack("<I", 2**31) + data[at + 4 :])


@pytest.mark.parametrize("frame_id", ["", "a", "ab", "abc", "abcd"])
def test_images_are_those_of_the_message_and_stay_where_they_came(frame_id: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    data, kind = image_to_bytes(image, header(frame_id)), "sensor_msgs/msg/Image"
    message: Any = messages.deserialize(data, kind)
    assert messages.serialize_padded(message) == data and message.header == header(frame_id)
    for encoding in ("rgb8", "bgra8", "nv12", "bayer_rggb8"):
        message.encoding = encoding
        foreign = bytes(messages._wire().store.serialize_cdr(message, kind, little_endian=False))
        for cdr in (messages.serialize(message), foreign):
            came = ImageBytes.of(cdr)
            for name in ("header", "height", "width", "encoding", "is_bigendian", "step"):
                assert str(getattr(came, name)) == str(getattr(message, name))
            assert came.data.obj is cdr and came.data.tobytes() == image.tobytes()
            for length in range(len(cdr)):
                with pytest.raises(MessageError):
                    ImageBytes.of(cdr[:length])


def test_what_is_not_finite_is_named_where_it_matters() -> None:
    wrong: dict[str, Any] = {"joints_cam": np.full((K, 3), np.inf), "joint_stddev": np.full(K, np.nan), "score": np.nan}
    for name, value in wrong.items():
        changes: dict[str, Any] = {name: value}
        data = poses_to_bytes([people(1)[0], replace(people(1)[0], track_id=8, **changes)], header())
        assert len(poses_from_bytes(data)) == 2
        with pytest.raises(MessageError, match=f"person 8 has {name} that are not finite"):
            poses_from_bytes(data, finite=True)
