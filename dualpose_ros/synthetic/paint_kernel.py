"""The compiled part of `paint`: perspective fill of textured parallelograms.

A row holds corner (3), u axis (3), v axis (3), tiles along u and v (2), material, tint (3), light, 1 / fog
distance, fog colour (3), pool of light: strength, place (2), 1 / radius^2, and texture offset (2).
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Pyramid = tuple[Image, ...]
FloatArray = npt.NDArray[np.float64]

NEAR = 0.15
"""Planes are cut this far in front of the camera, in metres."""


@numba.njit(cache=True, fastmath=True)
def paint_rows(
    image: Image,
    rows: FloatArray,
    rotation: FloatArray,
    position: FloatArray,
    focal: float,
    cx: float,
    cy: float,
    pyramid: Pyramid,
) -> None:
    """Paint every row (N, 26) in order; the view is X_cam = rotation @ (X - position), focal and centre in pixels."""
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
        count = _clip_near(camera, clipped)
        if count < 3:
            continue
        for k in range(count):
            corners[k, 0] = clipped[k, 0] / clipped[k, 2] * focal + cx
            corners[k, 1] = clipped[k, 1] / clipped[k, 2] * focal + cy
        for i in range(3):
            basis[0, i] = focal * basis[0, i] + cx * basis[2, i]
            basis[1, i] = focal * basis[1, i] + cy * basis[2, i]
        det = _invert(basis, inverse)
        if det == 0.0:
            continue
        _fill(image, corners[:count], inverse, abs(1.0 / det), pyramid, int(row[11]), row[12:26].astype(np.float32))


@numba.njit(cache=True)
def _clip_near(points: FloatArray, out: FloatArray) -> int:
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


@numba.njit(cache=True)
def _invert(m: FloatArray, out: npt.NDArray[np.float32]) -> float:
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


@numba.njit(cache=True, fastmath=True)
def _fill(
    image: Image,
    corners: FloatArray,
    inverse: npt.NDArray[np.float32],
    det: float,
    pyramid: Pyramid,
    material: int,
    look: npt.NDArray[np.float32],
) -> None:
    """Paint a convex polygon (N, 2) px; `inverse` takes a pixel to (u, v, 1) / depth, `det` is its determinant."""
    height, width = image.shape[0], image.shape[1]
    n = corners.shape[0]
    base = pyramid[0].shape[1]
    one = np.float32(1.0)
    area_scale = np.float32(1.6 * det * base * base)
    top, bottom = max(-1.0, corners[:, 1].min()), min(height + 1.0, corners[:, 1].max())
    for y in range(max(0, int(np.ceil(top))), min(height - 1, int(np.floor(bottom))) + 1):
        left, right = 1e9, -1e9
        for k in range(n):
            x0, y0, x1, y1 = corners[k, 0], corners[k, 1], corners[(k + 1) % n, 0], corners[(k + 1) % n, 1]
            if (y0 <= y) != (y1 <= y):
                x = x0 + (x1 - x0) * (y - y0) / (y1 - y0)
                left, right = min(left, x), max(right, x)
        if right < left or right < -0.5 or left > width - 0.5:
            continue
        first, last = int(np.floor(max(left, 0.0) + 0.5)), int(np.floor(min(right, width - 1.0) + 0.5))
        for x in range(first, min(last, width - 1) + 1):
            cover = np.float32(min(1.0, min(x + 0.5 - left, right + 0.5 - x)))
            w = inverse[2, 0] * x + inverse[2, 1] * y + inverse[2, 2]
            if cover <= 0 or w <= 1e-6:
                continue
            z = one / w
            u = (inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2]) * z
            v = (inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2]) * z
            r, g, b, alpha = _sample(pyramid, material, u + look[12], v + look[13], area_scale * z * z * z)
            gain = look[3]
            if look[8] != 0:
                du, dv = u - look[9], v - look[10]
                gain *= one + look[8] / (one + (du * du + dv * dv) * look[11])
            fog = min(one, z * look[4])
            clear = (one - fog) * gain
            r = min(r * look[0] * clear + look[5] * fog, np.float32(255))
            g = min(g * look[1] * clear + look[6] * fog, np.float32(255))
            b = min(b * look[2] * clear + look[7] * fog, np.float32(255))
            keep = one - cover * alpha * np.float32(1 / 255)
            if keep > np.float32(0.004):
                r += keep * (image[y, x, 0] - r)
                g += keep * (image[y, x, 1] - g)
                b += keep * (image[y, x, 2] - b)
            image[y, x, 0], image[y, x, 1], image[y, x, 2] = np.uint8(r), np.uint8(g), np.uint8(b)


@numba.njit(cache=True, fastmath=True, inline="always")
def _sample(
    pyramid: Pyramid, material: int, u: np.float32, v: np.float32, area: np.float32
) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """RGBA of a tile at (u, v) in tiles; `area` is a pixel's footprint in texels of the finest level."""
    if area > 400:
        tiles = pyramid[4]
    elif area > 90:
        tiles = pyramid[3]
    elif area > 22:
        tiles = pyramid[2]
    elif area > 5:
        tiles = pyramid[1]
    else:
        tiles = pyramid[0]
    size = tiles.shape[1]
    mask = size - 1
    if area > 0.7:
        i, j = int(np.floor(v * size)) & mask, int(np.floor(u * size)) & mask
        p = tiles[material, i, j]
        return np.float32(p[0]), np.float32(p[1]), np.float32(p[2]), np.float32(p[3])
    su, sv = u * size - np.float32(0.5), v * size - np.float32(0.5)
    fu, fv = np.floor(su), np.floor(sv)
    a, b = su - fu, sv - fv
    i0, j0 = int(fv) & mask, int(fu) & mask
    i1, j1 = (i0 + 1) & mask, (j0 + 1) & mask
    one = np.float32(1.0)
    w00, w01, w10, w11 = (one - a) * (one - b), a * (one - b), (one - a) * b, a * b
    p, q, s, t = tiles[material, i0, j0], tiles[material, i0, j1], tiles[material, i1, j0], tiles[material, i1, j1]
    return (
        np.float32(w00 * p[0] + w01 * q[0] + w10 * s[0] + w11 * t[0]),
        np.float32(w00 * p[1] + w01 * q[1] + w10 * s[1] + w11 * t[1]),
        np.float32(w00 * p[2] + w01 * q[2] + w10 * s[2] + w11 * t[2]),
        np.float32(w00 * p[3] + w01 * q[3] + w10 * s[3] + w11 * t[3]),
    )
