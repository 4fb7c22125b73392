"""Textured planes, boxes and flat pictures in perspective, painted back to front by one compiled call.

World: x to the right and z ahead of a `View` at yaw 0, y up, floor y = 0, metres. Textures come from
`materials`, a pyramid of RGBA tiles; a plane repeats its tile, alpha lets the picture behind through.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from dualpose_ros.arrays import Floats, RgbImage
from dualpose_ros.lab.synthetic.backdrop.materials import packed
from dualpose_ros.lab.synthetic.backdrop.paint_kernel import paint_rows

Point = tuple[float, float, float]


@dataclass(frozen=True)
class View:
    """A camera over the floor: X_cam = rotation @ (X - position), camera frame x right, y down, z forward."""

    position: Floats
    rotation: Floats
    focal_px: float
    centre_px: tuple[float, float]

    def pixel(self, point: Point) -> tuple[float, float, float]:
        """Pixel x, y and depth in metres of a world point; meaningful where the depth is positive."""
        x, y, z = (float(c) for c in self.rotation @ (np.array(point) - self.position))
        scale = self.focal_px / max(z, 1e-6)
        return x * scale + self.centre_px[0], y * scale + self.centre_px[1], z


def make_view(
    height_px: int, width_px: int, hfov: float, camera_height: float, pitch: float, yaw: float = 0.0, roll: float = 0.0
) -> View:
    """View at (0, camera_height, 0); angles in radians, pitch > 0 looks down, yaw > 0 turns toward +x."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    right = np.array([cy, 0.0, -sy])
    forward = np.array([sy * cp, -sp, cy * cp])
    down = np.array([-sy * sp, -cp, -cy * sp])
    rotation = np.stack([cr * right + sr * down, cr * down - sr * right, forward])
    focal = width_px / (2 * np.tan(hfov / 2))
    return View(np.array([0.0, camera_height, 0.0]), rotation, float(focal), ((width_px - 1) / 2, (height_px - 1) / 2))


@dataclass(frozen=True)
class Look:
    """How a plane is painted: index of the material, tint of the tile, and light.

    `light` scales everything; a pool of light of strength `pool` lies around `pool_uv` (in tiles) with radius
    `pool_radius` (in tiles); `offset_uv` moves the texture, in tiles.
    """

    material: int
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    light: float = 1.0
    pool: float = 0.0
    pool_uv: tuple[float, float] = (0.0, 0.0)
    pool_radius: float = 1.0
    offset_uv: tuple[float, float] = (0.0, 0.0)

    def dimmed(self, factor: float) -> Look:
        """The same look in more or less light."""
        return replace(self, light=self.light * factor)


@dataclass
class Scene:
    """Collects surfaces and paints them from far to near.

    `fog_m` is the distance at which `fog_rgb` (0..255) hides everything; `side_light` the light on faces across x,
    on tops, and on faces across z.
    """

    view: View
    fog_m: float = 1e9
    fog_rgb: tuple[float, float, float] = (200.0, 205.0, 210.0)
    side_light: tuple[float, float, float] = (0.8, 1.05, 1.0)
    _rows: list[tuple[float, float, tuple[float, ...]]] = field(default_factory=list)
    _layer: float = 0.0

    def __post_init__(self) -> None:
        x, y, z = (float(c) for c in self.view.position)
        self._eye: Point = (x, y, z)

    def next_layer(self) -> None:
        """What is added from now on covers everything added before, whatever its distance."""
        self._layer += 1

    def plane(
        self, corner: Point, u: Point, v: Point, tiles: tuple[float, float], look: Look, distance: float | None = None,
        light: float = 1.0,
    ) -> None:  # fmt: skip
        """The parallelogram corner + a u + b v (a, b in 0..1) with `tiles` repeats along u and v.

        `distance` replaces the distance of its middle in the painting order, `light` multiplies the look's.
        """
        if distance is None:
            x, y, z = self._eye
            dx, dy = corner[0] + 0.5 * (u[0] + v[0]) - x, corner[1] + 0.5 * (u[1] + v[1]) - y
            dz = corner[2] + 0.5 * (u[2] + v[2]) - z
            distance = math.sqrt(dx * dx + dy * dy + dz * dz)
        row = (
            *corner, *u, *v, *tiles, float(look.material), *look.tint, look.light * light,
            1.0 / self.fog_m, *self.fog_rgb, look.pool, *look.pool_uv, 1.0 / look.pool_radius**2, *look.offset_uv,
        )  # fmt: skip
        self._rows.append((self._layer, -distance, row))

    def box(
        self, centre: Point, size: Point, yaw: float, looks: Look | tuple[Look, Look, Look], tile_m: float = 1.0
    ) -> None:
        """The visible faces of a box whose floor face is centred at `centre`, `size` = (x, y, z) in metres.

        looks: one, or those of the faces across x, of the top, and of the faces across z. `tile_m` is
        the side of a tile; 0 stretches one tile over each face.
        """
        if isinstance(looks, Look):
            looks = (looks, looks, looks)
        sx, sy, sz = size
        c, s = math.cos(yaw), math.sin(yaw)
        ax, az, up = (c * sx, 0.0, -s * sx), (s * sz, 0.0, c * sz), (0.0, sy, 0.0)
        middle = (centre[0], centre[1] + sy / 2, centre[2])
        ex, ey, ez = self._eye
        for normal, u, v, look, light, extent in (
            (ax, az, up, looks[0], self.side_light[0], (sz, sy)),
            (up, ax, az, looks[1], self.side_light[1], (sx, sz)),
            (az, ax, up, looks[2], self.side_light[2], (sx, sy)),
        ):
            nx, ny, nz = normal
            toward = nx * (ex - middle[0]) + ny * (ey - middle[1]) + nz * (ez - middle[2])
            half = 0.5 * (nx * nx + ny * ny + nz * nz)
            if abs(toward) <= half:
                continue
            sign = 0.5 if toward > 0 else -0.5
            corner = (
                middle[0] + sign * nx + 0.5 * (v[0] - u[0]),
                middle[1] + sign * ny + 0.5 * (v[1] - u[1]),
                middle[2] + sign * nz + 0.5 * (v[2] - u[2]),
            )
            tiles = (extent[0] / tile_m, extent[1] / tile_m) if tile_m > 0 else (1.0, 1.0)
            # textures have their first row on top, so v runs downward
            self.plane(corner, u, (-v[0], -v[1], -v[2]), tiles, look, light=light)

    def card(self, foot: Point, width: float, height: float, look: Look, mirror: bool = False) -> None:
        """A flat picture standing at `foot`, turned to the camera about the vertical."""
        dx, dz = foot[0] - self._eye[0], foot[2] - self._eye[2]
        length = math.hypot(dx, dz) or 1.0
        sign = -1.0 if mirror else 1.0
        rx, rz = sign * width * dz / length, -sign * width * dx / length
        self.plane(
            (foot[0] - rx / 2, foot[1] + height, foot[2] - rz / 2), (rx, 0.0, rz), (0.0, -height, 0.0), (1.0, 1.0), look
        )

    def paint(self, image: RgbImage) -> None:
        """Paint everything collected onto the image (H, W, 3), far to near within each layer."""
        rows = [row for _, _, row in sorted(self._rows, key=_order)]
        if rows:
            view = self.view
            (cx, cy), (texels, count, side) = view.centre_px, packed()
            table = np.array(rows, np.float64)
            paint_rows(image, table, view.rotation, view.position, view.focal_px, cx, cy, texels, count, side)


def _order(item: tuple[float, float, tuple[float, ...]]) -> tuple[float, float]:
    return item[:2]
