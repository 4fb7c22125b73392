"""Skinning, a depth buffer and per-pixel shading, compiled by numba: no graphics driver needed.

Meshes are triangles in the camera frame (metres). Rasterising keeps, for each pixel, the
nearest triangle and the barycentric coordinates of the hit; shading then runs once a pixel.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]

NEAR = 0.08
"""Triangles that reach closer to the camera than this are dropped, metres."""


BUMP_TEXELS = np.float32(80.0)
"""Noise texels for one unit of texture coordinate: sets the size of folds in cloth."""


@numba.njit(cache=True, fastmath=True)
def skin(vertices: F32, index: I32, weight: F32, rotation: F32, translation: F32) -> F32:
    """Linear blend skinning: vertices (V, 3), index and weight (V, 4), part transforms (P, 3, 3) and (P, 3)."""
    out = np.empty_like(vertices)
    for v in range(vertices.shape[0]):
        x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
        for a in range(3):
            total = np.float32(0.0)
            for k in range(4):
                w = weight[v, k]
                if w > 0:
                    p = index[v, k]
                    r = rotation[p, a]
                    total += w * (r[0] * x + r[1] * y + r[2] * z + translation[p, a])
            out[v, a] = total
    return out


@numba.njit(cache=True, fastmath=True)
def vertex_normals(vertices: F32, faces: I32) -> F32:
    """Area-weighted unit normals (V, 3) of a triangle mesh."""
    normals = np.zeros_like(vertices)
    for f in range(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, az = vertices[j, 0] - vertices[i, 0], vertices[j, 1] - vertices[i, 1], vertices[j, 2] - vertices[i, 2]
        bx, by, bz = vertices[k, 0] - vertices[i, 0], vertices[k, 1] - vertices[i, 1], vertices[k, 2] - vertices[i, 2]
        nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        for v in (i, j, k):
            normals[v, 0] += nx
            normals[v, 1] += ny
            normals[v, 2] += nz
    for v in range(normals.shape[0]):
        n = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2) + 1e-12
        normals[v, 0] /= n
        normals[v, 1] /= n
        normals[v, 2] /= n
    return normals


@numba.njit(cache=True, fastmath=True)
def rasterise(
    points: F32, faces: I32, closed: npt.NDArray[np.bool_], near: float, depth: F32, face_id: I32, bary: F32
) -> None:
    """Draw triangles into a depth buffer in place; those of closed surfaces (F,) only if they face the camera.

    points (V, 3): pixel x, pixel y, depth z; depth (H, W) starts at infinity; face_id (H, W)
    keeps the nearest triangle (-1 none), bary (H, W, 2) its perspective-correct barycentric
    coordinates of corners 0 and 1. Pixel centres lie at integers.
    """
    height, width = depth.shape
    for f in range(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        z0, z1, z2 = points[i, 2], points[j, 2], points[k, 2]
        if z0 < near or z1 < near or z2 < near:
            continue
        x0, y0 = points[i, 0], points[i, 1]
        x1, y1 = points[j, 0], points[j, 1]
        x2, y2 = points[k, 0], points[k, 1]
        left = max(int(np.ceil(min(x0, x1, x2))), 0)
        right = min(int(np.floor(max(x0, x1, x2))), width - 1)
        top = max(int(np.ceil(min(y0, y1, y2))), 0)
        bottom = min(int(np.floor(max(y0, y1, y2))), height - 1)
        if left > right or top > bottom:
            continue
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9 or (area > 0 and closed[f]):
            continue
        inverse = 1.0 / area
        w0, w1, w2 = 1.0 / z0, 1.0 / z1, 1.0 / z2
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                a = ((x1 - x) * (y2 - y) - (x2 - x) * (y1 - y)) * inverse
                b = ((x2 - x) * (y0 - y) - (x0 - x) * (y2 - y)) * inverse
                c = 1.0 - a - b
                if a < 0 or b < 0 or c < 0:
                    continue
                z = 1.0 / (a * w0 + b * w1 + c * w2)
                if z < depth[y, x]:
                    depth[y, x] = z
                    face_id[y, x] = f
                    bary[y, x, 0] = a * w0 * z
                    bary[y, x, 1] = b * w1 * z


@numba.njit(cache=True, fastmath=True)
def _shadow(px: float, py: float, pz: float, to_light: F32, shadow_map: F32) -> float:
    """Share of light 0..1 that reaches a camera-frame point, from a light-space depth map (2 x 2 taps)."""
    size = shadow_map.shape[0]
    u = to_light[0, 0] * px + to_light[0, 1] * py + to_light[0, 2] * pz + to_light[0, 3]
    v = to_light[1, 0] * px + to_light[1, 1] * py + to_light[1, 2] * pz + to_light[1, 3]
    w = to_light[2, 0] * px + to_light[2, 1] * py + to_light[2, 2] * pz + to_light[2, 3]
    x, y = int(np.floor(u)), int(np.floor(v))
    if x < 0 or y < 0 or x >= size - 1 or y >= size - 1:
        return 1.0
    fx, fy = u - x, v - y
    lit = 0.0
    for dy in range(2):
        for dx in range(2):
            weight = (fx if dx else 1 - fx) * (fy if dy else 1 - fy)
            if shadow_map[y + dy, x + dx] > w - 0.025:
                lit += weight
    return lit


@numba.njit(cache=True, fastmath=True)
def shade(
    depth: F32, face_id: I32, bary: F32, inverse_k: F32,
    faces: I32, normals: F32, detail: F32, face_uv: F32, face_material: I32,
    base: F32, params: F32, texture_id: I32, textures: npt.NDArray[np.uint8], noise: F32, to_linear: F32,
    light: F32, to_light: F32, shadow_map: F32, out: F32,
) -> None:  # fmt: skip
    """Colour every covered pixel, linear RGB, into out (H, W, 3).

    inverse_k: (1/fx, 1/fy, cx, cy). Materials: base (M, 3) linear colour; params (M, 5) =
    texture mix, uv scale, specular, bump, shininess; texture_id (M,) into textures
    (N, S, S, 3). detail (V,): > 0 toward lip red, < 0 toward brow dark. light (4, 3): direction
    to the key light, key colour, sky colour, ground colour (all camera frame, linear).
    """
    height, width = depth.shape
    size, noise_size = textures.shape[1], noise.shape[0]
    up = np.array((light[4, 0], light[4, 1], light[4, 2]), np.float32)
    for y in range(height):
        for x in range(width):
            f = face_id[y, x]
            if f < 0:
                continue
            a, b = bary[y, x, 0], bary[y, x, 1]
            c = 1 - a - b
            i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
            m = face_material[f]
            u = (a * face_uv[f, 0, 0] + b * face_uv[f, 1, 0] + c * face_uv[f, 2, 0]) * params[m, 1]
            v = (a * face_uv[f, 0, 1] + b * face_uv[f, 1, 1] + c * face_uv[f, 2, 1]) * params[m, 1]
            n0 = a * normals[i, 0] + b * normals[j, 0] + c * normals[k, 0]
            n1 = a * normals[i, 1] + b * normals[j, 1] + c * normals[k, 1]
            n2 = a * normals[i, 2] + b * normals[j, 2] + c * normals[k, 2]
            bump = params[m, 3]
            if bump > 0:
                tu, tv = int(u * BUMP_TEXELS) % noise_size, int(v * BUMP_TEXELS) % noise_size
                n0 += bump * (noise[tv, (tu + 6) % noise_size] - noise[tv, tu])
                n1 += bump * (noise[(tv + 6) % noise_size, tu] - noise[tv, tu])
            length = np.sqrt(n0 * n0 + n1 * n1 + n2 * n2) + 1e-9
            n0, n1, n2 = n0 / length, n1 / length, n2 / length
            z = depth[y, x]
            px, py = (x - inverse_k[2]) * inverse_k[0] * z, (y - inverse_k[3]) * inverse_k[1] * z
            distance = np.sqrt(px * px + py * py + z * z)
            v0, v1, v2 = -px / distance, -py / distance, -z / distance
            if n0 * v0 + n1 * v1 + n2 * v2 < 0:  # two-sided
                n0, n1, n2 = -n0, -n1, -n2
            lambert = n0 * light[0, 0] + n1 * light[0, 1] + n2 * light[0, 2]
            key = 0.0
            if lambert > 0:
                key = lambert * _shadow(px, py, z, to_light, shadow_map)
            sky = 0.5 + 0.5 * (n0 * up[0] + n1 * up[1] + n2 * up[2])
            facing = 0.75 + 0.25 * (n0 * v0 + n1 * v1 + n2 * v2)  # cheap ambient occlusion at grazing angles
            specular = 0.0
            if params[m, 2] > 0 and key > 0:
                h0, h1, h2 = v0 + light[0, 0], v1 + light[0, 1], v2 + light[0, 2]
                hl = np.sqrt(h0 * h0 + h1 * h1 + h2 * h2) + 1e-9
                h = max((n0 * h0 + n1 * h1 + n2 * h2) / hl, 0.0)
                specular = params[m, 2] * h ** params[m, 4] * key
            d = a * detail[i] + b * detail[j] + c * detail[k]
            t = texture_id[m]
            tx, ty = int(u * size) % size, int(v * size) % size
            for channel in range(3):
                albedo = base[m, channel]
                if t >= 0:
                    mix = params[m, 0]
                    albedo = (1 - mix) * albedo + mix * to_linear[textures[t, ty, tx, channel]]
                if d > 0 and channel > 0:
                    albedo *= 1 - 0.45 * d
                elif d < 0:
                    albedo *= 1 + 0.8 * d
                ambient = (sky * light[2, channel] + (1 - sky) * light[3, channel]) * facing
                out[y, x, channel] = albedo * (ambient + key * light[1, channel]) + specular * light[1, channel]


@numba.njit(cache=True, fastmath=True)
def floor_shadow(
    inverse_k: F32, normal: F32, offset: float, to_light: F32, shadow_map: F32, limit: float, out: F32
) -> None:
    """Light factor out (H, W) on the floor plane normal . X = offset (camera frame); 1 elsewhere."""
    height, width = out.shape
    for y in range(height):
        for x in range(width):
            rx, ry = (x - inverse_k[2]) * inverse_k[0], (y - inverse_k[3]) * inverse_k[1]
            denominator = normal[0] * rx + normal[1] * ry + normal[2]
            out[y, x] = 1.0
            if abs(denominator) > 1e-6:
                z = offset / denominator
                if 0 < z < limit:
                    out[y, x] = _shadow(rx * z, ry * z, z, to_light, shadow_map)


@numba.njit(cache=True, fastmath=True)
def resolve(
    colour: F32, face_id: I32, face_object: npt.NDArray[np.uint8], factor: int, background: F32, shadow: F32,
    image: F32, mask: npt.NDArray[np.uint8], pixels: I32,
) -> None:  # fmt: skip
    """Average factor x factor samples over a linear background (H, W, 3) into image, and the mask by majority.

    shadow (H, W) darkens the background; pixels (256,) counts the samples of each object.
    """
    height, width = mask.shape
    samples = factor * factor
    for y in range(height):
        for x in range(width):
            covered, best, best_count = 0, 0, 0
            r = np.float32(0.0)
            g = np.float32(0.0)
            b = np.float32(0.0)
            for sy in range(factor):
                for sx in range(factor):
                    yy, xx = y * factor + sy, x * factor + sx
                    f = face_id[yy, xx]
                    if f >= 0:
                        covered += 1
                        o = face_object[f]
                        pixels[o] += 1
                        r += colour[yy, xx, 0]
                        g += colour[yy, xx, 1]
                        b += colour[yy, xx, 2]
                        count = 0
                        for ty in range(factor):
                            for tx in range(factor):
                                other = face_id[y * factor + ty, x * factor + tx]
                                if other >= 0 and face_object[other] == o:
                                    count += 1
                        if count > best_count:
                            best, best_count = o, count
            rest = (samples - covered) * shadow[y, x]
            image[y, x, 0] = (r + rest * background[y, x, 0]) / samples
            image[y, x, 1] = (g + rest * background[y, x, 1]) / samples
            image[y, x, 2] = (b + rest * background[y, x, 2]) / samples
            mask[y, x] = best if best_count * 2 >= samples - covered else 0
