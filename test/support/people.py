"""People of random numbers, for what only carries them."""

from typing import Any

import numpy as np

from dualpose_ros.people import K, Pose3D, Source, TrackingState


def random_person(rng: np.random.Generator, **told: Any) -> Pose3D:
    """Somebody some metres ahead, random but for what is told."""
    values: dict[str, Any] = {
        "track_id": int(rng.integers(1, 99)),
        "state": TrackingState(int(rng.integers(3))),
        "source": Source(int(rng.integers(3))),
        "score": float(rng.random()),
        "box_px": np.array([10.0, 20.0, 110.0, 220.0]) + rng.integers(0, 9, 4),
        "joints_cam": rng.normal((0, 0, 4), 1, (K, 3)),
        "joint_scores": rng.random(K),
        "joint_stddev": rng.random(K),
        "keypoints_px": rng.uniform(0, 400, (K, 2)),
        "root_velocity": rng.normal(0, 1, 3),
    }
    return Pose3D(**{**values, **told})
