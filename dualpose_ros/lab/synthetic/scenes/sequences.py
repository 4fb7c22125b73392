"""Short videos of people who walk, act and meet in front of one camera, with ground truth in every frame.

World frame: y up, floor y = 0, metres.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from dualpose_ros.arrays import Floats
from dualpose_ros.camera import Camera, camera_from_hfov, project
from dualpose_ros.datasets.labels import LabelledImage
from dualpose_ros.datasets.motion import Clip, at_rate
from dualpose_ros.lab.synthetic.backdrop.backgrounds import background
from dualpose_ros.lab.synthetic.body.rig import PosedRig, pose_rig
from dualpose_ros.lab.synthetic.motion.contact import body_size
from dualpose_ros.lab.synthetic.motion.meetings import LARGEST, SMALLEST
from dualpose_ros.lab.synthetic.motion.motion import KINDS, MEETINGS, Motion, from_clip, generate, meeting, place
from dualpose_ros.lab.synthetic.render.degrade import apply, degrade_clip_params
from dualpose_ros.lab.synthetic.render.render import Actor, View, random_lighting, render
from dualpose_ros.lab.synthetic.scenes.frames import level_camera
from dualpose_ros.lab.synthetic.scenes.placing import furnish
from dualpose_ros.lab.synthetic.scenes.world import World, as_actor

CAPTURED = "captured"
ACTIONS: tuple[str, ...] = (*KINDS, *(f"meet_{kind}" for kind in MEETINGS), CAPTURED)
"""What a person of a sequence can be doing."""

WALKING = ("walk", "walk_busy", "walk_carrying", "meet_walk_together", "meet_pass_by", "meet_follow")
"""Those of ACTIONS that are walking."""

SIZES = ((640, 480), (640, 480), (640, 360), (480, 360), (512, 512))
_LEVEL_SHARE = 0.45
_LEVEL_HEIGHT_M, _LEVEL_PITCH = (0.9, 1.8), 0.04
_GAP_M = 0.5
_MARGIN_S = 0.1
_DEGRADATION = 0.6
_TRIES = 40
_MEETINGS_SHARE, _CAPTURED_SHARE = 0.35, 0.3


@dataclass(frozen=True)
class SequenceConfig:
    """frames of a sequence; fps: range of the rates; people: smallest and largest number wanted; crowd: standard
    deviation in metres of places around the middle of the view, 0 to spread people over all of it; level: only
    walking people before level cameras (True), anything else (False), or a mixture (None); camera_height_m: above the
    floor, drawn where it is None; moving: by a camera that drives and sways."""

    frames: int = 30
    fps: tuple[float, float] = (10.0, 14.0)
    people: tuple[int, int] = (1, 6)
    crowd: float = 0.0
    level: bool | None = None
    camera_height_m: float | None = None
    moving: bool = False


@dataclass(frozen=True)
class Script:
    """A script ready to be drawn: stamps_s (T,), the camera's views (T,), actions of the people, level: whether the
    camera is level, as high as eyes or a robot, and everybody walks."""

    views: tuple[View, ...]
    stamps_s: Floats
    actions: tuple[str, ...]
    level: bool
    posed: tuple[PosedRig, ...]
    cast: tuple[int, ...]
    seed: int

    def down(self, time: int) -> Floats:
        """The direction of gravity (3,) in the camera's frame."""
        return np.asarray(self.views[time].rotation @ [0.0, -1.0, 0.0])

    def camera_height(self, time: int) -> float:
        """Metres of the camera above the floor."""
        view = self.views[time]
        return float((-view.rotation.T @ view.translation)[1])


