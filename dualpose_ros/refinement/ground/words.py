"""What was found of the ground in words, for diagnostics and warnings."""

import numpy as np

from dualpose_ros.refinement.ground.standing import GroundFound

_NOTICED, _SURE = 2.0, 1.5
"""Deviations, of what was stated and of what was found, from which on the ground is said to be off."""

_MEASURE = "measure the camera's height and tilt anew, or state them as less sure (ground.accuracy)"


def ground_found_words(found: GroundFound) -> str:
    """By what the ground seems to be off from what was said, with deviations."""
    return ", ".join(
        f"{name} {scale * off:+.1f} +- {scale * stddev:.1f} {unit}"
        for name, unit, scale, off, stddev in zip(*_NAMES, found.off, found.stddev, strict=True)
    )


_NAMES = ("height", "pitch", "roll"), ("%", "degrees", "degrees"), (100.0, float(np.degrees(1)), float(np.degrees(1)))


def ground_warning(found: GroundFound) -> str:
    """One line where people's feet or sizes contradict the ground as it was said; empty where they don't."""
    accuracy = found.accuracy
    stated = np.array([accuracy.height_stddev, accuracy.pitch_stddev_rad, accuracy.roll_stddev_rad])
    off = np.abs(found.off)
    if (off > np.maximum(_NOTICED * stated, _SURE * found.stddev)).any():
        return f"the ground seems to be off from what was said: {ground_found_words(found)}; {_MEASURE}"
    if found.giants:
        tall = " and ".join(f"{height:.1f} m" for height in found.giants)
        return f"people come out {tall} tall: the ground is not where it was said to be; {_MEASURE}"
    return ""
