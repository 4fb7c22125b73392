"""How the top-down network does on real photographs: OKS of people whose boxes are given.

A folder holds `images/` and a COCO `person_keypoints.json`. Scored are people with eight labelled
keypoints or more, over the 12 joints that COCO and the inner skeleton share (shoulders to ankles).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats, Ints, RgbImage
from dualpose_ros.datasets.coco import joints_of, read_photograph
from dualpose_ros.datasets.keypoint_file import (
    Annotation,
    CocoError,
    Picture,
    annotation_file,
    area_px,
    check_joints,
    read_keypoint_file,
)
from dualpose_ros.datasets.labels import UNKNOWN
from dualpose_ros.drawing import write_picture
from dualpose_ros.lab.evaluation.report import Outcome, Rows, evaluation
from dualpose_ros.metrics.goals import Goal, judged
from dualpose_ros.people import Pose2D, box_iou, oks
from dualpose_ros.skeleton import COCO17, H36M17, joint_mapping
from dualpose_ros.top_down.estimator import PoseEstimator
from dualpose_ros.top_down.published import load_top_down

MIN_KEYPOINTS = 8
GOAL_OKS, GOAL_ABOVE_50 = 0.68, 0.8
_INNER = joint_mapping(H36M17, COCO17)
SHARED = np.flatnonzero(_INNER >= 0)
"""COCO's indices of the joints that both skeletons have."""

KINDS = ("whole", "cut", "seated", "crowd")
"""Kinds of people, as `kind_of` tells them apart."""

_COCO_AT = {COCO17.joint_names[coco]: place for place, coco in enumerate(SHARED)}
_CROWD_IOU, _CROWD = 0.1, 2
_LEVEL_THIGH = 0.45

_TILE = 224
_COLUMNS = 8


@dataclass(frozen=True)
class Person:
    """One annotated person: box_px (4,), joints_px (J, 2) and visibility (J,; 0 = not labelled) of `SHARED`, area.

    picture_px: width and height that the picture is said to have, None where nothing is said.
    """

    box_px: Floats
    joints_px: Floats
    visibility: Ints
    area_px: float
    picture_px: tuple[int, int] | None = None


@dataclass(frozen=True)
class Scored:
    """One person's result: OKS (0..1), each joint's similarity (J,; NaN = not labelled), and the pose found."""

    oks: float
    joints: Floats
    person: Person
    pose: Pose2D | None
    file: str
    kind: str = KINDS[0]


@evaluation("photographs")
def evaluate_photographs(
    root: Path | str, weights: Path | str | None = None, out: Path | str | None = None, flip_test: bool = False
) -> Outcome:
    """OKS on a folder of photographs, over all scored people and by joint; pictures into `out` if given.

    weights: a top-down network as `top_down.weights` names it, the shipped one without; flip_test: see `PoseEstimator`.
    CocoError if the folder can't be used.
    """
    root = Path(root)
    images = read_annotations(root)
    estimator = PoseEstimator(load_top_down(str(weights or "top_down")), flip_test=flip_test)
    scored: list[Scored] = []
    tiles: list[RgbImage] = []
    for file, people in images.items():
        image = read_photograph(root / "images" / file, people[0].picture_px)
        found = estimator(image, np.stack([p.box_px for p in people]))
        for person, pose in zip(people, found.poses, strict=True):
            kind = kind_of(person, people)
            scored.append(replace(score_person(person, pose, file), kind=kind))
            if out is not None:
                tiles.append(draw_person(image, scored[-1]))
    if out is not None:
        _write_grid(Path(out), [tiles[i] for i in np.argsort([-s.oks for s in scored], kind="stable")])
    return _tables(scored, len(images))


def read_annotations(root: Path) -> dict[str, list[Person]]:
    """People to score by file name, images without any left out; CocoError names what is missing or wrong."""
    path = annotation_file(root)
    if not (root / "images").is_dir():
        raise CocoError(f"{root} has no folder images/")
    file = read_keypoint_file(path, COCO17.joint_names)
    check_joints(file, {}, required=True)
    people = {p.file_name: [_person(a, p, file.names) for a in p.people if _is_scored(a, path)] for p in file.pictures}
    scored = {name: own for name, them in people.items() if (own := [p for p in them if (p.visibility > 0).any()])}
    if not scored:
        raise CocoError(f"{path} has nobody with {MIN_KEYPOINTS} labelled keypoints or more")
    return scored


def _is_scored(annotation: Annotation, path: Path) -> bool:
    labelled = annotation.entry.get("num_keypoints", int((annotation.rows[:, 2] > 0).sum()))
    if not isinstance(labelled, int | float):
        raise CocoError(f"{path}: {annotation.where} has the num_keypoints {labelled!r}")
    return not annotation.crowd and bool(annotation.entry.get("keypoints")) and labelled >= MIN_KEYPOINTS


def _person(annotation: Annotation, picture: Picture, names: Sequence[str]) -> Person:
    joints, seen = joints_of(annotation, names)
    inner, area = _INNER[SHARED], area_px(annotation)
    if not area > 0:
        raise CocoError(f"{annotation.where}: bbox {annotation.entry['bbox']} is of a person without any area")
    known = (seen[inner] != UNKNOWN).astype(np.int64)
    return Person(annotation.box_px, joints[inner].astype(np.float64), known, area, picture.size)


