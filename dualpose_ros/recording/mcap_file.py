"""A rosbag2 recording in one MCAP file: CDR messages with their full ROS 2 definitions."""

import json
from contextlib import AbstractContextManager
from pathlib import Path

from mcap.writer import CompressionType, Writer

from dualpose_ros.recording.disk import Disk
from dualpose_ros.standalone.typestore import typestore

_RELIABLE = 1
_KEEP_LAST = 1
_LATCHED, _VOLATILE = 1, 2


class McapFile(AbstractContextManager["McapFile"]):
    """Writes serialised ROS 2 messages; Foxglove, `ros2 bag` and any MCAP reader open the file.

    By mcap's writer and not by that of rosbags, which holds one time for a message instead of two, and writes a folder.
    The index is written on `close`; a file whose writer was killed keeps its finished chunks,
    which `mcap recover` makes readable.
    """

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        self._stream = path.open("wb") if disk is None else disk.open(path)
        self._writer = Writer(self._stream, chunk_size=256 * 1024, compression=CompressionType.ZSTD)
        self._writer.start(profile="ros2", library="dualpose_ros")
        self._channels: dict[str, tuple[int, str]] = {}
        self._schemas: dict[str, int] = {}
        self._counts: dict[str, int] = {}

    @property
    def counts(self) -> dict[str, int]:
        """Messages written so far, by topic."""
        return dict(self._counts)

    def write(self, topic: str, type_name: str, cdr: bytes, *, log_ns: int, publish_ns: int) -> None:
        """Append one message of type `pkg/msg/Type`: its CDR bytes with their encapsulation header.

        Times are nanoseconds since the epoch: of reception, and of the message itself (one before it counts as 0).
        Raises ValueError if the topic was used with another type before.
        """
        if topic not in self._channels:
            self._channels[topic] = (self._register(topic, type_name), type_name)
        channel, known_type = self._channels[topic]
        if known_type != type_name:
            raise ValueError(f"topic {topic} carries {known_type}, not {type_name}")
        sequence = self._counts.get(topic, 0)
        self._counts[topic] = sequence + 1
        publish_ns = max(publish_ns, 0)
        self._writer.add_message(channel, log_time=log_ns, data=cdr, publish_time=publish_ns, sequence=sequence)

    def close(self) -> None:
        """Write the index and close the file; harmless when already closed."""
        if not self._stream.closed:
            self._writer.finish()
            self._stream.close()

    def _register(self, topic: str, type_name: str) -> int:
        if type_name not in self._schemas:
            text = message_definition(type_name).encode()
            self._schemas[type_name] = self._writer.register_schema(type_name, "ros2msg", text)
        durability = _LATCHED if topic.endswith("/tf_static") else _VOLATILE
        metadata = {"offered_qos_profiles": _qos_yaml(5, durability)}
        return self._writer.register_channel(topic, "cdr", self._schemas[type_name], metadata)

    def __exit__(self, *_: object) -> None:
        self.close()


def message_definition(type_name: str) -> str:
    """Full text of a message definition: the type, then every type it holds, as rosbag2 stores them."""
    text, _ = typestore().generate_msgdef(type_name, ros_version=2)
    return text


def _qos_yaml(depth: int, durability: int) -> str:
    """The publisher's QoS as rosbag2 stores it: YAML (JSON is a subset), so that playing back offers the same."""
    forever = {"sec": 9223372036, "nsec": 854775807}
    profile = {
        "history": _KEEP_LAST,
        "depth": depth,
        "reliability": _RELIABLE,
        "durability": durability,
        "deadline": forever,
        "lifespan": forever,
        "liveliness": 1,
        "liveliness_lease_duration": forever,
        "avoid_ros_namespace_conventions": False,
    }
    return json.dumps([profile])
