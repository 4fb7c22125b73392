"""Skinning, projection and a depth buffer, compiled by numba: no graphics driver needed.

Meshes are triangles in the camera frame (metres). A point on the screen is (x, y, nearness), pixels
and a number that grows toward the viewer and is linear over the screen: 1 / z in a perspective view.
Rasterising keeps for each pixel the nearest triangle; `shading` then works once a pixel. Pixel
centres lie at integers. V vertices, F faces, P body parts, H x W pixels.
"""

import numpy as np

from dualpose_ros.arrays import Float32s, Int32s, Mask
from dualpose_ros.lab.synthetic.compiled import compiled

NEAR = 0.08
"""Triangles that reach closer to the camera than this are dropped, metres."""


@compiled(fastmath=True)
def skin(vertices: Float32s, index: Int32s, weight: Float32s, rotation: Float32s, translation: Float32s) -> Float32s:
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


@compiled(fastmath=True)
def vertex_normals(vertices: Float32s, faces: Int32s) -> Float32s:
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
        n = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2) + np.float32(1e-12)
        normals[v, 0] /= n
        normals[v, 1] /= n
        normals[v, 2] /= n
    return normals


@compiled(fastmath=True)
def project_vertices(vertices: Float32s, fx: float, fy: float, cx: float, cy: float) -> Float32s:
    """Screen points (V, 3) of camera-frame vertices (V, 3); those nearer than NEAR get nearness -1."""
    points = np.empty_like(vertices)
    for v in range(vertices.shape[0]):
        z = vertices[v, 2]
        if z < NEAR:
            points[v] = -1
            continue
        inverse = 1.0 / z
        points[v, 0] = vertices[v, 0] * inverse * fx + cx
        points[v, 1] = vertices[v, 1] * inverse * fy + cy
        points[v, 2] = inverse
    return points


@compiled()
def bounds(points: Float32s, first: int, last: int) -> Float32s:
    """Box (4,) = x0, y0, x1, y1 of screen points first .. last - 1 that lie in front; empty (x1 < x0) without any."""
    box = np.array((np.inf, np.inf, -np.inf, -np.inf), np.float32)
    for v in range(first, last):
        if points[v, 2] > 0:
            box[0], box[2] = min(box[0], points[v, 0]), max(box[2], points[v, 0])
            box[1], box[3] = min(box[1], points[v, 1]), max(box[3], points[v, 1])
    return box


@compiled(fastmath=True)
def place_in_light(vertices: Float32s, basis: Float32s, size: int) -> tuple[Float32s, Float32s]:
    """Screen points (V, 3) on a square map of `size` pixels that parallel light sees, and the map (3, 4) onto it.

    basis (3, 3): rows across, along and toward the light. Nearness is in metres; the farthest vertex has 0.01.
    """
    points = np.empty_like(vertices)
    low, high = np.full(3, np.float32(3e38)), np.full(3, np.float32(-3e38))
    for v in range(vertices.shape[0]):
        x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
        for a in range(3):
            value = basis[a, 0] * x + basis[a, 1] * y + basis[a, 2] * z
            points[v, a] = value
            low[a], high[a] = min(low[a], value), max(high[a], value)
    if vertices.shape[0] == 0:
        low[:], high[:] = 0, 0
    spread = max(high[0] - low[0], high[1] - low[1], np.float32(1e-3))
    scale = np.float32(size - 3) / spread
    to_light = np.empty((3, 4), np.float32)
    for a in range(3):
        gain = scale if a < 2 else np.float32(1.0)
        offset = (np.float32(1.0) if a < 2 else np.float32(0.01)) - low[a] * gain
        to_light[a, :3], to_light[a, 3] = basis[a] * gain, offset
        for v in range(vertices.shape[0]):
            points[v, a] = points[v, a] * gain + offset
    return points, to_light


@compiled(fastmath=True)
def rasterise(points: Float32s, faces: Int32s, closed: Mask, nearness: Float32s, face_id: Int32s) -> None:
    """Draw triangles into a depth buffer in place; those of closed surfaces (F,) only if they face the viewer.

    points (V, 3) on the screen; triangles with a corner of nearness <= 0 are dropped. nearness
    (H, W) starts at 0, which is nothing at all; face_id (H, W) keeps the nearest triangle.
    """
    height, width = nearness.shape
    for f in range(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        x0, y0, w0 = points[i, 0], points[i, 1], points[i, 2]
        x1, y1, w1 = points[j, 0], points[j, 1], points[j, 2]
        x2, y2, w2 = points[k, 0], points[k, 1], points[k, 2]
        ux, uy, vx, vy = np.float64(x1) - x0, np.float64(y1) - y0, np.float64(x2) - x0, np.float64(y2) - y0
        area = ux * vy - vx * uy
        if area > 0 and closed[f]:
            continue
        left = max(int(np.ceil(min(x0, x1, x2))), 0)
        right = min(int(np.floor(max(x0, x1, x2))), width - 1)
        top = max(int(np.ceil(min(y0, y1, y2))), 0)
        bottom = min(int(np.floor(max(y0, y1, y2))), height - 1)
        if left > right or top > bottom or abs(area) < 1e-9 or min(w0, w1, w2) <= 0:
            continue
        # Shares b, c of corners 1, 2 and the nearness w are linear over the screen.
        inverse = 1.0 / area
        b_x, b_y, c_x, c_y = vy * inverse, -vx * inverse, -uy * inverse, ux * inverse
        w_x, w_y = b_x * (w1 - w0) + c_x * (w2 - w0), b_y * (w1 - w0) + c_y * (w2 - w0)
        dx, dy = left - np.float64(x0), top - np.float64(y0)
        b_row, c_row = b_x * dx + b_y * dy, c_x * dx + c_y * dy
        w_row = w0 + w_x * dx + w_y * dy
        for y in range(top, bottom + 1):
            b, c, w = b_row, c_row, w_row
            for x in range(left, right + 1):
                if b >= 0 and c >= 0 and b + c <= 1 and w > nearness[y, x]:
                    nearness[y, x] = w
                    face_id[y, x] = f
                b += b_x
                c += c_x
                w += w_x
            b_row += b_y
            c_row += c_y
            w_row += w_y


@compiled(fastmath=True)
def corner_shares(points: Float32s, i: int, j: int, k: int, x: float, y: float) -> tuple[float, float, float]:
    """Perspective-correct barycentric coordinates of screen position (x, y) in the triangle of points i, j, k."""
    x0, y0, x1, y1, x2, y2 = points[i, 0], points[i, 1], points[j, 0], points[j, 1], points[k, 0], points[k, 1]
    a = ((x1 - x) * (y2 - y) - (x2 - x) * (y1 - y)) * points[i, 2]
    b = ((x2 - x) * (y0 - y) - (x0 - x) * (y2 - y)) * points[j, 2]
    c = ((x0 - x) * (y1 - y) - (x1 - x) * (y0 - y)) * points[k, 2]
    inverse = np.float32(1.0) / (a + b + c)
    return a * inverse, b * inverse, c * inverse