def draw_sequence(
    world: World, clips: list[Clip], rng: np.random.Generator, config: SequenceConfig | None = None
) -> Script:
    """Choose camera, people and what they do; clips of motion capture are some of it."""
    config = config if config is not None else SequenceConfig()
    fps = rng.uniform(*config.fps)
    level = rng.random() < _LEVEL_SHARE if config.level is None else config.level
    view = _view(rng, level, config.camera_height_m)
    wanted = min(int(rng.integers(config.people[0], config.people[1] + 1)), len(world.cast))
    order = rng.permutation(len(world.cast)).tolist()
    placed: list[Motion] = []
    actions: list[str] = []
    for _ in range(_TRIES):
        if len(placed) >= wanted:
            break
        free = order[len(placed) : wanted]
        sizes = [float(np.clip(body_size(world.cast[index].rig.joints), SMALLEST, LARGEST)) for index in free]
        kind, motions = _motions(rng, clips, config.frames / fps + _MARGIN_S, fps, level, sizes)
        middle, yaw = _middle(rng, view.camera, config.crowd), rng.uniform(-np.pi, np.pi)
        moved = [place(motion, middle.tolist(), yaw) for motion in motions]
        if all(_free(motion, placed, view, config.frames) for motion in moved):
            placed += moved
            actions += [kind] * len(moved)
    cast = tuple(order[: len(placed)])
    posed = tuple(
        pose_rig(world.cast[index].rig, motion.joints_m[: config.frames], _head(motion, config.frames))
        for index, motion in zip(cast, placed, strict=True)
    )
    stamps = np.arange(config.frames) / fps
    seed = int(rng.integers(2**32))
    views = _driving(view, stamps, rng) if config.moving else (view,) * config.frames
    return Script(views, stamps, tuple(actions), level, posed, cast, seed)


def render_sequence(world: World, script: Script) -> Iterator[LabelledImage]:
    """The frames one by one; backdrop, light, furniture and the camera's flaws stay the same."""
    rng = np.random.default_rng(script.seed)
    camera = script.views[0].camera
    backdrop, lighting = background(rng, camera.height, camera.width), random_lighting(rng)
    damage = degrade_clip_params(rng, _DEGRADATION)
    people = [world.cast[index] for index in script.cast]

    def actors(time: int) -> list[Actor]:
        pairs = zip(people, script.posed, strict=True)
        return [as_actor(number, dressed, posed, time) for number, (dressed, posed) in enumerate(pairs)]

    camera_at = -script.views[0].rotation.T @ script.views[0].translation
    props = furnish(world, rng, actors(0), camera_at, 0.12, attached=False) if people else []
    for time in range(len(script.stamps_s)):
        sample = render(actors(time), props, script.views[time], backdrop, world.textures, lighting)
        yield replace(sample, image=apply(damage, sample.image, rng))


def _view(rng: np.random.Generator, level: bool, height_m: float | None) -> View:
    width, height = SIZES[rng.integers(len(SIZES))]
    camera = camera_from_hfov(width, height, np.radians(rng.uniform(50, 90)))
    if level:
        return level_camera(camera, rng.uniform(*_LEVEL_HEIGHT_M), rng.normal(0, _LEVEL_PITCH), 0.0)
    above = rng.choice([rng.uniform(0.3, 0.9), rng.uniform(0.9, 1.8), rng.uniform(1.8, 3.5)], p=[0.3, 0.3, 0.4])
    above = height_m or above
    pitch = rng.normal(0.04, 0.1) + max(above - 1.4, 0) * rng.uniform(0.1, 0.2)
    return level_camera(camera, above, pitch, rng.normal(0, 0.05))


