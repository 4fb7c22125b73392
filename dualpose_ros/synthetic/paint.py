"""Textured planes, boxes and flat pictures in perspective, painted back to front by one compiled call.

World: y up, floor y = 0, metres. A `View` looks along +z at yaw 0. Textures come from
`materials.atlas()`, a pyramid of RGBA tiles; a plane repeats its tile, alpha lets the picture behind through.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from dualpose_ros.synthetic.paint_kernel import paint_rows

Image = npt.NDArray[np.uint8]
Pyramid = tuple[Image, ...]
Point = tuple[float, float, float]


@dataclass(frozen=True)
class View:
    """A camera over the floor: X_cam = rotation @ (X - position), camera frame x right, y down, z forward."""

    position: npt.NDArray[np.float64]
    rotation: npt.NDArray[np.float64]
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

    def next_layer(self) -> None:
        """What is added from now on covers everything added before, whatever its distance."""
        self._layer += 1

    def plane(
        self, corner: Point, u: Point, v: Point, tiles: tuple[float, float], look: Look, distance: float | None = None
    ) -> None:
        """The parallelogram corner + a u + b v (a, b in 0..1) with `tiles` repeats along u and v.

        `distance` overrides the distance of its middle as the painting order.
        """
        if distance is None:
            p = self.view.position
            distance = math.dist((p[0], p[1], p[2]), tuple(corner[k] + 0.5 * (u[k] + v[k]) for k in range(3)))
        row = (
            *corner, *u, *v, *tiles, float(look.material), *look.tint, look.light, 1.0 / self.fog_m, *self.fog_rgb,
            look.pool, *look.pool_uv, 1.0 / look.pool_radius**2, *look.offset_uv,
        )  # fmt: skip
        self._rows.append((self._layer, -distance, row))

    def box(
        self,
        centre: Point,
        size: Point,
        yaw: float,
        looks: Look | tuple[Look, Look, Look],
        tile_m: float = 1.0,
        distance: float | None = None,
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
        eye = self.view.position
        for normal, u, v, look, light, extent in (
            (ax, az, up, looks[0], self.side_light[0], (sz, sy)),
            (up, ax, az, looks[1], self.side_light[1], (sx, sz)),
            (az, ax, up, looks[2], self.side_light[2], (sx, sy)),
        ):
            for sign in (0.5, -0.5):
                at = tuple(middle[k] + sign * normal[k] for k in range(3))
                if sum(sign * normal[k] * (eye[k] - at[k]) for k in range(3)) <= 0:
                    continue
                corner = (
                    at[0] - u[0] / 2 + v[0] / 2, at[1] - u[1] / 2 + v[1] / 2, at[2] - u[2] / 2 + v[2] / 2,
                )  # fmt: skip
                tiles = (extent[0] / tile_m, extent[1] / tile_m) if tile_m > 0 else (1.0, 1.0)
                self.plane(corner, u, (-v[0], -v[1], -v[2]), tiles, look.dimmed(light), distance)

    def card(self, foot: Point, width: float, height: float, look: Look, mirror: bool = False) -> None:
        """A flat picture standing at `foot`, turned to the camera about the vertical."""
        eye = self.view.position
        dx, dz = foot[0] - eye[0], foot[2] - eye[2]
        length = math.hypot(dx, dz) or 1.0
        sign = -1.0 if mirror else 1.0
        rx, rz = sign * width * dz / length, -sign * width * dx / length
        self.plane(
            (foot[0] - rx / 2, foot[1] + height, foot[2] - rz / 2), (rx, 0.0, rz), (0.0, -height, 0.0), (1.0, 1.0), look
        )

    def paint(self, image: Image, pyramid: Pyramid) -> None:
        """Paint everything collected onto the image (H, W, 3), far to near within each layer."""
        rows: Sequence[tuple[float, ...]] = [row for _, _, row in sorted(self._rows, key=lambda item: item[:2])]
        if rows:
            view = self.view
            paint_rows(
                image, np.array(rows, np.float64), view.rotation, view.position, view.focal_px, *view.centre_px, pyramid
            )
