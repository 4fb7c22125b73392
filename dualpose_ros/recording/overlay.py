"""The overlay video of a run: 2D skeletons with id and depth, beside the people seen from above."""

import math
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dualpose_ros.arrays import Floats, RgbImage, UInt8s
from dualpose_ros.camera import Camera
from dualpose_ros.drawing import beside, draw_skeletons, seen_place, top_view
from dualpose_ros.people import SEEN, Pose3D
from dualpose_ros.recording.frame_store import FrameStore
from dualpose_ros.recording.pose_lines import PoseFrame, read_pose_lines
from dualpose_ros.recording.video import VideoWriter
from dualpose_ros.skeleton import H36M17

TRAIL_NS = 3_000_000_000
"""How far back the trails in the top view reach."""


class Trails:
    """Where every track stood over the last seconds, for the top view."""

    def __init__(self, length_ns: int = TRAIL_NS) -> None:
        self._length_ns = length_ns
        self._points: dict[int, deque[tuple[int, float, float]]] = {}

    def update(self, stamp_ns: int, persons: tuple[Pose3D, ...]) -> dict[int, Floats]:
        """Add a frame's people; the trails (T, 2) of those of them who are tracked, as (x, z) in metres, oldest
        point first."""
        for person in persons:
            place = seen_place(person)
            if place is not None:
                self._points.setdefault(person.track_id, deque()).append((stamp_ns, float(place[0]), float(place[1])))
        for track_id, points in list(self._points.items()):
            while points and points[0][0] < stamp_ns - self._length_ns:
                points.popleft()
            if not points:
                del self._points[track_id]
        shown = {person.track_id for person in persons}
        return {track_id: np.array(points)[:, 1:] for track_id, points in self._points.items() if track_id in shown}


def write_overlay(
    path: Path,
    pose_lines: Path,
    frames: FrameStore,
    camera: Camera | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    min_joint_score: float = SEEN,
) -> int:
    """Draw every kept frame with its poses into an H.264 video; gives the number of frames drawn.

    A frame is shown from its stamp until the next one's, joints from `min_joint_score` on. `progress` is called with
    the frames done and the frames in all. If it raises, the file holds what was drawn so far and is playable.
    """
    total, done = len(frames), 0
    depth_m = view_depth(pose_lines)
    hfov = None if camera is None else camera.hfov
    kept, trails = set(frames.stamps_ns), Trails()
    with VideoWriter(path) as video:
        for frame in read_pose_lines(pose_lines):
            trail = trails.update(frame.stamp_ns, frame.persons)
            if frame.stamp_ns not in kept:
                continue
            image = draw_skeletons(frames.read(frame.stamp_ns), frame.persons, min_joint_score)
            video.write(with_top_view(frame, image, depth_m, hfov, trail), frame.stamp_ns)
            done += 1
            progress(done, total)
    return done


def with_top_view(
    frame: PoseFrame, image: RgbImage, depth_m: float, hfov: float | None, trails: dict[int, Floats]
) -> UInt8s:
    """One picture of the overlay: image with skeletons (H, W, 3), and a square top view at its right."""
    height = image.shape[0]
    return beside(image, top_view(frame.persons, (height, height), depth_m, hfov, trails))


def view_depth(pose_lines: Path) -> float:
    """Depth in metres that the top view should show: nearly all people of a run fit, between 4 and 30."""
    counts = np.zeros(31, dtype=np.int64)
    for frame in read_pose_lines(pose_lines):
        for person in frame.persons:
            depth = float(person.joints_cam[H36M17.root, 2])
            if np.isfinite(depth):
                counts[int(np.clip(math.ceil(depth), 0, 30))] += 1
    if not counts.any():
        return 8.0
    reached = int(np.searchsorted(np.cumsum(counts), 0.98 * counts.sum()))
    return float(np.clip(reached + 1, 4, 30))
