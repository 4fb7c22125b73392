"""What a camera and a 2D network make of a movement: windows for lifting, with their 3D truth.

N samples, M observations, K joints of `skeleton.H36M17`. World y up; camera optical frame
x right, y down, z forward; metres and seconds; rays are normalised image coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dualpose_ros.evaluation.joint_errors import JointErrors
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.lifting_window import WINDOW_FRAMES, Window, normalise, resample
from dualpose_ros.training.lifting_bank import BANK_HZ, Bank, with_bone_lengths

FloatArray = npt.NDArray[Any]
K = H36M17.num_joints
OBSERVATIONS = WINDOW_FRAMES + 1
_MIRROR = np.array(H36M17.mirror)


@dataclass(frozen=True)
class ViewConfig:
    """Cameras and 2D errors. noise: median error as a share of the person's size on the image, 0 for exact 2D.

    hfov_deg, distance_m, height_m: ranges of the camera. vary_bones: standard deviation of bone lengths
    within a body; vary_size: of the size of captured people, who all share one skeleton.
    fps: range of frame rates. faults: whether joints go missing, are hidden, swapped or cut off.
    measured: share of people with the errors of a real network, where such are given.
    """

    noise: float = 0.012
    hfov_deg: tuple[float, float] = (40.0, 100.0)
    distance_m: tuple[float, float] = (1.4, 12.0)
    height_m: tuple[float, float] = (0.3, 3.0)
    vary_bones: float = 0.04
    vary_size: float = 0.05
    fps: tuple[float, float] = (8.0, 30.0)
    faults: bool = True
    measured: float = 0.5


@dataclass(frozen=True)
class Sample:
    """N windows and their truth: root-relative joints (N, K, 3) along the virtual camera's axes, the root
    (N, 3) there."""

    window: Window
    joints_virtual: npt.NDArray[np.float32]
    root_virtual: npt.NDArray[np.float32]


def draw_views(
    bank: Bank, config: ViewConfig, rng: np.random.Generator, count: int, errors: JointErrors | None = None
) -> Sample:
    """Random moments of the bank, seen by random cameras and by an imperfect 2D network.

    With `errors`, those that a network really made replace the modelled ones in config.measured of the people.
    """
    times, world = draw_motion(bank, config, rng, count)
    joints_cam, half_view = film(world, times, config, rng)
    depth = np.maximum(joints_cam[..., 2:], 0.15)
    rays = joints_cam[..., :2] / depth
    size = np.max(np.ptp(rays, axis=2), axis=2)
    behind = joints_cam[..., 2] < 0.15
    outside = behind | np.any(np.abs(rays) > half_view[:, None, None], axis=-1)
    scores = np.where(outside, 0.0, 1.0)
    if config.noise > 0:
        modelled = imperfect(rays, scores, size, times, config, rng)
        if errors is not None:
            real = with_measured(rays, scores, size, times, errors, rng)
            chosen = rng.random(count) < config.measured
            rays = np.where(chosen[:, None, None, None], real[0], modelled[0])
            scores = np.where(chosen[:, None, None], real[1], modelled[1])
        else:
            rays, scores = modelled
    if config.faults:
        scores = _lose(scores, times, rays, rng)
    keep = (scores[:, -1] > 0).sum(axis=1) < 4
    scores[keep] = np.where(behind[keep], 0.0, 1.0)
    window = normalise(*resample(times, rays, scores))
    last = joints_cam[:, -1]
    turned = np.einsum("nab,nka->nkb", window.to_camera, last)
    root = turned[:, H36M17.root]
    return Sample(window, (turned - root[:, None]).astype(np.float32), root.astype(np.float32))


def draw_motion(
    bank: Bank, config: ViewConfig, rng: np.random.Generator, count: int
) -> tuple[FloatArray, FloatArray]:
    """Observation times (N, M), ending in 0, and joints (N, M, K, 3) of people of random proportions."""
    which = rng.choice(len(bank.lengths), count, p=bank.weight)
    period = 1 / rng.uniform(*config.fps, count)
    steady = -np.arange(OBSERVATIONS)[::-1] * period[:, None]
    jitter = rng.uniform(-0.15, 0.15, steady.shape) * period[:, None] * (rng.random((count, 1)) < 0.5)
    jitter[:, -1] = 0
    times = steady + jitter
    pace = rng.uniform(0.85, 1.2, count)
    end = rng.uniform(0, 1, count) * (bank.lengths[which] - 1)
    at = np.clip(end[:, None] + times * pace[:, None] * BANK_HZ, 0, bank.lengths[which][:, None] - 1.0)
    low = np.minimum(at.astype(np.int64), np.maximum(bank.lengths[which][:, None] - 2, 0))
    high = np.minimum(low + 1, bank.lengths[which][:, None] - 1)
    u = (at - low)[..., None, None].astype(np.float32)
    first = bank.starts[which][:, None]
    joints = bank.joints_m[first + low] * (1 - u) + bank.joints_m[first + high] * u
    # Before its first frame a sequence stands still: the person was not there yet.
    started = end[:, None] + times * pace[:, None] * BANK_HZ >= -0.5
    times = np.where(started, times, -np.inf)
    scale = np.clip(rng.normal(1, config.vary_bones, (count, K)), 0.85, 1.18)
    scale = 0.75 * 0.5 * (scale + scale[:, _MIRROR]) + 0.25 * scale
    size = np.where(bank.captured[which], rng.normal(1, config.vary_size, count), rng.normal(1, 0.02, count))
    mirrored = rng.random(count) < 0.5
    joints[mirrored] = joints[mirrored][:, :, _MIRROR] * np.array([-1, 1, 1], dtype=np.float32)
    joints = with_bone_lengths(joints, scale * np.clip(size, 0.8, 1.25)[:, None])
    return times, joints


def film(
    world: FloatArray, times: FloatArray, config: ViewConfig, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Joints (N, M, K, 3) in the frame of a slightly moving camera, and the half view (N, 2) in rays."""
    count = len(world)
    low, high = np.log(config.distance_m)
    distance = np.exp(rng.uniform(low, high, count))
    half_x = np.tan(np.radians(rng.uniform(*config.hfov_deg, count)) / 2)
    half = np.stack([half_x, half_x * rng.choice([0.5625, 0.75, 1.0, 1.333], count)], axis=1)
    root = world[:, -1, H36M17.root]
    azimuth = rng.uniform(-np.pi, np.pi, count)
    rise = np.clip(rng.normal(1.4, 0.5, count), *config.height_m) - root[:, 1]
    rise = np.clip(rise, -0.8 * distance, 0.8 * distance)
    flat = np.sqrt(distance**2 - rise**2)
    eye = root + np.stack([flat * np.sin(azimuth), rise, flat * np.cos(azimuth)], axis=1)
    yaw_off = np.arctan(half[:, 0] * np.clip(rng.normal(0, 0.4, count), -0.9, 0.9))
    pitch_off = np.arctan(half[:, 1] * np.clip(rng.normal(0, 0.3, count), -0.8, 0.8))
    yaw = azimuth + np.pi + yaw_off
    pitch = np.arctan2(rise, flat) + pitch_off
    roll = rng.normal(0, 0.05, count)
    to_camera = _camera_axes(yaw, pitch, roll)
    moving = (rng.random(count) < 0.4)[:, None]
    t = np.where(np.isfinite(times), times, 0.0)
    eyes = eye[:, None] + (rng.normal(0, [0.3, 0.05, 0.3], (count, 3)) * moving)[:, None] * t[..., None]
    offset = (world - eyes[:, :, None].astype(world.dtype)).reshape(count, -1, 3)
    points = (offset @ to_camera.transpose(0, 2, 1).astype(world.dtype)).reshape(world.shape)
    return _panned(points, t * rng.normal(0, 0.15, count)[:, None] * moving), half


