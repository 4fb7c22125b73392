"""Stored predictions: what a system, this one or another, said of a data set's videos, a JSON file a video.

    {"format": "dualpose-predictions-1", "sequence": "TS1", "system": "a name", "joint_names": ["pelvis", ...],
     "frames": [{"frame": 0, "people": [{"id": 3, "score": 0.9, "joints_m": [[x, y, z], ...],
                                         "joints_px": [[u, v], ...]}]}]}

`joints_m` are in metres in the camera's optical frame, `joints_px` pixels of the picture; either may be left out, and
a joint that was not found is null. A frame in which nobody was found has no people, but is there. Joints are called as
`skeleton.H36M17` calls them, and as the data set does where it has others. A frame's `picture` is told by the live
stages alone, which don't take what was said of another one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats, Ints, Rows, rows_of
from dualpose_ros.datasets.published.truth import DatasetError, field_of, is_known, list_of, read_json
from dualpose_ros.paths import write_whole

FORMAT = "dualpose-predictions-1"


@dataclass(frozen=True, eq=False)
class FoundPeople(Rows):
    """The people of one frame: ids and scores (M,), joints_cam (M, J, 3), joints_px (M, J, 2), NaN if not found."""

    ids: Ints = field(metadata=rows_of(dtype=np.int64))
    scores: Floats = field(metadata=rows_of())
    joints_cam: Floats
    joints_px: Floats

    def renamed(self, names: Sequence[str], wanted: Sequence[str]) -> FoundPeople:
        """The same people with joints by other names in another order, NaN where they have no such joint."""
        known = {name: index for index, name in enumerate(names)}
        places = np.array([known.get(name, len(names)) for name in wanted], dtype=np.intp)

        def chosen(joints: Floats) -> Floats:
            blank = np.full((len(joints), 1, joints.shape[-1]), np.nan)
            return np.concatenate([joints, blank], axis=1)[:, places]

        return FoundPeople(self.ids, self.scores, chosen(self.joints_cam), chosen(self.joints_px))


@dataclass(frozen=True)
class Predictions:
    """Of one sequence: who said it, the joints' names, the people of each frame by its index, and as far as it is told
    which picture each frame was."""

    sequence: str
    system: str
    joint_names: tuple[str, ...]
    frames: Mapping[int, FoundPeople]
    pictures: Mapping[int, str] = field(default_factory=dict)


def predictions_file(folder: Path, sequence: str) -> Path:
    """Where a sequence's predictions lie in a folder."""
    return folder / f"{sequence.replace('/', '__')}.json"


def write_predictions(folder: Path, predictions: Predictions) -> Path:
    """Write a sequence's file, whole or not at all."""
    frames = [
        {
            "frame": index,
            **({"picture": predictions.pictures[index]} if index in predictions.pictures else {}),
            "people": [
                {
                    "id": int(people.ids[n]),
                    "score": round(float(people.scores[n]), 5),
                    "joints_m": _rows(people.joints_cam[n], 5),
                    "joints_px": _rows(people.joints_px[n], 2),
                }
                for n in range(len(people))
            ],
        }
        for index, people in sorted(predictions.frames.items())
    ]
    content = {"format": FORMAT, "sequence": predictions.sequence, "system": predictions.system,
               "joint_names": list(predictions.joint_names), "frames": frames}  # fmt: skip
    path = predictions_file(folder, predictions.sequence)
    write_whole(path, json.dumps(content, allow_nan=False))
    return path


def read_predictions(path: Path) -> Predictions:
    """One sequence's file; DatasetError names the field that is missing or wrong."""
    content = read_json(path)
    if field_of(content, "format", path) != FORMAT:
        raise DatasetError(f"{path} is of format {content['format']!r}; {FORMAT} is read")
    names = field_of(content, "joint_names", path)
    if not isinstance(names, list) or not names or len({str(name) for name in names}) != len(names):
        raise DatasetError(f"{path}: 'joint_names' is no list of different names")
    frames: dict[int, FoundPeople] = {}
    pictures: dict[int, str] = {}
    for number, entry in enumerate(list_of(content, "frames", path)):
        index = field_of(entry, "frame", path)
        if not isinstance(index, int) or index in frames:
            raise DatasetError(
                f"{path}: frames[{number}].frame is {index!r}, which is there already or no whole number"
            )
        if "picture" in entry:
            pictures[index] = str(entry["picture"])
        frames[index] = _people(field_of(entry, "people", path), len(names), f"{path}: frame {index}")
    sequence, system = str(field_of(content, "sequence", path)), str(content.get("system", "unknown"))
    return Predictions(sequence, system, tuple(str(name) for name in names), frames, pictures)


def _people(entries: Any, joints: int, where: str) -> FoundPeople:
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DatasetError(f"{where}: 'people' is no list of people")
    ids = [entry.get("id", n) for n, entry in enumerate(entries)]
    if not all(isinstance(i, int) and abs(i) < 2**31 for i in ids):
        raise DatasetError(f"{where}: an id is no whole number of 32 bits")
    if len(set(ids)) != len(ids):
        raise DatasetError(f"{where}: id {next(i for i in ids if ids.count(i) > 1)} is there twice")
    scores = np.array([_score(entry.get("score", 1.0), where) for entry in entries], dtype=np.float64)
    parts = [
        np.stack([_joints(entry.get(name), (joints, axes), f"{where}: people[{n}].{name}")
                  for n, entry in enumerate(entries)])
        if entries else np.zeros((0, joints, axes))
        for name, axes in (("joints_m", 3), ("joints_px", 2))
    ]  # fmt: skip
    return FoundPeople(np.array(ids, dtype=np.int64), scores, *parts)


def _score(value: Any, where: str) -> float:
    if not _is_number(value):
        raise DatasetError(f"{where}: a score is {value!r}")
    return float(value)


def _joints(value: Any, shape: tuple[int, int], where: str) -> Floats:
    """Joints of one person, NaN for null."""
    if value is None:
        return np.full(shape, np.nan)
    if not isinstance(value, list) or len(value) != shape[0]:
        raise DatasetError(f"{where} is no list of {shape[0]} joints")
    rows = []
    for joint, row in enumerate(value):
        if row is None:
            rows.append([np.nan] * shape[1])
        elif isinstance(row, list) and len(row) == shape[1] and all(_is_number(v) for v in row):
            rows.append(row)
        else:
            raise DatasetError(f"{where}[{joint}] is {row!r}: {shape[1]} finite numbers, or null for a joint not found")
    return np.array(rows, dtype=np.float64)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < float("inf")


def _rows(joints: AnyFloats, digits: int) -> list[list[float] | None] | None:
    known = is_known(joints)
    if not known.any():
        return None
    return [[round(float(v), digits) for v in row] if there else None for row, there in zip(joints, known, strict=True)]
