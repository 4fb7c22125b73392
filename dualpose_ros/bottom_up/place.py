"""People of a frame in metres: back-projection through the camera, missing joints, and how sure all of it is.

P people, K joints; metres in the camera's optical frame (x right, y down, z forward).
"""

from collections.abc import Callable

import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats, Mask
from dualpose_ros.bottom_up.decode import FramePeople
from dualpose_ros.bottom_up.upright import BONES_APART, UPRIGHT
from dualpose_ros.camera import Camera, back_project, in_view, pixels_to_rays, rays_to_pixels
from dualpose_ros.people import Persons, Poses, Source
from dualpose_ros.skeleton import H36M17

MISSING_STDDEV = 0.3
"""Least deviation in metres of a joint that was not found."""

NOT_TRACKED = -1
"""Track id of people whom this branch finds: it looks at each frame by itself."""

_MISSING_STEP = 0.15
_NEAREST = 0.1
_WEAKEST = 0.1


def place_people(
    people: FramePeople, to_image: Callable[[Floats], Floats], camera: Camera, pixel_stddev: float = 2.0
) -> Persons:
    """People of a frame put where their pixels' rays have the depths that the network gave them (Eqs. 3, 4).

    people: as decoded; to_image: maps pixels (..., 2) of the network's input to those of the image; camera: of the
    image; pixel_stddev: deviation in image pixels of a joint found with score 1, on each axis; a lower score makes it
    larger in proportion.
    Returns joints in metres in the camera frame; one that was not found has a score of 0 and its place is a guess. A
    deviation is that in the direction in which it is largest.
    """
    keypoints = to_image(people.joints_px)
    found = (people.scores > 0) & in_view(camera, keypoints)
    depth = np.maximum(people.root_depth[:, None] + people.rel_depth, _NEAREST)
    joints = np.where(found[..., None], back_project(camera, keypoints, depth), 0.0)
    stddev = _found_stddev(people, keypoints, depth, camera, pixel_stddev)
    joints, stddev = fill_missing(joints, stddev, found)
    # The root's depth is known where the root itself is not seen.
    root = H36M17.root
    joints[:, root, 2] = np.where(found[:, root], joints[:, root, 2], np.maximum(people.root_depth, _NEAREST))
    keypoints = np.where(found[..., None], keypoints, _seen_at(joints, camera))
    scores = np.where(found, np.clip(people.scores, 0, 1), 0.0)
    poses = Poses(joints, scores, stddev, scores.mean(axis=1))
    return Persons.seen(poses, keypoints, Source.BOTTOM_UP, np.full(len(people), NOT_TRACKED))


def _found_stddev(
    people: FramePeople, keypoints_px: Floats, depth: Floats, camera: Camera, pixel_stddev: float
) -> Floats:
    """Deviation (P, K) in metres: that along the ray, of both depths, or across it where that is larger."""
    ray = pixels_to_rays(camera, keypoints_px)
    along = np.hypot(people.root_depth_stddev[:, None], people.rel_depth_stddev) * np.hypot(
        1.0, np.linalg.norm(ray, axis=-1)
    )
    focal = np.sqrt(camera.fx * camera.fy)
    across = depth / focal * pixel_stddev / np.maximum(people.scores, _WEAKEST)
    return np.asarray(np.maximum(along, across), dtype=np.float64)


def _seen_at(joints_cam: Floats, camera: Camera) -> Floats:
    """Pixels (..., 2) of joints (..., 3), by the pinhole alone where far outside the image distortion runs wild."""
    depth = np.maximum(joints_cam[..., 2:], _NEAREST)
    if camera.fisheye:
        return rays_to_pixels(camera, joints_cam[..., :2] / depth)
    return np.asarray(joints_cam[..., :2] / depth * (camera.fx, camera.fy) + (camera.cx, camera.cy), dtype=np.float64)


def fill_missing(joints_cam: AnyFloats, joint_stddev: AnyFloats, found: Mask) -> tuple[Floats, Floats]:
    """Joints that were not found put where an upright person has them.

    A missing joint hangs from the nearest joints found along the skeleton, from their mean where there are several
    as near; the body is turned about the vertical as the joints found say. The farther, the less sure.

    joints_cam: (P, K, 3) in metres; joint_stddev: (P, K) in metres; found: (P, K) bool.
    Returns joints (P, K, 3) and deviations (P, K).
    """
    across, down = UPRIGHT.T
    away = np.where(found[:, None, :], BONES_APART, np.inf)
    nearest = (away == away.min(axis=2, keepdims=True)) & found[:, None, :]
    share = nearest / np.maximum(nearest.sum(axis=2, keepdims=True), 1)
    own = _turned(joints_cam, found) * across[:, None]
    own[..., 1] += down
    filled = share @ (joints_cam - own) + own
    steps = np.where(np.isfinite(away.min(axis=2)), away.min(axis=2), 0.0)
    unsure = np.hypot(MISSING_STDDEV + _MISSING_STEP * (steps - 1), (share @ joint_stddev[..., None])[..., 0])
    return np.where(found[..., None], joints_cam, filled), np.where(found, joint_stddev, unsure)


def _turned(joints_cam: AnyFloats, found: Mask) -> Floats:
    """Where people's left is, (P, 1, 3): a horizontal vector fitted to the joints found, of length 1 at most.

    Somebody of whom the middle alone is seen may be turned either way: zero.
    """
    across = np.where(found, UPRIGHT[:, 0], 0.0)
    count = np.maximum(found.sum(axis=1), 1)
    across = np.where(found, across - (across.sum(axis=1) / count)[:, None], 0.0)
    left = np.einsum("pk,pkc->pc", across, joints_cam) / np.maximum((across**2).sum(axis=1), 1e-9)[:, None]
    left[:, 1] = 0.0
    left /= np.maximum(np.linalg.norm(left, axis=1), 1.0)[:, None]
    return np.asarray(left[:, None], dtype=np.float64)
