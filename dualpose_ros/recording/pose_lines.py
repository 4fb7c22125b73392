"""Poses as JSON lines: one line for each image that poses were published for."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dualpose_ros.people import Pose3D, Source, TrackingState

_DIGITS = {
    "score": 4, "box_px": 2, "joints_cam": 4, "joint_scores": 4, "joint_stddev": 4, "keypoints_px": 2,
    "root_velocity": 4, "height_m": 3, "height_stddev_m": 3,
}  # fmt: skip
"""The numbers of a person, and how many decimals of each are written."""


@dataclass(frozen=True)
class PoseFrame:
    """The people published for one image.

    `stamp_ns` is the image's stamp, `received_ns` the wall clock when the poses arrived, `frame_id` the camera's
    optical frame, `number` that of the image in its source, from 0, where it is known, `file` the name of a picture's.
    """

    stamp_ns: int
    received_ns: int
    frame_id: str
    persons: tuple[Pose3D, ...]
    number: int | None = None
    file: str = ""

    @property
    def latency_ms(self) -> float:
        """Milliseconds from the image's stamp to the arrival of its poses."""
        return (self.received_ns - self.stamp_ns) / 1e6


def to_line(frame: PoseFrame) -> str:
    """One JSON object, without the line's end; lengths in metres to 0.1 mm, pixels to 0.01."""
    record = {
        "frame": frame.number,
        **({"file": frame.file} if frame.file else {}),
        "stamp_ns": frame.stamp_ns,
        "received_ns": frame.received_ns,
        "frame_id": frame.frame_id,
        "persons": _records(frame.persons),
    }
    return json.dumps(record, separators=(",", ":"), allow_nan=False)


def from_line(line: str) -> PoseFrame:
    """Inverse of `to_line`."""
    record = json.loads(line)
    persons = tuple(_person_from_record(person) for person in record["persons"])
    stamp_ns, received_ns = int(record["stamp_ns"]), int(record["received_ns"])
    return PoseFrame(stamp_ns, received_ns, record["frame_id"], persons, record.get("frame"), record.get("file", ""))


def read_pose_lines(path: Path) -> Iterator[PoseFrame]:
    """Frames of a file, in the order they were written; a last line cut short by a kill is left out."""
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            if line.endswith("\n"):
                yield from_line(line)


def _records(persons: Sequence[Pose3D]) -> list[dict[str, Any]]:
    columns = {
        name: _rounded([getattr(person, name) for person in persons], digits) for name, digits in _DIGITS.items()
    }
    return [
        {
            "track_id": person.track_id,
            "state": person.state.name.lower(),
            "source": person.source.name.lower(),
            **{name: column[index] for name, column in columns.items()},
        }
        for index, person in enumerate(persons)
    ]


def _rounded(values: Any, digits: int) -> Any:
    """Nested lists of rounded numbers; None where a value is not finite, which JSON has no word for."""
    array = np.round(np.asarray(values, dtype=np.float64), digits)
    finite = np.isfinite(array)
    return (array if finite.all() else np.where(finite, array.astype(object), np.array(None))).tolist()


def _person_from_record(record: dict[str, Any]) -> Pose3D:
    def array(name: str) -> Any:
        return np.array(record[name], dtype=np.float64)

    return Pose3D(
        track_id=record["track_id"],
        state=TrackingState[record["state"].upper()],
        source=Source[record["source"].upper()],
        score=float(array("score")),
        box_px=array("box_px"),
        joints_cam=array("joints_cam"),
        joint_scores=array("joint_scores"),
        joint_stddev=array("joint_stddev"),
        keypoints_px=array("keypoints_px"),
        root_velocity=array("root_velocity"),
        height_m=float(record.get("height_m", 0.0)),
        height_stddev_m=float(record.get("height_stddev_m", 0.0)),
    )