def _camera_axes(yaw: FloatArray, pitch: FloatArray, roll: FloatArray) -> FloatArray:
    """Rotations (N, 3, 3), world -> camera, of cameras that face yaw, look down by pitch and lean by roll."""
    flat, up = np.cos(pitch), -np.sin(pitch)
    z = np.stack([flat * np.sin(yaw), up, flat * np.cos(yaw)], axis=-1)
    x = np.stack([-np.cos(yaw), np.zeros_like(yaw), np.sin(yaw)], axis=-1)
    y = np.cross(z, x)
    c, s = np.cos(roll)[:, None], np.sin(roll)[:, None]
    return np.stack([c * x + s * y, c * y - s * x, z], axis=1)


def _panned(points: FloatArray, angle: FloatArray) -> FloatArray:
    """Camera points (N, M, K, 3) of a camera turned about its own y axis by angles (N, M)."""
    c, s = (part[..., None].astype(points.dtype) for part in (np.cos(angle), np.sin(angle)))
    x, y, z = np.moveaxis(points, -1, 0)
    return np.stack([c * x + s * z, y, c * z - s * x], axis=-1)


def imperfect(
    rays: FloatArray, scores: FloatArray, size: FloatArray, times: FloatArray, config: ViewConfig,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:  # fmt: skip
    """2D joints as a network finds them: lasting errors, jitter, hidden limbs, swapped sides, telling scores."""
    n, m, _, _ = rays.shape
    level = config.noise * np.exp(rng.normal(0, 0.6, n)) * (rng.random(n) > 0.1)
    joint_level = level[:, None] * np.exp(rng.normal(0, 0.35, (n, K)))
    hidden = np.zeros((n, m, K), dtype=bool)
    if config.faults:
        hidden = _runs(rng, times, (n, K), 0.15, 0.6)
        limbs = _runs(rng, times, (n, 5), 0.08, 1.0)
        hidden |= limbs[..., _LIMB]
    blur = joint_level[:, None] * np.where(hidden, rng.uniform(2.5, 6, (n, 1, K)), 1.0)
    t = np.where(np.isfinite(times), times, 0.0)[:, :, None, None].astype(np.float32)
    fast, phase = 2 * np.pi * _uniform(rng, (n, 1, K, 2), 0.5, 4.0), _uniform(rng, (n, 1, K, 2), 0, 2 * np.pi)
    error = 0.5 * _normal(rng, (n, 1, K, 2)) + 0.7 * np.sin(fast * t + phase) + 0.5 * _normal(rng, (n, m, K, 2))
    out = rays + error * (blur * size[..., None])[..., None].astype(np.float32)
    if config.faults:
        for joints in _SWAPS:
            swapped = _runs(rng, times, (n, 1), 0.03, 0.15)[..., 0]
            exchange = np.where(swapped[:, :, None, None], out[:, :, _MIRROR[joints]], out[:, :, joints])
            out[:, :, joints] = exchange
    quality = np.exp(-12 * blur) * rng.uniform(0.75, 1.0, (n, 1, 1)) + 0.05 * _normal(rng, (n, m, K))
    return out, np.where(scores > 0, np.clip(quality, 0.08, 1.0), 0.0)


def with_measured(
    rays: FloatArray, scores: FloatArray, size: FloatArray, times: FloatArray, errors: JointErrors,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:  # fmt: skip
    """2D joints (N, M, K, 2) with errors of whole poses that a network made, and its scores (N, M, K).

    An error lasts for a random spell, as it does in video, with a little jitter on top; half of the
    people get their errors mirrored.
    """
    n, m = times.shape
    rate = np.exp(rng.uniform(np.log(0.7), np.log(8.0), n))
    gap = np.diff(np.where(np.isfinite(times), times, 0.0), axis=1, prepend=0.0)
    change = rng.random((n, m)) < 1 - np.exp(-np.maximum(gap, 0) * rate[:, None])
    spell = np.cumsum(change, axis=1)
    which = rng.integers(len(errors), size=(n, m + 1))[np.arange(n)[:, None], spell]
    offset, score = errors.offsets[which], np.where(errors.labelled[which], errors.scores[which], 0.0)
    mirrored = rng.random(n) < 0.5
    offset[mirrored] = offset[mirrored][:, :, _MIRROR] * np.array([-1, 1], dtype=offset.dtype)
    score[mirrored] = score[mirrored][:, :, _MIRROR]
    jitter = 0.004 * _normal(rng, (n, m, K, 2))
    return rays + (offset + jitter) * size[:, :, None, None], np.where(scores > 0, score, 0.0)


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    return rng.standard_normal(shape, dtype=np.float32)


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], low: float, high: float) -> npt.NDArray[np.float32]:
    return np.float32(low) + np.float32(high - low) * rng.random(shape, dtype=np.float32)


