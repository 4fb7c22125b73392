"""A recorded run refined anew with all of its frames at hand: by the paper's optimisation, or by ours with a lag.

T frames of a track, K joints of `skeleton.H36M17`; metres in the camera frame.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from dualpose_ros.arrays import DAMAGED, Floats
from dualpose_ros.camera import Camera, CameraError, camera_from_matrix, project
from dualpose_ros.errors import InputError
from dualpose_ros.lab.evaluation.refinement.measures import sequence_of
from dualpose_ros.lab.evaluation.refinement.published_solver import TWO_STAGES, Stage, optimise
from dualpose_ros.lab.evaluation.report import Outcome, evaluation
from dualpose_ros.metrics.steadiness import accelerations_of, mean_of
from dualpose_ros.paths import write_whole
from dualpose_ros.people import Pose3D, TrackingState
from dualpose_ros.recording.pose_lines import PoseFrame, read_pose_lines, to_line
from dualpose_ros.refinement.config import RefinementConfig
from dualpose_ros.refinement.stage import RefinedFrame, RefinementStage
from dualpose_ros.sources.calibration import load_calibration

METHODS = ("two-stage", "ours")
FUSED = "fused.jsonl"
LONG_WINDOW = 12
"""Frames of a track that the live stage is given together here, where it need not be quick."""

LONGEST_GAP_S, FEWEST_FRAMES = 1.0, 5
"""A track that was gone for longer is two; one of fewer frames stays as it was fused."""


@evaluation("refine")
def refine_recording(
    folder: Path, method: str, out: Path, calibration: Path | None = None, steps: int = TWO_STAGES[0].steps
) -> Outcome:
    """Refine a run's fused poses, and write them as its `poses.jsonl` are.

    folder: what `dualpose run --out` wrote; method: one of METHODS: the paper's two stages over whole tracks, or the
    live stage with its largest lag. out: the file of JSON lines, written whole or not at all; calibration: the camera,
    where not the one that was recorded; steps: of each of the paper's stages.
    Returns one table: how many frames and tracks, how far joints moved, and accelerations and distances of 2D joints
    before and after. There is no truth in a recording: these say how much was changed, not whether it is better.
    InputError, CameraError for what is missing or damaged.
    """
    if method not in METHODS:
        raise InputError(f"no method '{method}'; there are {', '.join(METHODS)}")
    frames = read_frames(folder / FUSED)
    camera = load_calibration(calibration) if calibration is not None else recorded_camera(folder / "poses.mcap")
    if method == "ours":
        refined = _by_stage(frames, camera)
    else:
        refined = by_tracks(frames, camera, [replace(stage, steps=steps) for stage in TWO_STAGES])
    write_whole(out, "".join(to_line(frame) + "\n" for frame in refined))
    return {"refine": [{"method": method, **figures(frames, refined, camera)}]}, []


def read_frames(path: Path) -> list[PoseFrame]:
    """The frames of a file of pose lines by their stamps; InputError if there are none, or one can't be read."""
    try:
        frames = list(read_pose_lines(path))
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror}): it is what `dualpose run --out` writes") from None
    except DAMAGED as error:
        raise InputError(f"{path} is damaged: {type(error).__name__} {error}") from None
    if not frames:
        raise InputError(f"{path} holds no frames")
    return sorted(frames, key=lambda frame: frame.stamp_ns)


def messages_of(path: Path, topic: str | None = None, kind: str | None = None, raw: bool = False) -> Iterator[Any]:
    """The messages of a run's MCAP of a topic, or of a kind such as `sensor_msgs/msg/CameraInfo`, in their order; their
    CDR bytes where raw.

    InputError if it can't be read.
    """
    from mcap.reader import make_reader

    from dualpose_ros.standalone.typestore import typestore

    try:
        with path.open("rb") as stream:
            for schema, _, message in make_reader(stream).iter_messages(topics=topic):
                if schema is not None and kind in (None, schema.name):
                    yield message.data if raw else typestore().deserialize_cdr(message.data, schema.name)
    except Exception as error:  # mcap lets through what its decoders raise
        raise InputError(f"{path} can't be read ({type(error).__name__}: {' '.join(str(error).split())})") from None


def recorded_camera(path: Path) -> Camera:
    """The first camera_info of a run's MCAP; InputError if there is none."""
    try:
        for info in messages_of(path, kind="sensor_msgs/msg/CameraInfo"):
            return camera_from_matrix(int(info.width), int(info.height), info.k, info.d)
    except (InputError, CameraError) as error:
        raise InputError(f"{path} gives no camera ({error}); name one with --calibration") from None
    raise InputError(f"{path} holds no camera_info; name the camera with --calibration")


