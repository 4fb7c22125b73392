"""Files of people with keypoints in COCO's format, read and checked before anything is concluded from them.

Format: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, https://cocodataset.org/#format-data.
J joints as the category of people names them.
"""

import gzip
import json
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.datasets.joint_names import inner_joint, plain_name

ANNOTATIONS = ("person_keypoints.json", "person_keypoints.json.gz")
PEOPLE = ("person", "persons", "people", "human", "humans")
"""What tools call the category of people."""

BOX_TO_AREA = 0.53
"""Share of a box that its person covers, where a data set states no areas: CrowdPose's own evaluation takes it."""

_LIKE_CORNERS, _OVERHANGING, _OVERHANG = 0.95, 0.25, 1.05
"""Boxes are corners where so many would be whole as such, and so many reach so far out of the picture as they stand."""


_log = logging.getLogger(__name__)


class CocoError(ValueError):
    """A data set that can't be read; the message names the file and the field."""


@dataclass(frozen=True)
class Annotation:
    """A person: `where` the file has it; its corners box_px (4,); rows (J, 3) of x, y, v, 0 where one isn't finite."""

    where: str
    entry: Mapping[str, Any]
    box_px: Floats
    rows: Floats
    crowd: bool


@dataclass(frozen=True)
class Picture:
    """One file's picture and people, as all entries of that file say; size is (width, height), None if not stated."""

    where: str
    entry: dict[str, Any]
    file_name: str
    size: tuple[int, int] | None
    people: list[Annotation]


@dataclass(frozen=True)
class KeypointFile:
    """names: of the joints of people. native: of further ones by source, `native_joint_names`."""

    path: Path
    names: Sequence[str]
    native: Mapping[str, Sequence[str]]
    pictures: list[Picture]


def read_keypoint_file(path: Path, unnamed: Sequence[str] = ()) -> KeypointFile:
    """The people and pictures of a file, who is annotated twice once; CocoError names what is missing or wrong.

    unnamed: the joints of a file without categories. Ids may be numbers or texts; 1, 1.0 and "1" are the same.
    """
    content = read_json(path)
    if unnamed and not content.get("categories"):
        names, kinds = unnamed, _Kinds()
    else:
        names, kinds = _categories(content, path)
    native = content.get("native_joint_names", {})
    if not isinstance(native, dict) or not all(isinstance(value, list) for value in native.values()):
        raise CocoError(f"{path}: native_joint_names is no object of lists by source")
    pictures = _pictures(content, path)
    by_id = {identity: picture for picture, ids in pictures for identity in ids}
    strangers: list[str] = []
    taken: dict[tuple[Any, ...], None] = {}
    for number, entry in enumerate(_list(content, "annotations", path)):
        where = f"annotations[{number}]"
        if not _is_person(entry, kinds, path, where):
            continue
        owner = _id(entry, "image_id", path, where)
        if owner not in by_id:
            strangers.append(f"{where} with image_id {entry['image_id']!r}")
            continue
        person = _annotation(entry, names, path, where)
        key = (by_id[owner].file_name, person.crowd, person.box_px.tobytes(), person.rows.tobytes())
        if key not in taken:
            taken[key] = None
            by_id[owner].people.append(person)
    if strangers:
        told = (
            f"{path}: {len(strangers)} annotations of people are of no picture of 'images', whose ids are like "
            f"{next(iter(by_id))!r}; the first is {strangers[0]}"
        )
        # Whoever takes a part of the pictures may leave all annotations.
        if not taken:
            raise CocoError(told)
        _log.warning("%s; they are passed over", told)
    file = KeypointFile(path, names, native, [picture for picture, _ in pictures])
    _check_places(file)
    return file


def area_px(person: Annotation) -> float:
    """Square pixels that somebody covers, COCO's share of the box if it isn't stated; CocoError if that is none."""
    width, height = map(float, person.entry["bbox"][2:])
    stated = person.entry.get("area") or BOX_TO_AREA * width * height
    if isinstance(stated, bool) or not isinstance(stated, int | float) or not 0 <= stated < np.inf:
        raise CocoError(f"{person.where}: area is {stated!r}, no number of square pixels")
    return float(stated)


