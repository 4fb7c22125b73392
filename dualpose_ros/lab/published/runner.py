"""The paper's released networks over a whole video, off line: its temporal ones look 121 frames ahead.

T frames, N people of a frame, 17 joints: `skeleton.H36M17` before the temporal network, MuPoTS-3D's after it.

The release leaves open what its top-down network was (its 2D joints are stored), what the affinities of joints are, and
depths: it fits them to the truth. Here the live stages give 2D joints and tracks, affinities are shares of the joints'
scores, and depths and sizes are fitted to those of the live top-down branch over the video.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.markup import escape
from rich.progress import track as progress

from dualpose_ros.arrays import AnyFloats, Floats, Ints, RgbImage
from dualpose_ros.camera import Camera, pixels_to_rays
from dualpose_ros.datasets.predictions import FoundPeople, Predictions
from dualpose_ros.datasets.published.mupots import JOINTS
from dualpose_ros.errors import InputError
from dualpose_ros.inference.engine import Engine
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.evaluation.branches import Branches
from dualpose_ros.lab.published.released_bottom_up import SIDE, WholePerson, find_people
from dualpose_ros.metrics.poses import procrustes
from dualpose_ros.people import Pose3D
from dualpose_ros.skeleton import H36M17
from dualpose_ros.sources.frames import images_of, open_source

PARTS = ("bottom_up", "gcn", "tcn", "root", "integration", "adaptation", "scale", "transform")
WINDOW, LOOKAHEAD = 243, 121
_TO_MUPOTS = [10, 8, 14, 15, 16, 11, 12, 13, 1, 2, 3, 4, 5, 6, 0, 7, 9]
_PELVIS = JOINTS.index("pelvis")
_COMPARED = [14, 8, 9, 11, 12, 5, 6, 2, 3]
_SIGMA = 0.05
_BATCH = 32
_POSE_PX, _DEPTH_PX = 1024.0, 915.0
_THORAX = H36M17.index("thorax")
_BONES, _NEAREST_M = 16, 0.1


class Seen(NamedTuple):
    """A frame: its number, who the live top-down branch saw, and the released bottom-up network."""

    number: int
    top_down: tuple[Pose3D, ...]
    bottom_up: tuple[WholePerson, ...]


@dataclass
class _Track:
    """One person over the frames in which they were seen."""

    numbers: list[int] = field(default_factory=list)
    poses: list[Pose3D] = field(default_factory=list)


@dataclass(frozen=True)
class _Lifted:
    """A track's poses (T, 3, 17) in MuPoTS-3D's order, in the network's own unit, and raw depths (T,)."""

    poses: Floats
    depths: Floats


class _Posed(NamedTuple):
    """joints (T, 3, 17) about the pelvis, in the networks' own unit, and depths (T,) in metres."""

    joints: Floats
    depths: Floats


def load_released(folder: Path) -> dict[str, Engine]:
    """The eight networks that `dualpose weights import` wrote into a folder; InputError names those missing."""
    files = {part: folder / f"released_{part}.onnx" for part in PARTS}
    if missing := [file.name for file in files.values() if not file.is_file()]:
        raise InputError(f"{folder} lacks {', '.join(missing)}: `dualpose weights import ckpts --out {folder}`")
    return {part: load_engine(file) for part, file in files.items()}


def see(
    networks: Mapping[str, Engine], number: int, image: RgbImage, top_down: Iterable[Pose3D], side: int = SIDE
) -> Seen:
    """A frame with the bottom-up network's people, guided by the live top-down branch's."""
    people = tuple(top_down)
    whole = find_people(networks["bottom_up"], image, [pose.keypoints_px for pose in people], side)
    return Seen(number, people, tuple(whole))


def predict_video(networks: Mapping[str, Engine], source: str, camera: Camera, top_down: str, name: str) -> Predictions:
    """A video or a folder of images through the live detector and top-down branch, then through the networks.

    top_down: the network on patches, as `top_down.weights` names it; InputError if the images are not of the camera's
    size, SourceError as of `open_source`.
    """
    video, branches = open_source(source), Branches(top_down, with_bottom_up=False)
    try:
        if (video.info.width, video.info.height) != (camera.width, camera.height):
            size = f"{video.info.width}x{video.info.height}"
            raise InputError(f"{source} is {size}, its calibration of {camera.width}x{camera.height}")
        frames = []
        for number, image in enumerate(progress(images_of(video), escape(name), video.info.count, transient=True)):
            people = branches.process(image, video.time_ns, camera).top_down
            frames.append(see(networks, number, image, people))
        return run_released(networks, frames, camera, name)
    finally:
        video.close()


