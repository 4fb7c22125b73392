"""A user's own video as unlabelled recordings: by the live stages here, or from what a run of the graph recorded.

F frames, N people, K joints of `skeleton.H36M17`; metres in the camera frame.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.markup import escape
from rich.progress import track

from dualpose_ros.arrays import Floats
from dualpose_ros.camera import Camera, GroundConfig, pixels_to_rays
from dualpose_ros.datasets.recordings import PARTS, Recordings, collected, joined
from dualpose_ros.errors import InputError
from dualpose_ros.lab.evaluation.branches import Branches
from dualpose_ros.lab.evaluation.record import estimate_rows
from dualpose_ros.lab.evaluation.refinement.recorded import RUN, cameras_of, messages_of
from dualpose_ros.people import Persons, Pose3D
from dualpose_ros.runs.refinement_settings import kept_refinement_settings
from dualpose_ros.sources.calibration import load_calibration, load_ground
from dualpose_ros.sources.frames import IMAGE_SUFFIXES, images_of, open_source
from dualpose_ros.sources.video import VIDEO_SUFFIXES
from dualpose_ros.top_down.lifting.completion import LONGEST_GAP_S

SEQUENCE_FRAMES = 60
"""Longer videos are several sequences, of one length, as networks learn from them."""

_BRANCHES = {"top_down": "/dualpose/top_down/poses3d", "bottom_up": "/dualpose/bottom_up/poses3d"}


class Frame(NamedTuple):
    """When, in seconds, before which camera, and whom both branches saw."""

    stamp_s: float
    camera: Camera
    top_down: Sequence[Pose3D]
    bottom_up: Sequence[Pose3D]


def read_footage(source: Path, calibration: Path | None) -> Recordings:
    """What both branches make of videos nobody labelled: every frame, no truth, none of it `level`.

    source: a video, a folder of images or of videos, or folders that `dualpose run --out` wrote; calibration: of the
    camera, rescaled to images of another size; without it a run's own camera_info serves. Where it, or else the run,
    says how the camera stands, that is down, else its y axis.
    InputError, CameraError, SourceError name what is missing, damaged or does not fit.
    """
    if not source.exists():
        raise InputError(f"--video {source} does not exist")
    ground = load_ground(calibration) if calibration is not None else None
    runs = sorted(source.rglob(RUN)) if source.is_dir() else []
    parts: list[tuple[Iterator[Frame], GroundConfig | None]]
    if runs:
        parts = [
            (_recorded(run, calibration), ground or kept_refinement_settings(run.parent)[1].ground) for run in runs
        ]
    else:
        if calibration is None:
            raise InputError(f"--calibration is missing: the file of the camera that took {source}")
        branches = Branches()
        parts = [(_seen(branches, video, calibration), ground) for video in _videos(source)]
    found = [recording for frames, ground in parts for recording in _sequences(frames, _down(ground))]
    if not any(len(recording.top_down.frame) for recording in found):
        raise InputError(f"--video {source} shows nobody whom the top-down branch finds: nothing can be learnt from it")
    return joined(found)


def _down(ground: GroundConfig | None) -> Floats:
    stands = ground.ground() if ground is not None else None
    return np.array([0.0, 1.0, 0.0]) if stands is None else stands.down


def _videos(source: Path) -> list[Path]:
    """The videos of a folder; else the folder of images, or the file, itself."""
    if source.is_file() or any(p.suffix.lower() in IMAGE_SUFFIXES for p in source.iterdir()):
        return [source]
    videos = sorted(p for p in source.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)
    if not videos:
        raise InputError(f"--video {source} holds no video, no images and no run's {RUN}")
    return videos


def _seen(branches: Branches, video: Path, calibration: Path) -> Iterator[Frame]:
    """Every frame of a video through the stages of the live graph."""
    camera_of = cache(partial(load_calibration, calibration))
    branches.restart()
    source = open_source(str(video))
    try:
        for image in track(images_of(source), escape(video.name), source.info.count, transient=True):
            camera = camera_of((image.shape[1], image.shape[0]))
            seen = branches.process(image, source.time_ns, camera)
            yield Frame(source.time_ns * 1e-9, camera, seen.top_down, seen.bottom_up)
    finally:
        source.close()


def _recorded(run: Path, calibration: Path | None) -> Iterator[Frame]:
    """The frames of a run for which both branches published, by their stamps."""
    from dualpose_ros.nodes.wire import MessageError, poses_from_bytes, stamp_ns_of

    people: dict[int, dict[str, list[Pose3D]]] = {}
    cameras = cameras_of(run, calibration)
    try:
        for branch, topic in _BRANCHES.items():
            for message in messages_of(run, topic):
                people.setdefault(stamp_ns_of(message), {})[branch] = poses_from_bytes(message)
    except MessageError as error:
        raise InputError(f"{run} is damaged: {error}") from None
    both = {stamp: found for stamp, found in sorted(people.items()) if len(found) == len(_BRANCHES)}
    if not both:
        raise InputError(f"{run} holds no frame of which both branches published")
    for stamp_ns, found in both.items():
        yield Frame(stamp_ns * 1e-9, cameras.at(stamp_ns), found["top_down"], found["bottom_up"])


def _sequences(frames: Iterator[Frame], down: Floats) -> Iterator[Recordings]:
    """Recordings of one sequence each, which ends after SEQUENCE_FRAMES or before a gap or another camera."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in PARTS}
    for frame in frames:
        held, camera = rows["frames"], frame.camera
        intrinsics = (camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height)
        goes_on = held and held[-1]["camera"] == intrinsics and 0 < frame.stamp_s - held[-1]["stamp_s"] <= LONGEST_GAP_S
        if held and (len(held) == SEQUENCE_FRAMES or not goes_on):
            yield Recordings(*(collected(name, rows[name]) for name in PARTS))
            rows = {name: [] for name in PARTS}
            held = rows["frames"]
        number = len(held)
        held.append(dict(sequence=0, stamp_s=frame.stamp_s, camera=intrinsics, down=down, level=False))
        for name, people in (("top_down", frame.top_down), ("bottom_up", frame.bottom_up)):
            rows[name] += estimate_rows(number, [-1] * len(people), _without_distortion(people, camera))
    if rows["frames"]:
        yield Recordings(*(collected(name, rows[name]) for name in PARTS))


def _without_distortion(people: Sequence[Pose3D], camera: Camera) -> Persons:
    """The people with 2D joints where a camera without distortion would see them, as recordings have them."""

    def ideal(pose: Pose3D) -> Pose3D:
        rays = pixels_to_rays(camera, pose.keypoints_px)
        pixels = rays * [camera.fx, camera.fy] + [camera.cx, camera.cy]
        known = np.asarray(np.isfinite(pixels).all(axis=1), dtype=bool)
        scores = np.where(known, pose.joint_scores, 0.0)
        return replace(pose, keypoints_px=np.where(known[:, None], pixels, 0.0), joint_scores=scores)

    return Persons.of([ideal(pose) for pose in people])
