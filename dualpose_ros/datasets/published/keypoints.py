"""COCO and CrowdPose as data sets to be scored: pictures whose people have keypoints in COCO's form.

Lin et al., ECCV 2014, `person_keypoints_val2017.json`; Li et al., "CrowdPose", CVPR 2019, `crowdpose_test.json`, whose
images have a crowdIndex. For training, `datasets.coco` reads the same files as labelled images.

Joints go by the names that `categories` has, as there; a file without categories has the data set's own order.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from dualpose_ros.camera import CameraError, camera_from_hfov
from dualpose_ros.datasets.coco import GUESSED_HFOV_DEG
from dualpose_ros.datasets.joint_names import plain_name
from dualpose_ros.datasets.keypoint_file import CocoError, Picture, area_px, read_keypoint_file
from dualpose_ros.datasets.published.truth import DatasetError, TruePeople, TruthFrame, TruthSequence, whole_of
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
    folder = next((root / name for name in _FOLDERS if (root / name).is_dir()), root)
    try:
        file = read_keypoint_file(path, joints)
    except CocoError as error:
        raise DatasetError(str(error)) from None
    places = _places(file.names, joints, path)
    if not any(picture.people for picture in file.pictures):
        raise DatasetError(f"{path} labels nobody: it has no annotations of people")
    groups: dict[str, list[Picture]] = {}
    for picture in file.pictures:
        groups.setdefault(_crowding(picture, path), []).append(picture)
    return [
        TruthSequence(name, joints, partial(_frames, path, folder, own, places), group=name)
        for name, own in sorted(groups.items())
    ]


def _places(named: Sequence[str], joints: tuple[str, ...], path: Path) -> list[int]:
    """Where each of the joints is among a file's keypoints."""
    names = [_OTHER_NAMES.get(plain, plain) for plain in map(plain_name, named)]
    for joint in joints:
        if names.count(joint) != 1:
            how = "twice" if joint in names else "not"
            raise DatasetError(f"{path}: {joint} is {how} among the keypoints of people: {', '.join(names)}")
    return [names.index(joint) for joint in joints]


def _crowding(picture: Picture, path: Path) -> str:
    """CrowdPose's easy, medium and hard; all pictures of a data set without an index are one group."""
    index = picture.entry.get("crowdIndex")
    if index is not None and not isinstance(index, int | float):
        raise DatasetError(f"{path}: 'crowdIndex' is {index!r}, no number")
    return "pictures" if index is None else "easy" if index < 0.1 else "medium" if index < 0.8 else "hard"


def _frames(path: Path, folder: Path, pictures: list[Picture], places: list[int]) -> Iterator[TruthFrame]:
    for picture in pictures:
        number = whole_of(picture.entry, "id", path)
        if picture.size is None:
            raise DatasetError(f"{path}: image {number} has no 'width' and 'height'")
        try:
            camera = camera_from_hfov(*picture.size, np.radians(GUESSED_HFOV_DEG))
            people = _people(picture, places, path)
        except (CameraError, CocoError) as error:
            raise DatasetError(f"{path}: image {number}: {error}") from None
        yield TruthFrame(number, 0.0, folder / picture.file_name, camera, people)


def _people(picture: Picture, places: list[int], path: Path) -> TruePeople:
    people = picture.people
    ids = [whole_of(person.entry, "id", path) for person in people]
    if len(set(ids)) < len(ids):
        raise CocoError(f"annotation id {next(i for i in ids if ids.count(i) > 1)} is there twice")
    table = np.array([person.rows[places] for person in people]).reshape(len(people), len(places), 3)
    labelled = table[..., 2] > 0
    corner = np.array([person.entry["bbox"] for person in people], np.float64).reshape(len(people), 4)
    return TruePeople(
        np.array(ids, dtype=np.int64),
        np.full(table.shape, np.nan),
        np.where(labelled[..., None], table[..., :2], np.nan),
        labelled,
        np.concatenate([corner[:, :2], corner[:, :2] + corner[:, 2:]], axis=1),
        np.array([area_px(person) for person in people]),
        np.array([person.crowd for person in people], dtype=bool),
    )
