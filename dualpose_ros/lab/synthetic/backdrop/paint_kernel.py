"""The compiled part of `paint`: perspective fill of textured parallelograms.

Texels are `materials.packed()`: RGBA in one word each, all levels of the pyramid after one another.

A row holds corner (3), u axis (3), v axis (3), tiles along u and v (2), material, tint (3), light, 1 / fog
distance, fog colour (3), pool of light: strength, place (2), 1 / radius^2, and texture offset (2).
"""

import numpy as np
import numpy.typing as npt

from dualpose_ros.arrays import Float32s, Floats, RgbImage
from dualpose_ros.lab.synthetic.compiled import compiled

Texels = npt.NDArray[np.uint32]

NEAR = 0.15
"""Planes are cut this far in front of the camera, in metres."""


@compiled(fastmath=True)
def paint_rows(
    image: RgbImage,
    rows: Floats,
    rotation: Floats,
    position: Floats,
    focal: float,
    cx: float,
    cy: float,
    texels: Texels,
    count: int,
    side: int,
) -> None:
    """Paint every row (N, 26) in order with `count` tiles of `side` texels.

    The view is X_cam = rotation @ (X - position), pixels for focal and centre."""
    camera = np.empty((4, 3))
    basis = np.empty((3, 3))
    clipped = np.empty((8, 3))
    corners = np.empty((8, 2))
    inverse = np.empty((3, 3), np.float32)
    for n in range(rows.shape[0]):
        row = rows[n]
        for k in range(3):
            o, u, v = 0.0, 0.0, 0.0
            for i in range(3):
                o += rotation[k, i] * (row[i] - position[i])
                u += rotation[k, i] * row[3 + i]
                v += rotation[k, i] * row[6 + i]
            camera[0, k], camera[1, k], camera[2, k], camera[3, k] = o, o + u, o + u + v, o + v
            basis[k, 0], basis[k, 1], basis[k, 2] = u / row[9], v / row[10], o
        sides = _clip_near(camera, clipped)
        if sides < 3:
            continue
        for k in range(sides):
            corners[k, 0] = clipped[k, 0] / clipped[k, 2] * focal + cx
            corners[k, 1] = clipped[k, 1] / clipped[k, 2] * focal + cy
        for i in range(3):
            basis[0, i] = focal * basis[0, i] + cx * basis[2, i]
            basis[1, i] = focal * basis[1, i] + cy * basis[2, i]
        det = _invert(basis, inverse)
        if det == 0.0:
            continue
        look = row[12:26].astype(np.float32)
        _fill(image, corners[:sides], inverse, abs(1.0 / det), texels, count, side, int(row[11]), look)


@compiled()
def _clip_near(points: Floats, out: Floats) -> int:
    """The part of a polygon beyond the near plane (Sutherland and Hodgman 1974); returns its corner count."""
    count = 0
    n = points.shape[0]
    for k in range(n):
        a, b = points[k], points[(k + 1) % n]
        if a[2] >= NEAR:
            out[count] = a
            count += 1
        if (a[2] >= NEAR) != (b[2] >= NEAR):
            t = (NEAR - a[2]) / (b[2] - a[2])
            for i in range(3):
                out[count, i] = a[i] + t * (b[i] - a[i])
            count += 1
    return count


@compiled()
def _invert(m: Floats, out: Float32s) -> float:
    """Inverse (3, 3) by cofactors, and the determinant (0 where there is none)."""
    c00 = m[1, 1] * m[2, 2] - m[1, 2] * m[2, 1]
    c01 = m[1, 2] * m[2, 0] - m[1, 0] * m[2, 2]
    c02 = m[1, 0] * m[2, 1] - m[1, 1] * m[2, 0]
    det = m[0, 0] * c00 + m[0, 1] * c01 + m[0, 2] * c02
    if abs(det) < 1e-12:
        return 0.0
    out[0, 0], out[1, 0], out[2, 0] = c00 / det, c01 / det, c02 / det
    out[0, 1] = (m[0, 2] * m[2, 1] - m[0, 1] * m[2, 2]) / det
    out[1, 1] = (m[0, 0] * m[2, 2] - m[0, 2] * m[2, 0]) / det
    out[2, 1] = (m[0, 1] * m[2, 0] - m[0, 0] * m[2, 1]) / det
    out[0, 2] = (m[0, 1] * m[1, 2] - m[0, 2] * m[1, 1]) / det
    out[1, 2] = (m[0, 2] * m[1, 0] - m[0, 0] * m[1, 2]) / det
    out[2, 2] = (m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0]) / det
    return det


