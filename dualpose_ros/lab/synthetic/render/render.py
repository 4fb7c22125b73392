"""One picture of posed people and props over a background, with its exact ground truth."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from dualpose_ros.arrays import Float32s, Floats, Int32s, UInt8s
from dualpose_ros.datasets.labels import LabelledImage, People
from dualpose_ros.lab.synthetic.looks.noise import TILE, noise_atlas
from dualpose_ros.lab.synthetic.render import raster, shading
from dualpose_ros.lab.synthetic.render.geometry import Actor, Geometry, View, assemble
from dualpose_ros.lab.synthetic.render.labelling import label_people
from dualpose_ros.lab.synthetic.things.mesh import Mesh

__all__ = ["Actor", "Lighting", "Traced", "View", "paint", "random_lighting", "render", "trace"]


_SHADOW_SIZE = 256
_FLOOR_LIMIT_M = 40.0


@dataclass(frozen=True)
class Lighting:
    """Key light by its world direction (toward the light), and linear colours of key, sky and ground.

    exposure is the mean linear luminance that the camera's metering pulls what it draws toward; 0 leaves it.
    """

    direction: Floats
    key: Floats
    sky: Floats
    ground: Floats
    exposure: float = 0.0


@dataclass(frozen=True)
class Traced:
    """What a picture shows before light falls on it: triangles, screen points, depth buffer, mask and labels."""

    geometry: Geometry
    view: View
    factor: int
    points: Float32s
    face_id: Int32s
    mask: UInt8s
    people: People


def random_lighting(rng: np.random.Generator) -> Lighting:
    """Sun, overcast, indoor or night: direction, strength and colour of the light."""
    elevation, azimuth = rng.uniform(0.25, 1.45), rng.uniform(0, 2 * np.pi)
    direction = np.array([np.cos(elevation) * np.cos(azimuth), np.sin(elevation), np.cos(elevation) * np.sin(azimuth)])
    warm = rng.normal(0, 0.12)
    tint = np.array([1 + warm, 1.0, 1 - warm])
    key = rng.choice([rng.uniform(0.05, 0.4), rng.uniform(0.5, 1.4), rng.uniform(1.0, 2.0)], p=[0.35, 0.45, 0.2])
    sky = rng.uniform(0.35, 1.0)
    return Lighting(
        direction, key * tint, sky * (2 - tint) * rng.uniform(0.9, 1.1, 3), sky * rng.uniform(0.2, 0.8) * tint,
        rng.uniform(0.1, 0.34),
    )  # fmt: skip


def trace(actors: list[Actor], props: list[Mesh], view: View, supersample: int = 2) -> Traced:
    """Find what each sample of the picture shows, and label the people."""
    camera = view.camera
    geometry = assemble(actors, props, view)
    fine = camera.resized(camera.width * supersample, camera.height * supersample)
    points = raster.project_vertices(geometry.vertices, fine.fx, fine.fy, fine.cx, fine.cy)
    nearness = np.zeros((fine.height, fine.width), np.float32)
    face_id = np.full(nearness.shape, -1, np.int32)
    raster.rasterise(points, geometry.faces, geometry.face_closed, nearness, face_id)
    mask = np.empty((camera.height, camera.width), np.uint8)
    pixels = np.zeros(256, np.int32)
    shading.cover(face_id, geometry.face_object, supersample, mask, pixels)
    people = label_people(actors, view, geometry, points, nearness, face_id, pixels, supersample)
    return Traced(geometry, view, supersample, points, face_id, mask, people)


def paint(traced: Traced, background: UInt8s, textures: UInt8s, lighting: Lighting) -> LabelledImage:
    """Light what was traced over a background (H, W, 3) of the camera's size, sRGB; textures (N, S, S, 3) sRGB."""
    view, geometry = traced.view, traced.geometry
    camera = view.camera
    height, width = traced.face_id.shape
    light_cam = view.rotation @ (lighting.direction / np.linalg.norm(lighting.direction))
    shadow_map, to_light = _shadow_map(geometry, light_cam)
    light = np.stack([light_cam, lighting.key, lighting.sky, lighting.ground, view.rotation[:, 1]]).astype(np.float32)
    fine = camera.resized(width, height)
    inverse = np.array([1 / fine.fx, 1 / fine.fy, fine.cx, fine.cy], np.float32)
    texture_id = np.where(geometry.texture_id >= 0, geometry.texture_id % len(textures), np.int32(-1))
    colour = np.empty((height, width, 3), np.float32)
    shading.shade(traced.points, traced.face_id, inverse, geometry.faces, geometry.normals, geometry.detail,
                  geometry.face_uv, geometry.face_material, geometry.colour, geometry.params, texture_id, textures,
                  _folds(), shading.TO_LINEAR, light, to_light, shadow_map, colour)  # fmt: skip
    gain = _exposure_gain(colour, traced.face_id, lighting.exposure)
    shadow = _floor_light(view, lighting, to_light, shadow_map)
    image = shading.resolve(colour, traced.face_id, traced.factor, gain, background, shadow)
    return LabelledImage(image, traced.mask, traced.people, camera)


