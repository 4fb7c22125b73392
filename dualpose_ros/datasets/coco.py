"""Photographs with people labelled as COCO does it, as labelled images: COCO itself, MPII or CrowdPose converted.

A folder holds pictures and one annotation file (`person_keypoints.json`, perhaps gzipped, or any that is named).
Understood beyond COCO's format, where an image has them: `source`, `split` (one of SPLITS), and `all_detections`, boxes
(x, y, width, height) of everybody; and of a person, `native_joints` (x, y, visibility) of the source's own
skeleton, whose names `native_joint_names` lists by source.

A keypoint with v = 0 is not judged. People without keypoints, and crowds, are boxes in which nothing is known. What
is labelled of another category than people is passed over.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from dualpose_ros.arrays import AnyFloats, Float32s, Floats, Mask, RgbImage, UInt8s
from dualpose_ros.camera import CameraError, camera_from_hfov
from dualpose_ros.datasets.joint_names import to_inner
from dualpose_ros.datasets.keypoint_file import (
    Annotation,
    CocoError,
    KeypointFile,
    Picture,
    annotation_file,
    box_of,
    check_joints,
    read_keypoint_file,
)
from dualpose_ros.datasets.labels import HIDDEN, UNKNOWN, VISIBLE, LabelledImage, Origin, People
from dualpose_ros.people import box_iou
from dualpose_ros.skeleton import H36M17
from dualpose_ros.sources.pictures import read_picture
from dualpose_ros.sources.source import SourceError

VALIDATION_ONE_IN = 20
GUESSED_HFOV_DEG = 55.0
SAME_PERSON_IOU = 0.5
"""A detection that overlaps a labelled person by more is that person."""

SPLITS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
"""What data sets call their splits, perhaps with a year."""


@dataclass(frozen=True)
class ImportOptions:
    """How to read a folder of photographs.

    images: folder of the pictures, `images/` or the root itself without it. annotations: the file, one of
    ANNOTATIONS without it. weights, stretches: by source, how often to draw its images and how wrong their width
    may be (see `labels.Origin`). incomplete: sources whose pictures show people without any box. aliases: by
    source, names of joints that mean a joint of ours. needs_joints: boxes alone are of no use.
    """

    images: Path | None = None
    annotations: Path | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    stretches: Mapping[str, float] = field(default_factory=dict)
    incomplete: frozenset[str] = frozenset()
    aliases: Mapping[str, dict[str, str]] = field(default_factory=dict)
    needs_joints: bool = False


@dataclass(frozen=True)
class Photograph:
    """One picture's file, size, people and origin, not yet decoded; split is "train", "validation" or "test"."""

    path: Path
    width: int
    height: int
    split: str
    people: People
    origin: Origin


def read_coco(root: Path, options: ImportOptions | None = None) -> list[Photograph]:
    """All pictures of a folder with what is known of the people in them; CocoError names what is missing or wrong."""
    options = options or ImportOptions()
    file = read_keypoint_file(annotation_file(root, options.annotations))
    folder = options.images or (root / "images" if (root / "images").is_dir() else root)
    photographs = []
    for picture in file.pictures:
        try:
            photographs.append(_photograph(picture, folder, file, options))
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__} "
            raise CocoError(f"{file.path}: {picture.where} or its annotations: {kind}{error}") from error
    of_known_sources(photographs, options)
    check_joints(file, options.aliases, options.needs_joints)
    return photographs


def of_known_sources(photographs: list[Photograph], options: ImportOptions) -> list[Photograph]:
    """The photographs; CocoError where the options name a source that none of them is of."""
    found = {photograph.origin.source for photograph in photographs}
    named = {*options.weights, *options.stretches, *options.incomplete, *options.aliases}
    if unknown := sorted(named - found):
        raise CocoError(f"no picture is of the source '{unknown[0]}'; they are of {', '.join(sorted(found))}")
    return photographs


def read_photograph(path: Path, size: tuple[int, int] | None = None) -> RgbImage:
    """The picture of a file; CocoError if it is missing, no image, or of another (width, height) than is said."""
    try:
        image = read_picture(path)
    except SourceError as error:
        raise CocoError(str(error)) from None
    found = (image.shape[1], image.shape[0])
    if size is not None and found != size:
        turned = ", perhaps because its EXIF turns it" if found == size[::-1] else ""
        raise CocoError(f"{path} has {found[0]}x{found[1]} pixels, not {size[0]}x{size[1]} as said{turned}")
    return image


def load(photograph: Photograph, max_side: int = 640) -> LabelledImage:
    """Decode a picture and shrink it to `max_side`.

    CocoError if the file is missing, no image, of an absurd shape, or of another size than is said.
    """
    image = read_photograph(photograph.path, (photograph.width, photograph.height))
    people, scale = photograph.people, min(1.0, max_side / max(image.shape[:2]))
    if scale < 1:
        size = (max(round(photograph.width * scale), 1), max(round(photograph.height * scale), 1))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        people = _scaled(people, np.array(size) / (photograph.width, photograph.height))
    try:
        camera = camera_from_hfov(image.shape[1], image.shape[0], np.radians(GUESSED_HFOV_DEG))
    except CameraError as error:
        raise CocoError(f"{photograph.path}: {error}") from error
    return LabelledImage(image, np.zeros(image.shape[:2], np.uint8), people, camera, photograph.origin)


