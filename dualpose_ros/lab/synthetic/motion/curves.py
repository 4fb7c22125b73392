"""Smooth curves over time that motions are made of. T frames; times in seconds."""

import numpy as np
import numpy.typing as npt

from dualpose_ros.arrays import Floats


def ease(u: Floats | float) -> Floats:
    """Minimum-jerk blend 0..1 of u clipped to 0..1 (velocity and acceleration zero at both ends)."""
    u = np.clip(np.asarray(u, dtype=np.float64), 0, 1)
    return u**3 * (10 - 15 * u + 6 * u * u)


def bump(u: Floats | float) -> Floats:
    """A smooth hill 0..1..0 over u in 0..1, zero outside."""
    return np.sin(np.pi * np.clip(np.asarray(u, dtype=np.float64), 0, 1)) ** 2


def drift(rng: np.random.Generator, times: Floats, shape: tuple[int, ...], amplitude: float, period_s: float) -> Floats:
    """Slow wandering (T, *shape) about zero with the given standard deviation: three random sines."""
    total = np.zeros((len(times), *shape))
    column = np.asarray(times, dtype=np.float64).reshape(-1, *(1,) * len(shape))
    for weight, factor in ((0.8, 1.7), (0.5, 1.0), (0.33, 0.55)):
        period = period_s * factor * rng.uniform(0.8, 1.25, shape)
        total += weight * np.sqrt(2) * np.sin(2 * np.pi * (column / period + rng.random(shape)))
    return amplitude * total


def keyframes(times: Floats, key_times: npt.ArrayLike, key_values: npt.ArrayLike) -> Floats:
    """Values (T, ...) that rest at each key (M, ...) and move between them with minimum jerk."""
    keys = np.asarray(key_times, dtype=np.float64)
    values = np.asarray(key_values, dtype=np.float64)
    if len(keys) == 1:
        return np.repeat(values, len(times), axis=0)
    index = np.clip(np.searchsorted(keys, times, side="right") - 1, 0, len(keys) - 2)
    span = np.maximum(keys[index + 1] - keys[index], 1e-6)
    u = ease((times - keys[index]) / span).reshape(-1, *(1,) * (values.ndim - 1))
    return values[index] * (1 - u) + values[index + 1] * u


def passing(times: Floats, key_times: npt.ArrayLike, key_values: npt.ArrayLike) -> Floats:
    """Values (T, ...) that pass through the keys (M, ...) without stopping (Hermite, finite-difference slopes)."""
    keys = np.asarray(key_times, dtype=np.float64)
    values = np.asarray(key_values, dtype=np.float64)
    if len(keys) < 3:
        return keyframes(times, keys, values)
    shape = (-1, *(1,) * (values.ndim - 1))
    slope = np.zeros_like(values)
    slope[1:-1] = (values[2:] - values[:-2]) / (keys[2:] - keys[:-2]).reshape(shape)
    t = np.clip(times, keys[0], keys[-1])
    index = np.clip(np.searchsorted(keys, t, side="right") - 1, 0, len(keys) - 2)
    span = (keys[index + 1] - keys[index]).reshape(shape)
    u = (t - keys[index]).reshape(shape) / span
    h00, h10 = (1 + 2 * u) * (1 - u) ** 2, u * (1 - u) ** 2
    h01, h11 = u * u * (3 - 2 * u), u * u * (u - 1)
    a, b = values[index], values[index + 1]
    return h00 * a + h10 * span * slope[index] + h01 * b + h11 * span * slope[index + 1]


def smooth(values: Floats, fps: float, sigma_s: float) -> Floats:
    """Gaussian-smoothed values (T, ...) along time, ends held."""
    radius = int(np.ceil(3 * sigma_s * fps))
    if radius < 1 or len(values) < 2:
        return values
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / (sigma_s * fps)) ** 2)
    kernel /= kernel.sum()
    flat = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    padded = np.concatenate([np.repeat(flat[:1], radius, 0), flat, np.repeat(flat[-1:], radius, 0)])
    columns = [np.convolve(padded[:, i], kernel, mode="valid") for i in range(flat.shape[1])]
    return np.stack(columns, axis=1).reshape(values.shape)


def cycles(rng: np.random.Generator, times: Floats, period_s: float) -> Floats:
    """Phase (T,) in cycles of a repeated movement whose pace wanders a little."""
    base = np.asarray(times, dtype=np.float64) / (period_s * rng.uniform(0.85, 1.2)) + rng.random()
    return base + drift(rng, times, (), 0.04, 4 * period_s)
