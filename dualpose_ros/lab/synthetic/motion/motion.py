"""Natural motion of one or two people: by kind, by script, or from motion capture.

World frame: y up, floor y = 0, metres; a person at yaw 0 faces +z with the left side toward
+x. Everything is drawn from the generator passed in, so a seed decides it all.
"""

import numpy as np

from dualpose_ros.lab.synthetic.motion.meetings import MEETINGS, frame_times, meeting, place
from dualpose_ros.lab.synthetic.motion.motion_library import RECIPES
from dualpose_ros.lab.synthetic.motion.retarget import from_clip
from dualpose_ros.lab.synthetic.motion.script import Action, Motion, Sit, Stand, Turn, Walk, perform, solve

__all__ = [
    "KINDS", "MEETINGS", "Action", "Motion", "Sit", "Stand", "Turn", "Walk",
    "from_clip", "generate", "meeting", "perform", "place", "random_pose",
]  # fmt: skip

KINDS: tuple[str, ...] = tuple(RECIPES)
"""What `generate` can be asked for."""


def generate(kind: str, rng: np.random.Generator, duration_s: float, fps: float) -> Motion:
    """A motion of one kind, near the origin and facing +z at first.

    Raises ValueError for an unknown kind, a duration that is not positive or fps outside 1..240.
    """
    if kind not in RECIPES:
        raise ValueError(f"no motion of kind '{kind}'; there are {', '.join(KINDS)}")
    times = frame_times(duration_s, fps)
    body, arms = RECIPES[kind](rng, times, fps)
    return solve(rng, body, arms, fps)


def random_pose(rng: np.random.Generator) -> Motion:
    """One frame of any kind, turned any way: for still pictures."""
    motion = generate(KINDS[int(rng.integers(len(KINDS)))], rng, 2.4, 20.0)
    frame = int(rng.integers(len(motion.joints_m)))
    still = slice(frame, frame + 1)
    assert motion.head_forward is not None
    one = Motion(motion.joints_m[still], motion.fps, motion.head_forward[still])
    centre = one.joints_m[0, 0, [0, 2]]
    centred = Motion(one.joints_m - [centre[0], 0.0, centre[1]], one.fps, one.head_forward)
    return place(centred, (0.0, 0.0), rng.uniform(-np.pi, np.pi))
