"""Place on a known ground in tables, as `dualpose eval ground` reports it."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from dualpose_ros.camera import Ground, GroundAccuracy
from dualpose_ros.lab.evaluation.data_folder import find_data
from dualpose_ros.lab.evaluation.ground import measures
from dualpose_ros.lab.evaluation.ground.scenes import CHILD_M, SeenFrame, ground_videos, sequences
from dualpose_ros.lab.evaluation.report import CALIBRATED, Outcome, Rows, evaluation, ratio
from dualpose_ros.metrics.goals import Goal, judged

STILL, MOVING = 44, 14
"""Videos by cameras that stand still, and by ones that move."""

WITHOUT, KNOWN, STATED = "no ground", "known ground", "ground as sure as stated"
PITCH_1, PITCH_2 = "pitch off by 1 degree", "pitch off by 2 degrees"
PITCH_2_TOLD = "pitch off by 2 degrees, stated as sure to 2"
HEIGHT_5, HEIGHT_5_TOLD = "height off by 5 %", "height off by 5 %, stated as sure to 5"
_TOLD_PITCH, _TOLD_HEIGHT = GroundAccuracy(pitch_stddev_rad=np.radians(2)), GroundAccuracy(height_stddev=0.05)

BODY_CLASSES_M = (1.1, 1.4, 1.6, 1.8, 2.06)
CAMERA_CLASSES_M = (0.3, 0.6, 1.0, 1.6, 3.01)


def _off(pitch_degrees: float = 0.0, height: float = 0.0, accuracy: GroundAccuracy | None = None) -> measures.GroundOf:
    """A ground that is off to one side in every other video, and to the other in the rest."""

    def ground(seen: SeenFrame) -> Ground:
        sign = 1 - 2 * (seen.frame.sequence % 2)
        return measures.disturbed(seen.ground, sign * np.radians(pitch_degrees), sign * height, accuracy)

    return ground


def _as_stated(draw: int) -> measures.GroundOf:
    """A ground whose errors are drawn as large as it says that they are, the same for all of a video."""

    def ground(seen: SeenFrame) -> Ground:
        stddevs = seen.ground.accuracy.pitch_stddev_rad, seen.ground.accuracy.height_stddev
        drawn = np.random.default_rng((seen.frame.sequence, draw)).normal(0, stddevs)
        return measures.disturbed(seen.ground, float(drawn[0]), float(drawn[1]))

    return ground


DRAWS = 4
"""Errors drawn for each video: with one, what share of people is within a deviation hangs on a few draws."""

GROUNDS: dict[str, tuple[measures.GroundOf, ...]] = {
    WITHOUT: (lambda seen: None,),
    KNOWN: (lambda seen: seen.ground,),
    STATED: tuple(map(_as_stated, range(DRAWS))),
    PITCH_1: (_off(1),),
    PITCH_2: (_off(2),),
    PITCH_2_TOLD: (_off(2, accuracy=_TOLD_PITCH),),
    HEIGHT_5: (_off(height=0.05),),
    HEIGHT_5_TOLD: (_off(height=0.05, accuracy=_TOLD_HEIGHT),),
}


@evaluation("ground")
def evaluate_ground(data: Path, seed: int) -> Outcome:
    """All tables and goals; `find_data` says what is in the folder `data`."""
    mocap, body = find_data(data)
    answers = ground_answers(sequences(ground_videos(mocap, body, seed, STILL, MOVING)))
    tables = ground_tables(answers)
    return tables, goals(tables)


def ground_answers(videos: Sequence[Sequence[SeenFrame]]) -> dict[str, measures.Placed]:
    """What refinement makes of the videos with each of the grounds, draw after draw."""
    return {
        name: measures.Placed.concatenate([measures.placed(videos, ground_of) for ground_of in of])
        for name, of in GROUNDS.items()
    }


def ground_tables(answers: dict[str, measures.Placed]) -> dict[str, Rows]:
    """Tables over everybody, people seen whole, by their heights and the camera's, and of heights."""
    known, without = answers[KNOWN], answers[WITHOUT]
    return {
        WHOLE: [measures.placed_row(name, of[of.whole]) for name, of in answers.items()],
        EVERYBODY: [measures.placed_row(name, of) for name, of in answers.items()],
        CHILDREN: [
            measures.placed_row(name, of[of.whole & (of.true_height < CHILD_M)]) for name, of in answers.items()
        ],
        MOVING_CAMERA: [measures.placed_row(name, of[of.whole & of.moving]) for name, of in answers.items()],
        "by height of the people (seen whole)": _classes(without, known, "true_height", BODY_CLASSES_M),
        "by height of the camera (people seen whole)": _classes(without, known, "camera_height", CAMERA_CLASSES_M),
        HEIGHTS: [measures.height_row(name, of) for name, of in answers.items()],
    }


WHOLE, EVERYBODY, CHILDREN = "people seen whole", "everybody", f"children below {CHILD_M} m, seen whole"
MOVING_CAMERA, HEIGHTS = "a moving camera, people seen whole", "how tall people are said to be"


def _classes(without: measures.Placed, known: measures.Placed, what: str, edges_m: Sequence[float]) -> Rows:
    rows = []
    for low, high in pairwise(edges_m):
        parts = [of[of.whole & (getattr(of, what) >= low) & (getattr(of, what) < high)] for of in (without, known)]
        depths = [100 * float(np.median(measures.depth_errors(part))) if len(part.whole) else None for part in parts]
        rows.append({
            "metres": f"{low:g}..{high:g}", "people": len(parts[1].whole), "depth_pct_without": depths[0],
            "depth_pct": depths[1], "height_cm": measures.height_row("", parts[1])["height_cm"],
        })  # fmt: skip
    return rows


def goals(tables: dict[str, Rows]) -> Rows:
    """What the tables were to show, and whether they do; a value that could not be measured meets no goal."""
    whole = {row["row"]: row for row in tables[WHOLE]}
    known, without = whole[KNOWN], whole[WITHOUT]
    stated = whole[STATED]
    heights = {row["row"]: row for row in tables[HEIGHTS]}
    (children,) = (row for row in tables[CHILDREN] if row["row"] == KNOWN)
    (moving,) = (row for row in tables[MOVING_CAMERA] if row["row"] == KNOWN)
    found = [
        Goal("root_depth_pct", known["root_depth_pct"], most=2.0),
        Goal("mpjpe_abs_over_without", ratio(known, without, "mpjpe_abs_mm"), most=0.5),
        *(
            Goal(f"depth_over_without_{name}", ratio(whole[row], without, "root_depth_pct"), most=1.0)
            for name, row in (("pitch_2_degrees", PITCH_2), ("pitch_2_degrees_stated", PITCH_2_TOLD))
        ),
        Goal("children_root_depth_pct", children["root_depth_pct"], most=4.0),
        Goal("moving_root_depth_pct", moving["root_depth_pct"], most=2.0),
        Goal("height_cm", heights[KNOWN]["height_cm"], most=4.0),
        Goal("height_within_1_sigma", heights[STATED]["height_within_1_sigma"], least=0.60, most=0.76),
    ]
    found += [Goal(f"depth_{column}", stated[f"depth_{column}"], least, most) for column, least, most in CALIBRATED]
    return judged(found)
