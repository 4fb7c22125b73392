"""Message classes with the behaviour of ROS 2's generated ones, and their CDR bytes by rosbags."""

import functools
import operator
from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from dualpose_ros.standalone import fields
from dualpose_ros.standalone.errors import StandaloneError, require
from dualpose_ros.standalone.typestore import FIELD_DEFAULTS, message_names, typestore

# The byte that ROS 2 puts on the wire for a message without fields; ROS classes don't show it.
_FILLER = "structure_needs_at_least_one_member"


class Message:
    """Base of all message classes: keyword-only construction, checked assignment, comparison by value."""

    __slots__ = ()
    TYPE: ClassVar[str] = ""
    CODECS: ClassVar[dict[str, fields.Codec]] = {}
    FIELDS: ClassVar[tuple[tuple[Callable[..., None], str, Callable[..., Any], Callable[[], Any]], ...]] = ()

    def __init__(self, **kwargs: Any) -> None:
        """Set every field to its ROS default, or to the value given; AssertionError names a wrong or unknown field."""
        for assign, name, accept, default in self.FIELDS:
            assign(self, accept(name, kwargs.pop(name)) if name in kwargs else default())
        if kwargs:
            raise AssertionError(f"{self.TYPE} has no field {next(iter(kwargs))!r}; it has {', '.join(self.CODECS)}")

    @classmethod
    def get_fields_and_field_types(cls) -> dict[str, str]:
        """The fields' names and ROS types."""
        return {name: codec.ros_type for name, codec in cls.CODECS.items()}

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(_equal(getattr(self, f"_{name}"), getattr(other, f"_{name}")) for name in self.CODECS)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.CODECS)
        return f"{self.TYPE.replace('/', '.')}({values})"


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        return bool(np.array_equal(left, right))
    return bool(left == right)


@functools.cache
def message_class(typename: str) -> type[Message]:
    """The class of a message, e.g. `sensor_msgs/msg/Image`.

    Errors: StandaloneError where the definition is unknown.
    """
    store = typestore()
    if typename not in store.fielddefs:
        raise StandaloneError(f"unknown message type {typename!r}: no definition for it without ROS 2")
    constants, definitions = store.fielddefs[typename]
    definitions = [entry for entry in definitions if entry[0] != _FILLER]
    defaults = FIELD_DEFAULTS.get(typename, {})
    codecs = {name: _codec(description, defaults.get(name)) for name, description in definitions}
    body: dict[str, Any] = {"__slots__": tuple(f"_{name}" for name in codecs), "TYPE": typename, "CODECS": codecs}
    body[f"_{_FILLER}"] = 0
    body |= {name: bytes((value,)) if base == "byte" else value for name, base, value in constants}
    for name, codec in codecs.items():
        body[name] = property(operator.attrgetter(f"_{name}"), _setter(name, codec.accept))
        if codec.to_wire:
            body[f"_{name}_wire"] = property(_wire_getter(name, codec.to_wire))
    package, _, short = typename.split("/")
    body |= {"__module__": f"{package}.msg", "__qualname__": short}
    cls: type[Message] = type(short, (Message,), body)
    cls.FIELDS = tuple(
        (getattr(cls, f"_{name}").__set__, name, codec.accept, codec.default) for name, codec in codecs.items()
    )
    return cls


def _setter(name: str, accept: Callable[[str, Any], Any]) -> Callable[[Message, Any], None]:
    slot = f"_{name}"

    def assign(self: Message, value: Any) -> None:
        setattr(self, slot, accept(name, value))

    return assign


def _wire_getter(name: str, to_wire: Callable[[Any], Any]) -> Callable[[Message], Any]:
    held = operator.attrgetter(f"_{name}")
    return lambda self: to_wire(held(self))


def _codec(description: Any, default: Any = None) -> fields.Codec:
    """The codec of a field from rosbags' description of it: (node type, details)."""
    kind, details = description
    node = require("rosbags.interfaces").Nodetype
    if kind == node.BASE:
        return fields.scalar(details[0], default)
    if kind == node.NAME:
        return fields.nested(details, message_class(details))
    item, length = details
    if item[0] == node.BASE and item[1][0] not in ("string", "bool", "byte"):
        make = fields.number_array if kind == node.ARRAY else fields.number_sequence
        return make(item[1][0], length)
    return fields.list_of(_codec(item), length, fixed=kind == node.ARRAY)


class _WireStore:
    """A rosbags type store whose field names are the slots of our classes; the names are not on the wire."""

    def __init__(self) -> None:
        self.store = require("rosbags.typesys.store").Typestore()

    def add(self, typename: str) -> None:
        """Register a type and those inside it, once."""
        if typename in self.store.types:
            return
        cls = message_class(typename)
        entries = []
        for name, description in typestore().fielddefs[typename][1]:
            codec = cls.CODECS.get(name)
            entries.append((f"_{name}_wire" if codec and codec.to_wire else f"_{name}", description))
            self._add_nested(description)
        self.store.fielddefs[typename] = ([], entries)
        self.store.types[typename] = _builder(cls)

    def _add_nested(self, description: Any) -> None:
        node = require("rosbags.interfaces").Nodetype
        kind, details = description
        if kind == node.NAME:
            self.add(details)
        elif kind in (node.ARRAY, node.SEQUENCE):
            self._add_nested(details[0])


def _builder(cls: type[Message]) -> Callable[..., Message]:
    """What rosbags calls to make a message from decoded values: no checks, as the wire already has the types."""
    slots = [(getattr(cls, f"_{name}").__set__, codec.from_wire) for name, codec in cls.CODECS.items()]

    def build(*values: Any) -> Message:
        message = cls.__new__(cls)
        for (assign, from_wire), value in zip(slots, values, strict=False):
            assign(message, from_wire(value) if from_wire else value)
        return message

    return build


_wire = functools.cache(_WireStore)


def serialize(message: Message) -> bytes:
    """The message as CDR (XCDR1, little endian, with its 4-byte header)."""
    return bytes(_serialized(message))


def serialize_padded(message: Message) -> bytes:
    """The same, filled up to whole words as DDS sends it: in one go, since Cyclone would copy an image for it."""
    return padded(_serialized(message))


def padded(data: Any) -> bytes:
    """CDR bytes filled up to whole words; those that are so already are not copied."""
    missing = -len(data) % 4
    return b"".join((data, b"\0" * missing)) if missing or not isinstance(data, bytes) else data


def _serialized(message: Message) -> Any:
    wire = _wire()
    wire.add(message.TYPE)
    return wire.store.serialize_cdr(message, message.TYPE, little_endian=True)


def deserialize(data: bytes, typename: str) -> Message:
    """The message in CDR bytes.

    Errors: rosbags' SerdeError where the bytes are not a message of that type.
    """
    wire = _wire()
    wire.add(typename)
    message: Message = wire.store.deserialize_cdr(memoryview(data), typename)
    return message


def package_module(package: str) -> ModuleType:
    """A module that stands for `<package>.msg`: its classes are made when they are first asked for."""
    module = ModuleType(f"{package}.msg", f"Messages of {package}, made from their definitions.")

    def find(name: str) -> type[Message]:
        try:
            return message_class(f"{package}/msg/{name}")
        except StandaloneError as error:
            raise AttributeError(f"module '{package}.msg' has no message {name!r}") from error

    module.__getattr__ = find  # type: ignore[method-assign]
    module.__all__ = message_names(package)  # type: ignore[attr-defined]
    return module
