"""Scenes of two people one of whom stands in front of the other, to measure what overlap costs."""

from dataclasses import replace

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.camera import camera_from_hfov
from dualpose_ros.datasets.labels import LabelledImage
from dualpose_ros.lab.synthetic.backdrop.backgrounds import background
from dualpose_ros.lab.synthetic.render.degrade import degrade
from dualpose_ros.lab.synthetic.render.render import Actor, View, paint, random_lighting, trace
from dualpose_ros.lab.synthetic.scenes.placing import look_at
from dualpose_ros.lab.synthetic.scenes.world import World, as_actor, pose_person
from dualpose_ros.people import box_iou

OVERLAP = (0.3, 0.8)
"""Range of the intersection over union of the two people's boxes."""

_SIZE = (640, 480)
_MAX_TRIES = 200
_MIN_GAP_M = 0.45
_DEGRADATION = 0.5


def make_overlap(world: World, rng: np.random.Generator) -> LabelledImage:
    """Draw one labelled image of two standing people whose boxes overlap by OVERLAP, 3 to 6 m away."""
    camera = camera_from_hfov(*_SIZE, np.radians(55))
    for _ in range(_MAX_TRIES):
        depth = rng.uniform(2.8, 6.0)
        behind = np.array([rng.normal(0, 0.35), rng.uniform(_MIN_GAP_M, 1.8)])
        rotation, translation = look_at(
            np.array([0.0, rng.uniform(0.8, 2.0), -depth]),
            np.array([behind[0] / 2, 0.9, behind[1] / 2]),
            rng.normal(0, 0.03),
        )
        view = View(camera, rotation, translation)
        traced = trace([_person(world, rng, 0, np.zeros(2)), _person(world, rng, 1, behind)], [], view)
        boxes = traced.people.boxes_px
        if len(boxes) == 2 and OVERLAP[0] <= float(box_iou(boxes[:1], boxes[1:])[0, 0]) <= OVERLAP[1]:
            backdrop = background(rng, camera.height, camera.width)
            sample = paint(traced, backdrop, world.textures, random_lighting(rng))
            return replace(sample, image=degrade(rng, sample.image, _DEGRADATION))
    raise RuntimeError(f"no two people overlap as wanted in {_MAX_TRIES} tries")


def _person(world: World, rng: np.random.Generator, person_id: int, place: Floats) -> Actor:
    dressed = world.cast[rng.integers(len(world.cast))]
    pose = world.poses[rng.integers(len(world.poses))]
    return as_actor(person_id, dressed, pose_person(dressed, rng, pose, rng.uniform(0, 2 * np.pi), place))
