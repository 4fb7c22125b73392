"""Poses and images as CDR bytes, straight from and to what stages work on.

A frame's people cross the graph about twelve times. By message classes that takes an object for each joint; but people
of one joint set all have one layout on the wire, so that NumPy reads and writes them at once. An image comes to several
nodes, which don't work on most of those that come.

N people, K joints of `skeleton.H36M17`; pixels of the image, metres in the camera frame.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from dualpose_ros.arrays import RgbImage
from dualpose_ros.people import Pose3D, Source, TrackingState
from dualpose_ros.skeleton import H36M17, K

MOST_PERSONS = 128
"""More people in one image are taken for nonsense: time and memory that a message can take must have a bound."""

_MAX_UINT32 = 2**32 - 1
_ENCAPSULATION, LITTLE = 4, b"\0\1\0\0"
_ORDERS = {b"\0\1": "<", b"\0\0": ">"}
"""By the first two of the four bytes before the content: plain CDR, version 1, as ROS 2 sends it; LITTLE: all four."""

_LISTS = ("joints", "joint_scores", "joint_stddev", "keypoints_px")
_FIELDS: tuple[tuple[str, Any, int], ...] = (
    ("track_id", "i4", 0), ("state", "u1", 4), ("source", "u1", 5), ("score", "f4", 8), ("roi", ("u4", (4,)), 12),
    ("num_joints", "u4", 32), ("joints", ("f8", (K, 3)), 40),
    ("num_joint_scores", "u4", 448), ("joint_scores", ("f4", (K,)), 452),
    ("num_joint_stddev", "u4", 520), ("joint_stddev", ("f4", (K,)), 524),
    ("num_keypoints_px", "u4", 592), ("keypoints_px", ("f8", (K, 3)), 600),
    ("velocity", ("f8", (3,)), 1008), ("height", ("f4", (2,)), 1032),
)  # fmt: skip
"""One person on the wire: name, NumPy type and offset; roi is x, y, height and width."""

_JOINTS_AT = 36
"""Where the padding before a person's joints is, which the first person may lack: what holds doubles starts at a
multiple of 8, and after it everything does."""


def _person_type(order: str) -> np.dtype[Any]:
    names, kinds, offsets = zip(*_FIELDS, strict=True)
    plain = np.dtype({"names": names, "formats": kinds, "offsets": offsets, "itemsize": 1040})
    return plain.newbyteorder("<" if order == "<" else ">")


def string_bytes(text: str, order: str) -> bytes:
    """A string on the wire, filled up to whole words."""
    data = text.encode() + b"\0"
    return struct.pack(f"{order}I", len(data)) + data + b"\0" * (-len(data) % 4)


def _joint_set(order: str) -> bytes:
    names = b"".join(string_bytes(name, order) for name in H36M17.joint_names)
    return string_bytes(H36M17.name, order) + struct.pack(f"{order}I", K) + names


_PERSON = {order: _person_type(order) for order in "<>"}
_JOINT_SET = {order: _joint_set(order) for order in "<>"}


class MessageError(ValueError):
    """A message that contradicts itself or this package's conventions."""


def poses_to_bytes(poses: Iterable[Pose3D], header: Any, image_size: tuple[int, int] | None = None) -> bytes:
    """CDR bytes of poses; `image_size` is (width, height), to clip the boxes where known."""
    people = list(poses)
    start = header_bytes(header) + _JOINT_SET["<"] + struct.pack("<I", len(people))
    if not people:
        return LITTLE + start
    rows = np.zeros(len(people), _PERSON["<"])
    for name in _LISTS:
        rows[f"num_{name}"] = K
    for name in ("track_id", "state", "source", "score"):
        rows[name] = [getattr(person, name) for person in people]
    most = np.array((image_size or (_MAX_UINT32, _MAX_UINT32)) * 2, np.float64)
    boxes = np.clip([np.asarray(person.box_px, np.float64) for person in people], 0, most)
    from_px, to_px = np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])
    size_px = np.maximum(to_px - from_px, 0)
    rows["roi"] = np.concatenate([from_px, size_px[:, ::-1]], axis=1)
    rows["joints"] = [person.joints_cam for person in people]
    rows["keypoints_px"][..., :2] = [person.keypoints_px for person in people]
    rows["joint_scores"] = [person.joint_scores for person in people]
    rows["joint_stddev"] = [person.joint_stddev for person in people]
    rows["velocity"] = [person.root_velocity for person in people]
    rows["height"] = [(person.height_m, person.height_stddev_m) for person in people]
    data = rows.tobytes()
    if len(start) % 8:
        return b"".join((LITTLE, start, data[:_JOINTS_AT], data[_JOINTS_AT + 4 :]))
    return b"".join((LITTLE, start, data))


