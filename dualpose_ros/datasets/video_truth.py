"""The 3D truth of a real video: who was where in each frame, joints that nobody measured left out.

Two forms are read. An .npz file holds everybody; OpenSim's .trc (one file a person, as Pose2Sim and other
triangulating tools write it) holds markers by name. T frames, N people, K joints of `skeleton.H36M17`; metres in the
camera's optical frame once a world's `world_to_camera` is applied.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.spatial.transform import Rotation

from dualpose_ros.arrays import DAMAGED, Floats, Mask
from dualpose_ros.skeleton import H36M17, K

_UNITS_M = {"m": 1.0, "cm": 0.01, "mm": 0.001}
_SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}
_LIMBS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
_MIDDLE = {
    "hip": "pelvis", "midhip": "pelvis", "pelvis": "pelvis", "root": "pelvis", "spine": "spine", "thorax": "thorax",
    "neck": "neck", "headtop": "head_top", "vertex": "head_top",
}  # fmt: skip
_PELVIS, _HIPS = H36M17.root, (H36M17.index("left_hip"), H36M17.index("right_hip"))


class VideoTruthError(ValueError):
    """A truth file that is missing, damaged or contradicts itself; the message names file and field."""


@dataclass(frozen=True)
class VideoTruth:
    """stamps_s (T,) from the video's first frame; joints_cam (T, N, K, 3), NaN where not measured; whether everybody
    in view is in it, so that whoever else is found is nobody."""

    stamps_s: Floats
    joints_cam: Floats
    everybody: bool

    @property
    def present(self) -> Mask:
        """Who is there in each frame (T, N): with a pelvis in front of the camera and six measured joints or more."""
        root = self.joints_cam[..., _PELVIS, 2]
        measured = np.isfinite(self.joints_cam).all(axis=-1).sum(axis=-1) >= 6
        return np.asarray(measured & np.nan_to_num(root, nan=-1.0).__gt__(0))


@dataclass(frozen=True)
class Setup:
    """What `truth.yaml` beside the files says: world_to_camera (4, 4); the first frame's time on the video in
    seconds; frames a second where the file has none; whether everybody in view is in the truth."""

    world_to_camera: Floats
    start_s: float = 0.0
    fps: float | None = None
    everybody: bool = True


def load_video_truth(files: Sequence[Path], setup: Path | None = None) -> VideoTruth:
    """Read one .npz file, or .trc files of one person each.

    files: the truth, all of one form; setup: a YAML file with any of `rotation` (3x3, or a Rodrigues vector of 3) and
    `translation_m` from the truth's world to the camera's optical frame, `start_s`, `fps`, `everybody`; None if there
    is none.
    Returns the truth in the camera frame. A pelvis that was not measured is the hips' middle.
    VideoTruthError for a file that can't be read or understood; it names the file and the field.
    """
    if not files:
        raise VideoTruthError("no truth given: one .npz file, or a .trc file for each person, is needed")
    place = _read_setup(setup) if setup is not None else Setup(np.eye(4))
    kinds = {path.suffix.lower() for path in files}
    if kinds == {".npz"} and len(files) == 1:
        stamps, joints, own = _read_npz(files[0], place)
    elif kinds == {".trc"}:
        stamps, joints = _together([_read_trc(path, place) for path in files])
        own = place.everybody
    else:
        raise VideoTruthError(f"truth files {', '.join(map(str, files))}: one .npz, or .trc files alone, are read")
    joints = joints @ place.world_to_camera[:3, :3].T + place.world_to_camera[:3, 3]
    unknown = np.isnan(joints[..., _PELVIS, :]).any(axis=-1)
    joints[unknown, _PELVIS] = joints[unknown][:, _HIPS].mean(axis=1)
    return VideoTruth(stamps + place.start_s, joints, own)


def joint_of(marker: str) -> int | None:
    """Which joint of `skeleton.H36M17` a marker's name means ("RKnee", "left_knee"); None for none of them."""
    word = "".join(part for part in marker.lower() if part.isalnum())
    if word in _MIDDLE:
        return H36M17.index(_MIDDLE[word])
    for limb in _LIMBS:
        side = _SIDES.get(word.removesuffix(limb) if word.endswith(limb) else word.removeprefix(limb))
        if limb in word and side is not None:
            return H36M17.index(f"{side}_{limb}")
    return None


def _read_setup(path: Path) -> Setup:
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise VideoTruthError(f"{path} can't be read: {' '.join(str(error).split())}") from None
    known = {"rotation", "translation_m", "start_s", "fps", "everybody"}
    if not isinstance(content, dict) or not set(content) <= known:
        raise VideoTruthError(f"{path} holds {content!r:.80}; a mapping with any of {', '.join(sorted(known))} is read")
    matrix = np.eye(4)
    try:
        turn = np.asarray(content.get("rotation", np.eye(3)), dtype=np.float64)
        matrix[:3, :3] = Rotation.from_rotvec(turn).as_matrix() if turn.shape == (3,) else turn.reshape(3, 3)
        matrix[:3, 3] = np.asarray(content.get("translation_m", np.zeros(3)), dtype=np.float64).reshape(3)
        fps = content.get("fps")
        setup = Setup(matrix, float(content.get("start_s", 0.0)), None if fps is None else float(fps),
                      bool(content.get("everybody", True)))  # fmt: skip
    except (TypeError, ValueError) as error:
        raise VideoTruthError(f"{path}: {error}") from None
    if not np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-3) or np.linalg.det(matrix[:3, :3]) < 0:
        raise VideoTruthError(f"{path}: 'rotation' is no rotation (3x3 and orthonormal, or a Rodrigues vector)")
    if setup.fps is not None and not setup.fps > 0:
        raise VideoTruthError(f"{path}: 'fps' is {setup.fps}; it must be positive")
    return setup