_LIMB = np.array([4, 0, 0, 0, 1, 1, 1, 4, 4, 4, 4, 2, 2, 2, 3, 3, 3])
_SWAPS = (np.array([1, 2, 3, 4, 5, 6]), np.array([11, 12, 13, 14, 15, 16]), np.arange(K))


def _runs(
    rng: np.random.Generator, times: FloatArray, shape: tuple[int, int], chance: float, long_s: float
) -> npt.NDArray[np.bool_]:
    """Spells (N, M, J) that befall item j of sample n with a chance, somewhere in the window, for up to long_s."""
    n, j = shape
    start = rng.uniform(-0.9 - long_s, 0, (n, 1, j))
    length = long_s * rng.uniform(0.2, 2.0, (n, 1, j))
    since = times[:, :, None] - start
    return (since >= 0) & (since < length) & (rng.random((n, 1, j)) < chance)


def _lose(scores: FloatArray, times: FloatArray, rays: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Joints not found, people cut off by something, whole frames dropped, tracks just born."""
    n, m, _ = scores.shape
    lost = _runs(rng, times, (n, K), 0.06, 0.3) | (rng.random(scores.shape) < 0.02)
    top, bottom = rays[..., 1].min(axis=2), rays[..., 1].max(axis=2)
    cut = np.where(rng.random(n) < 0.25, rng.uniform(0.25, 0.95, n), 2.0)
    lost |= rays[..., 1] > (top + (bottom - top) * cut[:, None])[..., None]
    left, right = rays[..., 0].min(axis=2), rays[..., 0].max(axis=2)
    side = np.where(rng.random(n) < 0.08, rng.uniform(0.3, 0.9, n), 2.0)
    lost |= rays[..., 0] > (left + (right - left) * side[:, None])[..., None]
    frames = _runs(rng, times, (n, 1), 0.15, 0.4)[..., 0] | (rng.random((n, m)) < 0.03)
    born = -np.where(rng.random(n) < 0.3, rng.uniform(0, 0.9, n) ** 1.5, 9.0)
    frames |= times < born[:, None]
    frames[:, -1] = False
    return np.where(lost | frames[..., None], 0.0, scores)
