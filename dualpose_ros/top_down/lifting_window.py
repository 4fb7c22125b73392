"""From irregular 2D histories to the fixed window that lifting networks see, and back to metres.

N people, M observations, T = 27 window frames at 30 Hz ending now, K joints of
`skeleton.H36M17`. Rays are undistorted normalised image coordinates. The virtual camera of
a person looks straight at the person: with its z axis through the middle of the current 2D
joints a person looks the same anywhere in the image. Training and live code share this file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dualpose_ros.skeleton import H36M17

FloatArray = npt.NDArray[np.float64]

WINDOW_FRAMES = 27
WINDOW_HZ = 30.0
GRID_S = (np.arange(WINDOW_FRAMES) - (WINDOW_FRAMES - 1)) / WINDOW_HZ
"""Times of the window's frames relative to now: (T,), ending in 0."""

HISTORY_S = float(-GRID_S[0]) + 0.25
"""How far back observations still matter."""

FADE_S = 0.2
"""A joint's confidence falls to zero this long from its nearest observation."""

NUM_FEATURES = 3 * H36M17.num_joints + 4
_MIN_SCORE = 0.02
_MIN_EXTENT = 1e-4


@dataclass(frozen=True)
class Window:
    """Network input, and what is needed to undo its normalisation.

    features (N, T, 3K + 4) float32: x, y over `extent` and confidence by joint, then the frame's best
    confidence, log extent, and the angles of the viewing direction; to_camera (N, 3, 3): virtual camera
    axes -> camera axes; extent (N,): RMS size of the 2D person in virtual rays; rays (N, K, 2)
    and confidence (N, K) of the current frame, in the virtual camera.
    """

    features: npt.NDArray[np.float32]
    to_camera: FloatArray
    extent: FloatArray
    rays: FloatArray
    confidence: FloatArray