def by_tracks(frames: Sequence[PoseFrame], camera: Camera, stages: Sequence[Stage]) -> list[PoseFrame]:
    """Frames whose tracks went through the paper's optimisation, each over all of its frames; who was predicted and
    not seen is left as recorded."""
    changed: dict[tuple[int, int], Floats] = {}
    tracks = list(_tracks(frames))
    for rows in track(tracks, description="tracks", transient=True):
        times = np.array([frames[row].stamp_ns * 1e-9 for row, _ in rows])
        sequence = sequence_of(camera, times - times[0], [person for _, person in rows])
        usable = np.asarray(np.isfinite(sequence.rays).all(axis=-1), dtype=bool)
        sequence = replace(
            sequence,
            rays=np.where(usable[..., None], sequence.rays, 0.0),
            scores=np.where(usable, sequence.scores, 0.0),
        )
        joints, _ = optimise(sequence, stages)
        changed |= {(row, person.track_id): own for (row, person), own in zip(rows, joints, strict=True)}
    return [
        replace(frame, persons=tuple(_moved(person, changed.get((row, person.track_id))) for person in frame.persons))
        for row, frame in enumerate(frames)
    ]


def _moved(person: Pose3D, joints: Floats | None) -> Pose3D:
    return person if joints is None else replace(person, joints_cam=joints)


def _tracks(frames: Sequence[PoseFrame]) -> Iterator[list[tuple[int, Pose3D]]]:
    """(frame, person) of each track without a long gap, FEWEST_FRAMES of them or more."""
    by_id: dict[int, list[tuple[int, Pose3D]]] = {}
    for row, frame in enumerate(frames):
        for person in frame.persons:
            if person.state is not TrackingState.COASTING:
                by_id.setdefault(person.track_id, []).append((row, person))
    for rows in by_id.values():
        stamps = np.array([frames[row].stamp_ns for row, _ in rows])
        cuts = np.flatnonzero(np.diff(stamps) > LONGEST_GAP_S * 1e9) + 1
        for part in np.split(np.arange(len(rows)), cuts):
            if len(part) >= FEWEST_FRAMES:
                yield [rows[n] for n in part]


def _by_stage(frames: Sequence[PoseFrame], camera: Camera) -> list[PoseFrame]:
    """What the live stage says where each frame may wait for as many as its window holds."""
    config = RefinementConfig(
        window_frames=LONG_WINDOW, lag_frames=LONG_WINDOW - 1, smoothing_time_constant_s=0.0, max_coast_s=0.0
    )
    stage = RefinementStage(config)
    given: list[RefinedFrame] = []
    for frame in track(frames, description="frames", transient=True):
        given += stage.process(frame.stamp_ns, camera, frame.persons)
    given += stage.flush()
    people = {one.stamp_ns: one.persons for one in given}
    return [replace(frame, persons=tuple(people.get(frame.stamp_ns, frame.persons))) for frame in frames]


def figures(before: Sequence[PoseFrame], after: Sequence[PoseFrame], camera: Camera) -> dict[str, Any]:
    """How much refinement changed, over people seen: see `refine_recording`."""
    row: dict[str, Any] = {"frames": len(before), "tracks": sum(1 for _ in _tracks(before))}
    own = {(n, p.track_id): p for n, frame in enumerate(after) for p in frame.persons}
    moved = [np.linalg.norm(own[n, p.track_id].joints_cam - p.joints_cam, axis=-1).ravel()
             for n, frame in enumerate(before) for p in frame.persons if (n, p.track_id) in own]  # fmt: skip
    row["moved_mm"] = mean_of(moved, 1e3)
    for name, frames in (("before", before), ("after", after)):
        accelerations, off = [], []
        for rows in _tracks(frames):
            times = np.array([frames[n].stamp_ns * 1e-9 for n, _ in rows])
            joints = np.array([person.joints_cam for _, person in rows])
            accelerations.append(np.linalg.norm(accelerations_of(joints, times), axis=-1).ravel())
            away = np.linalg.norm(project(camera, joints) - np.array([p.keypoints_px for _, p in rows]), axis=-1)
            off.append(away[np.isfinite(away) & (np.array([p.joint_scores for _, p in rows]) > 0)])
        row[f"acceleration_{name}_m_s2"], row[f"off_2d_{name}_px"] = mean_of(accelerations), mean_of(off)
    return row
