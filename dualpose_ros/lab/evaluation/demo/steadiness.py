"""How steady a run's poses are over time, against a clip's exact ground truth.

Counted are the people to be found who were, see `demo.measures`. Metres, seconds, camera frame.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.datasets.clip import ClipTruth
from dualpose_ros.lab.evaluation.demo.measures import EstimatedFrame, Match, match_clip, people_to_find
from dualpose_ros.metrics.steadiness import acceleration_errors, bone_squares, mean_of
from dualpose_ros.skeleton import H36M17


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
