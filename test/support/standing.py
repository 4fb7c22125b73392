"""People who stand before a camera, as their labels say it."""

import numpy as np

from dualpose_ros.camera import Camera, camera_from_hfov, project
from dualpose_ros.datasets.labels import OUTSIDE, VISIBLE, People

CAMERA = camera_from_hfov(640, 480, 1.1)
STANDING = np.array(
    [
        *([0, 0, 0], [-0.12, 0, 0], [-0.12, 0.43, 0], [-0.12, 0.85, 0], [0.12, 0, 0], [0.12, 0.43, 0], [0.12, 0.85, 0]),
        *([0, -0.22, 0], [0, -0.46, 0], [0, -0.56, 0], [0, -0.75, 0], [0.16, -0.44, 0], [0.2, -0.16, 0]),
        *([0.2, 0.09, 0], [-0.16, -0.44, 0], [-0.2, -0.16, 0], [-0.2, 0.09, 0]),
    ]
)


def truth_of(joints_cam: np.ndarray, camera: Camera = CAMERA) -> People:
    joints_px = project(camera, joints_cam)
    inside = ((joints_px >= 0) & (joints_px <= np.array([camera.width, camera.height]) - 1)).all(axis=-1)
    low, high = joints_px.min(axis=1), joints_px.max(axis=1)
    limit = np.array([camera.width - 1, camera.height - 1])
    boxes = np.concatenate([np.clip(low, 0, limit), np.clip(high, 0, limit)], axis=1)
    return People(
        np.arange(len(joints_cam), dtype=np.int32),
        boxes.astype(np.float32),
        joints_px.astype(np.float32),
        np.where(inside, VISIBLE, OUTSIDE).astype(np.uint8),
        joints_cam.astype(np.float32),
        np.ones(len(joints_cam), np.float32),
    )


def at(*places: tuple[float, float]) -> np.ndarray:
    """People who stand at (x, z)."""
    return np.stack([STANDING + np.array([x, 0.2, z]) for x, z in places])
