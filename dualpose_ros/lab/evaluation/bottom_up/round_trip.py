"""How exactly decoding gives back what perfect maps of the bottom-up network hold.

P people, K joints of `skeleton.H36M17`; metres in the camera frame.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats, Mask
from dualpose_ros.bottom_up.decode import decode_frame
from dualpose_ros.bottom_up.place import place_people
from dualpose_ros.bottom_up.stage import network_focal
from dualpose_ros.camera import Camera, camera_from_hfov, project
from dualpose_ros.grouping import HEATMAP_STRIDE
from dualpose_ros.lab.evaluation.bottom_up.truth_maps import TAG_STEP, truth_maps
from dualpose_ros.letterbox import fit_long_side
from dualpose_ros.metrics.poses import joint_errors
from dualpose_ros.skeleton import H36M17

NEAR_CELLS = 3.0
UNSHARED_CELLS = 4.25
"""Of two joints of one kind that far apart on the maps, neither reaches the 3 x 3 cells that the other is read from."""

MOST_SHARED = 0.5
"""People of whom a larger share of the joints does so stand behind one another, and none of theirs is asked for."""

FEWEST_JOINTS = 4
"""Of people with fewer joints within the image, nothing is asked."""


@dataclass(frozen=True)
class RoundTrip:
    """errors_m (E,) of the joints that were found; asked: joints that had to be; overlapped, at_rim: joints within
    the image that were not asked for, because of another person's, or nearer to the maps' rim than a cell."""

    errors_m: Floats
    asked: int
    overlapped: int
    at_rim: int


def round_trip(joints_cam: AnyFloats, camera: Camera, apart_cells: float = UNSHARED_CELLS) -> RoundTrip:
    """Perfect maps of people with joints (P, K, 3), decoded and put into the camera frame again.

    apart_cells: joints with another person's of the same kind nearer than that are overlapped.
    """
    truth = np.asarray(joints_cam, dtype=np.float64).reshape(-1, H36M17.num_joints, 3)
    letterbox = fit_long_side(camera.width, camera.height, 384)
    size, focal = (letterbox.height, letterbox.width), network_focal(camera, letterbox)
    in_front = (truth[..., 2] > 0.1).all(axis=1)
    joints_px = letterbox.points_to_network(project(camera, truth[in_front]))
    inside = _within(joints_px, letterbox.inner_width, letterbox.inner_height)
    joints_px = np.where(inside[..., None], joints_px, np.nan)
    truth = truth[in_front]
    seen = np.asarray(np.isfinite(joints_px).all(axis=-1))
    enough = seen.sum(axis=1) >= FEWEST_JOINTS
    truth, joints_px, seen = truth[enough], joints_px[enough], seen[enough]
    people = decode_frame(truth_maps(joints_px, truth, focal, size), focal)
    estimate, found = np.zeros_like(truth), np.zeros_like(seen)
    for tag, placed in zip(people.tags, place_people(people, letterbox.points_to_image, camera), strict=True):
        person = int(np.clip(np.rint(tag / TAG_STEP), 0, len(truth) - 1))
        estimate[person], found[person] = placed.joints_cam, placed.joint_scores > 0
    shared = seen & overlaps(joints_px, apart_cells)
    covered = shared.sum(axis=1) > MOST_SHARED * seen.sum(axis=1)
    overlapped = shared | (seen & covered[:, None])
    off_rim = _within(joints_px - HEATMAP_STRIDE, size[1] - 2 * HEATMAP_STRIDE, size[0] - 2 * HEATMAP_STRIDE)
    at_rim = seen & ~overlapped & ~off_rim
    asked = seen & ~overlapped & ~at_rim
    errors = joint_errors(estimate, truth)[asked & found]
    return RoundTrip(errors, int(asked.sum()), int(overlapped.sum()), int(at_rim.sum()))


def _within(joints_px: Floats, width: int, height: int) -> Mask:
    """Which points (..., 2) lie on the pixels of an image of this size; not those that are NaN."""
    with np.errstate(invalid="ignore"):
        return np.asarray(((joints_px >= -0.5) & (joints_px <= np.array([width, height]) - 0.5)).all(axis=-1))


def overlaps(joints_px: Floats, apart_cells: float) -> Mask:
    """Which joints (P, K, 2), in network pixels, lie nearer than that to another person's of the same kind."""
    apart = np.linalg.norm(joints_px[:, None] - joints_px[None], axis=-1)
    apart[np.arange(len(joints_px)), np.arange(len(joints_px))] = np.inf
    return np.asarray((np.nan_to_num(apart, nan=np.inf) < apart_cells * HEATMAP_STRIDE).any(axis=1))


def round_trip_row(people: Iterable[tuple[AnyFloats, Camera]], apart_cells: float) -> dict[str, Any]:
    """A table's row over many frames' joints (P, K, 3) and cameras; errors in millimetres."""
    trips = [round_trip(joints, camera, apart_cells) for joints, camera in people]
    errors = 1000 * np.concatenate([*(trip.errors_m for trip in trips), np.zeros(0)])
    asked = sum(trip.asked for trip in trips)
    median, most = np.percentile(errors, (50, 95)) if len(errors) else (float("nan"),) * 2
    return {
        "apart_cells": apart_cells,
        "frames": len(trips),
        "joints": asked,
        "found_pct": 100 * len(errors) / max(asked, 1),
        "median_mm": float(median),
        "p95_mm": float(most),
        "max_mm": float(errors.max()) if len(errors) else None,
        "left_out_overlapped": sum(trip.overlapped for trip in trips),
        "left_out_at_rim": sum(trip.at_rim for trip in trips),
    }


def crowd(pose_m: AnyFloats, people: int = 10) -> tuple[Floats, Camera]:
    """Joints (people, K, 3) of one pose (K, 3), y up, repeated in two rows before a camera of 640 x 480."""
    camera = camera_from_hfov(640, 480, np.radians(60))
    pose = np.asarray(pose_m, dtype=np.float64) * (1, -1, -1)
    pose = pose - pose[H36M17.root]
    columns = -(-people // 2)
    places = [[(n % columns - (columns - 1) / 2) * 1.25, 1.0 - 2.0 * (n // columns), 6.5] for n in range(people)]
    return pose + np.array(places)[:, None], camera
