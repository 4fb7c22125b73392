"""Placing people, furniture and cameras."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from dualpose_ros.arrays import Floats
from dualpose_ros.lab.synthetic.body.rig import PART, normalised
from dualpose_ros.lab.synthetic.render.render import Actor
from dualpose_ros.lab.synthetic.scenes.world import World, as_actor, pose_person
from dualpose_ros.lab.synthetic.things.props import FURNITURE, HANDHELD, STREET, WORN, Mesh, transform

_MIN_GAP_M = 0.32


@dataclass(frozen=True)
class Scene:
    """People and props in the world frame; actor 0 is the one that the camera looks at."""

    actors: list[Actor]
    props: list[Mesh]


def place_group(world: World, rng: np.random.Generator, count: int, seated: float, spread_m: float) -> list[Actor]:
    """`count` people around the origin, close enough to overlap from most sides; `seated` of them sit."""
    places = [np.zeros(2)]
    for _ in range(60):
        if len(places) == count:
            break
        candidate = places[rng.integers(len(places))] + rng.normal(0, spread_m, 2)
        if min(np.linalg.norm(candidate - place) for place in places) > _MIN_GAP_M:
            places.append(candidate)
    shared = rng.uniform(0, 2 * np.pi)
    together = rng.random() < 0.5
    actors = []
    for number, place in enumerate(places):
        pool = world.seated if rng.random() < seated else world.poses
        pose = pool[rng.integers(len(pool))]
        yaw = shared + rng.normal(0, 0.5) if together else rng.uniform(0, 2 * np.pi)
        dressed = world.cast[rng.integers(len(world.cast))]
        actors.append(as_actor(number, dressed, pose_person(dressed, rng, pose, yaw, place)))
    return actors


def furnish(
    world: World, rng: np.random.Generator, actors: list[Actor], camera_at: Floats, hide: float, attached: bool = True
) -> list[Mesh]:
    """Chairs for those who sit, things carried and worn (attached), clutter, and with chance `hide` something in front.

    What is attached is where the people are now: leave it out where they move on.
    """
    props = []
    for actor in actors:
        pelvis = actor.joints_m[0]
        if _sits(actor) and rng.random() < 0.8:
            props.append(_seat(world, rng, actor))
        if attached and rng.random() < 0.3:
            props.append(_carried(world, rng, actor))
        if attached and rng.random() < 0.2:
            props.append(_worn(world, rng, actor))
        if rng.random() < hide:
            props.append(_in_front(world, rng, pelvis, camera_at))
    for _ in range(rng.poisson(0.5)):
        _, mesh = _thing(world, rng, *(STREET if rng.random() < 0.5 else FURNITURE))
        place = np.array([rng.normal(0, 2.0), 0.0, rng.normal(0, 2.0)])
        if np.linalg.norm((place - camera_at)[[0, 2]]) > 1.2 and min(_distances(place, actors)) > 0.7:
            props.append(transform(mesh, rng.uniform(0, 6.28), place, 1.0))
    return props


def _thing(world: World, rng: np.random.Generator, *kinds: str) -> tuple[str, Mesh]:
    """One of the world's things, of a kind drawn from those named."""
    kind = kinds[rng.integers(len(kinds))]
    meshes = world.props[kind]
    return kind, meshes[rng.integers(len(meshes))]


def _distances(place: Floats, actors: list[Actor]) -> list[float]:
    return [float(np.linalg.norm((actor.joints_m[0] - place)[[0, 2]])) for actor in actors]


def _sits(actor: Actor) -> bool:
    """Whether the thighs lie level and the pelvis is lower than when standing."""
    hips, knees = actor.joints_m[[1, 4], 1].mean(), actor.joints_m[[2, 5], 1].mean()
    legs = np.linalg.norm(actor.joints_m[2] - actor.joints_m[1])
    return bool(abs(hips - knees) < 0.45 * legs and 0.25 < hips < 0.9)


def _heading(actor: Actor) -> float:
    forward = actor.rotations[PART["pelvis"]][:, 2]
    return float(np.arctan2(forward[0], forward[2]))


