"""DDS types made at run time from message definitions: Cyclone sees the ROS type, rosbags makes the bytes."""

from __future__ import annotations

import functools
from typing import Any

from dualpose_ros.standalone import messages
from dualpose_ros.standalone.errors import require
from dualpose_ros.standalone.messages import Message
from dualpose_ros.standalone.typestore import typestore

# On the wire ROS 2's `char` is uint8.
_SPECIAL = {"char": "uint8"}


class RosSample:
    """What Cyclone writes and takes: one ROS message, encoded by rosbags and not by Cyclone's Python code.

    One that was taken holds its CDR bytes, which are decoded when the message is asked for.
    """

    typename = ""

    def __init__(self, message: Message | None = None, data: bytes = b"") -> None:
        self._message = message
        self.data = data
        self.sample_info: Any = None

    @property
    def message(self) -> Message:
        """The message; what rosbags raises for bytes that are none."""
        if self._message is None:
            self._message = messages.deserialize(self.data, self.typename)
        return self._message

    def serialize(self, buffer: Any = None, endianness: Any = None, use_version_2: bool | None = None) -> bytes:
        """The message's CDR bytes; Cyclone's options are fixed by the topic's quality of service."""
        if self._message is None:
            return messages.padded(self.data)
        return messages.serialize_padded(self._message)

    @classmethod
    def deserialize(cls, data: bytes, has_header: bool = True, use_version_2: bool | None = None) -> RosSample:
        """The sample in CDR bytes; never raises for foreign bytes."""
        return cls(data=data)

    @classmethod
    def deserialize_key(cls, data: bytes, has_header: bool = True, use_version_2: bool | None = None) -> RosSample:
        """ROS topics have no keys: nothing to read."""
        return cls()


@functools.cache
def sample_type(typename: str) -> Any:
    """The IdlStruct class that carries a message type, e.g. `sensor_msgs/msg/Image`, over DDS."""
    cls = _make_struct(typename)
    # Not as a base class: Cyclone takes the first base for an IDL parent.
    for name in ("__init__", "message", "serialize", "deserialize", "deserialize_key"):
        setattr(cls, name, RosSample.__dict__[name])
    cls.typename = typename
    return cls


@functools.cache
def _plain_struct(typename: str) -> Any:
    return _make_struct(typename)


def _make_struct(typename: str) -> Any:
    idl = require("cyclonedds.idl")
    package, _, short = typename.split("/")
    members = {name: _member(description) for name, description in typestore().fielddefs[typename][1]}
    return idl.make_idl_struct(f"{short}_", f"{package}.msg.dds_.{short}_", members, dataclassify=False)


def _member(description: Any) -> Any:
    types = require("cyclonedds.idl.types")
    node = require("rosbags.interfaces").Nodetype
    kind, details = description
    if kind == node.NAME:
        return _plain_struct(details)
    if kind == node.BASE:
        base = _SPECIAL.get(details[0], details[0])
        return {"bool": bool, "string": str}.get(base) or getattr(types, base)
    item, length = details
    if kind == node.ARRAY:
        return types.array[_member(item), length]
    return types.sequence[_member(item), length] if length else types.sequence[_member(item)]


def prepare() -> None:
    """Work out, for the message types imported so far and those of the graph itself, what is else worked out with the
    first message and topic of each."""
    for name in ("rcl_interfaces/msg/Log", "rmw_dds_common/msg/ParticipantEntitiesInfo"):
        messages.message_class(name)
    for cls in list(Message.__subclasses__()):
        messages.deserialize(messages.serialize(cls()), cls.TYPE)
        sample_type(cls.TYPE).__idl__.fill_type_data()
