"""Videos of several people in the camera frame: JTA by F1 of joints, CMU Panoptic by errors of matched people.

N true people of a frame, M found ones; metres.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dualpose_ros.arrays import Floats, Mask
from dualpose_ros.datasets.published.jta import CAMERA
from dualpose_ros.datasets.published.jta import JOINTS as JTA
from dualpose_ros.datasets.published.panoptic import JOINTS as PANOPTIC
from dualpose_ros.datasets.published.truth import TruthSequence
from dualpose_ros.lab.evaluation.protocols.matching import TRACKED_M, match_on_picture, tracked
from dualpose_ros.lab.evaluation.protocols.protocol import Pairs, Protocol, curve_rows, mean_row
from dualpose_ros.lab.evaluation.report import Rows
from dualpose_ros.metrics.poses import f1_score, joint_errors, mpre, point_counts
from dualpose_ros.metrics.tracks import TrackedFrame, track_figures

LIMITS_M = (0.4, 0.8, 1.2)
_JTA_USED = tuple(
    JTA.index(name)
    for name in ("head_top", "thorax", *(f"{side}_{limb}" for limb in ("shoulder", "elbow", "wrist", "hip", "knee",
                                                                       "ankle") for side in ("right", "left")))
)  # fmt: skip
_PANOPTIC_USED = tuple(n for n, name in enumerate(PANOPTIC) if name.split("_")[-1] not in ("nose", "eye", "ear"))
_PCK_M = 0.150


@dataclass
class Crowd:
    """What is kept of a sequence: f1 (T, L) of every frame at LIMITS_M; errors of matched people about the root and in
    the camera frame, each (J,), and of their roots; how many people there were; and who was where."""

    f1: list[list[float]] = field(default_factory=list)
    relative_m: list[Floats] = field(default_factory=list)
    absolute_m: list[Floats] = field(default_factory=list)
    root_m: list[float] = field(default_factory=list)
    people: int = 0
    frames: list[TrackedFrame] = field(default_factory=list)


def measure_jta(sequence: TruthSequence, pairs: Pairs) -> Crowd:
    """F1 of joints frame by frame, and tracks."""
    crowd, used = Crowd(), list(_JTA_USED)
    for frame, found in pairs:
        pixels = frame.people.joints_px[:, used]
        with np.errstate(invalid="ignore"):
            inside: Mask = ((pixels >= 0) & (pixels <= (CAMERA.width, CAMERA.height))).min(axis=-1)
        truth = np.where(inside[..., None], frame.people.joints_cam[:, used], np.nan)
        crowd.f1.append([f1_score(*point_counts(found.joints_cam[:, used], truth, limit)) for limit in LIMITS_M])
        crowd.people += len(frame.people)
        crowd.frames.append(tracked(frame.people, found, JTA.index("pelvis")))
    return crowd


def jta_tables(measured: Mapping[str, Crowd]) -> dict[str, Rows]:
    """F1 in per cent, a row a sequence; the last over all frames together, as the published evaluation averages."""
    rows = [_jta_row(name, crowd.f1, crowd.frames) for name, crowd in measured.items()]
    every = [f1 for crowd in measured.values() for f1 in crowd.f1]
    last = mean_row(rows, "all frames")
    last |= {f"f1_{limit:g}_m": value for limit, value in zip(LIMITS_M, _f1(every), strict=True)}
    return {"jta": [*rows, last]}


def _f1(frames: list[list[float]]) -> list[float]:
    return [100 * float(value) for value in np.array(frames).mean(axis=0)] if frames else [float("nan")] * 3


def _jta_row(name: str, f1: list[list[float]], frames: list[TrackedFrame]) -> dict[str, Any]:
    figures = {f"f1_{limit:g}_m": value for limit, value in zip(LIMITS_M, _f1(f1), strict=True)}
    return {"sequence": name, "frames": len(f1), **figures, **_tracks(frames)}


def _tracks(frames: list[TrackedFrame]) -> dict[str, Any]:
    figures = track_figures(frames, TRACKED_M)
    return {name: 100 * figures[name] if figures["people"] else None for name in ("mota", "idf1")} | {
        "id_switches": figures["id_switches"]
    }


def measure_panoptic(sequence: TruthSequence, pairs: Pairs) -> Crowd:
    """Errors of the people matched on the picture, and tracks."""
    crowd, used, root = Crowd(), list(_PANOPTIC_USED), PANOPTIC.index("pelvis")
    for frame, found in pairs:
        crowd.people += len(frame.people)
        crowd.frames.append(tracked(frame.people, found, root))
        for person, own in match_on_picture(frame.people, found):
            truth, estimate = frame.people.joints_cam[person], found.joints_cam[own]
            if np.isfinite(truth[root]).all() and np.isfinite(estimate[root]).all():
                crowd.relative_m.append(joint_errors(estimate - estimate[root], truth - truth[root])[used])
                crowd.absolute_m.append(joint_errors(estimate, truth)[used])
                crowd.root_m.append(float(mpre(estimate[root], truth[root])))
    return crowd


def panoptic_tables(measured: Mapping[str, Crowd]) -> dict[str, Rows]:
    """MPJPE and MPRE in millimetres, a row a sequence and their mean; PCK over distances."""
    rows = [_panoptic_row(name, crowd) for name, crowd in measured.items()]
    relative, absolute = (np.array([e for crowd in measured.values() for e in getattr(crowd, part)])
                          for part in ("relative_m", "absolute_m"))  # fmt: skip
    return {"panoptic": [*rows, mean_row(rows)], "panoptic: PCK curve": curve_rows(rel=relative, abs=absolute)}


def _panoptic_row(name: str, crowd: Crowd) -> dict[str, Any]:
    errors = np.concatenate([e[np.isfinite(e)] for e in crowd.relative_m] or [np.zeros(0)])
    return {
        "sequence": name,
        "people": crowd.people,
        "found": 100 * len(crowd.root_m) / crowd.people if crowd.people else None,
        "mpjpe_mm": 1000 * float(errors.mean()) if errors.size else None,
        "pck150_rel": 100 * float((errors < _PCK_M).mean()) if errors.size else None,
        "mpre_mm": 1000 * float(np.mean(crowd.root_m)) if crowd.root_m else None,
        **_tracks(crowd.frames),
    }


JTA_F1 = Protocol(
    "jta", "jta",
    ("14 joints: head top, neck, limbs; a found joint is right if it is the nearest of its kind to a true one within t",
     "true joints outside the picture are left out, hidden ones count",
     "F1 of each frame, then the mean over frames; 1 where nobody is and nobody was found",
     "frames are those that the annotation file has: one without people is not in it",
     f"mota and idf1 by the pelvis within {TRACKED_M} m, not part of the published protocol"),
    measure_jta, jta_tables, has_curve=False,
)  # fmt: skip

PANOPTIC_MPJPE = Protocol(
    "panoptic", "panoptic",
    ("HD cameras 16 and 30 (00_16, 00_30) of whatever videos lie in the folder; the literature takes haggling, mafia, "
     "ultimatum and pizza",
     "people are matched on the picture, joints a quarter of the person's size off or less in the mean, one to one",
     "MPJPE about the pelvis over 15 joints less the nose (14), of matched people; the share found stands beside it",
     "mpre_mm: error of the pelvis in the camera frame", f"mota and idf1 by the pelvis within {TRACKED_M} m"),
    measure_panoptic, panoptic_tables,
)  # fmt: skip
