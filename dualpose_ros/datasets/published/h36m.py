"""Human3.6M as its authors publish it: S9/MyPoseFeatures/D3_Positions_mono/ACTION.CAMERA.cdf and S9/Videos.

Ionescu et al., PAMI 2014. A file's `Pose` holds the T frames of a video: 32 joints in millimetres in the camera frame
(D3_Positions_mono) or in pixels (D2_Positions), of which 17 are used. The camera is the one that projects the one to
the other.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.datasets.published.truth import (
    DatasetError,
    TruthFrame,
    TruthSequence,
    finite,
    fitted_camera,
    numbers,
    true_people,
)
from dualpose_ros.skeleton import H36M17

TESTED = ("S9", "S11")
FPS = 50.0
_NUM_JOINTS = 32
_USED = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
_SIZES = {"54138969": (1000, 1002), "55011271": (1000, 1000), "58860488": (1000, 1000), "60457274": (1000, 1002)}


def open_h36m(root: Path, subjects: tuple[str, ...] = TESTED) -> list[TruthSequence]:
    """The videos of some subjects from every camera; DatasetError names what is missing."""
    files = [
        path for subject in subjects
        for path in sorted((root / subject / "MyPoseFeatures" / "D3_Positions_mono").glob("*.cdf"))
        if not path.name.startswith("_ALL")
    ]  # fmt: skip
    if not files:
        raise DatasetError(
            f"{root} has no {' or '.join(subjects)}/MyPoseFeatures/D3_Positions_mono/*.cdf: this is no Human3.6M"
        )
    return [_sequence(path) for path in files]


def _sequence(path: Path) -> TruthSequence:
    subject, (action, camera, *_) = path.parents[2].name, path.name.rsplit(".", 2)
    video = path.parents[2] / "Videos" / f"{action}.{camera}.mp4"
    # "Walking 1" and "Walking" are one action.
    group = action.split(" ")[0].split("_")[0]
    return TruthSequence(
        f"{subject}/{action}.{camera}", H36M17.joint_names, partial(_frames, path, camera), video, 0, group
    )


def _frames(path: Path, camera_name: str) -> Iterator[TruthFrame]:
    flat = path.parents[1] / "D2_Positions" / path.name
    places, pixels = _pose(path, 3) / 1000, _pose(flat, 2)
    if len(places) != len(pixels):
        raise DatasetError(f"{flat} has {len(pixels)} frames, {path} {len(places)}")
    camera = fitted_camera(places, pixels, _SIZES.get(camera_name, (1000, 1000)), str(flat))
    for index in range(len(places)):
        people = true_people(np.zeros(1), places[index, None], pixels[index, None], f"{path}: frame {index}")
        yield TruthFrame(index, index / FPS, None, camera, people)


def _pose(path: Path, axes: int) -> Floats:
    """Joints (T, 17, axes) of a file."""
    try:
        import cdflib
    except ImportError:
        raise DatasetError(f"{path} is a CDF file, which cdflib reads: pip install 'dualpose_ros[datasets]'") from None
    if not path.is_file():
        raise DatasetError(f"{path} is not there")
    try:
        value = cdflib.CDF(path).varget("Pose")
    except Exception as error:  # cdflib has no common base class for what a damaged file makes it raise
        raise DatasetError(f"{path} is no CDF file with a 'Pose', or damaged: {error}") from None
    pose = np.squeeze(np.asarray(value), axis=0) if np.ndim(value) == 3 else np.asarray(value)
    pose = finite(numbers(pose, (-1, _NUM_JOINTS * axes), f"{path}: Pose"), f"{path}: Pose")
    return pose.reshape(len(pose), _NUM_JOINTS, axes)[:, _USED]
