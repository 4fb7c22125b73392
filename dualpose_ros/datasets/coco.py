"""Photographs with people labelled as COCO does it, as labelled images: COCO itself, MPII or CrowdPose converted.

A folder holds pictures and one annotation file (`person_keypoints.json`, perhaps gzipped, or any that is named).
Format: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, https://cocodataset.org/#format-data.
Understood beyond it, where an image has them: `source`, `split` (train, val), and `all_detections`, boxes
(x, y, width, height) of everybody; and of a person, `native_joints` (x, y, visibility) of the source's own
skeleton, whose names `native_joint_names` lists by source.

A keypoint with v = 0 is not judged. People without keypoints, and crowds, are boxes in which nothing is known. What
is labelled of another category than people is passed over.
"""

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dualpose_ros.arrays import AnyFloats, Float32s, Floats, Mask, RgbImage, UInt8s
from dualpose_ros.camera import CameraError, camera_from_hfov
from dualpose_ros.datasets.joint_names import to_inner
from dualpose_ros.datasets.labels import HIDDEN, UNKNOWN, VISIBLE, LabelledImage, Origin, People
from dualpose_ros.people import box_iou
from dualpose_ros.skeleton import H36M17
from dualpose_ros.sources.pictures import read_picture
from dualpose_ros.sources.source import SourceError

ANNOTATIONS = ("person_keypoints.json", "person_keypoints.json.gz")
VALIDATION_ONE_IN = 20
GUESSED_HFOV_DEG = 55.0
SAME_PERSON_IOU = 0.5
"""A detection that overlaps a labelled person by more is that person."""


BOX_TO_AREA = 0.53
"""Share of a box that its person covers, where a data set states no areas: CrowdPose's own evaluation takes it."""


class CocoError(ValueError):
    """A data set that can't be read; the message names the file and the field."""