def header_of(cdr: bytes) -> Any:
    """The std_msgs/Header at the beginning of a message's bytes; MessageError where there is none."""
    order = _order(cdr)
    sec, nanosec = _unpack(f"{order}iI", cdr, _ENCAPSULATION)
    return Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=_text(cdr, _ENCAPSULATION + 8, order)[0])


@dataclass(frozen=True, eq=False)
class ImageBytes:
    """A sensor_msgs/Image whose pixels stay where they came: `data` is a view of the message's bytes."""

    header: Any
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: memoryview

    @classmethod
    def of(cls, cdr: bytes) -> ImageBytes:
        """Of CDR bytes; MessageError where they are no image."""
        order, header = _order(cdr), header_of(cdr)
        _, at = _text(cdr, _ENCAPSULATION + 8, order)
        height, width = _unpack(f"{order}II", cdr, at)
        encoding, at = _text(cdr, at + 8, order, filled_to=1)
        (is_bigendian,) = _unpack("B", cdr, at)
        at += 1 + -(at + 1) % 4
        step, size = _unpack(f"{order}II", cdr, at)
        data = memoryview(cdr)[at + 8 : at + 8 + size]
        if len(data) < size:
            raise MessageError(f"a message ends after {len(cdr)} bytes, before its content does")
        return cls(header, height, width, encoding, is_bigendian, step, data)


def image_to_bytes(image: RgbImage, header: Any) -> bytes:
    """CDR bytes of a sensor_msgs/Image (rgb8) of an RGB image (H, W, 3) uint8, which is copied once."""
    height, width = image.shape[:2]
    start = header_bytes(header) + struct.pack("<II", height, width) + struct.pack("<I", 5) + b"rgb8\0" + b"\0"
    start += b"\0" * (-len(start) % 4) + struct.pack("<II", 3 * width, image.nbytes)
    pixels = np.ascontiguousarray(image).data.cast("B")
    return b"".join((LITTLE, start, pixels, b"\0" * (-image.nbytes % 4)))


def header_bytes(header: Any) -> bytes:
    """A std_msgs/Header on the wire, filled up to whole words."""
    return struct.pack("<iI", int(header.stamp.sec), int(header.stamp.nanosec)) + string_bytes(header.frame_id, "<")


def stamp_ns_of(cdr: bytes, at: int = _ENCAPSULATION) -> int:
    """Nanoseconds of the stamp at an offset of a message's bytes; MessageError where they end before."""
    sec, nanosec = _unpack(f"{_order(cdr)}iI", cdr, at)
    return int(sec) * 1_000_000_000 + int(nanosec)


def poses_from_bytes(cdr: bytes, finite: bool = False) -> list[Pose3D]:
    """Poses of a message's CDR bytes.

    MessageError where they are no such message, its joints are not ours, a number of them is wrong, or, with `finite`,
    a joint, its score or deviation, or a person's score is not finite.
    """
    order = _order(cdr)
    _, at = _text(cdr, _ENCAPSULATION + 8, order)
    ours = _JOINT_SET[order]
    if cdr[at : at + len(ours)] != ours:
        skeleton, after = _text(cdr, at, order)
        raise MessageError(
            f"MultiPersonPose3D has skeleton '{skeleton}' with {_unpack(f'{order}I', cdr, after)[0]} joints; "
            f"{H36M17.name} with its {K} joints is needed"
        )
    at += len(ours)
    (count,) = _unpack(f"{order}I", cdr, at)
    if count > MOST_PERSONS:
        raise MessageError(f"MultiPersonPose3D has {count} persons; at most {MOST_PERSONS} are taken")
    return _people(cdr, at + 4, count, order, finite) if count else []


