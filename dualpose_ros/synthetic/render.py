"""One picture of posed people and props over a background, with its exact ground truth."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from dualpose_ros.camera import Camera, project
from dualpose_ros.synthetic import raster
from dualpose_ros.synthetic.appearance import Dressed
from dualpose_ros.synthetic.labels import HIDDEN, OCCLUDER, OUTSIDE, VISIBLE, LabelledImage, People
from dualpose_ros.synthetic.noise import noise_atlas
from dualpose_ros.synthetic.mesh import Mesh

Array = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]

TO_LINEAR: F32 = ((np.arange(256) / 255.0) ** 2.2).astype(np.float32)
_SHADOW_SIZE = 256

# How deep inside the body each joint of H36M17 lies, metres: a surface this much nearer hides it.
_JOINT_DEPTH = np.array([0.22, 0.2, 0.13, 0.12, 0.2, 0.13, 0.12, 0.22, 0.2, 0.17, 0.14, 0.14, 0.1, 0.1, 0.14, 0.1, 0.1])


@dataclass(frozen=True)
class Actor:
    """A dressed person in one pose: part rotations (19, 3, 3), origins (19, 3) and joints (17, 3), world frame."""

    person_id: int
    dressed: Dressed
    rotations: Array
    origins: Array
    joints_m: Array


@dataclass(frozen=True)
class View:
    """A camera in the world: X_cam = rotation @ X_world + translation."""

    camera: Camera
    rotation: Array
    translation: Array


@dataclass(frozen=True)
class Lighting:
    """Key light by its world direction (toward the light), and linear colours of key, sky and ground.

    exposure is the mean linear luminance that the camera's metering pulls what it draws toward; 0 leaves it.
    """

    direction: Array
    key: Array
    sky: Array
    ground: Array
    exposure: float = 0.0


@dataclass(frozen=True)
class _Draw:
    """All triangles of a picture, camera frame, in the layout that `raster` takes."""

    vertices: F32
    normals: F32
    detail: F32
    faces: npt.NDArray[np.int32]
    face_closed: npt.NDArray[np.bool_]
    face_uv: F32
    face_material: npt.NDArray[np.int32]
    face_object: npt.NDArray[np.uint8]
    colour: F32
    params: F32
    texture_id: npt.NDArray[np.int32]


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


def _pose_actor(actor: Actor, view: View) -> tuple[F32, F32]:
    """Skinned vertices and normals of a person in the camera frame."""
    dressed = actor.dressed
    rotation = view.rotation @ actor.rotations
    rest = dressed.rig.origins
    origin = actor.origins @ view.rotation.T + view.translation
    translation = origin - np.einsum("pab,pb->pa", rotation, rest)
    vertices = raster.skin(
        dressed.vertices, dressed.skin_index, dressed.skin_weight,
        rotation.astype(np.float32), translation.astype(np.float32),
    )  # fmt: skip
    return vertices, raster.vertex_normals(vertices, dressed.faces)


def _assemble(actors: list[Actor], props: list[Mesh], view: View) -> _Draw:
    """Concatenate people (objects 1, 2, ...) and props (object OCCLUDER)."""
    parts: list[tuple[np.ndarray, ...]] = []
    vertex_base = material_base = 0
    for number, actor in enumerate(actors, start=1):
        dressed = actor.dressed
        vertices, normals = _pose_actor(actor, view)
        materials = dressed.materials
        parts.append((vertices, normals, dressed.detail, dressed.faces + vertex_base,
                      dressed.face_closed, dressed.face_uv,
                      dressed.face_material + material_base, np.full(len(dressed.faces), number, np.uint8),
                      materials.colour, materials.params, materials.texture_id))  # fmt: skip
        vertex_base += len(vertices)
        material_base += len(materials.colour)
    for mesh in props:
        corners = mesh.vertices[mesh.faces]  # flat shading: no shared vertices
        vertices = (corners.reshape(-1, 3) @ view.rotation.T + view.translation).astype(np.float32)
        faces = np.arange(len(vertices), dtype=np.int32).reshape(-1, 3)
        uv = (corners[..., [0, 1]] + 0.7 * corners[..., [2, 2]] + 8).astype(np.float32)
        params = np.tile(np.array([[0.5, 1.5, 0.05, 0.15, 12]], np.float32), (len(faces), 1))
        parts.append((vertices, raster.vertex_normals(vertices, faces), np.zeros(len(vertices), np.float32),
                      faces + vertex_base, np.zeros(len(faces), np.bool_), uv, np.arange(len(faces), dtype=np.int32) + material_base,
                      np.full(len(faces), OCCLUDER, np.uint8), mesh.colours.astype(np.float32), params,
                      mesh.texture_id.astype(np.int32)))  # fmt: skip
        vertex_base += len(vertices)
        material_base += len(faces)
    return _Draw(*(np.ascontiguousarray(np.concatenate(column)) for column in zip(*parts, strict=True)))


def _shadow_map(draw: _Draw, light_cam: Array) -> tuple[F32, F32]:
    """Depth map from the key light, and the affine map (3, 4) from the camera frame into it."""
    axis = light_cam / np.linalg.norm(light_cam)
    side = np.cross(axis, [1.0, 0.1, 0.0])
    side /= np.linalg.norm(side)
    basis = np.stack([side, np.cross(axis, side), -axis])
    local = draw.vertices @ basis.T.astype(np.float32)
    low, high = local.min(0), local.max(0)
    scale = (_SHADOW_SIZE - 3) / max(float((high - low)[:2].max()), 1e-3)
    points = np.empty_like(local)
    points[:, :2] = (local[:, :2] - low[:2]) * scale + 1
    points[:, 2] = local[:, 2] - low[2] + 1
    depth = np.full((_SHADOW_SIZE, _SHADOW_SIZE), np.inf, np.float32)
    ignored = np.empty((_SHADOW_SIZE, _SHADOW_SIZE), np.int32)
    raster.rasterise(points, draw.faces, np.zeros(len(draw.faces), np.bool_), 0.0, depth, ignored, np.empty((*depth.shape, 2), np.float32))
    to_light = np.empty((3, 4))
    to_light[:2, :3], to_light[:2, 3] = basis[:2] * scale, 1 - low[:2] * scale
    to_light[2, :3], to_light[2, 3] = basis[2], 1 - low[2]
    return depth, to_light.astype(np.float32)


def _pixel_points(vertices: F32, camera: Camera) -> F32:
    points = np.empty_like(vertices)
    depth = np.maximum(vertices[:, 2], 1e-6)
    points[:, 0] = vertices[:, 0] * (camera.fx / depth) + camera.cx
    points[:, 1] = vertices[:, 1] * (camera.fy / depth) + camera.cy
    points[:, 2] = vertices[:, 2]
    return points


def render(
    actors: list[Actor],
    props: list[Mesh],
    view: View,
    background: npt.NDArray[np.uint8],
    textures: npt.NDArray[np.uint8],
    lighting: Lighting,
    supersample: int = 2,
) -> LabelledImage:
    """Draw actors and props over a background (H, W, 3) of the camera's size, sRGB, and label everything."""
    camera = view.camera
    draw = _assemble(actors, props, view)
    fine = camera.resized(camera.width * supersample, camera.height * supersample)
    points = _pixel_points(draw.vertices, fine)
    shape = (fine.height, fine.width)
    depth = np.full(shape, np.inf, np.float32)
    face_id = np.full(shape, -1, np.int32)
    bary = np.empty((*shape, 2), np.float32)
    raster.rasterise(points, draw.faces, draw.face_closed, raster.NEAR, depth, face_id, bary)
    light_cam = view.rotation @ lighting.direction
    shadow_depth, to_light = _shadow_map(draw, light_cam)
    light = np.stack([light_cam, lighting.key, lighting.sky, lighting.ground, view.rotation[:, 1]]).astype(np.float32)
    colour = np.zeros((*shape, 3), np.float32)
    inverse = np.array([1 / fine.fx, 1 / fine.fy, fine.cx, fine.cy], np.float32)
    raster.shade(depth, face_id, bary, inverse, draw.faces, draw.normals, draw.detail, draw.face_uv,
                 draw.face_material, draw.colour, draw.params, draw.texture_id, textures, noise_atlas()[-1],
                 TO_LINEAR, light, to_light, shadow_depth, colour)  # fmt: skip
    _expose(colour, face_id, lighting.exposure)
    shadow = _floor_light(view, lighting, to_light, shadow_depth)
    image = np.empty((camera.height, camera.width, 3), np.float32)
    mask = np.empty((camera.height, camera.width), np.uint8)
    pixels = np.zeros(256, np.int32)
    raster.resolve(colour, face_id, draw.face_object, supersample, TO_LINEAR[background], shadow, image, mask, pixels)
    srgb = np.clip(image, 0, 1) ** np.float32(1 / 2.2) * 255
    people = _label(actors, view, draw, points, depth, mask, face_id, pixels, supersample)
    return LabelledImage(srgb.astype(np.uint8), mask, people, camera)


