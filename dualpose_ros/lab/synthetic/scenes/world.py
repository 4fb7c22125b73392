"""The cast of the synthetic world: dressed people and poses to draw scenes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats, UInt8s
from dualpose_ros.datasets.motion import load_clips
from dualpose_ros.lab.synthetic.body.body import BodyModel, load_body, shape_body
from dualpose_ros.lab.synthetic.body.builtin_body import builtin_body
from dualpose_ros.lab.synthetic.body.rig import PosedRig, pose_rig
from dualpose_ros.lab.synthetic.looks.appearance import Dressed, dress
from dualpose_ros.lab.synthetic.looks.textures import cloth_atlas
from dualpose_ros.lab.synthetic.motion import motion
from dualpose_ros.lab.synthetic.render.render import Actor
from dualpose_ros.lab.synthetic.things.mesh import rotation_about_y
from dualpose_ros.lab.synthetic.things.props import FURNITURE, HANDHELD, STREET, WORN, Mesh

Clips = tuple[AnyFloats, ...]
"""Joints (T, 17, 3) of captured clips, metres."""

_SEATED = tuple(kind for kind in motion.KINDS if kind.startswith("sit") or "seated" in kind)


@dataclass(frozen=True)
class WorldConfig:
    """What a world is made of; `body` and `mocap` are files, without them it is procedural throughout.

    The numbers say how many people, cloths, standing and seated poses, and things of each kind there are.
    """

    body: Path | None = None
    mocap: Path | None = None
    cast: int = 48
    textures: int = 48
    poses: int = 200
    seated: int = 60
    props: int = 4


@dataclass(frozen=True)
class StillPose:
    """Joints (17, 3) of one moment, and the direction (3,) in which the head looks where it is known."""

    joints_m: Floats
    head_forward: Floats | None


@dataclass(frozen=True)
class World:
    """Dressed people, cloth textures (N, S, S, 3) uint8, poses at the origin facing +z, and things by their kind."""

    cast: tuple[Dressed, ...]
    textures: UInt8s
    poses: tuple[StillPose, ...]
    seated: tuple[StillPose, ...]
    props: Mapping[str, tuple[Mesh, ...]]


def load_model(config: WorldConfig) -> BodyModel:
    """The body mesh that a configuration names, or the built-in one."""
    return load_body(config.body) if config.body else builtin_body()


def load_world_clips(config: WorldConfig, split: str = "train") -> Clips:
    """Joints (T, 17, 3) of the clips of a split; none without a file."""
    return tuple(clip.joints_m for clip in load_clips(config.mocap, split)) if config.mocap else ()


def make_world(config: WorldConfig, rng: np.random.Generator, model: BodyModel, clips: Clips) -> World:
    """Draw a new cast, new cloth, new poses and new things."""
    textures = cloth_atlas(rng, config.textures)
    cast = tuple(dress(shape_body(model, rng), rng, len(textures)) for _ in range(config.cast))
    poses = tuple(_draw_pose(rng, clips) for _ in range(config.poses))
    seated = tuple(_centred(_moment(rng, str(rng.choice(_SEATED)))) for _ in range(config.seated))
    makers = {**FURNITURE, **STREET, **HANDHELD, **WORN}
    props = {kind: tuple(maker(rng) for _ in range(config.props)) for kind, maker in makers.items()}
    return World(cast, textures, poses, seated, MappingProxyType(props))


def _moment(rng: np.random.Generator, kind: str) -> StillPose:
    """A random frame of a short procedural motion."""
    moving = motion.generate(kind, rng, 0.4, 10.0)
    index = rng.integers(len(moving.joints_m))
    head = None if moving.head_forward is None else moving.head_forward[index]
    return StillPose(moving.joints_m[index], head)


def _draw_pose(rng: np.random.Generator, clips: Clips) -> StillPose:
    if clips and rng.random() < 0.35:
        clip = clips[rng.integers(len(clips))]
        return _centred(StillPose(clip[rng.integers(len(clip))].astype(np.float64), None))
    still = motion.random_pose(rng)
    head = None if still.head_forward is None else still.head_forward[0]
    return _centred(StillPose(still.joints_m[0], head))


def _centred(pose: StillPose) -> StillPose:
    """The same pose above the origin with its hips facing +z."""
    left = pose.joints_m[4] - pose.joints_m[1]
    turn = rotation_about_y(-np.arctan2(-left[2], left[0]))
    centre = pose.joints_m[0] * [1, 0, 1]
    head = None if pose.head_forward is None else pose.head_forward @ turn.T
    return StillPose((pose.joints_m - centre) @ turn.T, head)


def pose_person(dressed: Dressed, rng: np.random.Generator, pose: StillPose, yaw: float, place_xz: Floats) -> PosedRig:
    """Put a person into one pose, turned by yaw about the vertical, standing at place_xz."""
    turn = rotation_about_y(yaw)
    turned = pose.joints_m @ turn.T + [place_xz[0], 0.0, place_xz[1]]
    facing = None if pose.head_forward is None else (pose.head_forward @ turn.T)[None]
    return pose_rig(dressed.rig, turned[None], facing, tuple(rng.normal(0, 0.6, 2)))


def draw_person(world: World, rng: np.random.Generator, place_xz: Floats) -> tuple[Dressed, PosedRig]:
    """Somebody of the cast at place_xz, facing anywhere, one in five of them seated."""
    pool = world.seated if rng.random() < 0.2 else world.poses
    dressed = world.cast[rng.integers(len(world.cast))]
    pose = pool[rng.integers(len(pool))]
    return dressed, pose_person(dressed, rng, pose, rng.uniform(0, 2 * np.pi), place_xz)


def as_actor(person_id: int, dressed: Dressed, posed: PosedRig, time: int = 0) -> Actor:
    """One moment of a posed person."""
    return Actor(person_id, dressed, posed.rotations[time], posed.origins[time], posed.joints[time])
