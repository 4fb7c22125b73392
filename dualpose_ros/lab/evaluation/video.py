"""A real video with 3D truth, through the stages of the live graph, as `dualpose eval video` reports it.

People are matched on the image, so that somebody at a wrong depth is found all the same, and errors are over the
joints that the truth has. T frames, N true people, K joints of `skeleton.H36M17`; metres in the camera frame.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from dualpose_ros.arrays import Floats, Mask
from dualpose_ros.camera import Camera, GroundConfig, project
from dualpose_ros.datasets.video_truth import FEWEST_JOINTS, VideoTruth, VideoTruthError, at_times, load_video_truth
from dualpose_ros.drawing import draw_skeletons, write_figure, write_picture
from dualpose_ros.lab.evaluation.branches import STAGES, Branches, LiveStages
from dualpose_ros.lab.evaluation.protocols.matching import pairs_by_joints
from dualpose_ros.lab.evaluation.report import Outcome, evaluation
from dualpose_ros.metrics.poses import pa_mpjpe
from dualpose_ros.metrics.steadiness import acceleration_errors, mean_of
from dualpose_ros.people import Pose3D, TrackingState
from dualpose_ros.refinement.config import RefinementConfig
from dualpose_ros.skeleton import H36M17, ROOT, K
from dualpose_ros.sources.calibration import load_calibration, load_ground
from dualpose_ros.sources.frames import FrameSource, open_source
from dualpose_ros.sources.source import SourceError
from dualpose_ros.sources.video import VIDEO_SUFFIXES

GHOST_S = 0.5
"""A ghost that lasts as long is one that somebody sees."""

_FARTHEST_M = 200.0
"""Nobody is seen further away."""


@dataclass(frozen=True)
class VideoFiles:
    """What one evaluation needs: the video (or folder of images), its camera, its truth, the ground if known."""

    source: str
    camera: Camera
    truth: VideoTruth
    ground: GroundConfig | None = None


@dataclass(frozen=True)
class Published:
    """What one stage put out for a frame: its time in the video, the people."""

    stamp_s: float
    persons: Sequence[Pose3D]


@dataclass
class Score:
    """What is counted over a video; errors are lists over people found in a frame."""

    asked: int = 0
    found: int = 0
    relative_m: list[Floats] = field(default_factory=list)
    aligned_m: list[float] = field(default_factory=list)
    depth: list[float] = field(default_factory=list)
    ghosts: int = 0
    published: int = 0
    switches: int = 0
    ids: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    ghost_ids: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    tracks: dict[tuple[int, int], list[tuple[float, Floats, Floats]]] = field(default_factory=lambda: defaultdict(list))


def find_files(
    root: Path, source: str | None = None, calibration: Path | None = None, truth: Sequence[Path] = ()
) -> VideoFiles:
    """The files of a folder: one video or `images/`, `camera.yaml`, `truth.npz` or .trc files, `truth.yaml` if any.

    root: the folder; source, calibration, truth: instead of what the folder has.
    VideoTruthError, CameraError, SourceError name what is missing or can't be used.
    """
    if not root.is_dir():
        raise VideoTruthError(f"--root {root} is no folder")
    if source is None:
        videos = sorted(p for p in root.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)
        if len(videos) > 1:
            raise VideoTruthError(f"{root} holds {len(videos)} videos; name one with --source")
        if not videos and not (root / "images").is_dir():
            raise VideoTruthError(f"{root} holds no video and no images/; name one with --source")
        source = str(videos[0] if videos else root / "images")
    files = list(truth) or sorted(root.glob("truth.npz")) or sorted(root.glob("*.trc"))
    setup = next((path for path in (root / "truth.yaml", root / "truth.yml") if path.is_file()), None)
    calibration = calibration or root / "camera.yaml"
    return VideoFiles(source, load_calibration(calibration), load_video_truth(files, setup), load_ground(calibration))


@evaluation("video")
def evaluate_video(
    files: VideoFiles,
    out: Path | None = None,
    max_frames: int | None = None,
    top_down: str = "top_down",
    fps: float | None = None,
) -> Outcome:
    """Run the live stages on every frame, with no frame skipped, and measure each stage's people.

    files: what `find_files` gives; out: folder for overlays of twenty frames and a picture of errors by joint; None for
    none. max_frames: stop after so many; top_down: the network on patches, as `top_down.weights` names it; fps: frames
    a second of the video instead of what it states.
    Returns a result in the design's form: a row a stage, joint by joint errors of the refined poses, and notes of what
    is doubtful, if anything. VideoTruthError where nobody of the truth is in view.
    """
    source = open_source(files.source)
    try:
        if (source.info.width, source.info.height) != (files.camera.width, files.camera.height):
            raise VideoTruthError(
                f"{files.source} is {source.info.width}x{source.info.height}, but its camera "
                f"{files.camera.width}x{files.camera.height}"
            )
        slower = source.info.fps / fps if fps else 1.0
        if source.info.count is not None:
            # Stated rates and lengths are not exact; the frames' own times are known at the end.
            _check_in_view(files, 2 * source.info.count / source.info.fps * slower)
        frames, notes = _run(source, files, out, max_frames, top_down, slower)
    finally:
        source.close()
    scores = {stage: score_video(files, frames[stage]) for stage in STAGES}
    last_s = frames["refined"][-1].stamp_s
    if not scores["refined"].asked:
        _check_in_view(files, last_s, anyway=True)
    seen = _times_in_view(files)
    outside = int(((seen < 0) | (seen > last_s + 0.5 / source.info.fps * slower)).sum())
    if outside and max_frames is None:
        notes.append(
            f"{outside} of the truth's {seen.size} frames with somebody in view are outside the video's "
            f"{last_s:.6g} s: are start_s and fps right?"
        )
    rows = [{"stage": stage, **figures_of(score, files.truth.everybody)} for stage, score in scores.items()]
    joints = _joint_rows(scores["refined"])
    if out is not None:
        _draw_joints(out / "joints.png", joints)
    return {"notes": [{"note": note} for note in notes], "video": rows, "joints": joints}, []


def _check_in_view(files: VideoFiles, until_s: float, anyway: bool = False) -> None:
    """VideoTruthError where nobody of the truth is in view in the video's time, or `anyway`; it says where they are."""
    seen = _times_in_view(files)
    if not seen.size:
        raise VideoTruthError(f"nobody of the truth is in view at any time: {_whereabouts(files)}")
    if anyway or not ((seen >= 0) & (seen <= until_s)).any():
        raise VideoTruthError(
            f"nobody of the truth is in view in the frames that were asked for, which end at {until_s:.6g} s or before "
            f"that: by the truth's times somebody is from {seen.min():.6g} to {seen.max():.6g} s; check start_s and "
            "fps in truth.yaml, and --fps"
        )


