"""Triangle meshes of props and the solids that they are put together from.

World frame: y up, floor y = 0, metres, right-handed. V vertices, F faces. Faces wind counter-clockwise
seen from outside, so (b - a) x (c - a) points outward. Thin sheets (leaves, cards) have both sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from dualpose_ros.arrays import AnyFloats, Float32s, Floats, Int32s

Vector = Sequence[float] | AnyFloats


@dataclass(frozen=True)
class Mesh:
    """A prop: vertices (V, 3) float32 m, faces (F, 3) int32, colours (F, 3) float32 linear RGB in 0..1.

    texture_id (F,) int32 in 0..TEXTURES - 1 says which faces carry the same cloth or grain; the renderer picks
    the textures. `seat_height_m` is where one sits, `top_height_m` where things stand or hands rest; None if nowhere.
    """

    vertices: Float32s
    faces: Int32s
    colours: Float32s
    texture_id: Int32s
    seat_height_m: float | None = None
    top_height_m: float | None = None


TEXTURES = 16
"""Texture numbers of a mesh are below this."""


@dataclass
class MeshBuilder:
    """Collects coloured solids; `build` gives the mesh."""

    _vertices: list[AnyFloats] = field(default_factory=list)
    _faces: list[Int32s] = field(default_factory=list)
    _colours: list[AnyFloats] = field(default_factory=list)
    _textures: list[Int32s] = field(default_factory=list)
    _count: int = 0

    def add(self, vertices: AnyFloats, faces: npt.ArrayLike, colour: Vector, texture: int = 0) -> None:
        """Add vertices (V, 3) and faces (F, 3) of one colour (3,)."""
        faces = np.asarray(faces, dtype=np.int32).reshape(-1, 3)
        self._vertices.append(np.asarray(vertices, dtype=np.float64))
        self._faces.append(faces + self._count)
        self._colours.append(np.broadcast_to(np.clip(np.asarray(colour, np.float64), 0, 1), (len(faces), 3)))
        self._textures.append(np.full(len(faces), texture, np.int32))
        self._count += len(vertices)

    def box(
        self, centre: Vector, size: Vector, colour: Vector, texture: int = 0, turn: AnyFloats | None = None
    ) -> None:
        """A box of full `size` (3,) about `centre`, turned about its centre by the rotation `turn` (3, 3)."""
        corners = _BOX_CORNERS * np.asarray(size, dtype=np.float64) / 2
        if turn is not None:
            corners = corners @ turn.T
        self.add(corners + np.asarray(centre, dtype=np.float64), _BOX_FACES, colour, texture)

    def tube(
        self, a: Vector, b: Vector, radius: float, colour: Vector, texture: int = 0, *, radius_b: float | None = None,
        sides: int = 8,
    ) -> None:  # fmt: skip
        """A closed, possibly tapering tube from a to b."""
        a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
        length = float(np.linalg.norm(b - a))
        end = radius if radius_b is None else radius_b
        self.lathe([(0.0, radius), (length, end)], a, colour, texture, axis=b - a, sides=sides)

    def lathe(
        self, profile: Sequence[tuple[float, float]], base: Vector, colour: Vector, texture: int = 0, *,
        axis: Vector = (0.0, 1.0, 0.0), sides: int = 10,
    ) -> None:  # fmt: skip
        """A closed solid of revolution: (height, radius) pairs, ascending, along `axis` from `base`."""
        frame = frame_along(axis)
        angle = 2 * np.pi * np.arange(sides) / sides
        circle = np.outer(np.cos(angle), frame[0]) + np.outer(np.sin(angle), frame[2])
        heights, radii = np.array(profile, dtype=np.float64).T
        rings = radii[:, None, None] * circle + (heights[:, None] * frame[1])[:, None]
        ends = np.stack([heights[0] * frame[1], heights[-1] * frame[1]])
        vertices = np.concatenate([rings.reshape(-1, 3), ends]) + np.asarray(base, dtype=np.float64)
        k = np.arange(sides)
        following = (k + 1) % sides
        faces = []
        for ring in range(len(profile) - 1):
            low, high = ring * sides, (ring + 1) * sides
            faces.append(np.stack([low + k, high + k, high + following], axis=1))
            faces.append(np.stack([low + k, high + following, low + following], axis=1))
        bottom, top, last = len(vertices) - 2, len(vertices) - 1, (len(profile) - 1) * sides
        faces.append(np.stack([np.full(sides, bottom), k, following], axis=1))
        faces.append(np.stack([np.full(sides, top), last + following, last + k], axis=1))
        self.add(vertices, np.concatenate(faces), colour, texture)

    def ellipsoid(
        self, centre: Vector, radii: Vector, colour: Vector, texture: int = 0, *, rings: int = 6, sides: int = 10,
        turn: AnyFloats | None = None,
    ) -> None:  # fmt: skip
        """An ellipsoid with half axes `radii` (3,)."""
        latitude = np.linspace(-np.pi / 2, np.pi / 2, rings + 1)
        part = MeshBuilder()
        part.lathe([(float(np.sin(t)), float(max(np.cos(t), 1e-3))) for t in latitude], (0, 0, 0), colour, sides=sides)
        vertices = part._vertices[0] * np.asarray(radii, dtype=np.float64)
        if turn is not None:
            vertices = vertices @ turn.T
        self.add(vertices + np.asarray(centre, dtype=np.float64), part._faces[0], colour, texture)

    def prism(self, outline: npt.ArrayLike, depth: float, centre: Vector, colour: Vector, texture: int = 0) -> None:
        """A convex outline (N, 2) in the x-y plane, counter-clockwise, thickened by `depth` along z about `centre`."""
        flat = np.asarray(outline, dtype=np.float64)
        n = len(flat)
        front = np.column_stack([flat, np.full(n, depth / 2)])
        back = np.column_stack([flat, np.full(n, -depth / 2)])
        faces = [(0, k, k + 1) for k in range(1, n - 1)] + [(n, n + k + 1, n + k) for k in range(1, n - 1)]
        for k in range(n):
            m = (k + 1) % n
            faces += [(k, n + k, n + m), (k, n + m, m)]
        vertices = np.concatenate([front, back])
        self.add(vertices + np.asarray(centre, dtype=np.float64), faces, colour, texture)

    def leaves(self, bases: AnyFloats, tips: AnyFloats, widths: AnyFloats, colours: AnyFloats) -> None:
        """N two-sided rhombi from bases to tips (N, 3), bent a little: widths (N,) m, colours (N, 3)."""
        along = tips - bases
        length = np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
        side = np.stack([along[:, 2], 0 * along[:, 0], -along[:, 0]], axis=1)  # level, so a leaf shows its face upward
        side += (np.linalg.norm(side, axis=1, keepdims=True) < 0.05 * length) * np.array([1.0, 0.0, 0.0]) * length
        side *= np.asarray(widths)[:, None] / 2 / np.linalg.norm(side, axis=1, keepdims=True)
        middle = bases + 0.55 * along + 0.1 * length * np.array([0.0, 1.0, 0.0])
        vertices = np.stack([bases, middle + side, tips, middle - side], axis=1)
        faces = 4 * np.arange(len(bases))[:, None, None] + np.array(_LEAF_FACES)
        self._vertices.append(vertices.reshape(-1, 3))
        self._faces.append((faces.reshape(-1, 3) + self._count).astype(np.int32))
        self._colours.append(np.repeat(np.clip(colours, 0, 1), len(_LEAF_FACES), axis=0))
        self._textures.append(np.zeros(len(bases) * len(_LEAF_FACES), np.int32))
        self._count += 4 * len(bases)

    def append(self, mesh: Mesh) -> None:
        """Add a finished mesh as it stands."""
        self._vertices.append(mesh.vertices.astype(np.float64))
        self._faces.append(mesh.faces + self._count)
        self._colours.append(mesh.colours)
        self._textures.append(mesh.texture_id)
        self._count += len(mesh.vertices)

    def build(self, *, seat_height_m: float | None = None, top_height_m: float | None = None) -> Mesh:
        """The mesh of everything added; ValueError if nothing was."""
        if not self._vertices:
            raise ValueError("a mesh needs at least one solid")
        return Mesh(
            np.concatenate(self._vertices).astype(np.float32),
            np.concatenate(self._faces).astype(np.int32),
            np.concatenate(self._colours).astype(np.float32),
            np.concatenate(self._textures).astype(np.int32),
            seat_height_m,
            top_height_m,
        )


def transform(mesh: Mesh, rotation_y: float = 0.0, translation: Vector = (0.0, 0.0, 0.0), scale: float = 1.0) -> Mesh:
    """The mesh scaled, turned about the vertical (radians, +z toward +x) and moved; ValueError for scale <= 0."""
    if scale <= 0:
        raise ValueError(f"scale {scale} is not positive")
    offset = np.asarray(translation, dtype=np.float64)
    vertices = scale * mesh.vertices.astype(np.float64) @ rotation_about_y(rotation_y).T + offset
    seat = None if mesh.seat_height_m is None else mesh.seat_height_m * scale + float(offset[1])
    top = None if mesh.top_height_m is None else mesh.top_height_m * scale + float(offset[1])
    return Mesh(vertices.astype(np.float32), mesh.faces, mesh.colours, mesh.texture_id, seat, top)


def merge(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of several; seat and top heights are the first ones given. ValueError if there is none."""
    builder = MeshBuilder()
    for mesh in meshes:
        builder.append(mesh)
    seats = [mesh.seat_height_m for mesh in meshes if mesh.seat_height_m is not None]
    tops = [mesh.top_height_m for mesh in meshes if mesh.top_height_m is not None]
    return builder.build(seat_height_m=seats[0] if seats else None, top_height_m=tops[0] if tops else None)


def rotation_about_y(angle: float) -> Floats:
    """Rotation (3, 3) that takes +z toward +x by the angle in radians."""
    return Rotation.from_euler("y", angle).as_matrix()


def rotation_about_x(angle: float) -> Floats:
    """Rotation (3, 3) that takes +y toward +z by the angle in radians."""
    return Rotation.from_euler("x", angle).as_matrix()


def frame_along(axis: Vector) -> Floats:
    """Right-handed orthonormal rows (x, y, z) with y along `axis`."""
    y = np.asarray(axis, dtype=np.float64)
    y = y / max(float(np.linalg.norm(y)), 1e-12)
    x = np.cross(y, [0.0, 0.0, 1.0]) if abs(y[2]) < 0.9 else np.cross(y, [1.0, 0.0, 0.0])
    x /= np.linalg.norm(x)
    return np.stack([x, y, np.cross(x, y)])


_BOX_CORNERS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)
_BOX_FACES = np.array(
    [(0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1), (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4),
     (1, 5, 7), (1, 7, 3)], dtype=np.int32,
)  # fmt: skip
_LEAF_FACES = ((0, 1, 2), (0, 2, 3), (0, 2, 1), (0, 3, 2))
