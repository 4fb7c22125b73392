"""Recordings of people who stand before a camera, found by two imagined branches: nothing is rendered."""

import numpy as np

from dualpose_ros.camera import camera_from_hfov, project
from dualpose_ros.datasets.recordings import Estimates, Frames, Recordings, Truth
from dualpose_ros.lab.synthetic.motion.kinematics import REST_JOINTS_M
from dualpose_ros.skeleton import K

CAMERA = camera_from_hfov(640, 480, 1.2)


def standing(x: float, z: float) -> np.ndarray:
    """Joints (K, 3) of somebody on a floor 1 m below a level camera."""
    return REST_JOINTS_M * [-1.0, -1.0, 1.0] + np.array([x, 1.0, z])


def made_recordings(
    rng: np.random.Generator,
    sequences: int = 1,
    frames: int = 1,
    places: tuple[tuple[float, float], ...] = ((-1.0, 4.0), (0.6, 5.0), (1.8, 7.0)),
    noise_m: tuple[float, float] = (0.03, 0.05),
    depth: tuple[float, float] = (0.03, 0.06),
) -> Recordings:
    """Everybody in every frame by both branches, joints and relative depths off by these deviations, and they say so.

    Within a frame the bottom-up poses are in reverse order.
    """
    count = sequences * frames
    truth, frame = [], np.repeat(np.arange(count), len(places)).astype(np.int32)
    for _ in range(count):
        bodies = [standing(x + rng.normal(0, 0.1), z * rng.uniform(0.95, 1.05)) for x, z in places]
        truth += [body + rng.normal(0, 0.05, body.shape) for body in bodies]
    joints = np.array(truth)
    rows = len(joints)
    order = np.concatenate([np.flatnonzero(frame == f)[::-1] for f in range(count)])
    branches = []
    for own, noise, relative in zip((np.arange(rows), order), noise_m, depth, strict=True):
        factor = np.exp(rng.normal(0, relative, (rows, 1)))
        shift = np.zeros((rows, K, 3))
        shift[:, :] = (joints[own][:, 0] * (factor - 1))[:, None]
        found = joints[own] + rng.normal(0, noise, joints.shape) + shift
        stddev = np.hypot(noise, relative * found[:, :1, 2]) * np.ones((1, K))
        branches.append(
            Estimates(
                frame, np.full(rows, -1, np.int32), own.astype(np.int32), found.astype(np.float32),
                rng.uniform(0.5, 1, (rows, K)).astype(np.float32), stddev.astype(np.float32),
                rng.uniform(0.5, 1, rows).astype(np.float32), project(CAMERA, found).astype(np.float32),
            )
        )  # fmt: skip
    pixels = project(CAMERA, joints)
    camera = (CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy, CAMERA.width, CAMERA.height)
    return Recordings(
        Frames(np.repeat(np.arange(sequences), frames).astype(np.int32), np.tile(np.arange(frames) / 10.0, sequences),
               np.tile(np.array(camera, np.float32), (count, 1)), np.tile(np.array([0, 1, 0], np.float32), (count, 1)),
               np.ones(count, dtype=bool)),
        Truth(frame, np.tile(np.arange(len(places)), count).astype(np.int32), np.full(rows, "walk"),
              joints.astype(np.float32), pixels.astype(np.float32), np.full((rows, K), 2, np.uint8),
              np.ones(rows, np.float32),
              np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1).astype(np.float32)),
        *branches,
    )  # fmt: skip