def _times_in_view(files: VideoFiles) -> Floats:
    """Of the truth's frames in which somebody is in view."""
    takes, camera = files.truth.takes, files.camera
    return np.concatenate([take.stamps_s[_in_view(take.joints_cam, camera).any(axis=1)] for take in takes])


def _whereabouts(files: VideoFiles) -> str:
    """Where people are who are not in view, and what to check."""
    people = np.concatenate([take.joints_cam.reshape(-1, K, 3) for take in files.truth.takes])
    counted = np.isfinite(people).all(axis=-1).sum(axis=-1) >= FEWEST_JOINTS
    roots = people[counted & np.isfinite(people[:, ROOT]).all(axis=-1), ROOT]
    if not len(roots):
        return f"nobody has {FEWEST_JOINTS} measured joints, with the pelvis or both hips among them"
    where = np.median(roots, axis=0)
    place = "behind the camera"
    if where[2] > 0:
        x, y = project(files.camera, where)
        place = f"({x:.0f}, {y:.0f}) px of an image of {files.camera.width}x{files.camera.height}"
    return (
        f"their pelvises are about ({', '.join(f'{v:.4g}' for v in where)}) m in the camera's frame (x right, y down, "
        f"z forward), {place}; check rotation, translation_m and axes in truth.yaml, and the units"
    )


