"""Messages filled with reproducible random values, by their definitions alone."""

import array
from typing import Any

import numpy as np

from dualpose_ros.standalone.messages import Message, message_class
from dualpose_ros.standalone.typestore import typestore

_TEXTS = ("", "a", "Grüße, 世界", "x" * 37)


def random_values(typename: str, rng: np.random.Generator, depth: int = 0) -> dict[str, Any]:
    """One random value for each field, as plain Python: numbers, text, lists, and dicts for nested messages."""
    return {
        # The byte that stands for an empty message is always 0.
        name: 0 if name.startswith("structure_needs") else _value(description, rng, depth)
        for name, description in typestore().fielddefs[typename][1]
    }


def _value(description: Any, rng: np.random.Generator, depth: int) -> Any:
    kind, details = int(description[0]), description[1]
    if kind == 1:
        return _scalar(details[0], rng)
    if kind == 2:
        return random_values(details, rng, depth + 1)
    item, length = details
    count = length if kind == 3 else int(rng.integers(0, min(length or 4, 4) + 1)) if depth < 3 else 1
    return [_value(item, rng, depth + 1) for _ in range(count)]


def _scalar(base: str, rng: np.random.Generator) -> Any:
    if base == "string":
        return _TEXTS[int(rng.integers(len(_TEXTS)))]
    if base == "bool":
        return bool(rng.integers(2))
    if base == "float64":
        return float(rng.normal() * 1e3)
    if base == "float32":
        return float(np.float32(rng.normal()))
    info = np.iinfo({"byte": np.int8, "char": np.uint8}.get(base, base))
    return int(rng.integers(info.min, info.max, endpoint=True, dtype=info.dtype))


def our_message(typename: str, values: dict[str, Any]) -> Message:
    """The values as a message of ours."""
    fields = {}
    for name, (kind, details) in typestore().fielddefs[typename][1]:
        if name in message_class(typename).CODECS:
            fields[name] = _ours(int(kind), details, values[name])
    return message_class(typename)(**fields)


def _ours(kind: int, details: Any, value: Any) -> Any:
    if kind == 1:
        return bytes((value & 255,)) if details[0] == "byte" else value
    if kind == 2:
        return our_message(details, value)
    return [_ours(int(details[0][0]), details[0][1], item) for item in value]


def rosbags_message(typename: str, values: dict[str, Any]) -> Any:
    """The values as rosbags' own message."""
    store = typestore()
    fields = [_theirs(int(kind), details, values[name]) for name, (kind, details) in store.fielddefs[typename][1]]
    return store.types[typename](*fields)


def _theirs(kind: int, details: Any, value: Any) -> Any:
    if kind == 1:
        return value
    if kind == 2:
        return rosbags_message(details, value)
    item_kind, item = int(details[0][0]), details[0][1]
    if item_kind == 1 and item[0] != "string":
        return np.array(value, {"byte": np.int8, "char": np.uint8, "bool": np.bool_}.get(item[0], item[0]))
    return [_theirs(item_kind, item, element) for element in value]


def random_message(typename: str, seed: int) -> Message:
    """A random message; the same seed gives the same one in every process."""
    return our_message(typename, random_values(typename, np.random.default_rng(seed)))


def vga_image(index: int) -> Message:
    """A 640 x 480 rgb8 image whose pixels tell its index."""
    rng = np.random.default_rng(index)
    row = rng.integers(0, 256, 640 * 3, dtype=np.uint8)
    pixels = np.tile(row, (480, 1)) ^ np.arange(480, dtype=np.uint16).astype(np.uint8)[:, None]
    image: Any = message_class("sensor_msgs/msg/Image")(
        height=480, width=640, encoding="rgb8", step=1920, data=array.array("B", pixels.tobytes())
    )
    image.header.frame_id = str(index)
    return image
