"""Live lifting: a track's 2D joints, frame by frame, become root-relative 3D joints and a root depth.

Causal: a result depends on what was seen until its own stamp. Each frame is computed once, whatever the
window: what the temporal network needs of the frames before is kept with the track. K joints of
`skeleton.H36M17`; metres; camera optical frame.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import Float32s, Floats, Rows
from dualpose_ros.camera import Camera, pixels_to_rays
from dualpose_ros.inference.engine import LOOKAHEAD_FRAMES, Engine, EngineError
from dualpose_ros.people import SEEN, Pose2D
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.lifting.completion import (
    JOINTS_REL,
    LONGEST_GAP_S,
    NUM_FEATURES,
    CompletedPoses,
    check_completing,
    complete,
    time_feature,
)
from dualpose_ros.top_down.lifting.person_view import place_root
from dualpose_ros.top_down.lifting.root_geometry import fit_root, fuse_depth

_MIN_SCORE = 0.05
_FAR_M, _SURE = 100.0, 0.25
"""Steps by which a network is asked of which frame its answer is: far beyond any answer, and how sure it has to be."""


@dataclass(frozen=True)
class LiftedPose:
    """One person in 3D: joints_rel (K, 3) from the pelvis along camera axes, joint_stddev (K,) one sigma an axis.

    root_depth and its standard deviation: the pelvis along the camera's z axis; root_ray (2,): its
    x / z and y / z, the best fit of the joints seen to their 2D places.
    """

    joints_rel: Floats
    joint_stddev: Floats
    root_depth: float
    root_depth_stddev: float
    root_ray: Floats

    @property
    def root_cam(self) -> Floats:
        """The pelvis in the camera frame: (3,)."""
        return self.root_depth * np.array([self.root_ray[0], self.root_ray[1], 1.0])

    @property
    def joints_cam(self) -> Floats:
        """All joints in the camera frame: (K, 3)."""
        return self.joints_rel + self.root_cam


@dataclass(frozen=True)
class _Memory:
    """What a track's next frame needs of those before: features (P, F) and activations (C, S)."""

    stamp_ns: int
    past_features: Float32s
    past: Float32s


class Lifter:
    """Keeps what the network remembers of each track, and lifts all people of a frame at once.

    Takes engines of lifting.onnx (see `network.TemporalLifter`; the answer must not be late) and of
    gcn.onnx (see `gcn_network.DirectedGCN`), None to do without. EngineError if either is another network, or the
    former looks ahead.
    """

    def __init__(self, engine: Engine, gcn: Engine | None) -> None:
        self._engine, self._gcn = engine, gcn
        if gcn is not None:
            check_completing(gcn)
        empty = empty_memory(engine, 1)
        if late := lookahead_frames(engine):
            raise EngineError(f"this lifting network looks {late} frames ahead, which can't be live")
        self._empty = _Memory(0, empty["past_features"][0], empty["past"][0])
        self._tracks: dict[int, _Memory] = {}
        self._stamp_ns: int | None = None

    def reset(self) -> None:
        """Forget all tracks."""
        self._tracks.clear()
        self._stamp_ns = None

    def update(self, stamp_ns: int, camera: Camera, poses: Sequence[tuple[int, Pose2D]]) -> dict[int, LiftedPose]:
        """Lift the people seen in one frame. Somebody of whom no joint was found is left out of the result.

        A track not seen for LONGEST_GAP_S starts anew, and time that runs backwards (a bag played again) starts all
        anew.

        stamp_ns: of the frame; camera: of its image; poses: (track id, 2D pose), one entry a track.
        ValueError for joints of another number than K or a track given twice.
        """
        if self._stamp_ns is not None and stamp_ns < self._stamp_ns:
            self.reset()
        self._stamp_ns = stamp_ns
        longest = int(LONGEST_GAP_S * 1e9)
        self._tracks = {i: memory for i, memory in self._tracks.items() if stamp_ns - memory.stamp_ns <= longest}
        seen: dict[int, tuple[Floats, Floats]] = {}
        for track_id, pose in poses:
            if track_id in seen or (track_id in self._tracks and self._tracks[track_id].stamp_ns == stamp_ns):
                raise ValueError(f"track {track_id} was given twice for stamp {stamp_ns}")
            seen[track_id] = _rays(track_id, camera, pose)
        ids = [track_id for track_id, (_, scores) in seen.items() if np.any(scores > _MIN_SCORE)]
        if not ids:
            return {}
        rays, scores = (np.stack([seen[i][part] for i in ids]) for part in (0, 1))
        return self._lift(stamp_ns, ids, complete(rays, scores, self._gcn))

    def _lift(self, stamp_ns: int, ids: list[int], people: CompletedPoses) -> dict[int, LiftedPose]:
        memories = [self._tracks.get(i, self._empty) for i in ids]
        elapsed = [(stamp_ns - m.stamp_ns) * 1e-9 if m is not self._empty else LONGEST_GAP_S for m in memories]
        features = people.features.copy()
        features[:, -1] = time_feature(np.array(elapsed))
        answer = self._engine.run(
            {
                "features": features[:, None],
                "past_features": np.stack([m.past_features for m in memories]),
                "past": np.stack([m.past for m in memories]),
            }
        )
        for row, track_id in enumerate(ids):
            self._tracks[track_id] = _Memory(stamp_ns, answer["new_past_features"][row], answer["new_past"][row])
        placed = place_people(people, {name: answer[name][:, 0] for name in ANSWERS})
        return {
            track_id: LiftedPose(
                placed.joints_rel[i],
                placed.stddev[i],
                float(placed.root_cam[i, 2]),
                float(placed.root_cam[i, 2] * placed.depth_stddev[i]),
                placed.root_cam[i, :2] / placed.root_cam[i, 2],
            )
            for i, track_id in enumerate(ids)
        }


