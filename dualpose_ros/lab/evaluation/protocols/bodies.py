"""One body at a time: Human3.6M's two protocols, and 3DPW with the subset of people in front of each other.

J joints; metres in the camera frame.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.datasets.published.threedpw import JOINTS as SMPL
from dualpose_ros.datasets.published.truth import TruthSequence
from dualpose_ros.lab.evaluation.protocols.matching import match_on_picture
from dualpose_ros.lab.evaluation.protocols.protocol import Pairs, Protocol, curve_rows, mean_row
from dualpose_ros.lab.evaluation.report import Rows
from dualpose_ros.metrics.poses import joint_errors, mpjpe, pa_mpjpe
from dualpose_ros.metrics.steadiness import acceleration_errors
from dualpose_ros.people import box_iou
from dualpose_ros.skeleton import H36M17

OCCLUDED_FRAMES = 3000
"""Of 3DPW's test set, those that the paper's subset has."""

_SMPL_USED = tuple(
    SMPL.index(name)
    for name in ("thorax", "neck", *(f"{side}_{limb}" for limb in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
                                     for side in ("left", "right")))
)  # fmt: skip


@dataclass
class Bodies:
    """Of each true person of a sequence: error about the root and after a similarity transform, metres, NaN if not
    found, and how much of the box another person's overlaps (IoU); of those found, every joint's error (J,) about the
    root, and accelerations' errors; the sequence's group."""

    group: str
    relative_m: list[float] = field(default_factory=list)
    aligned_m: list[float] = field(default_factory=list)
    overlap: list[float] = field(default_factory=list)
    joints_m: list[Floats] = field(default_factory=list)
    acceleration: list[Floats] = field(default_factory=list)


def measure(used: tuple[int, ...], root: int, sequence: TruthSequence, pairs: Pairs) -> Bodies:
    """Errors of every true person over some joints, about a joint of the data set."""
    bodies, joints = Bodies(sequence.group), list(used)
    tracks: dict[int, list[tuple[float, Floats, Floats]]] = {}
    for frame, found in pairs:
        matches = dict(match_on_picture(frame.people, found))
        boxes = frame.people.boxes_px
        overlap = box_iou(boxes, boxes) * ~np.eye(len(boxes), dtype=bool)
        for person in range(len(frame.people)):
            truth = frame.people.joints_cam[person]
            estimate = found.joints_cam[matches[person]] if person in matches else np.full_like(truth, np.nan)
            own, true = (side[joints] - side[root] for side in (estimate, truth))
            there = bool(np.isfinite(own).all())
            bodies.relative_m.append(float(mpjpe(own, true)) if there else np.nan)
            bodies.aligned_m.append(float(pa_mpjpe(own, true)) if there else np.nan)
            bodies.overlap.append(float(overlap[person].max(initial=0.0)))
            if there:
                bodies.joints_m.append(joint_errors(own, true))
                tracks.setdefault(int(frame.people.ids[person]), []).append((frame.stamp_s, own, true))
    for rows in tracks.values():
        times, own_joints, true_joints = (np.array(column) for column in zip(*rows, strict=True))
        bodies.acceleration.append(acceleration_errors(own_joints, true_joints, times))
    return bodies


def _row(name: str, bodies: Bodies) -> dict[str, Any]:
    relative, aligned = np.array(bodies.relative_m), np.array(bodies.aligned_m)
    found = np.isfinite(relative)
    steady = np.concatenate([*bodies.acceleration, np.zeros(0)])
    return {
        "sequence": name,
        "people": len(relative),
        "found": 100 * float(found.mean()) if len(found) else None,
        "mpjpe_mm": _mm(relative[found]),
        "pa_mpjpe_mm": _mm(aligned[found]),
        "acceleration_error_m_s2": float(steady.mean()) if steady.size else None,
    }


def h36m_tables(name: str, column: str, measured: Mapping[str, Bodies]) -> dict[str, Rows]:
    """A row an action over all its videos, and the mean of actions; a row a sequence."""
    rows = [_row(sequence, bodies) for sequence, bodies in measured.items()]
    groups = dict.fromkeys(bodies.group for bodies in measured.values())
    actions = []
    for group in groups:
        own = [np.array(getattr(b, column)) for b in measured.values() if b.group == group]
        values = np.concatenate(own)
        known = values[np.isfinite(values)]
        actions.append({"action": group, "frames": len(values), "missed": int(len(values) - len(known)),
                        f"{name}_mm": _mm(known)})  # fmt: skip
    return {name: [*actions, mean_row(actions)], f"{name}: sequences": rows, f"{name}: PCK curve": _curve(measured)}


def threedpw_tables(measured: Mapping[str, Bodies]) -> dict[str, Rows]:
    """A row a sequence and all people together; the subset of the most occluded ones beside them."""
    rows = [_row(name, bodies) for name, bodies in measured.items()]
    relative, aligned, overlap = (
        np.concatenate([np.array(getattr(b, part)) for b in measured.values()] or [np.zeros(0)])
        for part in ("relative_m", "aligned_m", "overlap")
    )
    chosen = np.argsort(-overlap, kind="stable")[:OCCLUDED_FRAMES]
    subsets = []
    for what, index in (("all people", np.arange(len(overlap))), ("most occluded", chosen)):
        known = index[np.isfinite(aligned[index])]
        subsets.append({
            "people": what, "n": len(index), "found": 100 * len(known) / len(index) if len(index) else None,
            "least_iou": float(overlap[index].min()) if len(index) else None,
            "mpjpe_mm": _mm(relative[known]), "pa_mpjpe_mm": _mm(aligned[known]),
        })  # fmt: skip
    sequences = [*rows, mean_row(rows)]
    return {"3dpw": subsets, "3dpw: sequences": sequences, "3dpw: PCK curve": _curve(measured)}


def _curve(measured: Mapping[str, Bodies]) -> Rows:
    return curve_rows(rel=np.array([joints for bodies in measured.values() for joints in bodies.joints_m]))


def _mm(errors_m: Floats) -> float | None:
    return 1000 * float(errors_m.mean()) if len(errors_m) else None


_H36M = ("subjects 9 and 11, every frame of all four cameras; 17 joints",
         "people are matched on the picture; frames in which nobody is found are told as missed, and left out",
         "the mean of each action over its videos, then the mean of actions")  # fmt: skip
_EVERY = tuple(range(H36M17.num_joints))

H36M_1 = Protocol(
    "h36m-1", "h36m", (*_H36M, "MPJPE about the pelvis, with nothing of the truth in scale or turn"),
    partial(measure, _EVERY, H36M17.root), partial(h36m_tables, "h36m-1", "relative_m"),
)  # fmt: skip

H36M_2 = Protocol(
    "h36m-2", "h36m", (*_H36M, "PA-MPJPE: after the similarity transform that fits the truth best"),
    partial(measure, _EVERY, H36M17.root), partial(h36m_tables, "h36m-2", "aligned_m"),
)  # fmt: skip

THREEDPW = Protocol(
    "3dpw", "3dpw",
    ("14 of SMPL's own joints (limbs, neck, head), not those regressed from its mesh, which most tables mean",
     "people are matched on the picture; who is not found is left out of the means, and the share found stands beside",
     f"most occluded: the {OCCLUDED_FRAMES} true people of largest IoU with another labelled person's box; the paper "
     "takes a detector's boxes (its threshold is an IoU of 0.26)"),
    partial(measure, _SMPL_USED, SMPL.index("pelvis")), threedpw_tables,
)  # fmt: skip