def _run(
    source: FrameSource, files: VideoFiles, out: Path | None, max_frames: int | None, top_down: str, slower: float
) -> tuple[dict[str, list[Published]], list[str]]:
    """What each stage publishes of each frame, and notes of what is doubtful; slower: factor of the source's times."""
    stages = LiveStages(Branches(top_down), RefinementConfig(ground=files.ground or GroundConfig()))
    count = min(c for c in (source.info.count, max_frames, 10**9) if c is not None)
    shown = set(np.linspace(0, max(count - 1, 0), 20).astype(int).tolist()) if count < 10**9 else set(range(0, 600, 30))
    frames: dict[str, list[Published]] = {stage: [] for stage in STAGES}
    notes, lost = [f"the calibration: {doubt}" for doubt in (files.camera.doubt,) if doubt], []
    for index in track(range(count), "video", count, transient=True):
        try:
            image = source.read()
        except SourceError as error:
            lost.append(str(error))
            continue
        if image is None:
            if source.info.count is not None:
                notes.append(f"{files.source} states {source.info.count} frames, but has {index}: is it damaged?")
            break
        if image.shape[:2] != (files.camera.height, files.camera.width):
            lost.append(f"frame {index} is {image.shape[1]}x{image.shape[0]}, unlike its camera")
            continue
        stamp_ns = round(source.time_ns * slower)
        people = stages.process(image, stamp_ns, files.camera)
        for stage, persons in people.items():
            frames[stage].append(Published(stamp_ns * 1e-9, tuple(persons)))
        if out is not None and index in shown:
            write_picture(out / f"frame_{index:05d}.jpg", draw_skeletons(image, people["refined"]))
    if not frames["refined"]:
        raise VideoTruthError(f"{files.source}: no frame of those asked for can be used: {lost[0]}")
    if lost:
        notes.append(f"{len(lost)} frames are left out, of which the first: {lost[0]}")
    return frames, notes


def score_video(files: VideoFiles, frames: Sequence[Published]) -> Score:
    """Count and measure what one stage published of each frame; frames without any truth are left out."""
    score, last = Score(), dict[int, int]()
    truth = at_times(files.truth, np.array([frame.stamp_s for frame in frames]))
    for frame, joints in zip(frames, truth, strict=True):
        there = np.flatnonzero(_in_view(joints, files.camera))
        if not len(there):
            continue
        pairs = match_on_image(joints[there], frame.persons, files.camera)
        score.asked += len(there)
        score.found += len(pairs)
        score.published += len(frame.persons)
        for index, row in pairs:
            person, pose = int(there[index]), frame.persons[row]
            _add(score, person, joints[person], pose, frame.stamp_s)
            score.switches += last.get(person, pose.track_id) != pose.track_id
            last[person] = pose.track_id
        for row in set(range(len(frame.persons))) - {row for _, row in pairs}:
            score.ghosts += 1
            score.ghost_ids[frame.persons[row].track_id].append(frame.stamp_s)
    return score


def _in_view(joints: Floats, camera: Camera) -> Mask:
    """Which people (..., N) of the truth (..., N, K, 3) have their measured joints mostly within the image."""
    measured = np.isfinite(joints).all(axis=-1)
    pixels = np.nan_to_num(project(camera, joints), nan=-1e6)
    inside = ((pixels >= 0) & (pixels < (camera.width, camera.height))).all(axis=-1) & measured
    depth, count = np.nan_to_num(joints[..., ROOT, 2], nan=-1.0), measured.sum(axis=-1)
    rooted = (depth > 0) & (depth < _FARTHEST_M)
    return np.asarray(rooted & (count >= FEWEST_JOINTS) & (inside.sum(axis=-1) >= 0.5 * count))


