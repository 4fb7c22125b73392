"""Live lifting: a track's 2D history becomes root-relative 3D joints and a root depth.

Causal: a result depends on what was seen until its own stamp. K joints of `skeleton.H36M17`;
metres; camera optical frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dualpose_ros.camera import Camera, pixels_to_rays
from dualpose_ros.inference.engine import Engine, load_engine
from dualpose_ros.pose import Pose2D
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.lifting_window import HISTORY_S, normalise, place_root, resample
from dualpose_ros.top_down.root_geometry import fit_root, fuse_depth

FloatArray = npt.NDArray[np.float64]

_HISTORY_NS = int(HISTORY_S * 1e9)
_MAX_OBSERVATIONS = 128


@dataclass(frozen=True)
class LiftedPose:
    """One person in 3D: joints_rel (K, 3) from the pelvis along camera axes, joint_stddev (K,) one sigma an axis.

    root_depth and its standard deviation: the pelvis along the camera's z axis; root_ray (2,): its
    x / z and y / z, the best fit of the joints seen to their 2D places.
    """

    joints_rel: FloatArray
    joint_stddev: FloatArray
    root_depth: float
    root_depth_stddev: float
    root_ray: FloatArray

    @property
    def root_cam(self) -> FloatArray:
        """The pelvis in the camera frame: (3,)."""
        return self.root_depth * np.array([self.root_ray[0], self.root_ray[1], 1.0])

    @property
    def joints_cam(self) -> FloatArray:
        """All joints in the camera frame: (K, 3)."""
        return self.joints_rel + self.root_cam


@dataclass(frozen=True)
class _Observation:
    stamp_ns: int
    rays: FloatArray
    scores: FloatArray


class Lifter:
    """Keeps each track's last second of 2D joints and lifts all tracks of a frame at once.

    Takes engines of lifting.onnx (`window` -> `joints`, `log_stddev`) and root_depth.onnx (`window`
    -> `log_depth_extent`, `log_stddev`); window float32 (N, 27, 55) as made by `lifting_window`.
    """

    def __init__(self, pose_engine: Engine, root_engine: Engine) -> None:
        self._pose_engine, self._root_engine = pose_engine, root_engine
        self._tracks: dict[int, deque[_Observation]] = {}
        self._stamp_ns: int | None = None

    @classmethod
    def from_weights(cls, backend: str = "onnxruntime", threads: int = 1) -> Lifter:
        """A lifter with the shipped weights; WeightsError or EngineError if they can't be used."""
        from dualpose_ros.weights import weights_path

        return cls(*(load_engine(weights_path(name), backend, threads) for name in ("lifting", "root_depth")))

    def reset(self) -> None:
        """Forget all tracks."""
        self._tracks.clear()
        self._stamp_ns = None

    def update(
        self, stamp_ns: int, camera: Camera, poses: Sequence[tuple[int, Pose2D]]
    ) -> dict[int, LiftedPose]:
        """Lift the people seen in one frame, given as (track id, 2D pose) with one entry a track.

        A track in whose history no joint was found is left out of the result. Time that runs
        backwards (a bag played again) clears all histories. ValueError for joints of another
        number than K or a track given twice.
        """
        if self._stamp_ns is not None and stamp_ns < self._stamp_ns:
            self.reset()
        self._stamp_ns = stamp_ns
        for track_id, pose in poses:
            self._remember(track_id, stamp_ns, camera, pose)
        self._forget(stamp_ns)
        chosen = [track_id for track_id, _ in poses if self._seen(track_id)]
        return self._lift(stamp_ns, chosen) if chosen else {}

    def _remember(self, track_id: int, stamp_ns: int, camera: Camera, pose: Pose2D) -> None:
        joints = np.asarray(pose.joints_px, dtype=np.float64)
        scores = np.array(pose.scores, dtype=np.float64)
        if joints.shape != (H36M17.num_joints, 2) or scores.shape != (H36M17.num_joints,):
            shapes = f"joints {joints.shape}, scores {scores.shape}"
            raise ValueError(f"track {track_id}: {shapes}; needed are {H36M17.num_joints} joints")
        found = np.all(np.isfinite(joints), axis=-1) & np.isfinite(scores) & (scores > 0)
        centre = (camera.cx, camera.cy)
        rays = pixels_to_rays(camera, np.where(found[:, None], joints, centre))
        found &= np.all(np.isfinite(rays), axis=-1)
        track = self._tracks.setdefault(track_id, deque(maxlen=_MAX_OBSERVATIONS))
        if track and track[-1].stamp_ns == stamp_ns:
            raise ValueError(f"track {track_id} was given twice for stamp {stamp_ns}")
        track.append(_Observation(stamp_ns, rays, np.where(found, np.clip(scores, 0, 1), 0.0)))

    def _forget(self, stamp_ns: int) -> None:
        for track_id in list(self._tracks):
            track = self._tracks[track_id]
            while track and stamp_ns - track[0].stamp_ns > _HISTORY_NS:
                track.popleft()
            if not track:
                del self._tracks[track_id]

    def _seen(self, track_id: int) -> bool:
        return any(np.any(observation.scores > 0.05) for observation in self._tracks[track_id])

    def _lift(self, stamp_ns: int, track_ids: list[int]) -> dict[int, LiftedPose]:
        count = max(len(self._tracks[i]) for i in track_ids)
        times = np.full((len(track_ids), count), -np.inf)
        rays = np.zeros((len(track_ids), count, H36M17.num_joints, 2))
        scores = np.zeros((len(track_ids), count, H36M17.num_joints))
        for row, track_id in enumerate(track_ids):
            track = self._tracks[track_id]
            start = count - len(track)
            times[row, start:] = [(o.stamp_ns - stamp_ns) * 1e-9 for o in track]
            rays[row, start:] = [o.rays for o in track]
            scores[row, start:] = [o.scores for o in track]
        window = normalise(*resample(times, rays, scores))
        pose = self._pose_engine.run({"window": window.features})
        root = self._root_engine.run({"window": window.features})
        joints = pose["joints"].astype(np.float64)
        stddev = np.exp(pose["log_stddev"].astype(np.float64))
        depth = np.exp(root["log_depth_extent"].astype(np.float64)[:, 0]) / window.extent
        variance = np.exp(2 * root["log_stddev"].astype(np.float64)[:, 0])
        fit = fit_root(window.rays, window.confidence, joints, stddev, depth, window.extent)
        depth, variance = fuse_depth(depth, variance, fit)
        relative_error = np.sqrt(variance)
        root_cam = place_root(window, joints, stddev, depth)
        joints_rel = np.einsum("nab,nkb->nka", window.to_camera, joints)
        return {
            track_id: LiftedPose(
                joints_rel[i],
                stddev[i],
                float(root_cam[i, 2]),
                float(root_cam[i, 2] * relative_error[i]),
                root_cam[i, :2] / root_cam[i, 2],
            )
            for i, track_id in enumerate(track_ids)
        }