def _expose(colour: F32, face_id: npt.NDArray[np.int32], wanted: float) -> None:
    """Scale linear colours part of the way to a wanted mean luminance, as a camera's metering does, in place."""
    if wanted > 0:
        covered = face_id[::4, ::4] >= 0
        mean = float(colour[::4, ::4][covered].mean()) if covered.any() else wanted
        colour *= np.float32(np.clip((wanted / max(mean, 1e-4)) ** 0.7, 0.5, 5.0))


def _floor_light(view: View, lighting: Lighting, to_light: F32, shadow_depth: F32) -> F32:
    """How much light the background keeps where people cast shadows on the floor."""
    camera = view.camera
    out = np.empty((camera.height, camera.width), np.float32)
    up = view.rotation[:, 1]
    inverse = np.array([1 / camera.fx, 1 / camera.fy, camera.cx, camera.cy], np.float32)
    raster.floor_shadow(inverse, up.astype(np.float32), float(up @ view.translation), to_light, shadow_depth, 40.0, out)
    total = lighting.key.mean() + lighting.sky.mean()
    return np.asarray(1 - (1 - cv2.GaussianBlur(out, (0, 0), 1.2)) * (0.9 * lighting.key.mean() / total + 0.05))


def _label(
    actors: list[Actor], view: View, draw: _Draw, points: F32, depth: F32, mask: npt.NDArray[np.uint8],
    face_id: npt.NDArray[np.int32], pixels: npt.NDArray[np.int32], factor: int,
) -> People:  # fmt: skip
    """Boxes, 2D joints, visibility by depth and 3D joints of the people that reach into the image."""
    camera, rows, vertex = view.camera, [], 0
    for number, actor in enumerate(actors, start=1):
        own = points[vertex : vertex + len(actor.dressed.vertices)]
        vertex += len(own)
        used = own[own[:, 2] > raster.NEAR]
        joints_cam = actor.joints_m @ view.rotation.T + view.translation
        joints_px = project(camera, joints_cam)
        if not len(used) or not np.isfinite(joints_px).all():
            joints_px = np.nan_to_num(joints_px, nan=-1e4)
        low, high = (used[:, :2].min(0), used[:, :2].max(0)) if len(used) else (np.full(2, -9.0), np.full(2, -9.0))
        box = np.concatenate([low, high]) / factor
        box = np.clip(box, 0, [camera.width - 1, camera.height - 1] * 2)
        total = _silhouette_size(actor, draw, own, depth.shape)
        share = min(pixels[number] / max(total, 1), 1.0)
        visibility = _visibility(joints_cam, joints_px, depth, mask, face_id, draw, number, factor)
        rows.append((actor.person_id, box, joints_px, visibility, joints_cam, share))
    columns = list(zip(*rows, strict=True)) if rows else [[]] * 6
    n = len(rows)
    return People(
        np.array(columns[0], np.int32).reshape(n), np.array(columns[1], np.float32).reshape(n, 4),
        np.array(columns[2], np.float32).reshape(n, 17, 2), np.array(columns[3], np.uint8).reshape(n, 17),
        np.array(columns[4], np.float32).reshape(n, 17, 3), np.array(columns[5], np.float32).reshape(n),
    )  # fmt: skip


