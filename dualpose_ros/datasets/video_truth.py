"""The 3D truth of a real video: who was where in each frame, joints that nobody measured left out.

Two forms are read. An .npz file holds everybody; OpenSim's .trc (one file a person, as Pose2Sim and other
triangulating tools write it) holds markers by name. T frames, N people, K joints of `skeleton.H36M17`; metres in the
camera's optical frame once `file_to_camera` is applied.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.spatial.transform import Rotation

from dualpose_ros.arrays import DAMAGED, AnyArray, Floats
from dualpose_ros.settings import read_yaml
from dualpose_ros.skeleton import H36M17, K

_UNITS_M = {"m": 1.0, "cm": 0.01, "mm": 0.001}
_SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}
_LIMBS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
_MIDDLE = {
    "hip": "pelvis", "midhip": "pelvis", "pelvis": "pelvis", "root": "pelvis", "spine": "spine", "thorax": "thorax",
    "neck": "neck", "headtop": "head_top", "vertex": "head_top",
}  # fmt: skip
_PELVIS, _HIPS = H36M17.root, (H36M17.index("left_hip"), H36M17.index("right_hip"))

FEWEST_JOINTS = 6
"""Of somebody who counts in a frame."""

_SPREAD_M = (0.08, 1.5)
"""Least and most of the median distance of somebody's joints from their middle: a curled-up child, a giant."""

_LONGEST_GAP_S = 0.25
"""Between two frames further apart nobody knows where a joint was."""

_TWINS_M = 0.1
"""Two people are further apart, joint by joint."""

_FIELDS = {
    "axes": "xyz, yzx or zxy (others mirror people)",
    "rotation": "3x3, or a Rodrigues vector of 3 in radians",
    "translation_m": "3 metres",
    "start_s": "seconds on the video",
    "fps": "frames a second, more than 0",
    "everybody": "true or false",
}


class VideoTruthError(ValueError):
    """A truth file that is missing, damaged or contradicts itself; the message names file and field."""


@dataclass(frozen=True)
class Take:
    """Some people's frames: stamps_s (T,) from the video's first frame; joints_cam (T, N, K, 3), NaN where not
    measured."""

    stamps_s: Floats
    joints_cam: Floats


@dataclass(frozen=True)
class VideoTruth:
    """Takes, each with frames of its own; whether everybody in view is in them, so that whoever else is found is
    nobody."""

    takes: tuple[Take, ...]
    everybody: bool


@dataclass(frozen=True)
class Setup:
    """What `truth.yaml` beside the files says: file_to_camera (4, 4). None is what the files say: the first frame's
    time on the video in seconds; frames a second; whether everybody in view is in the truth."""

    file_to_camera: Floats
    start_s: float | None = None
    fps: float | None = None
    everybody: bool | None = None


def load_video_truth(files: Sequence[Path], setup: Path | None = None) -> VideoTruth:
    """Read one .npz file, or .trc files of one person each.

    files: the truth, all of one form; setup: a YAML file with any of `axes` (which of the world's the files' columns
    are), `rotation` (3x3, or a Rodrigues vector of 3) and `translation_m` from the truth's world to the camera's
    optical frame, `start_s`, `fps`, `everybody`; None if there is none.
    Returns the truth in the camera frame. A pelvis that was not measured is the hips' middle.
    VideoTruthError for a file that can't be read or understood; it names the file and the field.
    """
    if not files:
        raise VideoTruthError("no truth given: one .npz file, or a .trc file for each person, is needed")
    place = _read_setup(setup) if setup is not None else Setup(np.eye(4))
    kinds = {path.suffix.lower() for path in files}
    if kinds == {".npz"} and len(files) == 1:
        take, own = _read_npz(files[0], place.fps)
        takes = [take]
    elif kinds == {".trc"}:
        takes, own = [_read_trc(path, place.fps) for path in files], True
    else:
        raise VideoTruthError(f"truth files {', '.join(map(str, files))}: one .npz, or .trc files alone, are read")
    start_s = 0.0 if place.start_s is None and place.fps is not None else place.start_s
    later_s = 0.0 if start_s is None else start_s - min(take.stamps_s[0] for take in takes)
    placed = tuple(Take(take.stamps_s + later_s, _placed(take.joints_cam, place.file_to_camera)) for take in takes)
    _refuse_twins(placed, files)
    return VideoTruth(placed, own if place.everybody is None else place.everybody)