def resample(times_s: FloatArray, rays: FloatArray, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Each joint on the window's grid: rays (N, T, K, 2) and confidence (N, T, K).

    times_s (N, M) ascending, relative to now, -inf where there is no observation; rays (N, M, K, 2);
    scores (N, M, K). Linear between the neighbouring observations of the joint itself, held beyond
    them; confidence is interpolated too, and fades with the distance to the nearer of the two.
    """
    times = np.where(np.isfinite(times_s), times_s, -1e6)
    finite = np.isfinite(rays[..., 0]) & np.isfinite(rays[..., 1])
    valid = (scores > _MIN_SCORE) & np.isfinite(times_s)[..., None] & finite
    people, count, _ = valid.shape
    index = np.broadcast_to(np.arange(count)[None, :, None], valid.shape)
    before = np.maximum.accumulate(np.where(valid, index, -1), axis=1)
    after = np.minimum.accumulate(np.where(valid, index, count)[:, ::-1], axis=1)[:, ::-1]
    at = np.sum(times[:, None, :] <= GRID_S[None, :, None] + 1e-6, axis=2) - 1
    person = np.arange(people)[:, None]
    first = np.where((at >= 0)[..., None], before[person, np.maximum(at, 0)], -1)
    next_at = np.minimum(at + 1, count - 1)
    second = np.where((at + 1 < count)[..., None], after[person, next_at], count)
    has_first, has_second = first >= 0, second < count
    first = np.where(has_first, first, np.where(has_second, second, 0))
    second = np.where(has_second, second, first)
    person3, joint3 = np.arange(people)[:, None, None], np.arange(valid.shape[2])[None, None]
    t0, t1 = times[person3, first], times[person3, second]
    grid = GRID_S[None, :, None]
    u = np.clip((grid - t0) / np.maximum(t1 - t0, 1e-6), 0, 1)
    clean = np.where(valid[..., None], rays, np.zeros((), rays.dtype))
    point = clean[person3, first, joint3] * (1 - u[..., None]) + clean[person3, second, joint3] * u[..., None]
    score = scores[person3, first, joint3] * (1 - u) + scores[person3, second, joint3] * u
    distance = np.minimum(np.abs(grid - t0), np.abs(grid - t1))
    confidence = np.clip(score, 0, 1) * np.clip(1 - distance / FADE_S, 0, 1) * (has_first | has_second)
    return np.where((confidence > 0)[..., None], point, 0.0), confidence


def normalise(rays: FloatArray, confidence: FloatArray) -> Window:
    """Window of rays (N, T, K, 2) with confidence (N, T, K), seen by each person's virtual camera."""
    weight = np.where(confidence.sum(axis=2, keepdims=True) > 0, confidence, 0.0)
    now = weight[:, -1:]
    window = np.where(now.sum(axis=(1, 2), keepdims=True) > 0, np.concatenate([0 * weight[:, :-1], now], 1), weight)
    total = np.maximum(window.sum(axis=(1, 2)), 1e-9)[:, None]
    centre = np.einsum("ntk,ntkc->nc", window, rays) / total
    to_camera = look_at(centre)
    seen = _through(to_camera, rays)
    frame_total = np.maximum(weight.sum(axis=2), 1e-9)[..., None]
    middle = np.einsum("ntk,ntkc->ntc", weight, seen) / frame_total
    away = seen - middle[:, :, None]
    spread = away[..., 0] ** 2 + away[..., 1] ** 2
    extent = np.sqrt(np.sum(weight * spread, axis=(1, 2)) / np.maximum(weight.sum(axis=(1, 2)), 1e-9))
    extent = np.maximum(extent, _MIN_EXTENT)
    known = (weight > 0)[..., None]
    scaled = np.clip(np.where(known, seen / extent[:, None, None, None], 0.0), -8, 8)
    joints = np.concatenate([scaled, weight[..., None]], axis=-1).reshape(*weight.shape[:2], -1)
    common = np.concatenate([np.log(extent)[:, None] + 2.0, np.arctan(centre)], axis=1)
    common = np.broadcast_to(common[:, None], (*weight.shape[:2], 3))
    features = np.concatenate([joints, weight.max(axis=2)[..., None], common], axis=-1).astype(np.float32)
    return Window(features, to_camera, extent, seen[:, -1], weight[:, -1])


def _through(to_camera: FloatArray, rays: FloatArray) -> FloatArray:
    """Rays (N, T, K, 2) of the camera as seen by virtual cameras (N, 3, 3)."""
    r = to_camera.astype(rays.dtype)[:, None, None]
    x, y = rays[..., 0], rays[..., 1]
    depth = np.maximum(x * r[..., 0, 2] + y * r[..., 1, 2] + r[..., 2, 2], 0.1)
    seen = np.empty_like(rays)
    for axis in (0, 1):
        seen[..., axis] = (x * r[..., 0, axis] + y * r[..., 1, axis] + r[..., 2, axis]) / depth
    return seen


def look_at(rays: FloatArray) -> FloatArray:
    """Rotations (N, 3, 3), virtual camera -> camera, that turn the z axis onto rays (N, 2) the shortest way."""
    direction = np.concatenate([rays, np.ones_like(rays[..., :1])], axis=-1)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    x, y, z = np.moveaxis(direction, -1, 0)
    shared = 1 / (1 + z)
    rows = [[1 - x * x * shared, -x * y * shared, x], [-x * y * shared, 1 - y * y * shared, y], [-x, -y, z]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def place_root(
    window: Window, joints_virtual: FloatArray, stddev: FloatArray, depth_virtual: FloatArray
) -> FloatArray:
    """Root positions (N, 3) in the camera frame that best reproject root-relative joints (N, K, 3).

    The depth (N,) along the virtual camera's axis is given; x and y are the weighted least-squares
    solution over the joints seen now, or lie on the axis where none was seen.
    """
    z = joints_virtual[..., 2] + depth_virtual[:, None]
    wanted = window.rays * z[..., None] - joints_virtual[..., :2]
    weight = window.confidence / np.maximum(stddev, 0.01) ** 2
    total = weight.sum(axis=1)
    place = np.einsum("nk,nkc->nc", weight, wanted) / np.maximum(total, 1e-9)[:, None]
    root = np.concatenate([place, depth_virtual[:, None]], axis=1)
    return np.einsum("nab,nb->na", window.to_camera, root)
