"""Videos of people of known heights before a camera of known height and tilt, through the branches and fusion.

N people, K joints of `skeleton.H36M17`; metres, camera frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dualpose_ros.arrays import Floats, Mask
from dualpose_ros.camera import Camera, Ground
from dualpose_ros.datasets.motion import load_clips
from dualpose_ros.fusion.stage import FusionConfig
from dualpose_ros.lab.evaluation.branches import Branches
from dualpose_ros.lab.evaluation.fusion.measures import RecordedFrame, recorded_frames
from dualpose_ros.lab.evaluation.fusion.tables import recorded, stage_fuse
from dualpose_ros.lab.evaluation.worlds import held_out_world
from dualpose_ros.lab.synthetic.body.body import shape_body
from dualpose_ros.lab.synthetic.looks.appearance import dress
from dualpose_ros.lab.synthetic.scenes.sequences import Script, SequenceConfig, draw_sequence
from dualpose_ros.lab.synthetic.scenes.world import WorldConfig, load_model
from dualpose_ros.people import Pose3D

FRAMES, FPS = 22, (5.0, 7.0)
"""Frames of a video, and their rates: as few as on a busy robot, for more people in as long. Who is there errs for as
long as he or she is, so that twice the frames of a person say little, and other people much."""

HEIGHTS_M, CHILD_M = (1.1, 2.05), 1.4
"""Of people; those below the second are shaped as children."""

CAMERA_HEIGHTS_M = (0.3, 3.0)
BODIES = 24


@dataclass(frozen=True)
class SeenFrame:
    """One frame: its truth, camera and ground, the true people's heights (N,), and what fusion makes of it."""

    frame: RecordedFrame
    camera: Camera
    ground: Ground
    heights_m: Floats
    moving: bool
    fused: tuple[Pose3D, ...]

    @property
    def whole(self) -> Mask:
        """Which of the true people (N,) are seen whole: nearly every joint in the image, and little of them hidden."""
        people = self.frame.people
        return np.asarray((people.visibility == 2).sum(axis=1) >= WHOLE_JOINTS)


WHOLE_JOINTS = 15
"""Visible joints of somebody who is seen whole; of people from the side, an arm hides behind the body."""


def ground_videos(mocap: Path, body: Path | None, seed: int, still: int, moving: int) -> list[SeenFrame]:
    """So many videos by cameras that stand still and by ones that move, camera heights spread over their range."""
    rng = np.random.default_rng((seed, 11))
    world = held_out_world(mocap, body, seed)
    model, heights = load_model(WorldConfig(body=body)), np.linspace(*HEIGHTS_M, BODIES)
    shaped = [shape_body(model, rng, adult=bool(height >= CHILD_M), height_m=float(height)) for height in heights]
    world = replace(world, cast=tuple(dress(body, rng, len(world.textures)) for body in shaped))
    clips = load_clips(mocap, "held_out")
    camera_heights = np.concatenate([np.geomspace(*CAMERA_HEIGHTS_M, n) for n in (still, moving) if n])
    scripts = [
        draw_sequence(
            world, list(clips), np.random.default_rng((seed, 12, n)),
            SequenceConfig(FRAMES, FPS, people=(1, 4), camera_height_m=float(height), moving=n >= still),
        )
        for n, height in enumerate(camera_heights)
    ]  # fmt: skip
    frames = list(recorded_frames(recorded(world, scripts, Branches(), "videos")))
    fuse, seen = stage_fuse(FusionConfig()), list[SeenFrame]()
    for at, frame in enumerate(frames):
        script, time = scripts[frame.sequence], at % FRAMES
        own = heights[np.array(script.cast, dtype=int)[frame.people.ids]]
        seen.append(SeenFrame(
            frame, script.views[time].camera, true_ground(script, time), own, frame.sequence >= still,
            tuple(fuse(frame)),
        ))  # fmt: skip
    return seen


def true_ground(script: Script, time: int) -> Ground:
    """The floor as it is in a frame."""
    return Ground(script.down(time), script.camera_height(time))


def sequences(frames: Sequence[SeenFrame]) -> list[list[SeenFrame]]:
    """The frames of each video."""
    found: dict[int, list[SeenFrame]] = {}
    for frame in frames:
        found.setdefault(frame.frame.sequence, []).append(frame)
    return list(found.values())