def _read_npz(path: Path, setup: Setup) -> tuple[Floats, Floats, bool]:
    """Stamps (T,), joints (T, N, K, 3) in the file's frame, and whether they are everybody's."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except DAMAGED as error:
        raise VideoTruthError(f"{path} is no readable .npz file: {error}") from None
    if "joints_m" not in arrays or "joint_names" not in arrays:
        raise VideoTruthError(f"{path} lacks 'joints_m' (T, N, J, 3) or 'joint_names' (J,); it has {sorted(arrays)}")
    given, names = np.asarray(arrays["joints_m"], dtype=np.float64), [str(name) for name in arrays["joint_names"]]
    if given.ndim != 4 or given.shape[2:] != (len(names), 3):
        raise VideoTruthError(f"{path}: 'joints_m' has shape {given.shape}, needed is (T, N, {len(names)}, 3)")
    stamps = np.asarray(arrays["stamps_s"], dtype=np.float64) if "stamps_s" in arrays else None
    if stamps is None:
        fps = setup.fps if setup.fps is not None else float(arrays.get("fps", np.array(0.0)))
        if not fps > 0:
            raise VideoTruthError(f"{path} has neither 'stamps_s' (T,) nor a positive 'fps'")
        stamps = np.arange(len(given)) / fps
    if stamps.shape != (len(given),) or not np.all(np.diff(stamps) > 0):
        raise VideoTruthError(f"{path}: 'stamps_s' {stamps.shape} must rise, one for each of {len(given)} frames")
    return stamps, _by_name(path, given, names), bool(arrays.get("everybody", setup.everybody))


def _read_trc(path: Path, setup: Setup) -> tuple[Floats, Floats]:
    """Stamps (T,) and joints (T, K, 3) of one person from OpenSim's TRC: five lines of head, then rows of numbers."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise VideoTruthError(f"{path} can't be read: {error.strerror}") from None
    if len(lines) < 6 or not lines[0].startswith("PathFileType"):
        raise VideoTruthError(f"{path} is no TRC file: it must begin with PathFileType and have five lines of head")
    head = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=False))
    unit = head.get("Units", "m").strip().lower()
    if unit not in _UNITS_M:
        raise VideoTruthError(f"{path}: Units is '{unit}'; m, cm and mm are known")
    names = [name for name in lines[3].split("\t")[2:] if name.strip()]
    rows = [line.split("\t") for line in lines[5:] if line.strip()]
    width = 2 + 3 * len(names)
    try:
        values = np.array([[float(v) if v.strip() else np.nan for v in (row + [""] * width)[:width]] for row in rows])
    except ValueError as error:
        raise VideoTruthError(f"{path}: a row is no row of numbers: {error}") from None
    if not len(values):
        raise VideoTruthError(f"{path} holds no frames")
    stamps = values[:, 1] if setup.fps is None else (values[:, 0] - values[0, 0]) / setup.fps
    if not np.all(np.diff(stamps) > 0):
        raise VideoTruthError(f"{path}: its times (column 2) don't rise; set 'fps' in the setup file")
    markers = values[:, 2:].reshape(len(values), 1, len(names), 3) * _UNITS_M[unit]
    # Some tools write zeros where they saw nothing.
    markers[(markers == 0).all(axis=-1)] = np.nan
    return stamps, _by_name(path, markers, names)[:, 0]


def _by_name(path: Path, given: Floats, names: Sequence[str]) -> Floats:
    """Joints (..., K, 3) out of markers (..., J, 3) by their names, NaN where no marker is meant."""
    joints = np.full((*given.shape[:-2], K, 3), np.nan)
    known = {joint: n for n, name in enumerate(names) if (joint := joint_of(name)) is not None}
    if len(known) < 6:
        raise VideoTruthError(f"{path}: of its joints {', '.join(names)} only {len(known)} are known; six are needed")
    for joint, column in known.items():
        joints[..., joint, :] = given[..., column, :]
    return joints


def _together(people: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """Several people's frames on the times that any of them has: stamps (T,), joints (T, N, K, 3)."""
    stamps = np.unique(np.round(np.concatenate([own for own, _ in people]), 6))
    joints = np.full((len(stamps), len(people), K, 3), np.nan)
    for column, (own, of_person) in enumerate(people):
        joints[np.searchsorted(stamps, np.round(own, 6)), column] = of_person
    return stamps, joints


def at_times(truth: VideoTruth, times_s: Floats) -> Floats:
    """The truth's joints (M, N, K, 3) at times (M,): its frames' own or between two neighbours, NaN elsewhere."""
    after = np.clip(np.searchsorted(truth.stamps_s, times_s), 1, max(len(truth.stamps_s) - 1, 1))
    if len(truth.stamps_s) == 1:
        same = np.isclose(times_s, truth.stamps_s[0], atol=1e-3)
        return np.where(same[:, None, None, None], truth.joints_cam[0], np.nan)
    before = after - 1
    gap = truth.stamps_s[after] - truth.stamps_s[before]
    share = (times_s - truth.stamps_s[before]) / gap
    outside = (share < -1e-3) | (share > 1 + 1e-3) | (gap > 0.25)
    weight = np.clip(share, 0, 1)[:, None, None, None]
    low, high = truth.joints_cam[before], truth.joints_cam[after]
    # At a frame's own time the neighbour doesn't count, measured or not.
    between = np.where(weight == 0, low, np.where(weight == 1, high, (1 - weight) * low + weight * high))
    return np.where(outside[:, None, None, None], np.nan, between)
