"""COCO and CrowdPose as data sets to be scored: pictures whose people have keypoints in COCO's form.

Lin et al., ECCV 2014, `person_keypoints_val2017.json`; Li et al., "CrowdPose", CVPR 2019, `crowdpose_test.json`, whose
images have a crowdIndex. For training, `datasets.coco` reads the same files as labelled images.

Joints go by the names that `categories` has, as there; a file without categories has the data set's own order.
"""

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dualpose_ros.camera import CameraError, camera_from_hfov
from dualpose_ros.datasets.coco import BOX_TO_AREA, GUESSED_HFOV_DEG
from dualpose_ros.datasets.joint_names import plain_name
from dualpose_ros.datasets.keypoint_file import CocoError, people_of
from dualpose_ros.datasets.published.truth import (
    DatasetError,
    TruePeople,
    TruthFrame,
    TruthSequence,
    field_of,
    finite,
    list_of,
    numbers,
    read_json,
    whole_of,
)
from dualpose_ros.skeleton import COCO17

CROWDPOSE = (
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
    "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "head_top", "thorax",
)  # fmt: skip
"""What the data set calls head and neck are our head_top and thorax."""

CROWDPOSE_SIGMAS = (0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089, 0.079, 0.079)

_COCO = ("annotations/person_keypoints_val2017.json", "person_keypoints_val2017.json", "person_keypoints.json")
_CROWDPOSE = ("json/crowdpose_test.json", "annotations/crowdpose_test.json", "crowdpose_test.json")
_FOLDERS = ("val2017", "images")
_OTHER_NAMES = {"head": "head_top", "top_head": "head_top", "neck": "thorax"}
"""What files call CrowdPose's joints otherwise; none of COCO's is called so."""

_log = logging.getLogger(__name__)


def open_coco(root: Path) -> list[TruthSequence]:
    """COCO's validation pictures, or a folder like it; DatasetError names what is missing."""
    return _open(root, _COCO, COCO17.joint_names)


def open_crowdpose(root: Path) -> list[TruthSequence]:
    """CrowdPose's test pictures in three sequences, by how crowded they are; DatasetError names what is missing."""
    return _open(root, _CROWDPOSE, CROWDPOSE)


def _open(root: Path, files: tuple[str, ...], joints: tuple[str, ...]) -> list[TruthSequence]:
    path = next((root / name for name in files if (root / name).is_file()), None)
    if path is None:
        raise DatasetError(f"{root} has none of {', '.join(files)}")
    content = read_json(path)
    folder = next((root / name for name in _FOLDERS if (root / name).is_dir()), root)
    names, annotations = _labelled(content, joints, path)
    people: dict[Any, list[Any]] = {}
    for annotation in annotations:
        people.setdefault(whole_of(annotation, "image_id", path), []).append(annotation)
    images = list_of(content, "images", path)
    groups: dict[str, list[Any]] = {}
    seen: set[int] = set()
    for image in images:
        number = whole_of(image, "id", path)
        if number in seen:
            raise DatasetError(f"{path}: image {number} is there twice")
        seen.add(number)
        groups.setdefault(_crowding(image, path), []).append(image)
    if strange := people.keys() - seen:
        told = f"{path} labels people of {len(strange)} images that are not among its images, such as {min(strange)}"
        if not people.keys() & seen:
            raise DatasetError(told)
        _log.warning("%s; they are passed over", told)
    return [
        TruthSequence(name, joints, partial(_frames, path, folder, own, people, names, joints), group=name)
        for name, own in sorted(groups.items())
    ]


def _labelled(content: Any, joints: tuple[str, ...], path: Path) -> tuple[Sequence[str], list[Any]]:
    """The names of a file's keypoints, among which all joints are, and the annotations of people."""
    annotations = list_of(content, "annotations", path)
    if "categories" not in content:
        return joints, annotations
    try:
        named, labelled = people_of(content, path)
    except CocoError as error:
        raise DatasetError(str(error)) from None
    names, people = [_plain(name) for name in named], [entry for _, entry in labelled]
    for joint in joints:
        if names.count(joint) != 1:
            how = "twice" if joint in names else "not"
            raise DatasetError(f"{path}: {joint} is {how} among the keypoints of people: {', '.join(names)}")
    if not people:
        raise DatasetError(f"{path} labels nobody: all its annotations are of other categories")
    return names, people


def _plain(name: str) -> str:
    plain = plain_name(name)
    return _OTHER_NAMES.get(plain, plain)


def _crowding(image: Any, path: Path) -> str:
    """CrowdPose's easy, medium and hard; all pictures of a data set without an index are one group."""
    index = image.get("crowdIndex") if isinstance(image, dict) else None
    if index is not None and not isinstance(index, int | float):
        raise DatasetError(f"{path}: 'crowdIndex' is {index!r}, no number")
    return "pictures" if index is None else "easy" if index < 0.1 else "medium" if index < 0.8 else "hard"


def _frames(
    path: Path,
    folder: Path,
    images: list[Any],
    people: dict[Any, list[Any]],
    names: Sequence[str],
    joints: tuple[str, ...],
) -> Iterator[TruthFrame]:
    for image in images:
        number, width, height = (whole_of(image, name, path) for name in ("id", "width", "height"))
        truth = _people(people.get(number, []), names, joints, path, f"{path}: image {number}")
        try:
            camera = camera_from_hfov(width, height, np.radians(GUESSED_HFOV_DEG))
        except CameraError as error:
            raise DatasetError(f"{path}: image {number}: {error}") from None
        yield TruthFrame(number, 0.0, folder / str(field_of(image, "file_name", path)), camera, truth)


def _people(
    annotations: list[Any], names: Sequence[str], joints: tuple[str, ...], path: Path, where: str
) -> TruePeople:
    count = len(annotations)
    ids = [whole_of(a, "id", path) for a in annotations]
    if len(set(ids)) < count:
        raise DatasetError(f"{where}: annotation id {next(i for i in ids if ids.count(i) > 1)} is there twice")
    shape, what = (3 * len(names),), f"{where}: keypoints"
    flat = [finite(numbers(field_of(a, "keypoints", path), shape, what), what) for a in annotations]
    boxes = [finite(numbers(field_of(a, "bbox", path), (4,), f"{where}: bbox"), f"{where}: bbox") for a in annotations]
    table = np.array(flat).reshape(count, len(names), 3)[:, list(map(names.index, joints))]
    corner = np.array(boxes).reshape(count, 4)
    area = [numbers(a.get("area", BOX_TO_AREA * box[2] * box[3]), (), f"{where}: area")
            for a, box in zip(annotations, corner, strict=True)]  # fmt: skip
    labelled = table[..., 2] > 0
    return TruePeople(
        np.array(ids, dtype=np.int64),
        np.full((count, len(joints), 3), np.nan),
        np.where(labelled[..., None], table[..., :2], np.nan),
        labelled,
        np.concatenate([corner[:, :2], corner[:, :2] + corner[:, 2:]], axis=1),
        np.array(area),
        np.array([bool(a.get("iscrowd", 0)) for a in annotations], dtype=bool),
    )
