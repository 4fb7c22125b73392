"""One scene through many cameras: what a picture's field of view and size change, and nothing else."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.camera import Camera, project
from dualpose_ros.datasets.labels import LabelledImage
from dualpose_ros.lab.synthetic.backdrop.backgrounds import background
from dualpose_ros.lab.synthetic.render.degrade import degrade
from dualpose_ros.lab.synthetic.render.render import Actor, View, random_lighting, render
from dualpose_ros.lab.synthetic.scenes.placing import furnish, look_at
from dualpose_ros.lab.synthetic.scenes.world import World, as_actor, draw_person

DEPTHS = (3.0, 9.0)
"""Metres in front of the camera that people stand at: near enough to be seen, far enough to fit into a narrow view."""

_MOST_PEOPLE = 4
_MIN_GAP_M = 0.4
_MAX_TRIES = 400
_MARGIN = 0.01
_DEGRADATION = 0.5


def scene_through(world: World, rng: np.random.Generator, cameras: Sequence[Camera]) -> list[LabelledImage]:
    """Draw one scene of 1 to 4 people through each camera, all from one place: an image for each.

    Actors, furniture, light and the kind of background are the same in all, and everybody is wholly
    within the view of all. RuntimeError if the cameras have no view in common that a person fits into.
    """
    camera_at = np.array([0.0, rng.uniform(0.8, 2.0), 0.0])
    ahead = np.array([0.0, rng.uniform(0.8, 1.0), rng.uniform(4.0, 6.0)])
    rotation, translation = look_at(camera_at, ahead, rng.normal(0, 0.03))
    views = [View(camera, rotation, translation) for camera in cameras]
    actors = _people(world, rng, views)
    props = furnish(world, rng, actors, camera_at, 0.1)
    lighting = random_lighting(rng)
    backdrop_seed, camera_seed = (int(seed) for seed in rng.integers(2**32, size=2))
    images = []
    for view in views:
        backdrop = background(np.random.default_rng(backdrop_seed), view.camera.height, view.camera.width)
        sample = render(actors, props, view, backdrop, world.textures, lighting)
        image = degrade(np.random.default_rng(camera_seed), sample.image, _DEGRADATION)
        images.append(replace(sample, image=image))
    return images


def _people(world: World, rng: np.random.Generator, views: Sequence[View]) -> list[Actor]:
    """People on the floor, wholly within all views."""
    wanted = int(rng.integers(1, _MOST_PEOPLE + 1))
    widest = max(0.5 * view.camera.width / view.camera.fx for view in views)
    actors: list[Actor] = []
    places: list[Floats] = []
    for tries in range(_MAX_TRIES):
        if len(actors) == wanted or (actors and tries > _MAX_TRIES // 4):
            break
        depth = np.exp(rng.uniform(*np.log(DEPTHS)))
        place = np.array([rng.uniform(-1, 1) * min(widest, 0.5) * depth, depth])
        if any(np.linalg.norm(place - other) < _MIN_GAP_M for other in places):
            continue
        dressed, posed = draw_person(world, rng, place)
        if all(_holds(view, posed.joints[0]) for view in views):
            places.append(place)
            actors.append(as_actor(len(actors), dressed, posed))
    if not actors:
        raise RuntimeError(f"nobody fits into the view of all {len(views)} cameras in {_MAX_TRIES} tries")
    return actors


def _holds(view: View, joints_m: Floats) -> bool:
    """Whether joints (K, 3) of the world lie within the view, a little off its border."""
    camera = view.camera
    points = project(camera, joints_m @ view.rotation.T + view.translation)
    size = np.array([camera.width, camera.height])
    return bool(((points >= _MARGIN * size) & (points <= (1 - _MARGIN) * size - 1)).all())
