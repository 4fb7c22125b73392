"""Reader of a synthetic clip's ground truth (`truth.npz` of `dualpose synth clip`).

T frames, N people with a column each for the whole clip, K joints of `skeleton.H36M17`; metres in the camera's
optical frame, seconds from the clip's start, pixels of the image.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dualpose_ros.arrays import DAMAGED, AnyArray, Floats, Ints, Mask, UInt8s
from dualpose_ros.camera import Camera, CameraError
from dualpose_ros.skeleton import H36M17


class ClipError(ValueError):
    """A ground truth file that is missing, damaged or contradicts itself."""


@dataclass(frozen=True)
class ClipTruth:
    """Exact ground truth of a clip.

    stamps_s (T,); ids (N,) int; joints_cam (T, N, K, 3); joints_px (T, N, K, 2); boxes_px (T, N, 4);
    visibility (T, N, K) uint8 (values of `datasets.labels`); visible_fraction (T, N): pixels in view over those
    without occlusion; present (T, N) bool: in the image at all. What isn't present may hold any value.
    """

    stamps_s: Floats
    ids: Ints
    joints_cam: Floats
    joints_px: Floats
    boxes_px: Floats
    visibility: UInt8s
    visible_fraction: Floats
    present: Mask
    camera: Camera
    fps: float

    @property
    def num_frames(self) -> int:
        """Number of frames T."""
        return len(self.stamps_s)

    @property
    def num_people(self) -> int:
        """Number of people N."""
        return len(self.ids)


def load_clip_truth(path: Path) -> ClipTruth:
    """Read and check a ground truth file; ClipError says what is wrong with it and what to do."""
    arrays = _read(path)
    stamps = _array(path, arrays, "stamps_s", (-1,))
    frames = len(stamps)
    all_ids = _array(path, arrays, "ids", (frames, -1))
    people, joints = all_ids.shape[1], H36M17.num_joints
    truth = ClipTruth(
        stamps_s=stamps.astype(np.float64),
        ids=all_ids[0].astype(np.int64) if frames else np.zeros(people, np.int64),
        joints_cam=_array(path, arrays, "joints_cam", (frames, people, joints, 3)).astype(np.float64),
        joints_px=_array(path, arrays, "joints_px", (frames, people, joints, 2)).astype(np.float64),
        boxes_px=_array(path, arrays, "boxes_px", (frames, people, 4)).astype(np.float64),
        visibility=_array(path, arrays, "visibility", (frames, people, joints)).astype(np.uint8),
        visible_fraction=_array(path, arrays, "visible_fraction", (frames, people)).astype(np.float64),
        present=_array(path, arrays, "present", (frames, people)).astype(bool),
        camera=_camera(path, _array(path, arrays, "intrinsics", (6,))),
        fps=float(_array(path, arrays, "fps", ())),
    )
    _check(path, truth, all_ids)
    return truth


def _read(path: Path) -> dict[str, AnyArray]:
    if not path.is_file():
        raise ClipError(f"no ground truth at {path}: make the clip with `dualpose synth`, or give another path")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except DAMAGED as error:
        raise ClipError(f"{path} is not a readable npz archive ({error}): make or fetch the clip anew") from error


def _array(path: Path, arrays: dict[str, AnyArray], name: str, shape: tuple[int, ...]) -> AnyArray:
    """The array of that name and shape, -1 standing for any length."""
    if name not in arrays:
        raise ClipError(f"{path} has no array '{name}': it is no clip's ground truth, or of another version")
    array = arrays[name]
    fits = array.ndim == len(shape) and all(want in (-1, got) for want, got in zip(shape, array.shape, strict=True))
    if not fits:
        raise ClipError(f"{path}: '{name}' has shape {array.shape}, needed is {shape} (-1 is any)")
    if array.dtype.kind not in "biuf":
        raise ClipError(f"{path}: '{name}' holds {array.dtype} instead of numbers")
    return array


def _camera(path: Path, values: AnyArray) -> Camera:
    fx, fy, cx, cy, width, height = (float(value) for value in values.astype(np.float64))
    try:
        return Camera(int(width), int(height), fx, fy, cx, cy)
    except (CameraError, ValueError, OverflowError) as error:
        raise ClipError(f"{path}: intrinsics are unusable: {error}") from error


def _check(path: Path, truth: ClipTruth, all_ids: AnyArray) -> None:
    if truth.num_frames == 0:
        raise ClipError(f"{path} holds no frames")
    if not np.isfinite(truth.fps) or truth.fps <= 0:
        raise ClipError(f"{path}: {truth.fps} frames a second is not a positive rate")
    if not np.all(np.isfinite(truth.stamps_s)) or np.any(np.diff(truth.stamps_s) <= 0):
        raise ClipError(f"{path}: stamps_s does not increase from frame to frame")
    if np.any(all_ids != truth.ids):
        raise ClipError(f"{path}: ids change between frames; each person needs one column for the whole clip")
    if len(np.unique(truth.ids)) != truth.num_people:
        raise ClipError(f"{path}: two people have the same id")
    shown = truth.joints_cam[truth.present]
    if not np.all(np.isfinite(shown)):
        raise ClipError(f"{path}: joints_cam of a present person is not finite")
    if np.any(shown[:, H36M17.root, 2] <= 0):
        raise ClipError(f"{path}: a present person's pelvis is not in front of the camera")