def annotation_file(root: Path, named: Path | None = None) -> Path:
    """The file that is named, or one of ANNOTATIONS in a folder; CocoError if it is missing."""
    if not root.is_dir():
        raise CocoError(f"{root} is no folder")
    candidates = [named] if named else [root / name for name in ANNOTATIONS]
    for path in candidates:
        if path.is_file():
            return path
    raise CocoError(f"there is no COCO keypoint file {' or '.join(map(str, candidates))}")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, perhaps gzipped; CocoError if there is none."""
    try:
        data = path.read_bytes()
        content = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
    except (OSError, ValueError, EOFError) as error:
        raise CocoError(f"{path} can't be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise CocoError(f"{path} holds a {type(content).__name__} instead of an object")
    return content


def check_joints(file: KeypointFile, aliases: Mapping[str, dict[str, str]], required: bool) -> None:
    """CocoError where an alias, by source, is of no joint of the file, or none is known although one is required."""
    named = {source: [*file.names, *file.native.get(source, ())] for source in {*file.native, *aliases, ""}}
    for source, own in aliases.items():
        if wrong := own.keys() - {*named[source], *map(plain_name, named[source])}:
            raise CocoError(
                f"{file.path}: no joint of '{source}' is called '{min(wrong)}'; they are {', '.join(named[source])}"
            )
    known = any(inner_joint(name, aliases.get(source)) >= 0 for source, own in named.items() for name in own)
    if required and not known:
        raise CocoError(
            f"{file.path}: none of its joints {', '.join(file.names)} is known; "
            "`data import --joint SOURCE.NAME=JOINT` says which joint of ours one is"
        )


def box_of(bbox: Sequence[float]) -> Floats:
    """A COCO box (x, y, width, height) as corners (4,); ValueError if it is none."""
    # COCO's boxes count from the corner of the first pixel, ours from its centre.
    x, y, width, height = (float(v) for v in bbox)
    if not np.isfinite((x, y, width, height)).all() or min(width, height) < 0:
        raise ValueError(f"bbox {list(bbox)} is no box")
    return np.array([x - 0.5, y - 0.5, x + width - 0.5, y + height - 0.5])


@dataclass(frozen=True)
class _Kinds:
    """Ids of the categories of people and of others; closed: another than these is none."""

    people: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    closed: bool = False


def _categories(content: Mapping[str, Any], path: Path) -> tuple[list[str], _Kinds]:
    """Names of people's joints, and the categories: of people are those called so, without one all with keypoints."""
    categories = _list(content, "categories", path)
    if not all(isinstance(category, dict) for category in categories):
        raise CocoError(f"{path}: categories holds something that is no object")
    called = [c for c in categories if str(c.get("name")).strip().lower() in PEOPLE]
    ours = called or [c for c in categories if c.get("keypoints")]
    ids = [_id(c, "id", path, f"categories[{n}]") if "id" in c else "" for n, c in enumerate(categories)]
    people = frozenset(identity for identity, c in zip(ids, categories, strict=True) if identity and c in ours)
    twice = [identity for identity, count in Counter(ids).items() if identity and count > 1]
    if twice:
        raise CocoError(f"{path}: two categories have the id {twice[0]}")
    return _keypoint_names(ours, path), _Kinds(people, frozenset(ids) - people - {""}, all(ids))


def _keypoint_names(ours: Sequence[dict[str, Any]], path: Path) -> list[str]:
    """The joints that the categories of people have in common."""
    lists = {str(c.get("name")): c["keypoints"] for c in ours if c.get("keypoints")}
    names = next(iter(lists.values()), None)
    if not isinstance(names, list):
        raise CocoError(f"{path}: categories has no person with a list 'keypoints'")
    if any(other != names for other in lists.values()):
        raise CocoError(
            f"{path}: categories {', '.join(lists)} have different 'keypoints'; call the one of people 'person'"
        )
    plain = [str(name) for name in names]
    if twice := [name for name, count in Counter(plain).items() if count > 1]:
        raise CocoError(f"{path}: the keypoints of people have the name {twice[0]} twice")
    return plain


def _is_person(entry: Any, kinds: _Kinds, path: Path, where: str) -> bool:
    if not isinstance(entry, dict):
        raise CocoError(f"{path}: {where} is no object")
    if entry.get("category_id") is None:
        return True
    own = _id(entry, "category_id", path, where)
    if kinds.closed and own not in kinds.people | kinds.others:
        raise CocoError(f"{path}: {where} has the category_id {entry['category_id']!r}, which no category has")
    return own not in kinds.others


def _pictures(content: Mapping[str, Any], path: Path) -> list[tuple[Picture, list[str]]]:
    """The pictures and their ids: entries of one file are one picture, as converters write one for each person."""
    found: dict[str, tuple[Picture, list[str]]] = {}
    seen: set[str] = set()
    for index, entry in enumerate(_list(content, "images", path)):
        where = f"images[{index}]"
        identity = _id(entry, "id", path, where)
        if identity in seen:
            raise CocoError(f"{path}: {where} has the id {identity}, which another image has")
        seen.add(identity)
        name = str(_field(entry, "file_name", path, where))
        blank = Picture(where, {**entry, "all_detections": []}, name, _size(entry, path, where), [])
        first, ids = found.setdefault(os.path.normpath(name), (blank, []))
        for key in ("width", "height", "split", "source", "crowdIndex"):
            if entry.get(key) != first.entry.get(key):
                raise CocoError(f"{path}: {where} is of {name} as {first.where} is, but has another '{key}'")
        detections = entry.get("all_detections", [])
        if not isinstance(detections, list):
            raise CocoError(f"{path}: {where}: 'all_detections' is no list")
        first.entry["all_detections"] += [box for box in detections if box not in first.entry["all_detections"]]
        ids.append(identity)
    if not found:
        raise CocoError(f"{path}: 'images' is empty")
    return list(found.values())


