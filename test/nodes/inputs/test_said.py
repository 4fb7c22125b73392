"""What a node needs of messages: their stamp, and what a camera says anew."""

import pytest

from dualpose_ros.camera import Camera
from dualpose_ros.nodes.convert import camera_from_info, camera_to_info
from dualpose_ros.nodes.inputs.said import LastInfo, stamp_of
from dualpose_ros.nodes.wire import MessageError

from builtin_interfaces.msg import Time  # isort: skip
from rclpy.serialization import serialize_message  # isort: skip
from std_msgs.msg import Header  # isort: skip


def info(stamp_ns: int, focal: float = 500.0, frame_id: str = "eye") -> bytes:
    header = Header(stamp=Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9), frame_id=frame_id)
    return bytes(serialize_message(camera_to_info(Camera(640, 480, focal, focal, 320.0, 240.0), header)))


def test_what_a_camera_says_again_is_the_same_message() -> None:
    last = LastInfo()
    first = last.read(info(1))
    assert last.read(info(2_000_000_003)) is first
    assert stamp_of(info(2_000_000_003)) == 2_000_000_003
    zoomed = last.read(info(3, focal=700.0))
    assert zoomed is not first and camera_from_info(zoomed).fx == 700.0
    assert last.read(info(4, focal=700.0, frame_id="other eye")).header.frame_id == "other eye"
    assert camera_from_info(last.read(info(5))).fx == 500.0


def test_a_message_is_taken_as_it_is() -> None:
    message = LastInfo().read(info(7))
    assert LastInfo().read(message) is message and stamp_of(message) == 7


# To rclpy three bytes are an empty message.
@pytest.mark.usefixtures("stand_in")
def test_bytes_that_are_no_message_are_refused_and_not_kept() -> None:
    last = LastInfo()
    first = last.read(info(1))
    for cut in (3, 11, 40):
        with pytest.raises(Exception):  # noqa: B017 - what the library raises, as a node's guard takes it
            last.read(info(1)[:cut])
    with pytest.raises(MessageError):
        stamp_of(info(1)[:9])
    assert last.read(info(2)) is first
