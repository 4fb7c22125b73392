"""Random windows of one person, for tests of the solver and of the stage."""

import numpy as np

from dualpose_ros.camera import Camera, project
from dualpose_ros.lab.evaluation.refinement.published_solver import trajectory_matrix
from dualpose_ros.people import Pose3D, Source, TrackingState
from dualpose_ros.refinement.bones import PROPORTIONS
from dualpose_ros.refinement.least_squares.solver import Observations
from dualpose_ros.refinement.least_squares.terms import HAS_BONE, bone_vectors
from dualpose_ros.skeleton import H36M17, K

CAMERA = Camera(640, 480, 500.0, 520.0, 320.0, 240.0)
_BONES = np.array(
    [
        [0, 0, 0], [-0.13, 0, 0], [0, 0.45, 0.03], [0, 0.44, -0.02], [0.13, 0, 0], [0, 0.45, 0.02], [0, 0.44, 0.0],
        [0, -0.23, 0], [0, -0.26, 0.02], [0, -0.1, 0], [0, -0.18, -0.02], [0.15, 0.02, 0], [0.05, 0.28, 0],
        [0.02, 0.22, -0.1], [-0.15, 0.02, 0], [-0.05, 0.28, 0], [-0.02, 0.22, -0.1],
    ]
)  # fmt: skip


def person(place: tuple[float, float, float] = (0.3, 0.1, 4.0)) -> np.ndarray:
    """Joints (K, 3) of somebody who stands at a place."""
    joints = np.zeros((K, 3))
    for joint, parent in enumerate(H36M17.parents):
        joints[joint] = _BONES[joint] + (joints[parent] if parent >= 0 else np.array(place))
    return joints


def usual_body(size: float) -> np.ndarray:
    """A pose (K, 3), its root at the camera, whose bones have usual proportions."""
    direction, _ = bone_vectors(person()[None])
    joints = np.zeros((K, 3))
    for k, parent in enumerate(H36M17.parents):
        if parent >= 0:
            joints[k] = joints[parent] + size * PROPORTIONS[k] * direction[0, k]
    return joints


def walk(times: np.ndarray) -> np.ndarray:
    """Joints (T, K, 3) of somebody who walks by and swings the limbs."""
    joints = np.tile(person(), (len(times), 1, 1))
    for joint, amount in ((3, 0.3), (6, -0.3), (13, -0.25), (16, 0.25)):
        turn = amount * np.sin(4 * times)
        parent = H36M17.parents[joint]
        bone = joints[:, joint] - joints[:, parent]
        y, z = bone[:, 1].copy(), bone[:, 2].copy()
        bone[:, 1], bone[:, 2] = np.cos(turn) * y - np.sin(turn) * z, np.sin(turn) * y + np.cos(turn) * z
        joints[:, joint] = joints[:, parent] + bone
    return joints + times[:, None, None] * np.array([0.4, 0.0, -0.6])


def pose_of(joints: np.ndarray, track_id: int = 1, state: TrackingState = TrackingState.CONFIRMED,
            score: float = 0.9, relative: float = 0.05, depth: float = 0.1) -> Pose3D:  # fmt: skip
    """The record of a pose (K, 3), its 2D joints where they are."""
    pixels = project(CAMERA, joints)
    stddev = np.full(K, np.hypot(relative, depth))
    stddev[0] = depth
    box = (
        np.concatenate([np.nanmin(pixels, axis=0), np.nanmax(pixels, axis=0)])
        if np.isfinite(pixels).any()
        else (np.array([0.0, 0.0, 10.0, 10.0]))
    )
    return Pose3D(track_id, state, Source.FUSED, 0.8, box, joints, np.full(K, score), stddev, pixels)


def random_window(seed: int, frames: int = 6) -> tuple[Observations, np.ndarray]:
    """Observations of a walk with errors, and joints (W, K, 3) near the truth."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.03, 0.06, frames))
    truth = walk(times)
    _, lengths = bone_vectors(truth)
    logarithms = np.where(HAS_BONE, np.log(np.maximum(lengths[0], 1e-3)), 0.0)
    observed = Observations(
        times=times,
        prior=truth + rng.normal(0, 0.05, truth.shape),
        relative_stddev=rng.uniform(0.04, 0.1, (frames, K)),
        rays=truth[..., :2] / truth[..., 2:] + rng.normal(0, 0.004, (frames, K, 2)),
        scores=rng.uniform(0, 1, (frames, K)),
        pixel=np.full(frames, 1 / 500),
        motion=trajectory_matrix(times),
        motion_stddev=rng.uniform(0.005, 0.02, (frames, K)),
        lengths=logarithms + rng.normal(0, 0.05, K) * HAS_BONE,
    )
    return observed, truth + rng.normal(0, 0.03, truth.shape)
