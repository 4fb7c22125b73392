"""Poses as JSON lines: one line for each image that poses were published for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dualpose_ros.people import Pose3D, Source, TrackingState


@dataclass(frozen=True)
class PoseFrame:
    """The people published for one image.

    `stamp_ns` is the image's stamp, `received_ns` the wall clock when the poses arrived, `frame_id` the camera's
    optical frame, `number` that of the image in its source, from 0, where it is known.
    """

    stamp_ns: int
    received_ns: int
    frame_id: str
    persons: tuple[Pose3D, ...]
    number: int | None = None

    @property
    def latency_ms(self) -> float:
        """Milliseconds from the image's stamp to the arrival of its poses."""
        return (self.received_ns - self.stamp_ns) / 1e6


def to_line(frame: PoseFrame) -> str:
    """One JSON object, without the line's end; lengths in metres to 0.1 mm, pixels to 0.01."""
    record = {
        "frame": frame.number,
        "stamp_ns": frame.stamp_ns,
        "received_ns": frame.received_ns,
        "frame_id": frame.frame_id,
        "persons": [_person_to_record(person) for person in frame.persons],
    }
    return json.dumps(record, separators=(",", ":"), allow_nan=False)


def from_line(line: str) -> PoseFrame:
    """Inverse of `to_line`."""
    record = json.loads(line)
    persons = tuple(_person_from_record(person) for person in record["persons"])
    stamp_ns, received_ns = int(record["stamp_ns"]), int(record["received_ns"])
    return PoseFrame(stamp_ns, received_ns, record["frame_id"], persons, record.get("frame"))


def read_pose_lines(path: Path) -> Iterator[PoseFrame]:
    """Frames of a file, in the order they were written; a last line cut short by a kill is left out."""
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            if line.endswith("\n"):
                yield from_line(line)


def _person_to_record(person: Pose3D) -> dict[str, Any]:
    return {
        "track_id": person.track_id,
        "state": person.state.name.lower(),
        "source": person.source.name.lower(),
        "score": _rounded(person.score, 4),
        "box_px": _rounded(person.box_px, 2),
        "joints_cam": _rounded(person.joints_cam, 4),
        "joint_scores": _rounded(person.joint_scores, 4),
        "joint_stddev": _rounded(person.joint_stddev, 4),
        "keypoints_px": _rounded(person.keypoints_px, 2),
        "root_velocity": _rounded(person.root_velocity, 4),
        "height_m": _rounded(person.height_m, 3),
        "height_stddev_m": _rounded(person.height_stddev_m, 3),
    }


def _rounded(values: Any, digits: int) -> Any:
    """A rounded number, or nested lists of them; None where a value is not finite, which JSON has no word for."""
    array = np.round(np.asarray(values, dtype=np.float64), digits)
    return np.where(np.isfinite(array), array.astype(object), np.array(None)).tolist()


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
