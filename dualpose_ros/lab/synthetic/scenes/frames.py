"""Whole frames with zero to ten people, for the detector and the bottom-up network."""

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from dualpose_ros.arrays import Floats
from dualpose_ros.camera import Camera, camera_from_hfov
from dualpose_ros.datasets.labels import LabelledImage, People
from dualpose_ros.lab.synthetic.backdrop.backgrounds import background
from dualpose_ros.lab.synthetic.render.degrade import degrade
from dualpose_ros.lab.synthetic.render.render import Actor, View, random_lighting, render
from dualpose_ros.lab.synthetic.scenes.placing import furnish
from dualpose_ros.lab.synthetic.scenes.world import World, as_actor, draw_person

FRAME_SIZES = ((384, 288), (384, 288), (384, 216), (384, 256), (320, 320), (288, 384))
"""Widths and heights that frames are drawn in, times any enlargement, before any training-time zoom."""

_MIN_GAP_M = 0.4
_DEGRADATION = 0.7


def make_frame(
    world: World, rng: np.random.Generator, size: tuple[int, int] | None = None, enlarge: float = 1.0
) -> LabelledImage:
    """Draw one labelled frame: a camera at human, robot or surveillance height, people from 1.2 to 14 m.

    Its size is `size`, or one of FRAME_SIZES times `enlarge`.
    """
    width, height = size or (round(enlarge * side) for side in FRAME_SIZES[rng.integers(len(FRAME_SIZES))])
    camera = camera_from_hfov(width, height, np.radians(rng.uniform(42, 95)))
    view = _random_view(rng, camera)
    camera_at = -view.rotation.T @ view.translation
    count = int(rng.choice(11, p=[0.06, 0.17, 0.18, 0.15, 0.12, 0.1, 0.08, 0.05, 0.04, 0.03, 0.02]))
    actors = _people(world, rng, view, camera_at, count)
    props = furnish(world, rng, actors, camera_at, 0.15) if actors else []
    if not actors:
        return _empty(rng, camera)
    backdrop = background(rng, height, width)
    sample = render(actors, props, view, backdrop, world.textures, random_lighting(rng))
    return replace(sample, image=degrade(rng, sample.image, _DEGRADATION))


def _empty(rng: np.random.Generator, camera: Camera) -> LabelledImage:
    """A frame without people."""
    people = People(
        np.zeros(0, np.int32), np.zeros((0, 4), np.float32), np.zeros((0, 17, 2), np.float32),
        np.zeros((0, 17), np.uint8), np.zeros((0, 17, 3), np.float32), np.zeros(0, np.float32),
    )  # fmt: skip
    image = degrade(rng, background(rng, camera.height, camera.width), _DEGRADATION)
    return LabelledImage(image, np.zeros(image.shape[:2], np.uint8), people, camera)


def _random_view(rng: np.random.Generator, camera: Camera) -> View:
    """A camera above the origin that looks along +z, tilted down more the higher it stands."""
    height = rng.choice([rng.uniform(0.3, 1.1), rng.uniform(1.1, 1.8), rng.uniform(1.8, 4.5)], p=[0.3, 0.5, 0.2])
    pitch = rng.normal(0.02, 0.08) + max(height - 1.5, 0) * rng.uniform(0.08, 0.2)  # down is positive
    return level_camera(camera, height, pitch, rng.normal(0, 0.04))


def level_camera(camera: Camera, height: float, pitch: float = 0.0, roll: float = 0.0) -> View:
    """A camera so many metres above the origin that looks along +z, tilted down by `pitch` and leaning by `roll`."""
    level = np.diag([-1.0, -1.0, 1.0])  # world x left, y up, z ahead -> camera x right, y down, z ahead
    rotation = Rotation.from_euler("ZX", [-roll, pitch]).as_matrix() @ level
    return View(camera, rotation, -rotation @ np.array([0.0, height, 0.0]))


def _people(world: World, rng: np.random.Generator, view: View, camera_at: Floats, count: int) -> list[Actor]:
    """People on the floor inside the field of view, often in clusters, some cut by the border."""
    half = 0.5 * view.camera.width / view.camera.fx
    actors: list[Actor] = []
    places: list[Floats] = []
    for _ in range(12 * count):
        if len(actors) == count:
            break
        if places and rng.random() < 0.45:
            place = places[rng.integers(len(places))] + rng.normal(0, 0.7, 2)
        else:
            depth = np.exp(rng.uniform(np.log(1.1), np.log(13.0)))
            place = np.array([rng.uniform(-1.05, 1.05) * half * depth, depth])
        if place[1] < 0.9 or any(np.linalg.norm(place - other) < _MIN_GAP_M for other in places):
            continue
        dressed, posed = draw_person(world, rng, place)
        depth_cam = (posed.joints[0] @ view.rotation.T + view.translation)[:, 2]
        if depth_cam.min() > 0.3:
            places.append(place)
            actors.append(as_actor(len(actors), dressed, posed))
    return actors
