"""A user's own video as unlabelled recordings: by the live stages here, or from what a run of the graph recorded.

F frames, N people, K joints of `skeleton.H36M17`; metres in the camera frame.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.progress import track

from dualpose_ros.arrays import Floats
from dualpose_ros.camera import Camera, pixels_to_rays
from dualpose_ros.datasets.recordings import PARTS, Recordings, collected, joined
from dualpose_ros.errors import InputError
from dualpose_ros.lab.evaluation.branches import Branches
from dualpose_ros.lab.evaluation.record import estimate_rows
from dualpose_ros.lab.evaluation.refinement.offline import messages_of, recorded_camera
from dualpose_ros.people import Persons, Pose3D
from dualpose_ros.sources.calibration import load_calibration, load_ground
from dualpose_ros.sources.frames import IMAGE_SUFFIXES, images_of, open_source
from dualpose_ros.sources.video import VIDEO_SUFFIXES
from dualpose_ros.top_down.lifting.completion import LONGEST_GAP_S

SEQUENCE_FRAMES = 60
"""Longer videos are several sequences, of one length, as networks learn from them."""

RUN = "poses.mcap"
_BRANCHES = {"top_down": "/dualpose/top_down/poses3d", "bottom_up": "/dualpose/bottom_up/poses3d"}


class Frame(NamedTuple):
    """When, in seconds, and whom both branches saw."""

    stamp_s: float
    top_down: Sequence[Pose3D]
    bottom_up: Sequence[Pose3D]


def read_footage(source: Path, calibration: Path | None) -> Recordings:
    """What both branches make of videos nobody labelled: every frame, no truth, none of it `level`.

    source: a video, a folder of images or of videos, or folders that `dualpose run --out` wrote; calibration: of the
    camera; where it says how the camera stands, that is down, else its y axis. A run's own camera_info serves without.
    InputError, CameraError, SourceError name what is missing, damaged or does not fit.
    """
    if not source.exists():
        raise InputError(f"--video {source} does not exist")
    ground = load_ground(calibration) if calibration is not None else None
    stands = ground.ground() if ground is not None else None
    down = np.array([0.0, 1.0, 0.0]) if stands is None else stands.down
    runs = sorted(source.rglob(RUN)) if source.is_dir() else []
    if runs:
        parts = [
            (load_calibration(calibration) if calibration else recorded_camera(run), _recorded(run)) for run in runs
        ]
    else:
        if calibration is None:
            raise InputError(f"--calibration is missing: the file of the camera that took {source}")
        camera, branches = load_calibration(calibration), Branches()
        parts = [(camera, _seen(branches, video, camera)) for video in _videos(source)]
    found = [recording for camera, frames in parts for recording in _sequences(frames, camera, down)]
    if not any(len(recording.top_down.frame) for recording in found):
        raise InputError(f"--video {source} shows nobody whom the top-down branch finds: nothing can be learnt from it")
    return joined(found)


def _videos(source: Path) -> list[Path]:
    """The videos of a folder; else the folder of images, or the file, itself."""
    if source.is_file() or any(p.suffix.lower() in IMAGE_SUFFIXES for p in source.iterdir()):
        return [source]
    videos = sorted(p for p in source.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)
    if not videos:
        raise InputError(f"--video {source} holds no video, no images and no run's {RUN}")
    return videos


def _seen(branches: Branches, video: Path, camera: Camera) -> Iterator[Frame]:
    """Every frame of a video through the stages of the live graph."""
    branches.restart()
    source = open_source(str(video))
    try:
        if (source.info.width, source.info.height) != (camera.width, camera.height):
            size = f"{source.info.width}x{source.info.height}"
            raise InputError(f"{video} is {size}, its calibration of {camera.width}x{camera.height}")
        for image in track(images_of(source), video.name, source.info.count, transient=True):
            seen = branches.process(image, source.time_ns, camera)
            yield Frame(source.time_ns * 1e-9, seen.top_down, seen.bottom_up)
    finally:
        source.close()


def _recorded(run: Path) -> Iterator[Frame]:
    """The frames of a run for which both branches published, by their stamps."""
    from dualpose_ros.nodes.wire import MessageError, poses_from_bytes, stamp_ns_of

    people: dict[int, dict[str, list[Pose3D]]] = {}
    try:
        for branch, topic in _BRANCHES.items():
            for message in messages_of(run, topic=topic, raw=True):
                people.setdefault(stamp_ns_of(message), {})[branch] = poses_from_bytes(message)
    except MessageError as error:
        raise InputError(f"{run} is damaged: {error}") from None
    both = {stamp: found for stamp, found in sorted(people.items()) if len(found) == len(_BRANCHES)}
    if not both:
        raise InputError(f"{run} holds no frame of which both branches published")
    for stamp_ns, found in both.items():
        yield Frame(stamp_ns * 1e-9, found["top_down"], found["bottom_up"])


def _sequences(frames: Iterator[Frame], camera: Camera, down: Floats) -> Iterator[Recordings]:
    """Recordings of one sequence each, which ends after SEQUENCE_FRAMES or before a gap."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in PARTS}
    intrinsics = (camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height)
    for frame in frames:
        held = rows["frames"]
        if held and (len(held) == SEQUENCE_FRAMES or not 0 < frame.stamp_s - held[-1]["stamp_s"] <= LONGEST_GAP_S):
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
