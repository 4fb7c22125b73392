"""Light on rasterised meshes, pixel by pixel, compiled by numba: materials, shadows, and the final picture.

Colours are linear RGB until `resolve` writes sRGB. H x W pixels of the supersampled buffers.
"""

import numpy as np

from dualpose_ros.arrays import Float32s, Int32s, UInt8s
from dualpose_ros.lab.synthetic.compiled import compiled
from dualpose_ros.lab.synthetic.render.raster import corner_shares

BUMP_TEXELS = np.float32(80.0)
"""Noise texels for one unit of texture coordinate: sets the size of folds in cloth."""

SHADOW_BIAS_M = np.float32(0.025)
"""A surface this little behind the first one that the light meets is still lit, metres."""

TO_LINEAR: Float32s = ((np.arange(256) / 255.0) ** 2.2).astype(np.float32)
"""Linear value of each sRGB byte (gamma 2.2)."""

_TO_SRGB_STEPS = 4096
_TO_SRGB: UInt8s = np.rint(255 * (np.arange(_TO_SRGB_STEPS + 1) / _TO_SRGB_STEPS) ** (2 / 2.2)).astype(np.uint8)
"""sRGB byte by the square root of the linear value, times _TO_SRGB_STEPS."""

_ONE, _HALF = np.float32(1.0), np.float32(0.5)
_UNSHADED = np.float32(0.999)


@compiled(fastmath=True)
def _shadow(px: float, py: float, pz: float, to_light: Float32s, shadow_map: Float32s) -> float:
    """Share of light 0..1 that reaches a camera-frame point, from a light-space nearness map (2 x 2 taps)."""
    size = shadow_map.shape[0]
    u = to_light[0, 0] * px + to_light[0, 1] * py + to_light[0, 2] * pz + to_light[0, 3]
    v = to_light[1, 0] * px + to_light[1, 1] * py + to_light[1, 2] * pz + to_light[1, 3]
    if u < 0 or v < 0 or u >= size - 1 or v >= size - 1:
        return _ONE
    limit = to_light[2, 0] * px + to_light[2, 1] * py + to_light[2, 2] * pz + to_light[2, 3] + SHADOW_BIAS_M
    limit = max(limit, np.float32(1e-6))  # where the map is empty, 0, everything is lit
    x, y = int(u), int(v)
    fx, fy = np.float32(u - x), np.float32(v - y)
    top, bottom = np.float32(0.0), np.float32(0.0)
    if shadow_map[y, x] < limit:
        top += _ONE - fx
    if shadow_map[y, x + 1] < limit:
        top += fx
    if shadow_map[y + 1, x] < limit:
        bottom += _ONE - fx
    if shadow_map[y + 1, x + 1] < limit:
        bottom += fx
    return top + fy * (bottom - top)


@compiled(fastmath=True)
def _view_direction(px: float, py: float, z: float) -> tuple[float, float, float]:
    """Unit vector from a camera-frame point to the camera."""
    scale = -_ONE / np.sqrt(px * px + py * py + z * z)
    return px * scale, py * scale, z * scale


