"""The 2D errors that the top-down network makes on labelled images: measured, and kept to train lifting with.

M people seen, K joints of `skeleton.H36M17`.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dualpose_ros.arrays import DAMAGED, AnyFloats, Float32s, Mask, Rows
from dualpose_ros.paths import written_whole
from dualpose_ros.skeleton import H36M17

_ARRAYS = ("offsets", "scores", "labelled")


_ALIKE = 40
"""How many people up or down in score somebody counts as scored alike."""


class JointErrorsError(ValueError):
    """A file of joint errors that can't be used; the message names it."""


@dataclass(frozen=True, eq=False)
class JointErrors(Rows):
    """offsets (M, K, 2): found minus true place over the longer side of the person's joints on the image, 0 where
    not found; scores (M, K), 0 = not found; labelled (M, K): joints that lie within the image; judged (M, K): joints
    whose true place somebody knows."""

    offsets: Float32s
    scores: Float32s
    labelled: Mask
    judged: Mask


def filled(errors: JointErrors, rng: np.random.Generator) -> JointErrors:
    """The errors with those of joints that nobody judged taken from somebody else.

    A joint takes the offset of the same joint of somebody whom the network scored much alike; its own score stays.
    Joints that were judged in nobody have no error.
    """
    judged, offsets = errors.judged, errors.offsets.copy()
    for joint in range(offsets.shape[1]):
        known, unknown = np.flatnonzero(judged[:, joint]), np.flatnonzero(~judged[:, joint])
        if len(known) == 0:
            offsets[:, joint] = 0
            continue
        scores = errors.scores[:, joint]
        known = known[np.argsort(scores[known], kind="stable")]
        near = np.searchsorted(scores[known], scores[unknown]) + rng.integers(-_ALIKE, _ALIKE + 1, len(unknown))
        offsets[unknown, joint] = offsets[known[np.clip(near, 0, len(known) - 1)], joint]
    return replace(errors, offsets=offsets, judged=np.ones_like(judged))


def error_figures(errors: JointErrors) -> dict[str, float]:
    """Over judged joints within the image: the share found, of those the median error and the shares near the truth."""
    known = errors.labelled & errors.judged
    found = (errors.scores > 0) & known
    distance = np.linalg.norm(errors.offsets, axis=-1)
    return {
        "people": float(len(errors)),
        "found": float(found.sum() / max(known.sum(), 1)),
        "median_error": float(np.median(distance[found])) if found.any() else float("nan"),
        "within_5_percent": float((distance[found] < 0.05).mean()) if found.any() else float("nan"),
        "within_10_percent": float((distance[found] < 0.1).mean()) if found.any() else float("nan"),
    }


def with_measured(
    rays: AnyFloats, scores: AnyFloats, size: AnyFloats, times: AnyFloats, errors: JointErrors,
    rng: np.random.Generator,
) -> tuple[AnyFloats, AnyFloats]:  # fmt: skip
    """2D joints (N, M, K, 2) with errors of whole poses that a network made, and its scores (N, M, K).

    An error lasts for a random spell, as it does in video, with a little jitter on top; half of the
    people get their errors mirrored.
    """
    n, m = times.shape
    mirror = list(H36M17.mirror)
    rate = np.exp(rng.uniform(np.log(0.7), np.log(8.0), n))
    gap = np.diff(np.where(np.isfinite(times), times, 0.0), axis=1, prepend=0.0)
    change = rng.random((n, m)) < 1 - np.exp(-np.maximum(gap, 0) * rate[:, None])
    spell = np.cumsum(change, axis=1)
    which = rng.integers(len(errors), size=(n, m + 1))[np.arange(n)[:, None], spell]
    offset, score = errors.offsets[which], np.where(errors.labelled[which], errors.scores[which], 0.0)
    mirrored = rng.random(n) < 0.5
    offset[mirrored] = offset[mirrored][:, :, mirror] * np.array([-1, 1], dtype=offset.dtype)
    score[mirrored] = score[mirrored][:, :, mirror]
    jitter = 0.004 * rng.standard_normal((n, m, H36M17.num_joints, 2), dtype=np.float32)
    return rays + (offset + jitter) * size[:, :, None, None], np.where(scores > 0, score, 0.0)


def save_joint_errors(path: Path, errors: JointErrors) -> None:
    """Write errors as an .npz file, in half precision."""
    offsets, scores = errors.offsets.astype(np.float16), errors.scores.astype(np.float16)
    with written_whole(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, offsets=offsets, scores=scores, labelled=errors.labelled)


def load_joint_errors(path: Path) -> JointErrors:
    """Read what `save_joint_errors` wrote; JointErrorsError if the file is missing, damaged or empty."""
    try:
        with np.load(path) as file:
            offsets, scores, labelled = (np.asarray(file[name]) for name in _ARRAYS)
    except DAMAGED as error:
        raise JointErrorsError(f"{path} holds no joint errors: {error}; `dualpose eval joints` makes them") from error
    joints = H36M17.num_joints
    if offsets.shape[1:] != (joints, 2) or scores.shape != offsets.shape[:2] or labelled.shape != scores.shape:
        raise JointErrorsError(f"{path} holds offsets {offsets.shape}; needed are (M, {joints}, 2)")
    if len(offsets) == 0:
        raise JointErrorsError(f"{path} holds nobody")
    inside = labelled.astype(np.bool_)
    return JointErrors(offsets.astype(np.float32), scores.astype(np.float32), inside, np.ones_like(inside))