def _people(cdr: bytes, at: int, count: int, order: str, finite: bool) -> list[Pose3D]:
    kind = _PERSON[order]
    if (at - _ENCAPSULATION) % 8:
        cdr, at = b"".join((cdr[at : at + _JOINTS_AT], b"\0" * 4, cdr[at + _JOINTS_AT :])), 0
    whole = min(count, (len(cdr) - at) // kind.itemsize)
    # Of one who has fewer joints the rest may be missing.
    cdr = cdr[at : at + (whole + 1) * kind.itemsize].ljust(count * kind.itemsize, b"\0")
    rows = np.frombuffer(cdr, kind, count)
    for index in range(min(whole + 1, count)):
        _check_counts(rows[index])
    if whole < count:
        raise MessageError(f"MultiPersonPose3D ends after {whole} of {count} persons")
    joints, keypoints, velocities = (rows[name].astype(np.float64) for name in ("joints", "keypoints_px", "velocity"))
    scores, deviations = (rows[name].astype(np.float64) for name in ("joint_scores", "joint_stddev"))
    ids, chances = rows["track_id"].tolist(), rows["score"].tolist()
    if finite:
        for name, values in (("joints_cam", joints), ("joint_scores", scores), ("joint_stddev", deviations)):
            _check_finite(name, values, ids)
        _check_finite("score", rows["score"], ids)
    roi = rows["roi"].astype(np.float64)
    boxes = np.concatenate([roi[:, :2], roi[:, :2] + roi[:, :1:-1]], axis=1)
    tall = rows["height"].astype(np.float64).tolist()
    states = _members(TrackingState, rows["state"].tolist(), ids)
    sources = _members(Source, rows["source"].tolist(), ids)
    return [
        Pose3D(
            ids[i], states[i], sources[i], chances[i], boxes[i], joints[i], scores[i], deviations[i],
            keypoints[i, :, :2], velocities[i], *tall[i],
        )
        for i in range(count)
    ]  # fmt: skip


def _check_counts(row: Any) -> None:
    for name in _LISTS:
        if (number := int(row[f"num_{name}"])) != K:
            raise MessageError(f"person {row['track_id']} has {number} {name} instead of {K}")


def _check_finite(name: str, values: Any, ids: list[int]) -> None:
    wrong = ~np.isfinite(values).reshape(len(ids), -1).all(axis=1)
    if wrong.any():
        raise MessageError(f"person {ids[int(wrong.argmax())]} has {name} that are not finite")


def _members(kind: Any, values: list[int], ids: list[int]) -> list[Any]:
    members = []
    for value, track_id in zip(values, ids, strict=True):
        try:
            members.append(kind(value))
        except ValueError as error:
            raise MessageError(f"person {track_id}: {error}") from None
    return members


def _order(cdr: bytes) -> str:
    order = _ORDERS.get(bytes(cdr[:2]))
    if order is None:
        raise MessageError(f"a message begins with {bytes(cdr[:4]).hex()}, which is no plain CDR")
    return order


def _unpack(form: str, cdr: bytes, at: int) -> tuple[Any, ...]:
    try:
        return struct.unpack_from(form, cdr, at)
    except struct.error:
        raise MessageError(f"a message ends after {len(cdr)} bytes, before its content does") from None


def _text(cdr: bytes, at: int, order: str, filled_to: int = 4) -> tuple[str, int]:
    """The string at an offset, and where what follows it begins, of which `filled_to` bytes are the unit."""
    (length,) = _unpack(f"{order}I", cdr, at)
    data = bytes(cdr[at + 4 : at + 4 + length])
    if len(data) < length:
        raise MessageError(f"a message ends after {len(cdr)} bytes, before its content does")
    return data.rstrip(b"\0").decode(errors="replace"), at + 4 + length + -length % filled_to
