"""What a camera and a 2D network make of a movement: sequences for lifting, with their 3D truth.

N sequences, M frames, K joints of `skeleton.H36M17`. World y up; camera optical frame
x right, y down, z forward; metres and seconds; rays are normalised image coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import AnyArray, Float32s, Ints, Mask
from dualpose_ros.datasets.joint_errors import JointErrors, with_measured
from dualpose_ros.lab.training.lifting.bank import BANK_HZ, Bank, with_bone_lengths
from dualpose_ros.skeleton import H36M17

K = H36M17.num_joints
MIN_FOUND = 3
"""Frames with fewer joints found are none: the top-down stage gives no pose."""

NEAREST_M = 0.15
"""Joints nearer than this, or behind the camera, are not seen."""

_MIRROR = np.array(H36M17.mirror)


@dataclass(frozen=True)
class ViewConfig:
    """Cameras and 2D errors. noise: median error as a share of the person's size on the image, 0 for exact 2D.

    hfov_deg, distance_m, height_m: ranges of the camera. vary_bones: standard deviation of bone lengths
    within a body; vary_size: of the size of captured people, who all share one skeleton; mixed: share of people
    whose upper body moves by another sequence than their legs. fps: range of frame rates. faults: whether joints
    go missing, are hidden, swapped, stolen from a neighbour or cut off. measured: share of people with the
    errors of a real network, where such are given; exact, whole: shares without errors, and without faults.
    """

    noise: float = 0.012
    hfov_deg: tuple[float, float] = (40.0, 100.0)
    distance_m: tuple[float, float] = (1.4, 12.0)
    height_m: tuple[float, float] = (0.3, 3.0)
    vary_bones: float = 0.04
    vary_size: float = 0.05
    mixed: float = 0.2
    fps: tuple[float, float] = (8.0, 40.0)
    faults: bool = True
    measured: float = 0.5
    exact: float = 0.1
    whole: float = 0.0


@dataclass(frozen=True)
class Sequences:
    """times (N, M) ascending; rays (N, M, K, 2) as found, with scores (N, M, K), 0 = not found; joints_cam
    (N, M, K, 3), the truth; frames (N,): the first so many of the M frames are there, the rest is to be ignored."""

    times: AnyArray
    rays: AnyArray
    scores: AnyArray
    joints_cam: AnyArray
    frames: Ints


def draw_sequences(
    bank: Bank,
    config: ViewConfig,
    rng: np.random.Generator,
    count: int,
    frames: int,
    errors: JointErrors | None = None,
) -> Sequences:
    """Random passages of the bank, seen by random cameras and by an imperfect 2D network.

    With `errors`, those that a network really made replace the modelled ones in config.measured of the people.
    """
    times, world = draw_motion(bank, config, rng, count, frames)
    joints_cam, half_view = film(world, times, config, rng)
    rays = joints_cam[..., :2] / np.maximum(joints_cam[..., 2:], NEAREST_M)
    size = np.max(np.ptp(rays, axis=2), axis=2)
    outside = (joints_cam[..., 2] < NEAREST_M) | np.any(np.abs(rays) > half_view[:, None, None], axis=-1)
    scores = np.where(outside, 0.0, 1.0)
    if config.noise > 0:
        rays, scores = _with_errors(rays, scores, size, times, config, errors, rng)
    if config.faults:
        faulty_rays, faulty_scores = _steal(rays, scores, size, times, rng)
        faulty_scores = _lose(faulty_scores, times, faulty_rays, rng)
        whole = rng.random(count) < config.whole
        rays = np.where(whole[:, None, None, None], rays, faulty_rays)
        scores = np.where(whole[:, None, None], scores, faulty_scores)
    return _kept(times, rays, scores, joints_cam)


def _with_errors(
    rays: AnyArray, scores: AnyArray, size: AnyArray, times: AnyArray, config: ViewConfig,
    errors: JointErrors | None, rng: np.random.Generator,
) -> tuple[AnyArray, AnyArray]:  # fmt: skip
    """Modelled and measured errors, one or the other a person, and none for some."""
    count = len(rays)
    noisy, noisy_scores = imperfect(rays, scores, size, times, config, rng)
    if errors is not None:
        real, real_scores = with_measured(rays, scores, size, times, errors, rng)
        chosen = rng.random(count) < config.measured
        noisy = np.where(chosen[:, None, None, None], real, noisy)
        noisy_scores = np.where(chosen[:, None, None], real_scores, noisy_scores)
    exact = rng.random(count) < config.exact
    return (
        np.where(exact[:, None, None, None], rays, noisy),
        np.where(exact[:, None, None], scores, noisy_scores),
    )


def _kept(times: AnyArray, rays: AnyArray, scores: AnyArray, joints_cam: AnyArray) -> Sequences:
    """The frames in which the person was found, first, in the order of time."""
    found = ((scores > 0).sum(axis=2) >= MIN_FOUND) & np.isfinite(times)
    order = np.argsort(~found, axis=1, kind="stable")
    rows = np.arange(len(times))[:, None]
    return Sequences(
        np.where(np.isfinite(times), times, 0.0)[rows, order],
        rays[rows, order],
        scores[rows, order],
        joints_cam[rows, order],
        found.sum(axis=1),
    )


def draw_motion(
    bank: Bank, config: ViewConfig, rng: np.random.Generator, count: int, frames: int
) -> tuple[AnyArray, AnyArray]:
    """Frame times (N, M), ending in 0, and joints (N, M, K, 3) of people of random proportions."""
    which = rng.choice(len(bank.lengths), count, p=bank.weight)
    period = 1 / np.exp(rng.uniform(np.log(config.fps[0]), np.log(config.fps[1]), count))
    steady = -np.arange(frames)[::-1] * period[:, None]
    jitter = rng.uniform(-0.15, 0.15, steady.shape) * period[:, None] * (rng.random((count, 1)) < 0.5)
    jitter[:, -1] = 0
    times = steady + jitter
    pace = rng.uniform(0.85, 1.2, count)
    joints, started = _passage(bank, which, times * pace[:, None], rng)
    # Before its first frame a sequence stands still: the person was not there yet.
    times = np.where(started, times, -np.inf)
    if config.mixed > 0:
        other = rng.choice(len(bank.lengths), count, p=bank.weight)
        upper, _ = _passage(bank, other, np.where(started, times, 0.0) * pace[:, None], rng)
        joints = np.where((rng.random(count) < config.mixed)[:, None, None, None], recombined(joints, upper), joints)
    scale = np.clip(rng.normal(1, config.vary_bones, (count, K)), 0.85, 1.18)
    scale = 0.75 * 0.5 * (scale + scale[:, _MIRROR]) + 0.25 * scale
    size = np.where(bank.captured[which], rng.normal(1, config.vary_size, count), rng.normal(1, 0.02, count))
    mirrored = rng.random(count) < 0.5
    joints[mirrored] = joints[mirrored][:, :, _MIRROR] * np.array([-1, 1, 1], dtype=np.float32)
    joints = with_bone_lengths(joints, scale * np.clip(size, 0.8, 1.25)[:, None])
    return times, joints


def _passage(bank: Bank, which: Ints, times: AnyArray, rng: np.random.Generator) -> tuple[AnyArray, Mask]:
    """Joints (N, M, K, 3) of sequences (N,) around random moments, at times (N, M) from there, and whether there
    are any so early (N, M); the first ones otherwise."""
    last = (bank.lengths[which] - 1)[:, None]
    wanted = rng.uniform(0, 1, len(which))[:, None] * last + times * BANK_HZ
    at = np.clip(wanted, 0, last)
    low = np.minimum(at.astype(np.int64), np.maximum(last - 1, 0))
    high = np.minimum(low + 1, last)
    u = (at - low)[..., None, None].astype(np.float32)
    first = bank.starts[which][:, None]
    return bank.joints_m[first + low] * (1 - u) + bank.joints_m[first + high] * u, wanted >= -0.5


_LEGS = np.array([name.endswith(("hip", "knee", "ankle")) for name in H36M17.joint_names])


def recombined(joints: AnyArray, upper: AnyArray) -> AnyArray:
    """Joints (N, M, K, 3) with everything above the pelvis from `upper`, turned to face the way that the hips do."""
    right, left = H36M17.index("right_hip"), H36M17.index("left_hip")
    heading = [np.arctan2(*(j[:, :, left] - j[:, :, right])[..., [0, 2]].transpose(2, 0, 1)) for j in (joints, upper)]
    relative = upper - upper[:, :, :1]
    angle = (heading[0] - heading[1])[..., None]
    c, s = np.cos(angle).astype(joints.dtype), np.sin(angle).astype(joints.dtype)
    x, y, z = np.moveaxis(relative, -1, 0)
    turned = np.stack([c * x + s * z, y, c * z - s * x], axis=-1) + joints[:, :, :1]
    return np.where(_LEGS[:, None], joints, turned)


def film(world: AnyArray, times: AnyArray, config: ViewConfig, rng: np.random.Generator) -> tuple[AnyArray, AnyArray]:
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


def _camera_axes(yaw: AnyArray, pitch: AnyArray, roll: AnyArray) -> AnyArray:
    """Rotations (N, 3, 3), world -> camera, of cameras that face yaw, look down by pitch and lean by roll."""
    flat, up = np.cos(pitch), -np.sin(pitch)
    z = np.stack([flat * np.sin(yaw), up, flat * np.cos(yaw)], axis=-1)
    x = np.stack([-np.cos(yaw), np.zeros_like(yaw), np.sin(yaw)], axis=-1)
    y = np.cross(z, x)
    c, s = np.cos(roll)[:, None], np.sin(roll)[:, None]
    return np.stack([c * x + s * y, c * y - s * x, z], axis=1)


def _panned(points: AnyArray, angle: AnyArray) -> AnyArray:
    """Camera points (N, M, K, 3) of a camera turned about its own y axis by angles (N, M)."""
    c, s = (part[..., None].astype(points.dtype) for part in (np.cos(angle), np.sin(angle)))
    x, y, z = np.moveaxis(points, -1, 0)
    return np.stack([c * x + s * z, y, c * z - s * x], axis=-1)


def imperfect(
    rays: AnyArray, scores: AnyArray, size: AnyArray, times: AnyArray, config: ViewConfig,
    rng: np.random.Generator,
) -> tuple[AnyArray, AnyArray]:  # fmt: skip
    """2D joints as a network finds them: lasting errors, jitter, hidden limbs, swapped sides, telling scores."""
    n, m, _, _ = rays.shape
    level = config.noise * np.exp(rng.normal(0, 0.6, n)) * (rng.random(n) > 0.1)
    joint_level = level[:, None] * np.exp(rng.normal(0, 0.35, (n, K)))
    hidden = np.zeros((n, m, K), dtype=bool)
    if config.faults:
        hidden = _runs(rng, times, (n, K), 0.12, 0.6)
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


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Float32s:
    return rng.standard_normal(shape, dtype=np.float32)


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], low: float, high: float) -> Float32s:
    return np.float32(low) + np.float32(high - low) * rng.random(shape, dtype=np.float32)


_LIMB = np.array([4, 0, 0, 0, 1, 1, 1, 4, 4, 4, 4, 2, 2, 2, 3, 3, 3])
_SWAPS = (np.array([1, 2, 3, 4, 5, 6]), np.array([11, 12, 13, 14, 15, 16]), np.arange(K))
_SPELLS = 3


def _runs(rng: np.random.Generator, times: AnyArray, shape: tuple[int, int], chance: float, long_s: float) -> Mask:
    """Spells (N, M, J) of up to twice long_s that befall item j of sample n, with a chance every second."""
    n, j = shape
    clock = np.where(np.isfinite(times), times, 0.0)
    span = np.ptp(clock, axis=1)[:, None, None]
    befallen = np.zeros((n, times.shape[1], j), dtype=bool)
    for _ in range(_SPELLS):
        start = clock.min(axis=1)[:, None, None] - long_s + (span + long_s) * rng.random((n, 1, j))
        since = clock[:, :, None] - start
        happens = rng.random((n, 1, j)) < chance * (span + long_s) / _SPELLS
        befallen |= (since >= 0) & (since < long_s * rng.uniform(0.2, 2.0, (n, 1, j))) & happens
    return befallen


_HALVES = np.array(
    [
        _LEGS,
        ~_LEGS & (np.arange(K) != H36M17.root),
        [name.startswith("left_") for name in H36M17.joint_names],
        [name.startswith("right_") for name in H36M17.joint_names],
    ]
)


def _steal(
    rays: AnyArray, scores: AnyArray, size: AnyArray, times: AnyArray, rng: np.random.Generator
) -> tuple[AnyArray, AnyArray]:
    """Limbs taken for those of somebody beside: joints (N, M, K, 2) and scores (N, M, K), now and then for a spell."""
    n = len(rays)
    stolen = _runs(rng, times, (n, 5), 0.03, 0.4)[..., _LIMB] & (rng.random((n, 1, K)) < 0.8)
    other = np.roll(rays, 1, axis=0)
    own = np.maximum(size, 1e-6)[:, :, None, None]
    middle, other_middle = rays.mean(axis=2, keepdims=True), other.mean(axis=2, keepdims=True)
    aside = np.stack([rng.choice([-1, 1], n) * rng.uniform(0.1, 0.6, n), rng.normal(0, 0.1, n)], axis=1)
    shape = (other - other_middle) / np.maximum(np.roll(size, 1, axis=0), 1e-6)[:, :, None, None]
    theirs = middle + own * (shape + aside[:, None, None])
    score = np.where(stolen & (scores > 0), rng.uniform(0.15, 0.8, (n, 1, K)), scores)
    return np.where(stolen[..., None], theirs, rays).astype(rays.dtype), score


def _lose(scores: AnyArray, times: AnyArray, rays: AnyArray, rng: np.random.Generator) -> AnyArray:
    """Joints, limbs and halves not found, people cut off by something, whole frames dropped."""
    n, m, _ = scores.shape
    lost = _runs(rng, times, (n, K), 0.06, 0.3) | (rng.random(scores.shape) < 0.02)
    lost |= _runs(rng, times, (n, 5), 0.06, 0.5)[..., _LIMB]
    halves = _runs(rng, times, (n, 4), 0.03, 0.6)
    for half, joints in enumerate(_HALVES):
        lost |= halves[..., half : half + 1] & joints
    hidden_share = np.where(rng.random((n, 1, 1)) < 0.25, rng.uniform(0, 0.6, (n, 1, 1)), 0.0)
    lost |= _runs(rng, times, (n, K), 1.0, 1.0) & (rng.random((n, 1, K)) < hidden_share)
    top, bottom = rays[..., 1].min(axis=2), rays[..., 1].max(axis=2)
    cut = np.where(rng.random(n) < 0.25, rng.uniform(0.25, 0.95, n), 2.0)
    lost |= rays[..., 1] > (top + (bottom - top) * cut[:, None])[..., None]
    left, right = rays[..., 0].min(axis=2), rays[..., 0].max(axis=2)
    side = np.where(rng.random(n) < 0.08, rng.uniform(0.3, 0.9, n), 2.0)
    lost |= rays[..., 0] > (left + (right - left) * side[:, None])[..., None]
    frames = _runs(rng, times, (n, 1), 0.15, 0.4)[..., 0] | (rng.random((n, m)) < 0.03)
    return np.where(lost | frames[..., None], 0.0, scores)
