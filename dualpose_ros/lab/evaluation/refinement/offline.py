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
from dualpose_ros.camera import GroundConfig, project
from dualpose_ros.errors import InputError
from dualpose_ros.lab.evaluation.refinement.measures import sequence_of
from dualpose_ros.lab.evaluation.refinement.published_solver import TWO_STAGES, Stage, optimise
from dualpose_ros.lab.evaluation.refinement.recorded import RUN, Cameras, cameras_of
from dualpose_ros.lab.evaluation.report import Outcome, evaluation
from dualpose_ros.metrics.steadiness import accelerations_of, mean_of
from dualpose_ros.paths import write_whole
from dualpose_ros.people import Pose3D, TrackingState
from dualpose_ros.recording.pose_lines import PoseFrame, read_pose_lines, to_line
from dualpose_ros.refinement.config import RefinementConfig
from dualpose_ros.refinement.stage import RefinedFrame, RefinementStage
from dualpose_ros.runs.refinement_settings import kept_refinement_settings

METHODS = ("two-stage", "ours")
FUSED = "fused.jsonl"
LONG_WINDOW = 12
"""Frames of a track that the live stage is given together here, where it need not be quick."""

LONGEST_GAP_S, FEWEST_FRAMES = 1.0, 5
"""A track that was gone for longer is two; one of fewer frames stays as it was fused."""


@evaluation("refine")
def refine_recording(
    folder: Path,
    method: str,
    out: Path,
    calibration: Path | None = None,
    steps: int = TWO_STAGES[0].steps,
    ground: GroundConfig | None = None,
) -> Outcome:
    """Refine a run's fused poses, and write them as its `poses.jsonl` are.

    folder: what `dualpose run --out` wrote; method: one of METHODS: the paper's two stages over whole tracks, or the
    live stage with the run's settings, but its largest lag. out: the file of JSON lines, written whole or not at all;
    calibration: the camera, where not the one that was recorded; steps: of each of the paper's stages; ground: of the
    live stage, where not the run's.
    Returns one table: how many frames and tracks, frames left out since they repeat a stamp, how far joints moved, and
    accelerations and distances of 2D joints before and after, and which ground the live stage knew. There is no truth
    in a recording: these say how much was changed, not whether it is better.
    InputError, CameraError for what is missing or damaged.
    """
    if method not in METHODS:
        raise InputError(f"no method '{method}'; there are {', '.join(METHODS)}")
    recorded = read_frames(folder / FUSED)
    frames = list({frame.stamp_ns: frame for frame in reversed(recorded)}.values())[::-1]
    cameras = cameras_of(folder / RUN, calibration)
    row: dict[str, Any] = {"method": method, "repeated_frames": len(recorded) - len(frames)}
    if method == "ours":
        config, known = settings_of(folder, ground)
        refined = _by_stage(frames, cameras, config)
        row["ground"] = known
    else:
        refined = by_tracks(frames, cameras, [replace(stage, steps=steps) for stage in TWO_STAGES])
    write_whole(out, "".join(to_line(frame) + "\n" for frame in refined))
    return {"refine": [{**row, **figures(frames, refined, cameras)}]}, []


def settings_of(folder: Path, ground: GroundConfig | None) -> tuple[RefinementConfig, str]:
    """A run's settings of refinement, with a lag for off line and another ground where one is named; and what is known
    of the ground, in words."""
    node, config = kept_refinement_settings(folder)
    if ground is not None:
        ground = replace(ground, accuracy=config.ground.accuracy)
    window = max(config.window_frames, LONG_WINDOW)
    config = replace(
        config,
        enabled=True,
        window_frames=window,
        lag_frames=window - 1,
        smoothing_time_constant_s=0.0,
        max_coast_s=0.0,
        ground=ground or config.ground,
    )
    known = f"camera {height_m:.2f} m above it" if (height_m := config.ground.camera_height_m) else "none is known"
    by_tf = f"; that of {node.ground_frame} by TF is not recorded" if node.ground_frame and ground is None else ""
    return config, known + by_tf


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


def by_tracks(frames: Sequence[PoseFrame], cameras: Cameras, stages: Sequence[Stage]) -> list[PoseFrame]:
    """Frames whose tracks went through the paper's optimisation, each over all of its frames; who was predicted and
    not seen is left as recorded. cameras: of the frames; stages: of the optimisation."""
    changed: dict[tuple[int, int], Floats] = {}
    tracks = list(_tracks(frames))
    for rows in track(tracks, description="tracks", transient=True):
        times = np.array([frames[row].stamp_ns * 1e-9 for row, _ in rows])
        own = [cameras.at(frames[row].stamp_ns) for row, _ in rows]
        sequence = sequence_of(own, times - times[0], [person for _, person in rows])
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
        # Of two poses of a track the first one counts, as to the live stage.
        for person in {person.track_id: person for person in reversed(frame.persons)}.values():
            if person.state is not TrackingState.COASTING:
                by_id.setdefault(person.track_id, []).append((row, person))
    for rows in by_id.values():
        stamps = np.array([frames[row].stamp_ns for row, _ in rows])
        cuts = np.flatnonzero(np.diff(stamps) > LONGEST_GAP_S * 1e9) + 1
        for part in np.split(np.arange(len(rows)), cuts):
            if len(part) >= FEWEST_FRAMES:
                yield [rows[n] for n in part]


def _by_stage(frames: Sequence[PoseFrame], cameras: Cameras, config: RefinementConfig) -> list[PoseFrame]:
    """What the live stage says where each frame may wait for as many as its window holds."""
    stage = RefinementStage(config)
    given: list[RefinedFrame] = []
    for frame in track(frames, description="frames", transient=True):
        given += stage.process(frame.stamp_ns, cameras.at(frame.stamp_ns), frame.persons)
    given += stage.flush()
    people = {one.stamp_ns: one.persons for one in given}
    return [replace(frame, persons=tuple(people.get(frame.stamp_ns, frame.persons))) for frame in frames]


def figures(before: Sequence[PoseFrame], after: Sequence[PoseFrame], cameras: Cameras) -> dict[str, Any]:
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
            seen = np.array([project(cameras.at(frames[n].stamp_ns), p.joints_cam) for n, p in rows])
            away = np.linalg.norm(seen - np.array([p.keypoints_px for _, p in rows]), axis=-1)
            off.append(away[np.isfinite(away) & (np.array([p.joint_scores for _, p in rows]) > 0)])
        row[f"acceleration_{name}_m_s2"], row[f"off_2d_{name}_px"] = mean_of(accelerations), mean_of(off)
    return row
