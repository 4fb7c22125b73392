"""What refinement costs and how well it solves its own equations, beside the published solver on the same windows.

W frames, K joints of `skeleton.H36M17`; metres, camera frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.lab.evaluation.refinement.measures import Movement, sequence_of
from dualpose_ros.lab.evaluation.refinement.published_solver import Stage, optimise
from dualpose_ros.lab.timing import timed
from dualpose_ros.people import Pose3D
from dualpose_ros.refinement.config import RefinementConfig
from dualpose_ros.refinement.least_squares.solver import Observations, terms_of
from dualpose_ros.refinement.least_squares.terms import Terms, cost
from dualpose_ros.refinement.stage import RefinementStage
from dualpose_ros.refinement.track import TrackSmoother
from dualpose_ros.refinement.window import frame_of, observations, stacked
from dualpose_ros.skeleton import H36M17

_PERIOD_NS = 80_000_000
"""Between the frames that are timed, without gaps, for which a track would start anew."""


@dataclass(frozen=True)
class SolvedWindow:
    """A full window as the live solver leaves it: its poses and their times, what it was asked, and its joints."""

    times: Floats
    poses: tuple[Pose3D, ...]
    observed: Observations
    joints: Floats


def solved_window(movement: Movement, length: int, config: RefinementConfig) -> SolvedWindow:
    """The last window of a movement's frames, streamed through a track.

    ValueError with fewer frames than `length`.
    """
    poses, times = movement.said(), movement.times[movement.seen]
    if len(poses) < length:
        raise ValueError(f"the person was found in {len(poses)} frames; a window has {length}")
    smoother = TrackSmoother(replace(config, window_frames=length, lag_frames=0))
    for when, pose in zip(times, poses, strict=True):
        smoother.add(frame_of(float(when), movement.camera, pose))
    window = smoother.window
    asked = vars(observations(stacked([window]), smoother.lengths[None]))
    observed = Observations(**{name: part[0] for name, part in asked.items()})
    return SolvedWindow(times[-length:], tuple(poses[-length:]), observed, window.joints)


def least_cost(terms: Terms, joints: Floats) -> float:
    """The cost of joints (W, K, 3), at their own distances from the camera or at those of the terms' poses.

    The terms hold integrated poses at distances that the live solver smoothed beforehand.
    """
    root, prior = joints[:, H36M17.root], terms.prior[:, H36M17.root]
    distance, other = (np.linalg.norm(roots, axis=-1, keepdims=True) for roots in (root, prior))
    moved = joints + ((other - distance) * root / np.maximum(distance, 1e-6))[:, None]
    return float(min(cost(terms, joints), cost(terms, moved)))


def cost_row(
    movements: Sequence[Movement], length: int, config: RefinementConfig, stages: Sequence[Stage]
) -> dict[str, Any]:
    """What a frame of one person costs with a window of so many frames, and the reference on the same windows.

    ours_ms: median over the frames that find a full window, through the stage of the live node. reference_ms: median
    of one optimisation of a window, as often as ours solves it: once a frame; reference_ms_a_frame: shared by its
    frames. objectives: medians of the cost of the live solver's terms, the prior among them, with the robust weights of
    our answer (see `least_cost` for the reference's); objective_ratio: the larger of ours over the reference's with
    the weights of either answer, median over windows; better_in: share of windows in which that is below 1.
    """
    ours = np.concatenate([frame_seconds(movement, length, config) for movement in movements])
    seconds, objectives, ratios = [], [], []
    for movement in movements:
        solved = solved_window(movement, length, config)
        sequence = sequence_of([movement.camera] * len(solved.poses), solved.times, solved.poses)
        took, (joints, _) = timed(partial(optimise, sequence, stages))
        seconds.append(took)
        pairs = []
        for at in (solved.joints, joints):
            terms = terms_of(solved.observed, at, config.solver)
            pairs.append((float(cost(terms, solved.joints)), least_cost(terms, joints)))
        objectives.append(pairs[0])
        ratios.append(max(a / b for a, b in pairs))
    own, other = 1e3 * float(np.median(ours)), 1e3 * float(np.median(seconds))
    return {
        "window": length,
        "windows": len(ratios),
        "ours_ms": own,
        "reference_ms": other,
        "reference_ms_a_frame": other / length,
        "times_cheaper": other / own,
        "our_objective": float(np.median([a for a, _ in objectives])),
        "reference_objective": float(np.median([b for _, b in objectives])),
        "objective_ratio": float(np.median(ratios)),
        "better_in": float(np.mean(np.array(ratios) < 1)),
    }


def frame_seconds(movement: Movement, length: int, config: RefinementConfig) -> Floats:
    """How long the live stage takes for each frame from when the window is full, the person found in all."""
    stage = RefinementStage(replace(config, window_frames=length))
    calls = (partial(stage.process, i * _PERIOD_NS, movement.camera, (pose,)) for i, pose in enumerate(movement.said()))
    return np.array([timed(call)[0] for call in calls][length:])