def run_released(networks: Mapping[str, Engine], frames: Iterable[Seen], camera: Camera, sequence: str) -> Predictions:
    """What the released networks make of a whole video, frame by frame and id by id as the live tracks are.

    networks: of PARTS; frames: in their order; camera: of the images; sequence: what to call the video.
    """
    tracks: dict[int, _Track] = {}
    found: dict[int, list[tuple[int, Pose3D, Floats]]] = {}
    whole: dict[int, list[tuple[Floats, float]]] = {}
    for frame in frames:
        found[frame.number] = []
        whole[frame.number] = [_whole_pose(networks, person) for person in frame.bottom_up]
        for pose in frame.top_down:
            track = tracks.setdefault(pose.track_id, _Track())
            track.numbers.append(frame.number)
            track.poses.append(pose)
    lifted = [lift(networks, track) for track in tracks.values()]
    matched = [
        [match(pose, whole[number]) for pose, number in zip(own.poses, track.numbers, strict=True)]
        for own, track in zip(lifted, tracks.values(), strict=True)
    ]
    depths = [[pose.joints_cam[H36M17.root, 2] for pose in track.poses] for track in tracks.values()]
    top_down = _fitted([own.depths for own in lifted], depths)
    bottom_up = _fitted([np.array([m.depth for m in rows]) for rows in matched], depths)
    for n, (name, track) in enumerate(tracks.items()):
        there = np.array([m.there for m in matched[n]])
        other = np.where(there[:, None, None], np.stack([m.pose for m in matched[n]]), lifted[n].poses)
        posed = _integrated(
            networks,
            np.stack([lifted[n].poses, other], axis=1),
            np.stack([top_down[n], np.where(there, bottom_up[n], top_down[n])], axis=1),
        )
        for number, pose, joints in zip(track.numbers, track.poses, _placed(posed, track, camera), strict=True):
            found[number].append((name, pose, joints))
    system = "the paper's released networks, on dualpose_ros's 2D joints and tracks"
    return Predictions(sequence, system, JOINTS, {number: _people(rows) for number, rows in found.items()})


def _placed(posed: _Posed, track: _Track, camera: Camera) -> Floats:
    """A track's joints (T, 17, 3) in the camera frame, as large as the live branch has the person."""
    own = [np.linalg.norm(p.joints_cam - p.joints_cam[H36M17.root], axis=1).mean() for p in track.poses]
    size = np.linalg.norm(posed.joints, axis=1).mean(axis=1)
    scale = np.median(own) / max(float(np.median(size)), 1e-9)
    rays = pixels_to_rays(camera, np.stack([pose.keypoints_px[H36M17.root] for pose in track.poses]))
    roots = np.concatenate([rays, np.ones((len(rays), 1))], axis=1) * np.maximum(posed.depths, _NEAREST_M)[:, None]
    return np.asarray(scale * posed.joints.transpose(0, 2, 1) + roots[:, None])


def lift(networks: Mapping[str, Engine], track: _Track) -> _Lifted:
    """A track's poses and depths by GCN and temporal networks, with frames in which it was not seen filled in."""
    numbers = np.array(track.numbers)
    every = np.arange(numbers[0], numbers[-1] + 1)
    joints = _between(every, numbers, np.stack([pose.keypoints_px for pose in track.poses]))
    scores = np.maximum(_between(every, numbers, np.stack([pose.joint_scores for pose in track.poses])), 1e-3)
    tall = joints[:, _THORAX, 1] - joints[:, H36M17.root, 1]
    tall = np.where(np.abs(tall) < 1, -1.0, tall) / _POSE_PX
    scaled = joints / _POSE_PX / tall[:, None, None]
    share = np.repeat((scores / scores.sum(axis=1, keepdims=True))[:, None], H36M17.num_joints, axis=1)
    given = {
        "joints_2d": scaled - scaled[:, H36M17.root, None],
        "affinity": share,
        "affinity_bones": np.full((len(every), _BONES, _BONES), 1 / _BONES),
    }
    flat = networks["gcn"].run({name: value.astype(np.float32) for name, value in given.items()})["joints"]
    about_root = flat - flat[:, H36M17.root, None]
    poses = _over_time(networks["tcn"], about_root.reshape(len(every), -1)).reshape(-1, H36M17.num_joints, 3)
    depths = _over_time(networks["root"], joints.reshape(len(every), -1) / _DEPTH_PX)[:, 0]
    rows = numbers - numbers[0]
    return _Lifted(poses[rows][:, _TO_MUPOTS].transpose(0, 2, 1), depths[rows])