@dataclass(frozen=True)
class ImportOptions:
    """How to read a folder of photographs.

    images: folder of the pictures, `images/` or the root itself without it. annotations: the file, one of
    ANNOTATIONS without it. weights, stretches: by source, how often to draw its images and how wrong their width
    may be (see `labels.Origin`). incomplete: sources whose pictures show people without any box. aliases: by
    source, names of joints that mean a joint of ours.
    """

    images: Path | None = None
    annotations: Path | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    stretches: Mapping[str, float] = field(default_factory=dict)
    incomplete: frozenset[str] = frozenset()
    aliases: Mapping[str, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Photograph:
    """One picture's file, size, people and origin, not yet decoded; split is "train" or "validation"."""

    path: Path
    width: int
    height: int
    split: str
    people: People
    origin: Origin


def read_coco(root: Path, options: ImportOptions | None = None) -> list[Photograph]:
    """All pictures of a folder with what is known of the people in them; CocoError names what is missing or wrong."""
    options = options or ImportOptions()
    path = annotation_file(root, options.annotations)
    content = read_json(path)
    names = keypoint_names(content, path)
    people: dict[Any, list[dict[str, Any]]] = {}
    for annotation in people_of(content, path):
        people.setdefault(str(annotation["image_id"]), []).append(annotation)
    folder = options.images or (root / "images" if (root / "images").is_dir() else root)
    photographs: dict[str, Photograph] = {}
    for index, image in enumerate(_list(content, "images", path)):
        where = f"images[{index}]"
        identity = str(_field(image, "id", path, where))
        if identity in photographs:
            raise CocoError(f"{path}: {where} has the id {identity}, which another image has")
        try:
            photographs[identity] = _photograph(image, people.get(identity, []), folder, names, content, options)
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise CocoError(f"{path}: {where} or its annotations: {type(error).__name__} {error}") from error
    return of_known_sources(list(photographs.values()), options)


def of_known_sources(photographs: list[Photograph], options: ImportOptions) -> list[Photograph]:
    """The photographs; CocoError where the options name a source that none of them is of."""
    found = {photograph.origin.source for photograph in photographs}
    named = {*options.weights, *options.stretches, *options.incomplete, *options.aliases}
    if unknown := sorted(named - found):
        raise CocoError(f"no picture is of the source '{unknown[0]}'; they are of {', '.join(sorted(found))}")
    return photographs


def people_of(content: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    """The annotations of people, each with an image_id; who has no category counts. CocoError names what lacks."""
    categories = content.get("categories") or []
    ours = _people_categories(categories)
    others = {str(c.get("id")) for c in categories if isinstance(c, dict) and c not in ours}
    annotations = _list(content, "annotations", path)
    for index, annotation in enumerate(annotations):
        _field(annotation, "image_id", path, f"annotations[{index}]")
    return [a for a in annotations if str(a.get("category_id")) not in others]


def read_photograph(path: Path) -> RgbImage:
    """The picture of a file; CocoError if it is missing, no image or of an absurd size."""
    try:
        return read_picture(path)
    except SourceError as error:
        raise CocoError(str(error)) from None


def load(photograph: Photograph, max_side: int = 640) -> LabelledImage:
    """Decode a picture and shrink it to `max_side`.

    CocoError if the file is missing, no image, of an absurd shape, or of another size than is said.
    """
    image = read_photograph(photograph.path)
    if image.shape[:2] != (photograph.height, photograph.width):
        found = f"{image.shape[1]}x{image.shape[0]}"
        raise CocoError(f"{photograph.path} has {found} pixels, not {photograph.width}x{photograph.height} as said")
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


def _photograph(
    image: dict[str, Any],
    annotations: list[dict[str, Any]],
    folder: Path,
    names: list[str],
    content: dict[str, Any],
    options: ImportOptions,
) -> Photograph:
    source = str(image.get("source", folder.parent.name if folder.name == "images" else folder.name))
    width, height = int(image["width"]), int(image["height"])
    aliases = options.aliases.get(source, {})
    native = content.get("native_joint_names", {}).get(source)
    boxes, joints, seen, crowd = [], [], [], []
    for annotation in annotations:
        boxes.append(box_of(annotation["bbox"]))
        crowd.append(bool(annotation.get("iscrowd", 0)))
        place, state = joints_of(annotation, names, native, aliases)
        joints.append(place)
        seen.append(np.full_like(state, UNKNOWN) if crowd[-1] else state)
    others = _unlabelled(image.get("all_detections", []), np.array(boxes).reshape(-1, 4))
    count, blank = len(others), (H36M17.num_joints, 2)
    people = make_people(
        np.concatenate([np.array(boxes).reshape(-1, 4), others]),
        np.concatenate([np.array(joints).reshape(-1, *blank), np.zeros((count, *blank))]),
        np.concatenate([np.array(seen, np.uint8).reshape(-1, blank[0]), np.full((count, blank[0]), UNKNOWN, np.uint8)]),
        np.concatenate([np.array(crowd, bool), np.zeros(count, bool)]),
        (width, height),
    )
    origin = Origin(
        source,
        float(options.weights.get(source, 1.0)),
        float(options.stretches.get(source, 1.0)),
        source not in options.incomplete,
    )
    split = {"val": "validation"}.get(str(image.get("split", "")), str(image.get("split", "")))
    name = str(image["file_name"])
    chosen = split if split in ("train", "validation") else split_of(name)
    return Photograph(folder / name, width, height, chosen, people, origin)


def box_of(bbox: Sequence[float]) -> list[float]:
    """A COCO box (x, y, width, height) as corners; ValueError if it is none."""
    # COCO's boxes count from the corner of the first pixel, ours from its centre.
    x, y, width, height = (float(v) for v in bbox)
    if not np.isfinite((x, y, width, height)).all() or min(width, height) < 0:
        raise ValueError(f"bbox {list(bbox)} is no box")
    return [x - 0.5, y - 0.5, x + width - 0.5, y + height - 0.5]


def joints_of(
    annotation: Mapping[str, Any],
    names: Sequence[str],
    native: Sequence[str] | None = None,
    aliases: dict[str, str] | None = None,
) -> tuple[Float32s, UInt8s]:
    """One person's joints (K, 2) and visibility (K,); of the source's own joints what COCO's lack."""
    rows = keypoint_rows(annotation, names)
    joints, seen = to_inner(names, rows[None, :, :2], _visibility(rows[:, 2])[None], aliases)
    if native and annotation.get("native_joints"):
        own = np.array(annotation["native_joints"], np.float64).reshape(len(native), 3)
        state = np.where(own[:, 2] > 0, VISIBLE, UNKNOWN).astype(np.uint8)
        more, known = to_inner(native, own[None, :, :2], state[None], aliases)
        missing = (seen == UNKNOWN) & (known != UNKNOWN)
        joints, seen = np.where(missing[..., None], more, joints), np.where(missing, known, seen)
    return joints[0], seen[0]


def keypoint_rows(annotation: Mapping[str, Any], names: Sequence[str]) -> Floats:
    """COCO's x, y and v (J, 3) of a person, 0 of a joint that is not finite."""
    rows = np.array(annotation.get("keypoints") or [0] * 3 * len(names), np.float64).reshape(len(names), 3)
    return np.where(np.isfinite(rows).all(axis=1, keepdims=True), rows, 0.0)


def _visibility(v: AnyFloats) -> UInt8s:
    """COCO's v (0 not judged, 1 hidden, 2 seen) as ours."""
    return np.select([v >= 2, v >= 1], [VISIBLE, HIDDEN], UNKNOWN).astype(np.uint8)


def _unlabelled(detections: list[list[float]], labelled: AnyFloats) -> Floats:
    """Detected boxes (M, 4) of people who are not among the labelled boxes (N, 4)."""
    found = np.array([box_of(box) for box in detections], np.float64).reshape(-1, 4)
    return found[box_iou(found, labelled).max(axis=1, initial=0.0) < SAME_PERSON_IOU]


def _scaled(people: People, scale: AnyFloats) -> People:
    """The people of a picture made smaller: pixel centres keep their places."""
    boxes = (people.boxes_px + 0.5) * np.tile(scale, 2) - 0.5
    joints = np.where((people.visibility == UNKNOWN)[..., None], 0.0, (people.joints_px + 0.5) * scale - 0.5)
    return People(
        people.ids, boxes.astype(np.float32), joints.astype(np.float32), people.visibility, people.joints_cam,
        people.visible_fraction,
    )  # fmt: skip


def annotation_file(root: Path, named: Path | None = None) -> Path:
    """The file that is named, or one of ANNOTATIONS in a folder; CocoError if it is missing."""
    if not root.is_dir():
        raise CocoError(f"{root} is no folder")
    candidates = [named] if named else [root / name for name in ANNOTATIONS]
    for path in candidates:
        if path.is_file():
            return path
    raise CocoError(f"{' and '.join(map(str, candidates))} are missing; name the COCO keypoint file by --annotations")


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


def _list(content: Mapping[str, Any], name: str, path: Path) -> list[dict[str, Any]]:
    value = content.get(name)
    if not isinstance(value, list):
        raise CocoError(f"{path} has no list '{name}': it is no COCO annotation file")
    return value


def _field(entry: Any, name: str, path: Path, where: str) -> Any:
    if not isinstance(entry, dict) or name not in entry:
        raise CocoError(f"{path}: {where} has no '{name}'")
    return entry[name]


def keypoint_names(content: Mapping[str, Any], path: Path) -> list[str]:
    """Names of the joints of people: of the category `person`, or of the first that has any."""
    categories = _list(content, "categories", path)
    if not all(isinstance(category, dict) for category in categories):
        raise CocoError(f"{path}: categories holds something that is no object")
    people = _people_categories(categories)
    names = people[0].get("keypoints") if people else None
    if not isinstance(names, list) or not names:
        raise CocoError(f"{path}: categories has no person with a list 'keypoints'")
    return [str(name) for name in names]


def _people_categories(categories: Sequence[Any]) -> list[dict[str, Any]]:
    """Those called `person`; without one the first with keypoints, for tools call people anything."""
    objects = [c for c in categories if isinstance(c, dict)]
    return [c for c in objects if str(c.get("name")).lower() == "person"] or [c for c in objects if c.get("keypoints")][
        :1
    ]
