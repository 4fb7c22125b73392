"""Posed people and props as one list of triangles in the camera frame."""

from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import Float32s, Floats, Indices, Int32s, Mask, UInt8s
from dualpose_ros.camera import Camera
from dualpose_ros.datasets.labels import OCCLUDER
from dualpose_ros.lab.synthetic.looks.appearance import Dressed
from dualpose_ros.lab.synthetic.render import raster
from dualpose_ros.lab.synthetic.things.mesh import Mesh

_PROP_PARAMS = (0.5, 1.5, 0.05, 0.15, 12)
"""Shading of props, as `shading.shade` takes it."""


@dataclass(frozen=True)
class Actor:
    """A dressed person in one pose: part rotations (19, 3, 3), origins (19, 3) and joints (17, 3), world frame."""

    person_id: int
    dressed: Dressed
    rotations: Floats
    origins: Floats
    joints_m: Floats


@dataclass(frozen=True)
class View:
    """A camera in the world: X_cam = rotation @ X_world + translation."""

    camera: Camera
    rotation: Floats
    translation: Floats


@dataclass(frozen=True)
class Geometry:
    """All triangles of a picture, camera frame, in the layout that `raster` and `shading` take.

    vertex_spans and face_spans (objects + 1,) say where the vertices and faces of each object start:
    actors in their order, then props. face_object is n + 1 for actor n, OCCLUDER for props.
    """

    vertices: Float32s
    normals: Float32s
    detail: Float32s
    faces: Int32s
    face_closed: Mask
    face_uv: Float32s
    face_material: Int32s
    face_object: UInt8s
    colour: Float32s
    params: Float32s
    texture_id: Int32s
    vertex_spans: Indices
    face_spans: Indices


_Part = tuple[np.ndarray, ...]


def assemble(actors: list[Actor], props: list[Mesh], view: View) -> Geometry:
    """Pose, dress and concatenate people (objects 1, 2, ...) and props (object OCCLUDER)."""
    parts = [_person(actor, number, view) for number, actor in enumerate(actors, start=1)]
    parts += [_prop(mesh, view) for mesh in props]
    vertex_spans = np.cumsum([0, *(len(part[0]) for part in parts)])
    face_spans = np.cumsum([0, *(len(part[3]) for part in parts)])
    materials = np.cumsum([0, *(len(part[8]) for part in parts)])
    for part, vertex, material in zip(parts, vertex_spans, materials, strict=False):
        part[3][:] += np.int32(vertex)
        part[6][:] += np.int32(material)
    columns = zip(*(parts or [_prop(_NOTHING, view)]), strict=True)
    joined = [np.ascontiguousarray(np.concatenate(column)) for column in columns]
    return Geometry(*joined, vertex_spans=vertex_spans, face_spans=face_spans)  # type: ignore[misc]


def _person(actor: Actor, number: int, view: View) -> _Part:
    """The columns of `Geometry` for one person."""
    dressed, materials = actor.dressed, actor.dressed.materials
    rotation = view.rotation @ actor.rotations
    origin = actor.origins @ view.rotation.T + view.translation
    translation = origin - np.einsum("pab,pb->pa", rotation, dressed.rig.origins)
    vertices = raster.skin(
        dressed.vertices, dressed.skin_index, dressed.skin_weight,
        rotation.astype(np.float32), translation.astype(np.float32),
    )  # fmt: skip
    return (
        vertices, raster.vertex_normals(vertices, dressed.faces), dressed.detail, dressed.faces.copy(),
        dressed.face_closed, dressed.face_uv, dressed.face_material.copy(),
        np.full(len(dressed.faces), number, np.uint8), materials.colour, materials.params, materials.texture_id,
    )  # fmt: skip


def _prop(mesh: Mesh, view: View) -> _Part:
    """The columns of `Geometry` for one prop, flat shaded: faces share no vertices."""
    count = len(mesh.faces)
    corners = mesh.vertices[mesh.faces]
    vertices = (corners.reshape(-1, 3) @ view.rotation.T + view.translation).astype(np.float32)
    faces = np.arange(3 * count, dtype=np.int32).reshape(-1, 3)
    uv = corners[..., :2] + np.float32(0.7) * corners[..., 2:]
    uv -= np.floor(uv.min((0, 1))) if count else np.float32(0)
    return (
        vertices, raster.vertex_normals(vertices, faces), np.zeros(3 * count, np.float32), faces,
        np.zeros(count, np.bool_), uv.astype(np.float32), np.arange(count, dtype=np.int32),
        np.full(count, OCCLUDER, np.uint8), mesh.colours.astype(np.float32),
        np.tile(np.array(_PROP_PARAMS, np.float32), (count, 1)), mesh.texture_id.astype(np.int32),
    )  # fmt: skip


_NOTHING = Mesh(
    np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32), np.zeros((0, 3), np.float32), np.zeros(0, np.int32)
)