def match_on_image(truth: Floats, persons: Sequence[Pose3D], camera: Camera) -> list[tuple[int, int]]:
    """Pairs (true person, estimate) by their joints on the image, each used once, the nearest first of all.

    truth: joints (M, K, 3), NaN where not measured; persons: what was published; camera: of the image.
    """
    if not len(truth) or not persons:
        return []
    true_px = project(camera, truth)
    size = (np.nanmax(true_px, axis=1) - np.nanmin(true_px, axis=1)).max(axis=1)
    return pairs_by_joints(true_px, np.stack([np.asarray(p.keypoints_px, dtype=np.float64) for p in persons]), size)


def _add(score: Score, person: int, truth: Floats, pose: Pose3D, stamp_s: float) -> None:
    joints = np.asarray(pose.joints_cam, dtype=np.float64)
    relative, true_relative = joints - joints[ROOT], truth - truth[ROOT]
    score.relative_m.append(np.linalg.norm(relative - true_relative, axis=-1))
    known = np.isfinite(truth).all(axis=-1)
    score.aligned_m.append(float(pa_mpjpe(joints[known], truth[known])))
    score.depth.append(float(abs(joints[ROOT, 2] - truth[ROOT, 2]) / truth[ROOT, 2]))
    score.ids[person].append(pose.track_id)
    if pose.state is not TrackingState.COASTING:
        score.tracks[person, pose.track_id].append((stamp_s, joints, truth))


def figures_of(score: Score, everybody: bool) -> dict[str, float | int | None]:
    """The columns of a row: shares, millimetres, per cent and m/s^2; None where there is nothing to measure."""
    errors = np.concatenate([e[np.isfinite(e) & _BODY] for e in score.relative_m]) if score.relative_m else np.zeros(0)
    people = np.array([np.nanmean(e[_BODY]) for e in score.relative_m])
    lasting = sum(max(times) - min(times) >= GHOST_S for times in score.ghost_ids.values())
    frames = max(score.asked, 1)
    return {
        "people": score.asked,
        "found": score.found / frames,
        "median_mm": _mm(np.median(errors)) if errors.size else None,
        "mean_mm": _mm(people.mean()) if people.size else None,
        "pa_mm": _mm(np.mean(score.aligned_m)) if score.aligned_m else None,
        "depth_pct": round(100 * float(np.median(score.depth)), 2) if score.depth else None,
        "jitter_m_s2": _jitter(score),
        "ids": len({track for ids in score.ids.values() for track in ids}),
        "id_switches": score.switches,
        "ghosts_a_person": round(score.ghosts / frames, 4) if everybody else None,
        "lasting_ghosts": lasting if everybody else None,
    }


_BODY = np.arange(K) != ROOT


def _mm(metres: Any) -> float:
    return round(1000 * float(metres), 2)


def _jitter(score: Score) -> float | None:
    """Mean difference of accelerations from the truth's, over joints that are known in three estimates in a row."""
    found = []
    for rows in score.tracks.values():
        times, joints, truth = (np.array(column) for column in zip(*rows, strict=True))
        errors = acceleration_errors(joints, truth, times)
        found.append(errors[np.isfinite(errors)])
    mean = mean_of(found)
    return None if mean is None else round(mean, 3)


def _joint_rows(score: Score) -> list[dict[str, Any]]:
    """Median and mean error of each joint about the root, in millimetres."""
    errors = np.stack(score.relative_m) if score.relative_m else np.zeros((0, K))
    rows = []
    for joint, name in enumerate(H36M17.joint_names):
        own = errors[np.isfinite(errors[:, joint]), joint]
        if joint != ROOT and own.size:
            rows.append({"joint": name, "median_mm": _mm(np.median(own)), "mean_mm": _mm(own.mean()), "n": own.size})
    return rows


def _draw_joints(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Bars of each joint's median and mean error."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(rows))
    axes.barh(places + 0.2, [row["median_mm"] for row in rows], 0.4, label="median")
    axes.barh(places - 0.2, [row["mean_mm"] for row in rows], 0.4, label="mean")
    axes.set_yticks(places, [row["joint"] for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("distance from the truth, about the pelvis (mm)")
    axes.legend()
    write_figure(path, figure, 110)
