"""Joints on pictures: average precision by object keypoint similarity on COCO and CrowdPose."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.datasets.published.keypoints import CROWDPOSE_SIGMAS
from dualpose_ros.datasets.published.truth import DatasetError, TruthSequence
from dualpose_ros.lab.evaluation.protocols.protocol import Pairs, Protocol
from dualpose_ros.lab.evaluation.report import Rows
from dualpose_ros.metrics.keypoints import FoundKeypoints, TrueKeypoints, keypoint_figures
from dualpose_ros.skeleton import COCO17

Outcomes = tuple[list[TrueKeypoints], list[FoundKeypoints]]
_LIMBS = tuple(n for n, name in enumerate(COCO17.joint_names) if name.split("_")[-1] not in ("nose", "eye", "ear"))


def measure(used: tuple[int, ...], sequence: TruthSequence, pairs: Pairs) -> Outcomes:
    """The true and the found people of every picture, as `metrics.keypoints` takes them."""
    truth, found, joints = [], [], list(used)
    for frame, people in pairs:
        own = frame.people
        corner, size = own.boxes_px[:, :2], own.boxes_px[:, 2:] - own.boxes_px[:, :2]
        truth.append(
            TrueKeypoints(
                np.nan_to_num(own.joints_px[:, joints]), own.visible[:, joints], own.area_px,
                np.concatenate([corner, size], axis=1), own.crowd,
            )
        )  # fmt: skip
        found.append(FoundKeypoints(people.joints_px[:, joints], people.scores))
    return truth, found


def tables(name: str, sigmas: Floats, measured: Mapping[str, Outcomes]) -> dict[str, Rows]:
    """A row a group of pictures, and all of them together; DatasetError where nobody is to be found in any."""
    rows = [_row(group, truth, found, sigmas) for group, (truth, found) in measured.items()]
    if len(measured) > 1:
        truth, found = ([p for outcome in measured.values() for p in outcome[side]] for side in (0, 1))
        rows.append(_row("all", truth, found, sigmas))  # type: ignore[arg-type]
    if not any(row["people"] for row in rows):
        raise DatasetError("nobody on these pictures has a labelled joint: there is nothing to score")
    return {name: rows}


def _row(name: str, truth: list[TrueKeypoints], found: list[FoundKeypoints], sigmas: Floats) -> dict[str, Any]:
    figures = keypoint_figures(truth, found, sigmas)
    shown = {k: 100 * v if isinstance(v, float) else v for k, v in figures.items() if k != "pictures"}
    return {"pictures": name, **{k: v if v == v else None for k, v in shown.items()}, "n": figures["pictures"]}


def _protocol(name: str, dataset: str, sigmas: tuple[float, ...], used: tuple[int, ...], *assumes: str) -> Protocol:
    chosen = np.array(sigmas)[list(used)]
    common = ("average precision over ten similarities (OKS) from 0.5 to 0.95, the twenty best answers of a picture",
              "a joint that the answers don't have counts as wrong")  # fmt: skip
    scored = partial(measure, used), partial(tables, name, chosen)
    return Protocol(name, dataset, (*assumes, *common), *scored, has_curve=False)


COCO_AP = _protocol("coco", "coco", COCO17.oks_sigmas, tuple(range(COCO17.num_joints)),
                    "COCO's 17 joints, as its own evaluation counts them")  # fmt: skip
COCO_LIMBS = _protocol("coco-limbs", "coco", COCO17.oks_sigmas, _LIMBS,
                       "12 of COCO's joints, without the face; not comparable with figures of all 17")  # fmt: skip
CROWDPOSE_AP = _protocol("crowdpose", "crowdpose", CROWDPOSE_SIGMAS, tuple(range(len(CROWDPOSE_SIGMAS))),
                         "CrowdPose's 14 joints; easy, medium and hard by how crowded a picture is")  # fmt: skip