def _driving(view: View, stamps_s: Floats, rng: np.random.Generator) -> tuple[View, ...]:
    """Views (T,) of a camera that starts at one, drives at up to 0.5 m/s, turns, and sways as a robot on legs does."""
    speed, turn = rng.uniform(-0.3, 0.3, 2) * [1, 1.5], rng.normal(0, 0.05)
    rate, phase = 2 * np.pi * rng.uniform(0.3, 1.8, 4), rng.uniform(0, 2 * np.pi, 4)
    away = np.sin(rate * stamps_s[:, None] + phase) - np.sin(phase)
    yaw, pitch, roll, rise = (away * [0.03, 0.025, 0.015, 0.02] + stamps_s[:, None] * [turn, 0, 0, 0]).T
    sway = Rotation.from_euler("ZXY", np.stack([roll, pitch, yaw], axis=1)).as_matrix()
    start = -view.rotation.T @ view.translation
    eyes = start + np.stack([speed[0] * stamps_s, rise, speed[1] * stamps_s], axis=1)
    rotations = sway @ view.rotation
    return tuple(View(view.camera, r, -r @ eye) for r, eye in zip(rotations, eyes, strict=True))


def _motions(
    rng: np.random.Generator, clips: list[Clip], seconds: float, fps: float, level: bool, sizes: list[float]
) -> tuple[str, list[Motion]]:
    """What one person does, or two of these body sizes who have to do with each other; name and motions."""
    walking = [kind for kind in ACTIONS if kind in WALKING]
    meetings = [kind for kind in walking if kind.startswith("meet_")] if level else [f"meet_{m}" for m in MEETINGS]
    if len(sizes) >= 2 and rng.random() < _MEETINGS_SHARE:
        kind = str(rng.choice(meetings))
        return kind, list(meeting(rng, seconds, fps, kind.removeprefix("meet_"), (sizes[0], sizes[1])))
    if clips and not level and rng.random() < _CAPTURED_SHARE:
        passage = _passage(rng, clips, seconds, fps)
        if passage is not None:
            return CAPTURED, [passage]
    kinds = [kind for kind in walking if kind in KINDS] if level else [kind for kind in KINDS if kind not in WALKING]
    kind = str(rng.choice(kinds))
    return kind, [generate(kind, rng, seconds, fps)]


def _passage(rng: np.random.Generator, clips: list[Clip], seconds: float, fps: float) -> Motion | None:
    """Some seconds of a clip on the reference adult, above the origin; None of a clip that is too short."""
    clip = clips[rng.integers(len(clips))]
    needed = int(np.ceil(seconds * clip.fps)) + 2
    if len(clip.joints_m) < needed:
        return None
    start = int(rng.integers(len(clip.joints_m) - needed + 1))
    motion = from_clip(at_rate(clip.joints_m[start : start + needed], clip.fps, fps), fps)
    return place(motion, (-motion.joints_m[0, 0, [0, 2]]).tolist(), 0.0)


def _middle(rng: np.random.Generator, camera: Camera, crowd: float) -> Floats:
    """Where on the floor somebody is put: in view, farther away less often."""
    if crowd > 0:
        return np.array([0.0, 5.0]) + rng.normal(0, crowd, 2)
    depth = np.exp(rng.uniform(np.log(1.8), np.log(9.0)))
    half = 0.5 * camera.width / camera.fx
    return np.array([rng.uniform(-0.85, 0.85) * half * depth, depth])


def _free(motion: Motion, others: list[Motion], view: View, frames: int) -> bool:
    """Whether somebody stays apart from the others and in front of the camera."""
    joints = motion.joints_m[:frames]
    points = joints @ view.rotation.T + view.translation
    if points[..., 2].min() < 0.5 or not _in_view(points, view.camera):
        return False
    floor = joints[:, 0, [0, 2]]
    gaps = [np.linalg.norm(floor - other.joints_m[:frames, 0, [0, 2]], axis=1).min() for other in others]
    return all(gap > _GAP_M for gap in gaps)


def _in_view(points: Floats, camera: Camera) -> bool:
    """Whether half of somebody's joints (T, K, 3) are within the image at some time."""
    pixels = project(camera, points)
    inside = ((pixels >= 0) & (pixels < (camera.width, camera.height))).all(axis=-1)
    return bool(inside.mean(axis=1).max() >= 0.5)


def _head(motion: Motion, frames: int) -> Floats | None:
    return None if motion.head_forward is None else motion.head_forward[:frames]