def _seat(world: World, rng: np.random.Generator, actor: Actor) -> Mesh:
    """A chair under a seated person, scaled so that the seat meets the thighs."""
    _, mesh = _thing(world, rng, "chair", "office_chair", "armchair", "sofa", "bench")
    wanted = max(float(actor.joints_m[0, 1]) - 0.1, 0.15)
    yaw = _heading(actor)
    back = np.array([np.sin(yaw), 0.0, np.cos(yaw)]) * -rng.uniform(0.0, 0.08)
    return transform(mesh, yaw, actor.joints_m[0] * [1, 0, 1] + back, wanted / (mesh.seat_height_m or 0.45))


def _carried(world: World, rng: np.random.Generator, actor: Actor) -> Mesh:
    """Something small in one hand."""
    joint, part = (13, "left_hand") if rng.random() < 0.5 else (16, "right_hand")
    _, mesh = _thing(world, rng, *HANDHELD)
    grip = actor.joints_m[joint] + actor.rotations[PART[part]] @ (0.07 * _hand_direction(actor, joint))
    if rng.random() < 0.5:
        return transform(mesh, rng.uniform(0, 6.28), grip, 1.0)
    tilt = Rotation.from_rotvec(normalised(rng.normal(0, 1, 3)) * rng.normal(0, 0.9)).as_matrix()
    return replace(mesh, vertices=(mesh.vertices @ tilt.T + grip).astype(np.float32))


def _hand_direction(actor: Actor, joint: int) -> Floats:
    """Where the fingers point at rest: along the forearm, in the body's rest frame."""
    rest = actor.dressed.rig.joints
    return np.asarray(normalised(rest[joint] - rest[joint - 1]))


def _worn(world: World, rng: np.random.Generator, actor: Actor) -> Mesh:
    """A hat, glasses or a bag that turns with its part of the body."""
    kind, mesh = _thing(world, rng, *WORN)
    part, anchor, offset = _WEARING[kind]
    rotation = actor.rotations[PART[part]]
    joints = actor.joints_m
    size = float(np.linalg.norm(joints[10] - joints[9])) / _HEAD_M
    place = joints[list(anchor)].mean(0) + rotation @ (size * np.array(offset))
    return replace(mesh, vertices=(size * mesh.vertices @ rotation.T + place).astype(np.float32))


_HEAD_M = 0.26
"""From the neck joint to the crown of a body that things worn fit as they are."""

_WEARING = {
    "hat": ("head", (10,), (0.0, 0.012, 0.0)),
    "sunglasses": ("head", (9, 10), (0.0, 0.007, 0.12)),
    "scarf": ("chest", (9,), (0.0, -0.01, 0.0)),
    "backpack": ("chest", (8,), (0.0, 0.02, -0.1)),
}
"""Things worn: the part that they turn with, the joints whose mean they hang on, and how far from there, metres."""


def _in_front(world: World, rng: np.random.Generator, person: Floats, camera_at: Floats) -> Mesh:
    """A table, counter, chair back or the like between a person and the camera."""
    toward = (camera_at - person) * [1, 0, 1]
    distance = float(np.linalg.norm(toward))
    reach = min(rng.uniform(0.35, 1.1), 0.6 * distance)
    side = np.array([toward[2], 0, -toward[0]]) / max(distance, 1e-3)
    place = person * [1, 0, 1] + toward / max(distance, 1e-3) * reach + side * rng.normal(0, 0.25)
    _, mesh = _thing(world, rng, *FURNITURE, "table", "desk", "counter", "table", "desk")
    facing = np.arctan2(toward[0], toward[2]) + rng.choice([0, np.pi, rng.normal(0, 0.6)])
    return transform(mesh, facing, place, float(rng.uniform(0.85, 1.15)))


def look_at(camera_at: Floats, target: Floats, roll: float) -> tuple[Floats, Floats]:
    """World-to-camera rotation and translation of a camera that looks at a point, rolled about its axis."""
    forward = target - camera_at
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right = right / np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    rotation = np.stack([c * right + s * down, c * down - s * right, forward])
    return rotation, -rotation @ camera_at