@compiled(fastmath=True)
def shade(
    points: Float32s, face_id: Int32s, inverse_k: Float32s,
    faces: Int32s, normals: Float32s, detail: Float32s, face_uv: Float32s, face_material: Int32s,
    base: Float32s, params: Float32s, texture_id: Int32s, textures: UInt8s, noise: Float32s, to_linear: Float32s,
    light: Float32s, to_light: Float32s, shadow_map: Float32s, out: Float32s,
) -> None:  # fmt: skip
    """Colour every covered pixel, linear RGB, into out (H, W, 3).

    points (V, 3) on the screen; inverse_k: (1/fx, 1/fy, cx, cy). Materials: base (M, 3) linear colour;
    params (M, 5) = texture mix, uv scale, specular, bump, shininess; texture_id (M,) into textures
    (N, S, S, 3) or -1. Sizes of textures and noise are powers of two, uv is positive. detail (V,): > 0
    toward lip red, < 0 toward brow dark. light (5, 3), camera frame, linear: direction to the key
    light, key colour, sky colour, ground colour, up.
    """
    height, width = face_id.shape
    wrap, noise_wrap, size = textures.shape[1] - 1, noise.shape[0] - 1, np.float32(textures.shape[1])
    l0, l1, l2 = light[0, 0], light[0, 1], light[0, 2]
    for y in range(height):
        ray_y = (np.float32(y) - inverse_k[3]) * inverse_k[1]
        for x in range(width):
            f = face_id[y, x]
            if f < 0:
                continue
            i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
            a, b, c = corner_shares(points, i, j, k, np.float32(x), np.float32(y))
            z = _ONE / (a * points[i, 2] + b * points[j, 2] + c * points[k, 2])
            m = face_material[f]
            scale = params[m, 1]
            u = (a * face_uv[f, 0, 0] + b * face_uv[f, 1, 0] + c * face_uv[f, 2, 0]) * scale
            v = (a * face_uv[f, 0, 1] + b * face_uv[f, 1, 1] + c * face_uv[f, 2, 1]) * scale
            n0 = a * normals[i, 0] + b * normals[j, 0] + c * normals[k, 0]
            n1 = a * normals[i, 1] + b * normals[j, 1] + c * normals[k, 1]
            n2 = a * normals[i, 2] + b * normals[j, 2] + c * normals[k, 2]
            bump = params[m, 3]
            if bump > 0:
                tu, tv = int(u * BUMP_TEXELS) & noise_wrap, int(v * BUMP_TEXELS) & noise_wrap
                n0 += bump * (noise[tv, (tu + 6) & noise_wrap] - noise[tv, tu])
                n1 += bump * (noise[(tv + 6) & noise_wrap, tu] - noise[tv, tu])
            length = _ONE / (np.sqrt(n0 * n0 + n1 * n1 + n2 * n2) + np.float32(1e-9))
            n0, n1, n2 = n0 * length, n1 * length, n2 * length
            px, py = (np.float32(x) - inverse_k[2]) * inverse_k[0] * z, ray_y * z
            v0, v1, v2 = _view_direction(px, py, z)
            facing = n0 * v0 + n1 * v1 + n2 * v2
            if facing < 0:  # two-sided
                n0, n1, n2, facing = -n0, -n1, -n2, -facing
            key, specular = np.float32(0.0), np.float32(0.0)
            lambert = n0 * l0 + n1 * l1 + n2 * l2
            if lambert > 0:
                key = lambert * _shadow(px, py, z, to_light, shadow_map)
                if params[m, 2] > 0 and key > 0:
                    h0, h1, h2 = v0 + l0, v1 + l1, v2 + l2
                    h = (n0 * h0 + n1 * h1 + n2 * h2) / np.sqrt(h0 * h0 + h1 * h1 + h2 * h2 + np.float32(1e-9))
                    if h > _HALF:  # less than a hundredth of the highlight beyond
                        specular = params[m, 2] * key * np.exp(params[m, 4] * np.log(h))
            sky = _HALF + _HALF * (n0 * light[4, 0] + n1 * light[4, 1] + n2 * light[4, 2])
            ambient = np.float32(0.75) + np.float32(0.25) * facing  # cheap occlusion at grazing angles
            d = a * detail[i] + b * detail[j] + c * detail[k]
            t = texture_id[m]
            tx, ty = int(u * size) & wrap, int(v * size) & wrap
            for channel in range(3):
                albedo = base[m, channel]
                if t >= 0:
                    albedo += params[m, 0] * (to_linear[textures[t, ty, tx, channel]] - albedo)
                if d > 0 and channel > 0:
                    albedo *= _ONE - np.float32(0.45) * d
                elif d < 0:
                    albedo *= _ONE + np.float32(0.8) * d
                glow = (sky * light[2, channel] + (_ONE - sky) * light[3, channel]) * ambient
                out[y, x, channel] = albedo * (glow + key * light[1, channel]) + specular * light[1, channel]


@compiled(fastmath=True)
def floor_shadow(
    inverse_k: Float32s,
    normal: Float32s,
    offset: float,
    to_light: Float32s,
    shadow_map: Float32s,
    limit: float,
    out: Float32s,
) -> None:
    """Light factor out (H, W) on the floor plane normal . X = offset (camera frame); 1 elsewhere."""
    height, width = out.shape
    for y in range(height):
        ry = (np.float32(y) - inverse_k[3]) * inverse_k[1]
        for x in range(width):
            rx = (np.float32(x) - inverse_k[2]) * inverse_k[0]
            denominator = normal[0] * rx + normal[1] * ry + normal[2]
            out[y, x] = _ONE
            if abs(denominator) > np.float32(1e-6):
                z = np.float32(offset) / denominator
                if 0 < z < limit:
                    out[y, x] = _shadow(rx * z, ry * z, z, to_light, shadow_map)