def at_times(truth: VideoTruth, times_s: Floats) -> Floats:
    """The truth's joints (M, N, K, 3) at frames' times (M,): its frames' own where they are half a frame away or less,
    or between two neighbours of one take, NaN elsewhere."""
    half_s = 0.5 * float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1e-3
    return np.concatenate([_at_times(take, times_s, half_s) for take in truth.takes], axis=1)


def _at_times(take: Take, times_s: Floats, half_s: float) -> Floats:
    stamps = take.stamps_s
    after = np.minimum(np.searchsorted(stamps, times_s), len(stamps) - 1)
    before = np.maximum(after - 1, 0)
    gap = stamps[after] - stamps[before]
    share = (times_s - stamps[before]) / np.where(gap > 0, gap, 1.0)
    known = (gap > 0) & (gap <= _LONGEST_GAP_S) & (share >= 0) & (share <= 1)
    weight = np.where(known, share, np.nan)[:, None, None, None]
    between = (1 - weight) * take.joints_cam[before] + weight * take.joints_cam[after]
    # At a frame's own time the neighbour doesn't count, measured or not.
    nearest = np.where(times_s - stamps[before] <= stamps[after] - times_s, before, after)
    near = np.abs(times_s - stamps[nearest]) <= half_s * (1 + 1e-6)
    return np.where(np.isnan(between) & near[:, None, None, None], take.joints_cam[nearest], between)


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


def _placed(joints: Floats, file_to_camera: Floats) -> Floats:
    """Joints (T, N, K, 3) of a file in the camera frame, with a pelvis wherever both hips are known."""
    joints = joints @ file_to_camera[:3, :3].T + file_to_camera[:3, 3]
    unknown = np.isnan(joints[..., _PELVIS, :]).any(axis=-1)
    joints[unknown, _PELVIS] = joints[unknown][:, _HIPS].mean(axis=1)
    return joints


def _refuse_twins(takes: Sequence[Take], files: Sequence[Path]) -> None:
    """VideoTruthError for two files of one person, such as what a tool wrote and what it made of that by filtering."""
    if len(files) < 2:
        return
    for (one, take), (other, again) in combinations(zip(files, takes, strict=True), 2):
        apart = np.linalg.norm(take.joints_cam - _at_times(again, take.stamps_s, 1e-3), axis=-1)
        if np.isfinite(apart).any() and np.nanmedian(apart) < _TWINS_M:
            raise VideoTruthError(f"{one} and {other} are of the same person; name one of them, by --truth")


