"""How steady a run's poses are over time, against a clip's exact ground truth.

Counted are the people to be found who were, see `evaluation.demo`. Metres, seconds, camera frame.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import Floats, Mask
from dualpose_ros.datasets.clip import ClipTruth
from dualpose_ros.lab.evaluation.demo.measures import EstimatedFrame, Match, match_clip, people_to_find
from dualpose_ros.refinement.terms import HAS_BONE, bone_vectors
from dualpose_ros.skeleton import H36M17

LONGEST_TRIPLE_S = 0.5
"""Three frames in a row that last longer say nothing about accelerations."""

FEWEST_FRAMES = 5
"""Tracks of fewer frames say nothing about how lengths vary."""


@dataclass(frozen=True)
class Steadiness:
    """None where there was nothing to measure.

    accel_error: mean over joints of |a - a*| in m/s^2, second differences of three frames in a row in which a person
    kept their track, of the estimates and of the truth at the same times. bone_deviation_mm: of a bone's length from
    its mean over the track, root mean square over bones, frames and tracks. root_velocity_error: mean of |v - v*|, m/s.
    """

    accel_error: float | None
    bone_deviation_mm: float | None
    root_velocity_error: float | None


def measure_steadiness(truth: ClipTruth, frames: Sequence[EstimatedFrame]) -> Steadiness:
    """Figures of a run's frames, in their order; ValueError as `match_clip` does."""
    must = people_to_find(truth)
    matches = [match for match in match_clip(truth, frames) if must[match.frame, match.person]]
    place = {frame.index: n for n, frame in enumerate(frames)}
    tracks: dict[tuple[int, int], list[Match]] = defaultdict(list)
    for match in matches:
        tracks[match.person, match.track_id].append(match)
    accelerations: list[Floats] = []
    squares: list[Floats] = []
    for (person, _), found in tracks.items():
        places = np.array([place[match.frame] for match in found])
        indices = np.array([match.frame for match in found])
        joints = np.stack([np.asarray(frames[place[m.frame]].joints_cam[m.row], dtype=np.float64) for m in found])
        true_joints = truth.joints_cam[indices, person]
        times = truth.stamps_s[indices]
        accelerations.append(acceleration_errors(joints, true_joints, times, places[2:] - places[:-2] == 2))
        squares.append(bone_squares(joints))
    bones = mean_of(squares)
    return Steadiness(
        accel_error=mean_of(accelerations),
        bone_deviation_mm=None if bones is None else 1000 * float(np.sqrt(bones)),
        root_velocity_error=_velocity_error(truth, frames, matches, place),
    )


def accelerations_of(joints: Floats, times: Floats) -> Floats:
    """Second divided differences (T - 2, ...) of joints (T, ...) at times (T,), which may be irregular."""
    if len(times) < 3:
        return np.zeros((0, *joints.shape[1:]))
    shape = (-1, *(1 for _ in joints.shape[1:]))
    speeds = np.diff(joints, axis=0) / np.diff(times).reshape(shape)
    return np.asarray(2 * np.diff(speeds, axis=0) / (times[2:] - times[:-2]).reshape(shape))


def acceleration_errors(joints: Floats, truth: Floats, times: Floats, counted: Mask | bool = True) -> Floats:
    """|a - a*| (n,) in m/s^2 of a track's joints and truth (T, K, 3) at times (T,), over joints and three frames in a
    row that last no longer than LONGEST_TRIPLE_S and are counted (T - 2,)."""
    usable = (times[2:] - times[:-2] <= LONGEST_TRIPLE_S) & counted
    error = accelerations_of(joints, times) - accelerations_of(truth, times)
    return np.asarray(np.linalg.norm(error[usable], axis=-1).ravel())


def bone_squares(joints: Floats) -> Floats:
    """Squares (n,) of how far bones of a track's joints (T, K, 3) are from their mean lengths; none of few frames."""
    if len(joints) < FEWEST_FRAMES:
        return np.zeros(0)
    lengths = bone_vectors(joints)[1][:, HAS_BONE]
    return np.asarray(((lengths - lengths.mean(axis=0)) ** 2).ravel())


def _velocity_error(
    truth: ClipTruth, frames: Sequence[EstimatedFrame], matches: Sequence[Match], place: dict[int, int]
) -> float | None:
    """Mean error of the roots' velocities, where they were given and the truth's neighbouring frames are known."""
    errors = []
    for match in matches:
        velocities = frames[place[match.frame]].root_velocity
        before, after = match.frame - 1, match.frame + 1
        if velocities is None or before < 0 or after >= truth.num_frames:
            continue
        if truth.present[before, match.person] and truth.present[after, match.person]:
            moved = np.subtract(*(truth.joints_cam[t, match.person, H36M17.root] for t in (after, before)))
            true_velocity = moved / (truth.stamps_s[after] - truth.stamps_s[before])
            errors.append(float(np.linalg.norm(velocities[match.row] - true_velocity)))
    return float(np.mean(errors)) if errors else None


def mean_of(parts: Sequence[Floats], scale: float = 1.0) -> float | None:
    """Mean of all values, scaled; None of none."""
    values = np.concatenate(parts) if parts else np.zeros(0)
    return scale * float(values.mean()) if values.size else None