@compiled(fastmath=True)
def mean_luminance(colour: Float32s, face_id: Int32s, step: int) -> float:
    """Mean over channels and covered pixels of colour (H, W, 3), every `step`-th pixel looked at; -1 if none is."""
    total, count = 0.0, 0
    for y in range(0, face_id.shape[0], step):
        for x in range(0, face_id.shape[1], step):
            if face_id[y, x] >= 0:
                total += colour[y, x, 0] + colour[y, x, 1] + colour[y, x, 2]
                count += 3
    return total / count if count else -1.0


@compiled(fastmath=True)
def cover(face_id: Int32s, face_object: UInt8s, factor: int, mask: UInt8s, pixels: Int32s) -> None:
    """The object of each pixel by majority of its factor x factor samples, into mask (H, W); 0 is none.

    Where none has a majority, the object with the most samples wins over the background. pixels
    (256,) counts the samples of each object.
    """
    height, width = mask.shape
    objects = np.empty(factor * factor, np.uint8)
    for y in range(height):
        for x in range(width):
            same = True
            for sy in range(factor):
                for sx in range(factor):
                    f = face_id[y * factor + sy, x * factor + sx]
                    o = np.uint8(0) if f < 0 else face_object[f]
                    objects[sy * factor + sx] = o
                    pixels[o] += 1
                    same = same and o == objects[0]
            if same:
                mask[y, x] = objects[0]
                continue
            best, best_count, empty = np.uint8(0), 0, 0
            for n in range(factor * factor):
                if objects[n] == 0:
                    empty += 1
                    continue
                count = 0
                for other in objects:
                    if other == objects[n]:
                        count += 1
                if count > best_count:
                    best, best_count = objects[n], count
            mask[y, x] = best if best_count * 2 >= empty else 0


@compiled(fastmath=True)
def _srgb(value: float, to_srgb: UInt8s) -> int:
    """sRGB byte of a linear value, clipped to 0..1."""
    return to_srgb[int(np.sqrt(min(max(value, np.float32(0.0)), _ONE)) * np.float32(_TO_SRGB_STEPS) + _HALF)]


@compiled(fastmath=True)
def _resolve(
    colour: Float32s, face_id: Int32s, factor: int, gain: float, background: UInt8s,
    shadow: Float32s, to_linear: Float32s, to_srgb: UInt8s, image: UInt8s,
) -> None:  # fmt: skip
    height, width = shadow.shape
    share = np.float32(gain) / np.float32(factor * factor)
    for y in range(height):
        for x in range(width):
            empty = 0
            r, g, b = np.float32(0.0), np.float32(0.0), np.float32(0.0)
            for yy in range(y * factor, y * factor + factor):
                for xx in range(x * factor, x * factor + factor):
                    if face_id[yy, xx] < 0:
                        empty += 1
                    else:
                        r += colour[yy, xx, 0]
                        g += colour[yy, xx, 1]
                        b += colour[yy, xx, 2]
            if empty == factor * factor and shadow[y, x] > _UNSHADED:
                image[y, x] = background[y, x]
                continue
            rest = np.float32(empty) / np.float32(factor * factor) * shadow[y, x]
            image[y, x, 0] = _srgb(r * share + rest * to_linear[background[y, x, 0]], to_srgb)
            image[y, x, 1] = _srgb(g * share + rest * to_linear[background[y, x, 1]], to_srgb)
            image[y, x, 2] = _srgb(b * share + rest * to_linear[background[y, x, 2]], to_srgb)


def resolve(
    colour: Float32s, face_id: Int32s, factor: int, gain: float, background: UInt8s, shadow: Float32s
) -> UInt8s:
    """The picture (H, W, 3), sRGB: factor x factor samples of colour times gain averaged over the background.

    background (H, W, 3) is sRGB; shadow (H, W) darkens it. Samples without a face show the background.
    """
    image = np.empty(background.shape, np.uint8)
    _resolve(colour, face_id, factor, gain, background, shadow, TO_LINEAR, _TO_SRGB, image)
    return image