def _size(entry: Mapping[str, Any], path: Path, where: str) -> tuple[int, int] | None:
    if "width" not in entry or "height" not in entry:
        return None
    try:
        return int(entry["width"]), int(entry["height"])
    except (TypeError, ValueError, OverflowError) as error:
        raise CocoError(f"{path}: {where} has a size that is none: {error}") from error


def _annotation(entry: Mapping[str, Any], names: Sequence[str], path: Path, where: str) -> Annotation:
    bbox = _field(entry, "bbox", path, where)
    try:
        rows = np.array(entry.get("keypoints") or [0] * 3 * len(names), np.float64)
        if rows.size != 3 * len(names):
            raise ValueError(f"keypoints holds {rows.size} numbers, not three for each of {len(names)} joints")
        rows = rows.reshape(len(names), 3)
        rows = np.where(np.isfinite(rows).all(axis=1, keepdims=True), rows, 0.0)
        odd = rows[~np.isin(rows[:, 2], (0, 1, 2)), 2]
        if len(odd):
            raise ValueError(f"a keypoint's v is {odd[0]:g}, not 0 (not judged), 1 (hidden) or 2 (seen)")
        return Annotation(where, entry, box_of(bbox), rows, bool(entry.get("iscrowd", 0)))
    except (TypeError, ValueError, OverflowError) as error:
        raise CocoError(f"{path}: {where}, of image_id {entry['image_id']}: {error}") from error


def _check_places(file: KeypointFile) -> None:
    """CocoError where most people's boxes or joints can't be where they are said to be; a few odd ones are borne."""
    people = [(picture, person) for picture in file.pictures for person in picture.people if not person.crowd]
    odd: dict[str, list[Annotation]] = {}
    for picture, person in people:
        odd.setdefault(_oddness(person, picture.size), []).append(person)
    odd.pop("", None)
    for what, own in odd.items():
        if len(own) > len(people) / 2:
            _refuse_places(file, what, own, len(people))
    sized = [(person, picture.size) for picture, person in people if picture.size]
    over, like = [], 0
    for person, (width, height) in sized:
        x0, y0, x1, y1 = person.box_px + 0.5
        like += x0 < x1 - x0 <= width + 1 and y0 < y1 - y0 <= height + 1
        if x1 > _OVERHANG * width or y1 > _OVERHANG * height:
            over.append(person)
    if sized and like >= _LIKE_CORNERS * len(sized) and len(over) >= _OVERHANGING * len(sized):
        _refuse_places(file, "boxes of x0, y0, x1, y1 by the look of it, not x, y, width, height", over, len(people))


def _refuse_places(file: KeypointFile, what: str, own: Sequence[Annotation], count: int) -> None:
    first = f"{own[0].where} with bbox {list(own[0].entry['bbox'])}"
    raise CocoError(f"{file.path}: {len(own)} of {count} people have {what}; the first is {first}")


def _oddness(person: Annotation, size: tuple[int, int] | None) -> str:
    """What is impossible about the places of a person, "" for nothing."""
    corners = person.box_px + 0.5
    places = person.rows[person.rows[:, 2] > 0, :2]
    if (corners[2:] <= corners[:2]).any():
        return "boxes without any area"
    if corners[2:].max() <= 1 or (len(places) > 1 and places.min() >= 0 and places.max() <= 1):
        return "boxes or joints in shares of the picture (0 to 1), not in pixels"
    if size is None:
        return ""
    inside = np.clip(corners.reshape(2, 2), 0, size)
    seen = ((inside[1] - inside[0]) / (corners[2:] - corners[:2])).prod()
    if seen < 0.5 or ((places < 0) | (places > size)).any(axis=1).sum() > len(places) / 2:
        return "boxes or joints mostly outside their pictures"
    return ""


def _list(content: Mapping[str, Any], name: str, path: Path) -> list[Any]:
    value = content.get(name)
    if not isinstance(value, list):
        raise CocoError(f"{path} has no list '{name}': it is no COCO keypoint file")
    return value


def _field(entry: Any, name: str, path: Path, where: str) -> Any:
    if not isinstance(entry, dict) or name not in entry:
        raise CocoError(f"{path}: {where} has no '{name}'")
    return entry[name]


def _id(entry: Any, name: str, path: Path, where: str) -> str:
    """An id as a text; 1, 1.0 and "1" are the same, "01" is another."""
    value = _field(entry, name, path, where)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise CocoError(f"{path}: {where} has the {name} {value!r}, neither a whole number nor a text")
    return str(value)