@compiled(fastmath=True)
def _fill(
    image: RgbImage,
    corners: Floats,
    inverse: Float32s,
    det: float,
    texels: Texels,
    count: int,
    side: int,
    material: int,
    look: Float32s,
) -> None:
    """Paint a convex polygon (N, 2) px; `inverse` takes a pixel to (u, v, 1) / depth, `det` is its determinant."""
    height, width = image.shape[0], image.shape[1]
    one, full = np.float32(1.0), np.float32(255.0)
    area_scale = np.float32(1.6 * det * side * side)
    red, green, blue, light, fogging = look[0], look[1], look[2], look[3], look[4]
    pool, pool_u, pool_v, pool_falloff, shift_u, shift_v = look[8], look[9], look[10], look[11], look[12], look[13]
    du, dv, dw = inverse[0, 0], inverse[1, 0], inverse[2, 0]
    low_z = np.float32(1e-5)
    top, bottom = max(-1.0, corners[:, 1].min()), min(height + 1.0, corners[:, 1].max())
    for y in range(max(0, int(np.ceil(top))), min(height - 1, int(np.floor(bottom))) + 1):
        left, right = _span(corners, y)
        if right < left or right < -0.5 or left > width - 0.5:
            continue
        first = int(np.floor(max(left, 0.0) + 0.5))
        last = min(int(np.floor(min(right, width - 1.0) + 0.5)), width - 1)
        un = du * first + inverse[0, 1] * y + inverse[0, 2]
        vn = dv * first + inverse[1, 1] * y + inverse[1, 2]
        wn = dw * first + inverse[2, 1] * y + inverse[2, 2]
        for x in range(first, last + 1):
            step = np.float32(x - first)
            z = one / max(wn + dw * step, low_z)
            u, v = (un + du * step) * z, (vn + dv * step) * z
            r, g, b, alpha = _sample(texels, count, side, material, u + shift_u, v + shift_v, area_scale * z * z * z)
            if alpha == 0:
                continue
            gain = light
            if pool != 0:
                eu, ev = u - pool_u, v - pool_v
                gain *= one + pool / (one + (eu * eu + ev * ev) * pool_falloff)
            fog = min(one, z * fogging)
            gain *= one - fog
            r = min(r * red * gain + look[5] * fog, full)
            g = min(g * green * gain + look[6] * fog, full)
            b = min(b * blue * gain + look[7] * fog, full)
            if x in (first, last):
                alpha *= np.float32(max(0.0, min(1.0, min(x + 0.5 - left, right + 0.5 - x))))
            if alpha < np.float32(254.0):
                keep = one - alpha * np.float32(1 / 255)
                r += keep * (np.float32(image[y, x, 0]) - r)
                g += keep * (np.float32(image[y, x, 1]) - g)
                b += keep * (np.float32(image[y, x, 2]) - b)
            image[y, x, 0], image[y, x, 1], image[y, x, 2] = np.uint8(r), np.uint8(g), np.uint8(b)


@compiled(fastmath=True)
def _span(corners: Floats, y: int) -> tuple[float, float]:
    """Where the row y enters and leaves a convex polygon (N, 2); left > right where it misses it."""
    left, right = 1e9, -1e9
    n = corners.shape[0]
    for k in range(n):
        m = k + 1 if k + 1 < n else 0
        x0, y0, x1, y1 = corners[k, 0], corners[k, 1], corners[m, 0], corners[m, 1]
        if (y0 <= y) != (y1 <= y):
            x = x0 + (x1 - x0) * (y - y0) / (y1 - y0)
            left, right = min(left, x), max(right, x)
    return left, right


@compiled(fastmath=True, inline="always")
def _sample(
    texels: Texels, count: int, side: int, material: int, u: np.float32, v: np.float32, area: np.float32
) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """RGBA of a tile at (u, v) in tiles; `area` is a pixel's footprint in texels of the finest level."""
    level = 0
    if area > 5:
        level = 1
        if area > 22:
            level = 2
            if area > 90:
                level = 3
                if area > 400:
                    level = 4
    size = side >> level
    # levels lie one after another: n s^2 (1 + 1/4 + 1/16 ...) words before this one
    start = (4 * count * (side * side - size * size)) // 3 + material * size * size
    mask = size - 1
    if area > 0.7:
        word = texels[start + (int(np.floor(v * size)) & mask) * size + (int(np.floor(u * size)) & mask)]
        r, g = np.float32(word & 255), np.float32((word >> 8) & 255)
        return (r, g, np.float32((word >> 16) & 255), np.float32(word >> 24))  # fmt: skip
    one = np.float32(1.0)
    su, sv = u * np.float32(size) - np.float32(0.5), v * np.float32(size) - np.float32(0.5)
    fu, fv = np.floor(su), np.floor(sv)
    a, b = su - fu, sv - fv
    i0, j0 = int(fv) & mask, int(fu) & mask
    i1, j1 = (i0 + 1) & mask, (j0 + 1) & mask
    w00, w01, w10, w11 = (one - a) * (one - b), a * (one - b), (one - a) * b, a * b
    p, q = texels[start + i0 * size + j0], texels[start + i0 * size + j1]
    s, t = texels[start + i1 * size + j0], texels[start + i1 * size + j1]
    return (
        w00 * np.float32(p & 255) + w01 * np.float32(q & 255) + w10 * np.float32(s & 255) + w11 * np.float32(t & 255),
        w00 * np.float32((p >> 8) & 255) + w01 * np.float32((q >> 8) & 255)
        + w10 * np.float32((s >> 8) & 255) + w11 * np.float32((t >> 8) & 255),
        w00 * np.float32((p >> 16) & 255) + w01 * np.float32((q >> 16) & 255)
        + w10 * np.float32((s >> 16) & 255) + w11 * np.float32((t >> 16) & 255),
        w00 * np.float32(p >> 24) + w01 * np.float32(q >> 24) + w10 * np.float32(s >> 24) + w11 * np.float32(t >> 24),
    )  # fmt: skip
