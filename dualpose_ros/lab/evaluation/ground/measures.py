"""How well people are placed, and how tall they are said to be, with a ground that is known well, badly, or not at all.

N people found, K joints of `skeleton.H36M17`; metres, camera frame.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from dualpose_ros.arrays import Floats, Mask, Rows
from dualpose_ros.camera import Ground, GroundAccuracy
from dualpose_ros.lab.evaluation.ground.scenes import SeenFrame
from dualpose_ros.lab.evaluation.people import asked_for, match_people
from dualpose_ros.lab.evaluation.refinement.measures import Stated, calibration_row
from dualpose_ros.people import TrackingState
from dualpose_ros.refinement.stage import RefinementStage
from dualpose_ros.skeleton import H36M17, K

SETTLED_S = 1.0
"""A person's height is looked at from so long after a video's start on."""

COLUMNS = ("root_depth_pct", "mpjpe_abs_mm", "depth_within_1_sigma", "depth_within_2_sigma", "within_1_sigma")

GroundOf = Callable[[SeenFrame], Ground | None]


@dataclass(frozen=True, eq=False)
class Placed(Rows):
    """Found people: joints, truth (N, K, 3), stddev (N, K); said heights, their deviations, true ones (N,); whether
    they are seen whole, by a moving camera (N,); the camera's height (N,) and the seconds (N,) since the start."""

    joints: Floats
    truth: Floats
    stddev: Floats
    height: Floats
    height_stddev: Floats
    true_height: Floats
    whole: Mask
    moving: Mask
    camera_height: Floats
    seconds: Floats


def disturbed(
    ground: Ground, pitch_rad: float = 0.0, height_share: float = 0.0, accuracy: GroundAccuracy | None = None
) -> Ground:
    """A ground as it is said to be: off by a pitch and a share of its height, and how sure that is said to be."""
    ahead, _ = ground.level_axes
    down = np.cos(pitch_rad) * ground.down + np.sin(pitch_rad) * ahead
    return Ground(down, ground.height_m * (1 + height_share), accuracy if accuracy is not None else ground.accuracy)


def placed(videos: Sequence[Sequence[SeenFrame]], ground_of: GroundOf) -> Placed:
    """Fused people of videos through the stage of the live node, told of a ground; matched on the image."""
    rows: list[dict[str, Any]] = []
    for video in videos:
        stage = RefinementStage()
        for seen in video:
            (given,) = stage.process(seen.frame.stamp_ns, seen.camera, seen.fused, ground_of(seen))
            rows += _rows(seen, given.persons, (seen.frame.stamp_ns - video[0].frame.stamp_ns) * 1e-9)
    return Placed(**{field.name: np.array([row[field.name] for row in rows]) for field in fields(Placed)})


def _rows(seen: SeenFrame, persons: Sequence[Any], seconds: float) -> list[dict[str, Any]]:
    people, wanted, whole = seen.frame.people, asked_for(seen.frame.people), seen.whole
    found = [person for person in persons if person.state is not TrackingState.COASTING]
    match = match_people(people, np.array([person.keypoints_px for person in found]).reshape(-1, K, 2))
    return [
        {
            "joints": person.joints_cam,
            "truth": people.joints_cam[who].astype(np.float64),
            "stddev": person.joint_stddev,
            "height": person.height_m,
            "height_stddev": person.height_stddev_m,
            "true_height": seen.heights_m[who],
            "whole": whole[who],
            "moving": seen.moving,
            "camera_height": seen.ground.height_m,
            "seconds": seconds,
        }
        for person, who in zip(found, match.tolist(), strict=True)
        if who >= 0 and wanted[who]
    ]


def depth_errors(people: Placed) -> Floats:
    """Errors (N,) of the roots' depths, as shares."""
    true = people.truth[:, H36M17.root, 2]
    return np.asarray(np.abs(people.joints[:, H36M17.root, 2] - true) / true)


def placed_row(name: str, people: Placed) -> dict[str, Any]:
    """Depths (median), absolute joint errors (mean), and how honest deviations are.

    As `calibration_row` counts, but of roots along z.
    """
    shares = calibration_row(name, Stated(people.joints, people.stddev, people.truth))
    row: dict[str, Any] = {"row": name, "people": len(people.whole)}
    if not len(people.whole):
        return {**row, **dict.fromkeys(COLUMNS)}
    root = H36M17.root
    errors = np.linalg.norm(people.joints - people.truth, axis=-1)
    depths = np.abs(people.joints - people.truth)[:, root, 2] / people.stddev[:, root]
    figures = (
        100 * float(np.median(depth_errors(people))),
        1000 * float(errors.mean()),
        float(np.mean(depths <= 1)),
        float(np.mean(depths <= 2)),
        shares["within_1_sigma"],
    )
    return {**row, **dict(zip(COLUMNS, figures, strict=True))}


def height_row(name: str, people: Placed) -> dict[str, Any]:
    """Heights of people seen whole once a video has gone on for SETTLED_S: medians, and how honest deviations are."""
    people = people[people.whole & (people.seconds >= SETTLED_S)]
    off = np.abs(people.height - people.true_height)
    count = len(off)
    return {
        "row": name,
        "people": count,
        "height_cm": 100 * float(np.median(off)) if count else None,
        "stated_cm": 100 * float(np.median(people.height_stddev)) if count else None,
        "height_within_1_sigma": float(np.mean(off <= people.height_stddev)) if count else None,
    }