def kind_of(person: Person, people: Sequence[Person]) -> str:
    """One of KINDS: in a crowd (two others' boxes overlap), cut (no ankle labelled), seated (thighs nearly level) or
    whole, the first that holds.

    people: of the same picture, those who are scored.
    """
    boxes = np.stack([other.box_px for other in people])
    if int((box_iou(person.box_px[None], boxes)[0] > _CROWD_IOU).sum()) - 1 >= _CROWD:
        return "crowd"
    seen = {name: person.visibility[place] > 0 for name, place in _COCO_AT.items()}
    if not (seen["left_ankle"] or seen["right_ankle"]):
        return "cut"
    sides = [side for side in ("left", "right") if seen[f"{side}_hip"] and seen[f"{side}_shoulder"]]
    torso = [_height(person, "shoulder", side) - _height(person, "hip", side) for side in sides]
    thighs = [
        abs(_height(person, "knee", side) - _height(person, "hip", side))
        for side in ("left", "right")
        if seen[f"{side}_hip"] and seen[f"{side}_knee"]
    ]
    upright = abs(float(np.mean(torso))) if torso else 0.0
    return "seated" if thighs and upright > 0 and float(np.mean(thighs)) < _LEVEL_THIGH * upright else "whole"


def _height(person: Person, joint: str, side: str) -> float:
    return float(person.joints_px[_COCO_AT[f"{side}_{joint}"], 1])


def score_person(person: Person, pose: Pose2D | None, file: str = "") -> Scored:
    """COCO's OKS of a person over the shared joints that are labelled; joints that weren't found count as wrong."""
    labelled = person.visibility > 0
    if pose is None:
        return Scored(0.0, np.where(labelled, 0.0, np.nan), person, None, file)
    inner = _INNER[SHARED]
    found = np.where(pose.scores[inner, None] > 0, pose.joints_px[inner], 1e6)
    sigmas = np.array(COCO17.oks_sigmas)[SHARED]
    total = float(oks(found, person.joints_px, person.area_px, sigmas, labelled.astype(np.float64)))
    alone = oks(
        found[:, None],
        person.joints_px[:, None],
        np.full(len(inner), person.area_px),
        sigmas[:, None],
        np.ones((len(inner), 1)),
    )
    return Scored(total, np.where(labelled, alone, np.nan), person, pose, file)


def _tables(scored: list[Scored], images: int) -> Outcome:
    values = np.array([s.oks for s in scored])
    mean = float(values.mean())
    joints = np.stack([s.joints for s in scored])
    summary = {
        "people": len(scored),
        "images": images,
        "oks": round(mean, 4),
        "share_oks_above_50": round(float((values > 0.5).mean()), 4),
        "share_oks_above_75": round(float((values > 0.75).mean()), 4),
        "not_found": sum(s.pose is None for s in scored),
    }
    by_joint = [
        {
            "joint": COCO17.joint_names[coco],
            "labelled": int(np.isfinite(column).sum()),
            "similarity": round(float(np.nanmean(column)), 4) if np.isfinite(column).any() else None,
        }
        for coco, column in zip(SHARED, joints.T, strict=True)
    ]
    by_kind = [
        {"kind": kind, "people": len(own), "oks": round(float(np.mean(own)), 4) if own else None}
        for kind, own in ((kind, [s.oks for s in scored if s.kind == kind]) for kind in KINDS)
    ]
    people = [{"file": s.file, "oks": round(s.oks, 4), "labelled": int(np.isfinite(s.joints).sum())} for s in scored]
    tables: dict[str, Rows] = {"summary": [summary], "kinds": by_kind, "joints": by_joint, "people": people}
    above = float((values > 0.5).mean())
    return tables, judged(
        [Goal("photographs_oks", mean, least=GOAL_OKS), Goal("photographs_above_50", above, least=GOAL_ABOVE_50)]
    )


def draw_person(image: RgbImage, scored: Scored) -> RgbImage:
    """A square tile of one person: found bones in colour, true joints as white rings, the OKS."""
    box = scored.person.box_px
    side = 1.25 * float(max(box[2:] - box[:2]))
    scale = _TILE / max(side, 1.0)
    shift = (_TILE - 1) / 2 - (box[:2] + box[2:]) / 2 * scale
    matrix = np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    tile = np.asarray(cv2.warpAffine(image, matrix, (_TILE, _TILE), flags=flags), np.uint8)
    if scored.pose is not None:
        points, found = scored.pose.joints_px * scale + shift, scored.pose.scores > 0
        for parent, child in H36M17.bones:
            if found[parent] and found[child]:
                name = H36M17.joint_names[child]
                colour = (255, 80, 60) if name.startswith("right_") else (60, 160, 255)
                colour = colour if name.startswith(("right_", "left_")) else (90, 220, 90)
                cv2.line(tile, _whole(points[parent]), _whole(points[child]), colour, 2, cv2.LINE_AA)
    for point in scored.person.joints_px[scored.person.visibility > 0] * scale + shift:
        cv2.circle(tile, _whole(point), 3, (255, 255, 255), 1, cv2.LINE_AA)
    cv2.putText(tile, f"{scored.oks:.2f}", (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 0), 1, cv2.LINE_AA)
    return tile


def _whole(point: AnyFloats) -> tuple[int, int]:
    return (round(float(point[0])), round(float(point[1])))


def _write_grid(out: Path, tiles: list[RgbImage]) -> None:
    """photographs.png: everyone, best first."""
    blank = [np.zeros_like(tiles[0])] * (-len(tiles) % _COLUMNS)
    lines = np.stack([*tiles, *blank]).reshape(-1, _COLUMNS, _TILE, _TILE, 3)
    grid = lines.swapaxes(1, 2).reshape(-1, _COLUMNS * _TILE, 3)
    write_picture(out / "photographs.png", grid)