def split_of(name: str) -> str:
    """Of a file, by the SHA-256 of its name alone: "validation" for one in VALIDATION_ONE_IN, or "train"."""
    number = int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8], "big")
    return "validation" if number % VALIDATION_ONE_IN == 0 else "train"


def make_people(
    boxes_px: AnyFloats, joints_px: AnyFloats, visibility: UInt8s, crowd: Mask, size: tuple[int, int]
) -> People:
    """People of a photograph of (width, height): boxes (N, 4) clipped to it, joints (N, K, 2), visibility (N, K)."""
    count = len(boxes_px)
    limits = np.array([size[0], size[1]] * 2, np.float64)
    boxes = np.clip(np.asarray(boxes_px, np.float64).reshape(-1, 4), 0, limits - 1)
    return People(
        np.arange(count, dtype=np.int32),
        boxes.astype(np.float32),
        np.asarray(joints_px, np.float32).reshape(count, H36M17.num_joints, 2),
        np.asarray(visibility, np.uint8).reshape(count, H36M17.num_joints),
        np.full((count, H36M17.num_joints, 3), np.nan, np.float32),
        np.where(crowd, 0.0, 1.0).astype(np.float32),
    )


def _photograph(picture: Picture, folder: Path, file: KeypointFile, options: ImportOptions) -> Photograph:
    image = picture.entry
    source = str(image.get("source", folder.parent.name if folder.name == "images" else folder.name))
    if picture.size is None:
        raise ValueError("no 'width' and 'height'")
    native, aliases = file.native.get(source), options.aliases.get(source, {})
    boxes = np.array([person.box_px for person in picture.people]).reshape(-1, 4)
    crowd = np.array([person.crowd for person in picture.people], bool)
    told = [joints_of(person, file.names, native, aliases) for person in picture.people]
    others = _unlabelled(image.get("all_detections", []), boxes)
    count, blank = len(others), (H36M17.num_joints, 2)
    seen = np.array([state for _, state in told], np.uint8).reshape(-1, blank[0])
    people = make_people(
        np.concatenate([boxes, others]),
        np.concatenate([np.array([place for place, _ in told]).reshape(-1, *blank), np.zeros((count, *blank))]),
        np.concatenate([np.where(crowd[:, None], UNKNOWN, seen), np.full((count, blank[0]), UNKNOWN)]).astype(np.uint8),
        np.concatenate([crowd, np.zeros(count, bool)]),
        picture.size,
    )
    origin = Origin(
        source,
        float(options.weights.get(source, 1.0)),
        float(options.stretches.get(source, 1.0)),
        source not in options.incomplete,
    )
    return Photograph(folder / picture.file_name, *picture.size, _stated_split(picture), people, origin)


def _stated_split(picture: Picture) -> str:
    """The split that a picture's entry says, or that of its name."""
    stated = picture.entry.get("split")
    if stated is None or stated == "":
        return split_of(picture.file_name)
    split = SPLITS.get(str(stated).strip().lower().rstrip("0123456789"))
    if split is None:
        raise ValueError(f"the split '{stated}' is none of {', '.join(SPLITS)}")
    return split


def joints_of(
    person: Annotation, names: Sequence[str], native: Sequence[str] | None = None, aliases: dict[str, str] | None = None
) -> tuple[Float32s, UInt8s]:
    """One person's joints (K, 2) and visibility (K,); of the source's own joints what COCO's lack."""
    rows = person.rows
    joints, seen = to_inner(names, rows[None, :, :2], _visibility(rows[:, 2])[None], aliases)
    if native and person.entry.get("native_joints"):
        own = np.array(person.entry["native_joints"], np.float64).reshape(len(native), 3)
        state = np.where(own[:, 2] > 0, VISIBLE, UNKNOWN).astype(np.uint8)
        more, known = to_inner(native, own[None, :, :2], state[None], aliases)
        missing = (seen == UNKNOWN) & (known != UNKNOWN)
        joints, seen = np.where(missing[..., None], more, joints), np.where(missing, known, seen)
    return joints[0], seen[0]


def _visibility(v: AnyFloats) -> UInt8s:
    """COCO's v (0 not judged, 1 hidden, 2 seen) as ours."""
    return np.select([v >= 2, v >= 1], [VISIBLE, HIDDEN], UNKNOWN).astype(np.uint8)


def _unlabelled(detections: list[list[float]], labelled: AnyFloats) -> Floats:
    """Detected boxes (M, 4) of people who are not among the labelled boxes (N, 4)."""
    found = np.array([box_of(box) for box in detections]).reshape(-1, 4)
    return found[box_iou(found, labelled).max(axis=1, initial=0.0) < SAME_PERSON_IOU]


def _scaled(people: People, scale: AnyFloats) -> People:
    """The people of a picture made smaller: pixel centres keep their places."""
    boxes = (people.boxes_px + 0.5) * np.tile(scale, 2) - 0.5
    joints = np.where((people.visibility == UNKNOWN)[..., None], 0.0, (people.joints_px + 0.5) * scale - 0.5)
    return People(
        people.ids, boxes.astype(np.float32), joints.astype(np.float32), people.visibility, people.joints_cam,
        people.visible_fraction,
    )  # fmt: skip