def render(
    actors: list[Actor],
    props: list[Mesh],
    view: View,
    background: UInt8s,
    textures: UInt8s,
    lighting: Lighting,
    supersample: int = 2,
) -> LabelledImage:
    """Draw actors and props over a background (H, W, 3) of the camera's size, sRGB, and label everything."""
    return paint(trace(actors, props, view, supersample), background, textures, lighting)


@lru_cache(maxsize=1)
def _folds() -> Float32s:
    """A tile of smooth noise that folds in cloth are made of."""
    return np.ascontiguousarray(noise_atlas()[-1][:TILE, :TILE], dtype=np.float32)


def _shadow_map(geometry: Geometry, light_cam: Floats) -> tuple[Float32s, Float32s]:
    """Nearness to the key light in metres, and the affine map (3, 4) from the camera frame into it."""
    side = np.cross(light_cam, [1.0, 0.1, 0.0])
    side /= np.linalg.norm(side)
    basis = np.stack([side, np.cross(side, light_cam), light_cam]).astype(np.float32)
    points, to_light = raster.place_in_light(geometry.vertices, basis, _SHADOW_SIZE)
    nearness = np.zeros((_SHADOW_SIZE, _SHADOW_SIZE), np.float32)
    raster.rasterise(points, geometry.faces, geometry.face_closed, nearness, np.empty(nearness.shape, np.int32))
    return nearness, to_light


def _exposure_gain(colour: Float32s, face_id: Int32s, wanted: float) -> float:
    """Gain that brings linear colours part of the way to a wanted mean luminance, as a camera's metering does."""
    if wanted <= 0:
        return 1.0
    mean = shading.mean_luminance(colour, face_id, 4)
    return float(np.clip((wanted / max(mean, 1e-4)) ** 0.7, 0.5, 5.0)) if mean >= 0 else 1.0


def _floor_light(view: View, lighting: Lighting, to_light: Float32s, shadow_map: Float32s) -> Float32s:
    """How much light (H, W) the background keeps where people cast shadows on the floor; soft, so half the size."""
    camera = view.camera
    half = camera.resized(max(camera.width // 2, 1), max(camera.height // 2, 1))
    out = np.empty((half.height, half.width), np.float32)
    up = view.rotation[:, 1]
    inverse = np.array([1 / half.fx, 1 / half.fy, half.cx, half.cy], np.float32)
    offset = float(up @ view.translation)
    shading.floor_shadow(inverse, up.astype(np.float32), offset, to_light, shadow_map, _FLOOR_LIMIT_M, out)
    total = lighting.key.mean() + lighting.sky.mean()
    strength = np.float32(0.9 * lighting.key.mean() / total + 0.05)
    soft = cv2.GaussianBlur(1 - (1 - out) * strength, (0, 0), 0.6)
    return np.asarray(cv2.resize(soft, (camera.width, camera.height), interpolation=cv2.INTER_LINEAR))