def _over_time(engine: Engine, rows: AnyFloats) -> Floats:
    """A temporal network's answers (T, F) for rows (T, D), the first and the last of which go on for ever."""
    padded = np.pad(np.asarray(rows, dtype=np.float32), ((LOOKAHEAD, LOOKAHEAD), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=0).transpose(0, 2, 1)
    answers = [
        next(iter(engine.run({"frames": np.ascontiguousarray(windows[start : start + _BATCH])}).values()))
        for start in range(0, len(windows), _BATCH)
    ]
    return np.concatenate(answers).astype(np.float64)


def _whole_pose(networks: Mapping[str, Engine], person: WholePerson) -> tuple[Floats, float]:
    """A bottom-up person as a pose (3, 17) in MuPoTS-3D's order, and its raw depth."""
    flat = person.joints_px - person.joints_px[0]
    size = max(float(np.linalg.norm(flat[1:], axis=1).mean()), 1e-9)
    given = np.concatenate([flat / size, (person.depths - person.depths[0])[:, None]], axis=1)
    fourteen = networks["scale"].run({"joints": given[None].astype(np.float32)})["joints_out"]
    joints = networks["transform"].run({"joints_14": fourteen.reshape(1, -1)})["joints_17"].reshape(17, 3)
    return joints.T.astype(np.float64), float(person.depths[0])


class Matched(NamedTuple):
    """A bottom-up pose (3, 17) laid onto a top-down one, its raw depth, and whether there is any."""

    pose: Floats
    depth: float
    there: bool


def match(pose: Floats, whole: list[tuple[Floats, float]]) -> Matched:
    """The bottom-up pose most like a top-down one (3, 17) after a similarity transform; two may take the same one."""
    best, alike = Matched(pose, np.nan, False), 0.0
    for joints, depth in whole:
        laid = procrustes(joints.T, pose.T).T
        flat = [p[:2, _COMPARED] - p[:2, _COMPARED[:1]] for p in (laid, pose)]
        oks = float(np.exp(-((flat[0] - flat[1]) ** 2).sum(axis=0) / (2 * _SIGMA**2)).mean())
        if oks > alike:
            best, alike = Matched(laid, depth, True), oks
    return best


def _integrated(networks: Mapping[str, Engine], poses: Floats, depths: Floats) -> _Posed:
    """Both branches' poses (T, 2, 3, 17) and depths (T, 2) in metres as one of each, adapted to MuPoTS-3D."""
    answer = networks["integration"].run({"poses": poses.astype(np.float32), "depths": depths.astype(np.float32)})
    joints = networks["adaptation"].run({"poses": answer["pose"]})["poses_out"].astype(np.float64)
    return _Posed(joints - joints[:, :, _PELVIS, None], answer["depth"][:, 0].astype(np.float64))


def _fitted(depths: list[Floats], wanted: list[list[float]]) -> list[Floats]:
    """Depths of every track moved and scaled, all together, to those wanted; NaN stays."""
    if not depths:
        return []
    one, other = np.concatenate(depths), np.concatenate(wanted)
    known = np.isfinite(one)
    slope, offset = 0.0, float(other.mean())
    if known.sum() > 1 and np.ptp(one[known]) > 0:
        slope, offset = (float(v) for v in np.polyfit(one[known], other[known], 1))
    return [slope * part + offset for part in depths]


def _between(every: Ints, numbers: Ints, rows: Floats) -> Floats:
    """Rows (T, ...) at `numbers`, and in between by straight lines, at `every` frame."""
    flat = rows.reshape(len(rows), -1)
    filled = np.stack([np.interp(every, numbers, column) for column in flat.T], axis=1)
    return filled.reshape(len(every), *rows.shape[1:])


def _people(rows: list[tuple[int, Pose3D, Floats]]) -> FoundPeople:
    joints = np.array([row[2] for row in rows]).reshape(-1, len(JOINTS), 3)
    pixels = np.array([row[1].keypoints_px[_TO_MUPOTS] for row in rows]).reshape(-1, len(JOINTS), 2)
    ids = np.array([row[0] for row in rows], dtype=np.int64)
    return FoundPeople(ids, np.array([row[1].score for row in rows], dtype=np.float64), joints, pixels)
