"""People for the tests of fusion: a body of ordinary size, put somewhere, as either branch would say it."""

from typing import Any

import numpy as np

from dualpose_ros.people import Pose3D, Source, TrackingState
from dualpose_ros.skeleton import H36M17

BODY = np.array(
    [[0, 0, 0], [0.13, 0, 0], [0.14, 0.42, 0], [0.15, 0.83, 0.03], [-0.13, 0, 0], [-0.14, 0.42, 0], [-0.15, 0.83, 0.03],
     [0, -0.22, 0], [0, -0.46, 0], [0, -0.56, -0.02], [0, -0.75, 0], [-0.16, -0.44, 0], [-0.2, -0.15, 0.02],
     [-0.22, 0.1, -0.05], [0.16, -0.44, 0], [0.2, -0.15, 0.02], [0.22, 0.1, -0.05]]
)  # fmt: skip
"""(K, 3): somebody who stands, about the pelvis, metres, camera axes."""


def body(x: float = 0.0, z: float = 4.0, y: float = 0.0) -> np.ndarray:
    """Joints (K, 3) of somebody whose pelvis is at (x, y, z)."""
    return BODY + np.array([x, y, z])


def pose(joints_cam: np.ndarray, track_id: int = -1, **other: Any) -> Pose3D:
    """What a branch says of somebody; the bottom-up one if there is no track."""
    pixels = 300 * joints_cam[:, :2] / joints_cam[:, 2:] + (320, 240)
    values: dict[str, Any] = {
        "state": TrackingState.CONFIRMED,
        "source": Source.BOTTOM_UP if track_id < 0 else Source.TOP_DOWN,
        "score": 0.8,
        "box_px": np.concatenate([pixels.min(axis=0), pixels.max(axis=0)]),
        "joints_cam": joints_cam,
        "joint_scores": np.full(H36M17.num_joints, 0.8),
        "joint_stddev": np.full(H36M17.num_joints, 0.15),
        "keypoints_px": pixels,
    }
    return Pose3D(track_id=track_id, **{**values, **other})
