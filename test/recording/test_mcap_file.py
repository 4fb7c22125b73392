"""The recording, read back by the mcap package and by rosbags with nothing but what the file says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from dualpose_ros.nodes import convert  # brings the message packages, with or without ROS 2
from dualpose_ros.recording.mcap_file import McapFile, message_definition
from support.people import random_person

POSES = "dualpose_ros/msg/MultiPersonPose3D"
NS = 1_700_000_000_123_456_789


def poses_message(seed: int) -> Any:
    from std_msgs.msg import Header

    pose = random_person(np.random.default_rng(seed), track_id=seed)
    header = Header()
    header.frame_id = "camera_optical_frame"
    header.stamp.sec, header.stamp.nanosec = divmod(NS + seed, 10**9)
    return convert.poses_to_message([pose], header, (640, 480))


def write_poses(path: Path, count: int) -> list[Any]:
    from rclpy.serialization import serialize_message

    messages = [poses_message(seed) for seed in range(count)]
    with McapFile(path) as recording:
        for seed, message in enumerate(messages):
            cdr = serialize_message(message)
            recording.write("/humans/poses3d", POSES, cdr, log_ns=NS + seed + 5, publish_ns=NS + seed)
        assert recording.counts == {"/humans/poses3d": count}
    return messages


def test_a_reader_that_knows_only_the_file_decodes_it(tmp_path: Path) -> None:
    messages = write_poses(tmp_path / "poses.mcap", 4)
    # A store without this package's types: they come from the schema text in the file.
    store = get_typestore(Stores.EMPTY)
    decoded: list[tuple[int, int, Any]] = []
    with (tmp_path / "poses.mcap").open("rb") as stream:
        reader = make_reader(stream)
        assert reader.get_header().profile == "ros2"
        for schema, channel, message in reader.iter_messages():
            assert schema is not None
            assert (schema.name, schema.encoding, channel.message_encoding) == (POSES, "ros2msg", "cdr")
            if not decoded:
                store.register(get_types_from_msg(schema.data.decode(), schema.name))
            decoded.append((message.log_time, message.publish_time, store.deserialize_cdr(message.data, schema.name)))
    assert [times[:2] for times in decoded] == [(NS + i + 5, NS + i) for i in range(4)]
    for (_, _, got), want in zip(decoded, messages, strict=True):
        assert got.header.frame_id == "camera_optical_frame"
        assert (got.header.stamp.sec, got.header.stamp.nanosec) == (want.header.stamp.sec, want.header.stamp.nanosec)
        assert got.joint_names == list(want.joint_names)
        person, expected = got.persons[0], want.persons[0]
        assert person.track_id == expected.track_id
        assert [(p.x, p.y, p.z) for p in person.joints] == [(p.x, p.y, p.z) for p in expected.joints]
        np.testing.assert_array_equal(person.joint_scores, expected.joint_scores)


def test_an_independent_ros2_decoder_reads_it(tmp_path: Path) -> None:
    decoder = pytest.importorskip("mcap_ros2.reader", reason="mcap-ros2-support is not installed")
    messages = write_poses(tmp_path / "poses.mcap", 3)
    with (tmp_path / "poses.mcap").open("rb") as stream:
        decoded = [message.ros_msg for message in decoder.read_ros2_messages(stream)]
    assert [d.persons[0].joints[5].z for d in decoded] == [m.persons[0].joints[5].z for m in messages]


def test_what_holds_for_ever_is_played_back_latched(tmp_path: Path) -> None:
    with McapFile(tmp_path / "tf.mcap") as recording:
        for topic in ("/tf", "/tf_static"):
            recording.write(topic, "tf2_msgs/msg/TFMessage", b"\0\1\0\0\0\0\0\0", log_ns=NS, publish_ns=NS)
    with (tmp_path / "tf.mcap").open("rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None
    offered = {c.topic: yaml.safe_load(c.metadata["offered_qos_profiles"])[0] for c in summary.channels.values()}
    assert [offered[topic]["durability"] for topic in ("/tf", "/tf_static")] == [2, 1]


def test_rosbags_opens_it_as_a_recording(tmp_path: Path) -> None:
    messages = write_poses(tmp_path / "poses.mcap", 3)
    with AnyReader([tmp_path / "poses.mcap"]) as reader:
        assert [(c.topic, c.msgtype) for c in reader.connections] == [("/humans/poses3d", POSES)]
        ext: Any = reader.connections[0].ext
        (qos,) = ext.offered_qos_profiles
        assert (qos.reliability.name, qos.history.name, qos.depth) == ("RELIABLE", "KEEP_LAST", 5)
        decoded: list[Any] = [reader.deserialize(data, connection.msgtype) for connection, _, data in reader.messages()]
    assert [d.persons[0].joints[5].z for d in decoded] == [m.persons[0].joints[5].z for m in messages]


def test_definitions_hold_every_nested_type_once() -> None:
    text = message_definition("visualization_msgs/msg/MarkerArray")
    nested = [line.split()[1] for line in text.splitlines() if line.startswith("MSG: ")]
    assert len(nested) == len(set(nested))
    assert {"visualization_msgs/Marker", "std_msgs/Header", "geometry_msgs/Pose", "std_msgs/ColorRGBA"} <= set(nested)


def test_a_topic_has_one_type(tmp_path: Path) -> None:
    with McapFile(tmp_path / "x.mcap") as recording:
        recording.write("/a", "std_msgs/msg/Header", b"", log_ns=0, publish_ns=0)
        with pytest.raises(ValueError, match=r"/a carries std_msgs/msg/Header, not sensor_msgs/msg/CameraInfo"):
            recording.write("/a", "sensor_msgs/msg/CameraInfo", b"", log_ns=0, publish_ns=0)