def _silhouette_size(actor: Actor, draw: _Draw, points: F32, shape: tuple[int, ...]) -> int:
    """Samples that the person alone would cover in the image, counted on a quarter-size buffer."""
    small = (shape[0] // 4, shape[1] // 4)
    depth = np.full(small, np.inf, np.float32)
    scaled = points.copy()
    scaled[:, :2] = (scaled[:, :2] + 0.5) / 4 - 0.5
    bary = np.empty((*small, 2), np.float32)
    raster.rasterise(
        scaled, actor.dressed.faces, actor.dressed.face_closed, raster.NEAR, depth, np.empty(small, np.int32), bary
    )
    return int(np.isfinite(depth).sum()) * 16


def _visibility(
    joints_cam: Array, joints_px: Array, depth: F32, mask: npt.NDArray[np.uint8], face_id: npt.NDArray[np.int32],
    draw: _Draw, number: int, factor: int,
) -> npt.NDArray[np.uint8]:  # fmt: skip
    """OUTSIDE, HIDDEN (something nearer than the joint's own flesh) or VISIBLE for each joint."""
    height, width = mask.shape
    x, y = np.round(joints_px[:, 0]).astype(int), np.round(joints_px[:, 1]).astype(int)
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height) & (joints_cam[:, 2] > raster.NEAR)
    row = np.clip(y, 0, height - 1) * factor + factor // 2
    column = np.clip(x, 0, width - 1) * factor + factor // 2
    surface, face = depth[row, column], face_id[row, column]
    owner = np.where(face >= 0, draw.face_object[np.maximum(face, 0)], 0)
    hidden = surface < joints_cam[:, 2] - _JOINT_DEPTH
    hidden |= (owner != number) & (owner != 0) & (surface < joints_cam[:, 2])
    return np.where(inside, np.where(hidden, HIDDEN, VISIBLE), OUTSIDE).astype(np.uint8)