def _read_setup(path: Path) -> Setup:
    try:
        content: Any = read_yaml(path.read_text(encoding="utf-8-sig")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise VideoTruthError(f"{path} can't be read: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not set(content) <= set(_FIELDS):
        raise VideoTruthError(f"{path} holds {content!r:.80}; a mapping with any of {', '.join(_FIELDS)} is read")
    content = {name: value for name, value in content.items() if value is not None}
    start, fps = (_numbers(path, content, name, 1) for name in ("start_s", "fps"))
    axes, everybody = content.get("axes", "xyz"), content.get("everybody")
    for name, is_right in (("fps", fps is None or fps[0] > 0), ("axes", axes in ("xyz", "yzx", "zxy")),
                           ("everybody", everybody is None or isinstance(everybody, bool))):  # fmt: skip
        if not is_right:
            raise _wrong(path, content, name)
    matrix = np.eye(4)
    matrix[:3, :3] = _rotation(path, content) @ np.eye(3)[:, ["xyz".index(axis) for axis in axes]]
    translation = _numbers(path, content, "translation_m", 3)
    if translation is not None:
        matrix[:3, 3] = translation
    return Setup(matrix, None if start is None else start[0], None if fps is None else fps[0], everybody)


def _rotation(path: Path, content: Mapping[str, Any]) -> Floats:
    """From the world to the camera (3, 3)."""
    turn = _numbers(path, content, "rotation", 3, 9)
    if turn is None:
        return np.eye(3)
    if len(turn) == 3:
        # OpenCV's solver gives vectors of up to a full turn.
        if np.linalg.norm(turn) > 2 * np.pi:
            raise VideoTruthError(f"{path}: 'rotation' {turn.tolist()} is more than a turn: needed are radians")
        return np.asarray(Rotation.from_rotvec(turn).as_matrix())
    matrix = turn.reshape(3, 3)
    if not np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-3) or np.linalg.det(matrix) < 0:
        raise VideoTruthError(f"{path}: 'rotation' is no rotation (3x3 and orthonormal, or a Rodrigues vector)")
    return matrix


def _numbers(path: Path, content: Mapping[str, Any], name: str, *sizes: int) -> Floats | None:
    """A field's finite numbers (size,), one of `sizes`; None where there is no such field."""
    if name not in content:
        return None
    try:
        value = np.asarray(content[name], dtype=np.float64).ravel()
    except (TypeError, ValueError, OverflowError):
        raise _wrong(path, content, name) from None
    if value.size not in sizes or not np.isfinite(value).all():
        raise _wrong(path, content, name)
    return value


def _wrong(path: Path, content: Mapping[str, Any], name: str) -> VideoTruthError:
    return VideoTruthError(f"{path}: '{name}' is {content[name]!r:.80}; needed: {_FIELDS[name]}")


def _read_npz(path: Path, fps: float | None) -> tuple[Take, bool]:
    """The people in the file's frame, and whether they are everybody; fps: instead of the file's times."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except DAMAGED as error:
        raise VideoTruthError(f"{path} is no readable .npz file: {error}") from None
    if "joints_m" not in arrays or "joint_names" not in arrays:
        raise VideoTruthError(f"{path} lacks 'joints_m' (T, N, J, 3) or 'joint_names' (J,); it has {sorted(arrays)}")
    given, names = _array(path, arrays, "joints_m"), [str(name) for name in np.atleast_1d(arrays["joint_names"])]
    if given.ndim != 4 or given.shape[2:] != (len(names), 3) or not len(given):
        raise VideoTruthError(f"{path}: 'joints_m' has shape {given.shape}, needed is (T, N, {len(names)}, 3)")
    if fps is None and "stamps_s" not in arrays:
        own = _array(path, arrays, "fps") if "fps" in arrays else np.zeros(1)
        if own.size != 1 or not 0 < own.item() < np.inf:
            raise VideoTruthError(f"{path} has neither 'stamps_s' (T,) nor a positive 'fps'")
        fps = own.item()
    stamps = _array(path, arrays, "stamps_s") if fps is None else np.arange(len(given)) / fps
    if stamps.shape != (len(given),) or not _rises(stamps):
        raise VideoTruthError(f"{path}: 'stamps_s' {stamps.shape} must rise, one for each of {len(given)} frames")
    everybody = arrays.get("everybody", np.array(True))
    if everybody.dtype != bool or everybody.size != 1:
        raise VideoTruthError(f"{path}: 'everybody' is {everybody!r:.80}; needed is a bool")
    return Take(stamps, _by_name(path, given, names, "'joints_m' is in metres")), bool(everybody.item())


def _array(path: Path, arrays: Mapping[str, AnyArray], name: str) -> Floats:
    if arrays[name].dtype.kind not in "fiu":
        raise VideoTruthError(f"{path}: '{name}' holds no real numbers, but {arrays[name].dtype}")
    return np.asarray(arrays[name], dtype=np.float64)


def _rises(stamps: Floats) -> bool:
    return bool(np.isfinite(stamps).all() and np.all(np.diff(stamps) > 0))


def _read_trc(path: Path, fps: float | None) -> Take:
    """One person in the file's frame from OpenSim's TRC: five lines of head, then rows of numbers.

    fps: frames a second, with which the frames' numbers are times instead of the file's.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise VideoTruthError(f"{path} can't be read: {error.strerror}") from None
    lines = text.splitlines()
    if len(lines) < 6 or not lines[0].startswith("PathFileType"):
        raise VideoTruthError(f"{path} is no TRC file: it must begin with PathFileType and have five lines of head")
    keys, fields = ([cell.strip() for cell in line.split("\t")] for line in lines[1:3])
    head = dict(zip(keys, fields, strict=False))
    unit = head.get("Units", "m").lower()
    if unit not in _UNITS_M:
        raise VideoTruthError(f"{path}: Units is '{unit}'; m, cm and mm are known")
    names = _marker_names(path, lines[3].split("\t")[2:], _count(path, head, "NumMarkers"))
    values = _rows(path, lines[5:], 2 + 3 * len(names))
    stated = _count(path, head, "NumFrames") or 0
    # A last row without its end may have lost what stood there; one in full is of a tool that writes none. Tools that
    # leave frames out keep the head.
    is_short = stated > len(values) or lines[-1].count("\t") < 1 + 3 * len(names)
    if is_short and not text.endswith(("\n", "\r")):
        raise VideoTruthError(f"{path} is cut off: it holds {len(values)} frames, NumFrames is {stated}")
    stamps = values[:, 1] if fps is None else values[:, 0] / fps
    if not _rises(stamps):
        what = "times (column 2) don't rise; set 'fps' in the setup file" if fps is None else "Frame# doesn't rise"
        raise VideoTruthError(f"{path}: its {what}")
    markers = values[:, 2:].reshape(len(values), 1, len(names), 3) * _UNITS_M[unit]
    # Some tools write zeros where they saw nothing.
    markers[(markers == 0).all(axis=-1)] = np.nan
    return Take(stamps, _by_name(path, markers, names, f"Units is {unit}"))


def _count(path: Path, head: Mapping[str, str], name: str) -> int | None:
    """A number in a TRC's head; None where there is none."""
    value = head.get(name, "")
    if value and not value.isdecimal():
        raise VideoTruthError(f"{path}: {name} is '{value:.40}'; needed is a whole number")
    return int(value) if value else None


def _marker_names(path: Path, cells: Sequence[str], count: int | None) -> list[str]:
    """A name for each marker, empty for one without, from line 4 past Frame# and Time.

    A name stands at each third cell; tools that leave no cells between them name all of them.
    """
    names = [cell.strip() for cell in cells[::3]]
    if any(cell.strip() for at, cell in enumerate(cells) if at % 3):
        names = [cell.strip() for cell in cells if cell.strip()]
    while names and not names[-1] and len(names) != count:
        names.pop()
    if count is not None and len(names) != count:
        raise VideoTruthError(f"{path}: NumMarkers is {count}, but line 4 has {len(names)} markers")
    return names


def _rows(path: Path, lines: Sequence[str], width: int) -> Floats:
    """The numbers (T, width) of a TRC's rows, NaN for those that are left out."""
    rows = [line.split("\t") for line in lines if line.strip()]
    if any(cell.strip() for row in rows for cell in row[width:]):
        raise VideoTruthError(f"{path}: a row has more than the numbers of {(width - 2) // 3} markers")
    try:
        values = np.array([[float(v) if v.strip() else np.nan for v in (row + [""] * width)[:width]] for row in rows])
    except ValueError as error:
        raise VideoTruthError(f"{path}: a row is no row of numbers: {error!s:.90}") from None
    if not len(values):
        raise VideoTruthError(f"{path} holds no frames")
    return values


def _by_name(path: Path, given: Floats, names: Sequence[str], unit: str) -> Floats:
    """Joints (T, N, K, 3) out of markers (T, N, J, 3) by their names, NaN where no marker is meant.

    unit: what the file says of it; VideoTruthError where nobody can be of such a size.
    """
    joints = np.full((*given.shape[:-2], K, 3), np.nan)
    known: dict[int, int] = {}
    for column, name in enumerate(names):
        joint = joint_of(name)
        if joint is not None and known.setdefault(joint, column) != column:
            raise VideoTruthError(f"{path}: both '{names[known[joint]]}' and '{name}' are {H36M17.joint_names[joint]}")
    if len(known) < FEWEST_JOINTS:
        raise VideoTruthError(f"{path}: of its joints {', '.join(names)} only {len(known)} are known; six are needed")
    for joint, column in known.items():
        joints[..., joint, :] = given[..., column, :]
    if np.isinf(joints).any():
        raise VideoTruthError(f"{path} holds infinite places of joints; write NaN or nothing where nobody measured")
    for person in range(joints.shape[1]):
        own = joints[np.isfinite(joints[:, person]).all(axis=-1).sum(axis=-1) >= FEWEST_JOINTS, person]
        if not len(own):
            continue
        spread = float(np.nanmedian(np.linalg.norm(own - np.nanmedian(own, axis=1, keepdims=True), axis=-1)))
        if not _SPREAD_M[0] <= spread <= _SPREAD_M[1]:
            raise VideoTruthError(
                f"{path}: {unit}, but then the joints of person {person} lie {spread:.3g} m around their middle, "
                f"people's {_SPREAD_M[0]:g} to {_SPREAD_M[1]:g} m: is it another unit?"
            )
    return joints
