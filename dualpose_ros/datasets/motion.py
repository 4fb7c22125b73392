"""Motion-capture clips from one .npz file: joints of `skeleton.H36M17` in metres.

The file holds `joints_m` (T, 17, 3) of all clips end to end, `clip_lengths` (C,),
`clip_names` (C,), `joint_names` (17,) and `fps`; world frame, y up, floor near y = 0.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dualpose_ros.arrays import DAMAGED, AnyArray, AnyFloats, Float32s, Floats
from dualpose_ros.skeleton import H36M17

SPLITS = ("train", "validation", "held_out", "all")
HELD_OUT_ONE_IN = 5
VALIDATION_ONE_IN = 9
"""Of the clips that are not held out."""

_KEYS = ("joints_m", "clip_lengths", "clip_names", "joint_names", "fps")


class MocapError(ValueError):
    """A motion-capture file that can't be used."""


@dataclass(frozen=True)
class Clip:
    """One recorded motion: name, joints_m (T, K, 3) in a y-up world, frames per second."""

    name: str
    joints_m: Float32s
    fps: float

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the last."""
        return (len(self.joints_m) - 1) / self.fps


def split_of(clip_name: str) -> str:
    """The split of a clip, by the SHA-256 of its name: a fifth is "held_out", for evaluation alone.

    A ninth of the rest is "validation": training stops, chooses and calibrates by it. The name alone
    decides, so that adding clips to a file moves none between the splits.
    """
    number = int.from_bytes(hashlib.sha256(clip_name.encode("utf-8")).digest()[:8], "big")
    if number % HELD_OUT_ONE_IN == 0:
        return "held_out"
    return "validation" if number // HELD_OUT_ONE_IN % VALIDATION_ONE_IN == 0 else "train"


def load_clips(path: str | os.PathLike[str], split: str = "train") -> list[Clip]:
    """Read the clips of one of SPLITS in the file's order; of a folder, those of all its .npz files, by name.

    Raises MocapError naming the file and what is wrong with it, ValueError for an unknown split.
    """
    if split not in SPLITS:
        raise ValueError(f"split '{split}' is unknown; it is one of {', '.join(SPLITS)}")
    if Path(path).is_dir():
        files = sorted(Path(path).glob("*.npz"))
        if not files:
            raise MocapError(f"folder {path} holds no motion capture, *.npz")
        return [clip for file in files for clip in load_clips(file, split)]
    arrays = _read(Path(path))
    _check(Path(path), arrays)
    lengths = arrays["clip_lengths"].astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    joints = np.asarray(arrays["joints_m"], dtype=np.float32)
    clips = [
        Clip(str(name), joints[start : start + length], float(arrays["fps"]))
        for name, start, length in zip(arrays["clip_names"], starts[:-1], lengths, strict=True)
    ]
    return [clip for clip in clips if split in ("all", split_of(clip.name))]


def _read(path: Path) -> dict[str, AnyArray]:
    """The arrays of the file by key; MocapError if it is no such file."""
    if not path.is_file():
        raise MocapError(f"motion-capture file {path} does not exist")
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in _KEYS if key not in archive.files]
            if missing:
                raise MocapError(f"{path} has no {', '.join(missing)}; it needs {', '.join(_KEYS)}")
            return {key: archive[key] for key in _KEYS}
    except MocapError:
        raise
    except DAMAGED as error:
        raise MocapError(f"{path} is not a readable .npz file of clips: {error}") from error


def _check(path: Path, arrays: dict[str, AnyArray]) -> None:
    """Raise MocapError where the arrays don't fit together or the skeleton is another one."""
    joints, lengths = arrays["joints_m"], arrays["clip_lengths"]
    names = tuple(str(name) for name in arrays["joint_names"].reshape(-1))
    if names != H36M17.joint_names:
        raise MocapError(f"{path}: joints are {names}, not those of {H36M17.name}: {H36M17.joint_names}")
    if joints.ndim != 3 or joints.shape[1:] != (H36M17.num_joints, 3):
        raise MocapError(f"{path}: joints_m has shape {joints.shape}, not (frames, {H36M17.num_joints}, 3)")
    if lengths.ndim != 1 or lengths.shape != arrays["clip_names"].shape or np.any(lengths.astype(np.int64) < 1):
        raise MocapError(f"{path}: clip_lengths {lengths.shape} and clip_names don't match, or a clip is empty")
    if int(lengths.astype(np.int64).sum()) != len(joints):
        raise MocapError(f"{path}: clip_lengths add up to {int(lengths.astype(np.int64).sum())}, not {len(joints)}")
    if not np.all(np.isfinite(joints.astype(np.float64))):
        raise MocapError(f"{path}: joints_m holds values that are not finite")
    fps = arrays["fps"]
    if fps.size != 1 or not 1 <= float(fps.astype(np.float64)) <= 1000:
        raise MocapError(f"{path}: fps {fps} is not one number between 1 and 1000")


def at_rate(joints_m: AnyFloats, fps: float, hz: float) -> Floats:
    """Joints (T', K, 3) at hz frames a second, linear between the frames (T, K, 3) at fps."""
    joints = np.asarray(joints_m, dtype=np.float64)
    at = np.arange(0, (len(joints) - 1) / fps + 1e-9, 1 / hz) * fps
    low = np.clip(np.floor(at + 1e-9).astype(int), 0, max(len(joints) - 2, 0))
    high = np.minimum(low + 1, len(joints) - 1)
    u = np.clip(at - low, 0, 1)[:, None, None]
    return joints[low] * (1 - u) + joints[high] * u
