"""2D joints on labelled frames, as `dualpose eval joints` reports them: what the top-down network gets wrong.

M people seen, K joints of `skeleton.H36M17`.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from rich.progress import track

from dualpose_ros.arrays import AnyFloats, Floats, Mask
from dualpose_ros.datasets.cache import choose_images
from dualpose_ros.datasets.joint_errors import JointErrors, error_figures, filled, save_joint_errors
from dualpose_ros.datasets.labels import OUTSIDE, UNKNOWN, LabelledImage, People
from dualpose_ros.errors import InputError
from dualpose_ros.lab.evaluation.report import Outcome, evaluation
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.estimator import PoseEstimator
from dualpose_ros.top_down.published import load_top_down

MIN_VISIBLE = 0.25
"""People of whom less is in view are not asked for: a detector would seldom find them."""

MIN_JUDGED = 8
"""Nor people of whom fewer joints are judged: they say little of a body's size."""


@evaluation("joints")
def evaluate_joints(data: Path, weights: Path | str | None, count: int, seed: int, save: Path | None) -> Outcome:
    """Errors of the top-down network on up to `count` frames, chosen by `seed`; all of them into `save` if given.

    Errors: CacheError for a folder without shards, InputError where nobody is labelled, EngineError for an unusable
    network.
    """
    estimator = PoseEstimator(load_top_down(str(weights or "top_down")))
    rng = np.random.default_rng(seed)
    images, chosen = choose_images(data, count, rng)
    frames = (images[index] for index in track(chosen, description="frames", transient=True))
    errors = measure_joint_errors(frames, estimator, rng)
    if not len(errors):
        raise InputError(
            f"--data {data}: in {len(chosen)} frames nobody is in view with {MIN_JUDGED} joints that are labelled, "
            "and answered by the network"
        )
    if save is not None:
        save_joint_errors(save, filled(errors, rng))
    row = {"images": len(chosen), **error_figures(errors)}
    return {"joints": [row]}, []


def measure_joint_errors(
    images: Iterable[LabelledImage], estimator: PoseEstimator, rng: np.random.Generator, box_jitter: float = 0.04
) -> JointErrors:
    """Run the network on every image with its people's true boxes, each side moved by `box_jitter` of the box.

    People for whom the network returns nothing, of whom little is in view or hardly a joint is judged, are left out.
    """
    rows: list[tuple[AnyFloats, AnyFloats, Mask, Mask]] = []
    for image in images:
        people = image.people
        known = (people.visibility != UNKNOWN).sum(axis=1) >= MIN_JUDGED
        chosen = np.flatnonzero((people.visible_fraction >= MIN_VISIBLE) & known)
        found = estimator(image.image, jittered(people.boxes_px[chosen], box_jitter, rng))
        for person, pose in zip(chosen, found.poses, strict=True):
            if pose is not None:
                rows.append(_row(people, int(person), pose.joints_px, pose.scores))
    joints = H36M17.num_joints
    offsets = np.array([row[0] for row in rows], dtype=np.float32).reshape(-1, joints, 2)
    scores = np.array([row[1] for row in rows], dtype=np.float32).reshape(-1, joints)
    inside, judged = (np.array([row[i] for row in rows], dtype=np.bool_).reshape(-1, joints) for i in (2, 3))
    return JointErrors(offsets, scores, inside, judged)


def jittered(boxes_px: AnyFloats, amount: float, rng: np.random.Generator) -> Floats:
    """Boxes (N, 4) with each side moved by a normal error of `amount` times their longer side."""
    boxes = np.asarray(boxes_px, dtype=np.float64).reshape(-1, 4)
    side = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=1.0)
    moved = boxes + np.clip(rng.normal(0, amount, boxes.shape), -0.2, 0.2) * side[:, None]
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.concatenate([np.minimum(moved[:, :2], middle), np.maximum(moved[:, 2:], middle)], axis=1)


def _row(
    people: People, person: int, joints_px: AnyFloats, scores: AnyFloats
) -> tuple[AnyFloats, AnyFloats, Mask, Mask]:
    """Offsets and scores, and which joints are not outside the image, and judged."""
    truth, visibility = people.joints_px[person].astype(np.float64), people.visibility[person]
    judged = visibility != UNKNOWN
    size = max(float(np.ptp(truth[judged], axis=0).max()), 1.0)
    there = ((scores > 0) & judged)[:, None]
    offsets = np.where(there, (np.where(there, joints_px, 0.0) - truth) / size, 0.0)
    return offsets, np.clip(scores, 0, 1), visibility != OUTSIDE, judged
