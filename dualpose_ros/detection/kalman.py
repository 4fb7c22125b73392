"""Constant-velocity Kalman filters of boxes, all tracks at once, with time in seconds.

A box is (x, y, w, h): its middle and size in pixels. Its four coordinates don't influence
each other, so every one is a filter of two states of its own, value and rate, and the 8 x 8
matrices of the textbook form shrink to closed 2 x 2 ones. The driving noise is white
acceleration in continuous time, so that a prediction over an interval doesn't depend on
how the interval is cut into frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats, Indices, Rows, rows_of

MIN_SIZE_PX = 1.0


@dataclass(frozen=True)
class MotionNoise:
    """Noise of people's boxes, in units of the box height h, as people further away move fewer pixels.

    measurement: standard deviation of a detected (x, y, w, h), in h.
    acceleration: how much the rate of (x, y, w, h) wanders within a second, in h per second.
    initial_rate: standard deviation of a new track's rate of (x, y, w, h), in h per second.
    """

    measurement: tuple[float, float, float, float] = (0.04, 0.04, 0.08, 0.06)
    acceleration: tuple[float, float, float, float] = (0.6, 0.4, 0.3, 0.2)
    initial_rate: tuple[float, float, float, float] = (1.0, 0.5, 0.3, 0.3)


@dataclass(frozen=True, eq=False)
class BoxStates(Rows):
    """N filters: mean (N, 4, 2) of value and rate (px, px/s) of x, y, w, h, covariance (N, 4, 2, 2)."""

    mean: Floats = field(metadata=rows_of(4, 2))
    covariance: Floats = field(metadata=rows_of(4, 2, 2))

    @property
    def boxes_px(self) -> Floats:
        """Boxes (N, 4) as (x0, y0, x1, y1)."""
        middle, half = self.mean[:, :2, 0], self.mean[:, 2:, 0] / 2
        return np.concatenate([middle - half, middle + half], axis=1)


def to_xywh(boxes_px: AnyFloats) -> Floats:
    """Middle and size (N, 4) of boxes (N, 4) given by their edges."""
    boxes = np.asarray(boxes_px, dtype=np.float64)
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


def replace_states(states: BoxStates, index: Indices, new: BoxStates) -> BoxStates:
    """A copy of `states` whose filters at `index` (M,) are those of `new` (M)."""
    mean, covariance = states.mean.copy(), states.covariance.copy()
    mean[index], covariance[index] = new.mean, new.covariance
    return BoxStates(mean, covariance)


def start_states(boxes_px: AnyFloats, noise: MotionNoise) -> BoxStates:
    """Filters of boxes (N, 4) seen for the first time: at rest, the rate unknown."""
    xywh = to_xywh(boxes_px)
    height = xywh[:, 3:4]
    covariance = np.zeros((len(xywh), 4, 2, 2))
    covariance[:, :, 0, 0] = (height * noise.measurement) ** 2
    covariance[:, :, 1, 1] = (height * noise.initial_rate) ** 2
    return BoxStates(np.stack([xywh, np.zeros_like(xywh)], axis=-1), covariance)


def predict_states(states: BoxStates, dt: float, noise: MotionNoise) -> BoxStates:
    """Filters `dt` seconds later: P = F P F^T + Q with F = [[1, dt], [0, 1]], Q of white acceleration."""
    mean = states.mean.copy()
    mean[..., 0] += dt * mean[..., 1]
    mean[:, 2:, 0] = np.maximum(mean[:, 2:, 0], MIN_SIZE_PX)
    density = (states.mean[:, 3, 0, None] * noise.acceleration) ** 2
    p = states.covariance
    cross = p[..., 0, 1] + dt * p[..., 1, 1] + density * dt**2 / 2
    covariance = np.empty_like(p)
    covariance[..., 0, 0] = p[..., 0, 0] + dt * (2 * p[..., 0, 1] + dt * p[..., 1, 1]) + density * dt**3 / 3
    covariance[..., 0, 1] = covariance[..., 1, 0] = cross
    covariance[..., 1, 1] = p[..., 1, 1] + density * dt
    return BoxStates(mean, covariance)


def update_states(
    states: BoxStates, boxes_px: AnyFloats, noise: MotionNoise, doubt: AnyFloats | None = None
) -> BoxStates:
    """Filters after measuring boxes (N, 4), one each; doubt (N,) multiplies the measurement's deviation."""
    factor = np.ones(len(states)) if doubt is None else np.asarray(doubt, dtype=np.float64)
    p = states.covariance
    variance = (states.mean[:, 3, 0, None] * noise.measurement * factor[:, None]) ** 2
    gain = p[..., 0] / (p[..., 0, 0] + variance)[..., None]
    innovation = to_xywh(boxes_px) - states.mean[..., 0]
    mean = states.mean + gain * innovation[..., None]
    mean[:, 2:, 0] = np.maximum(mean[:, 2:, 0], MIN_SIZE_PX)
    return BoxStates(mean, p - gain[..., :, None] * p[..., 0, None, :])


def middle_distances(states: BoxStates, boxes_px: AnyFloats, noise: MotionNoise) -> Floats:
    """Mahalanobis distance (N, M) of each filter's middle to each measured box's, in standard deviations."""
    measured = to_xywh(boxes_px)[None, :, :2]
    variance = states.covariance[:, :2, 0, 0] + (states.mean[:, 3, 0, None] * noise.measurement[:2]) ** 2
    difference = measured - states.mean[:, None, :2, 0]
    return np.sqrt(np.sum(difference**2 / variance[:, None], axis=-1))