UNSEEN_STDDEV_SCALE = np.where(np.isin(H36M17.joint_names, ("neck", "head_top")), 1.0, 1.35)
"""By how much joints (K,) that are not found are less sure than the network says; heads are as sure."""

ANSWERS = ("joints", "log_stddev", "log_depth_extent", "log_depth_stddev")
"""The outputs of a lifting network that are about people, not memory."""


@dataclass(frozen=True, eq=False)
class PlacedPeople(Rows):
    """joints_rel (N, K, 3) along camera axes, stddev (N, K), root_cam (N, 3), depth_stddev (N,) relative; and the
    depths along the virtual camera's axis (N,): learned, fitted by geometry, and used."""

    joints_rel: Floats
    stddev: Floats
    root_cam: Floats
    depth_stddev: Floats
    learned: Floats
    fitted: Floats
    depth_axis: Floats


def place_people(people: CompletedPoses, answer: Mapping[str, Float32s]) -> PlacedPeople:
    """People in the camera frame from a lifting network's ANSWERS, each (N, ...).

    The root's depth is the network's and that of geometry, weighed by their variances.
    """
    view = people.view
    joints, log_stddev, log_depth, log_depth_stddev = (answer[name].astype(np.float64) for name in ANSWERS)
    stddev, learned = np.exp(log_stddev), np.exp(log_depth) / view.extent
    fit = fit_root(view.rays, view.confidence, joints, stddev, learned, view.extent)
    depth, variance = fuse_depth(learned, np.exp(2 * log_depth_stddev), fit)
    root_cam = place_root(view, joints, stddev, depth)
    joints_rel = np.einsum("nab,nkb->nka", view.to_camera, joints)
    fitted = np.asarray(fit.root[:, 2], dtype=np.float64)
    unseen = np.clip(1 - view.confidence / SEEN, 0, 1)
    stddev = stddev * (1 + (UNSEEN_STDDEV_SCALE - 1) * unseen)
    return PlacedPeople(joints_rel, stddev, root_cam, np.sqrt(variance), learned, fitted, depth)


def _rays(track_id: int, camera: Camera, pose: Pose2D) -> tuple[Floats, Floats]:
    """Rays (K, 2) of a pose's joints and their scores (K,), 0 where a joint was not found."""
    joints = np.asarray(pose.joints_px, dtype=np.float64)
    scores = np.array(pose.scores, dtype=np.float64)
    if joints.shape != (H36M17.num_joints, 2) or scores.shape != (H36M17.num_joints,):
        shapes = f"joints {joints.shape}, scores {scores.shape}"
        raise ValueError(f"track {track_id}: {shapes}; needed are {H36M17.num_joints} joints")
    found = np.all(np.isfinite(joints), axis=-1) & np.isfinite(scores) & (scores > 0)
    rays = pixels_to_rays(camera, np.where(found[:, None], joints, (camera.cx, camera.cy)))
    found &= np.all(np.isfinite(rays), axis=-1)
    return np.asarray(rays, dtype=np.float64), np.where(found, np.clip(scores, 0, 1), 0.0)


def empty_memory(engine: Engine, count: int) -> dict[str, Float32s]:
    """Memory inputs of a lifting network for tracks just born; EngineError if it is no lifting network."""
    shapes = {name: engine.inputs[name].shape[1:] for name in ("past_features", "past") if name in engine.inputs}
    sizes = {name: tuple(size for size in shape if isinstance(size, int)) for name, shape in shapes.items()}
    if len(sizes) != 2 or any(len(size) != 2 for size in sizes.values()):
        raise EngineError(f"this is no lifting network: it takes {', '.join(engine.inputs) or 'nothing'}")
    if "features" in engine.inputs and engine.inputs["features"].shape[2:] != (NUM_FEATURES,):
        raise EngineError(f"this lifting network takes features {engine.inputs['features']}, not {NUM_FEATURES}")
    return {name: np.zeros((count, *size), np.float32) for name, size in sizes.items()}


def lookahead_frames(engine: Engine) -> int:
    """How many frames a lifting network's answers are late, as its file says.

    Files written before they said so are asked: joints that the features hold come back moved by no more than a body's
    size, in the answer of their own frame. EngineError if it is no lifting network, or neither file nor answer says it.
    """
    memory = empty_memory(engine, 1)
    said = engine.metadata.get(LOOKAHEAD_FRAMES)
    if said is not None:
        if not said.isdecimal():
            raise EngineError(f"this network's file says that it looks '{said}' frames ahead, which is no number")
        return int(said)
    frames = memory["past_features"].shape[1] + 1
    features = np.zeros((1, frames, NUM_FEATURES), np.float32)
    numbered = np.broadcast_to(_FAR_M * np.arange(1, frames + 1)[:, None, None], (frames, H36M17.num_joints, 3)).copy()
    numbered[:, H36M17.root] = 0
    features[0, :, JOINTS_REL] = numbered.reshape(frames, -1)
    answered = engine.run({"features": features, **memory})["joints"][0, -1]
    number = float(np.delete(answered, H36M17.root, axis=0).mean()) / _FAR_M
    if not (abs(number - round(number)) < _SURE and 0 <= frames - round(number) <= frames):
        raise EngineError("this network's file does not say how many frames it looks ahead; export it again")
    return frames - round(number)
