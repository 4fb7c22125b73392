"""Lifting measured on motion that was never trained on: passages of clips, filmed by random cameras.

N passages, T frames at 30 Hz, K joints of `skeleton.H36M17`. Passages go through the same functions as the live
lifter, all frames in one call: that this is the same as frame by frame is tested.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dualpose_ros.arrays import Float32s, Floats, Indices, Ints, Mask
from dualpose_ros.datasets.joint_errors import JointErrors, with_measured
from dualpose_ros.datasets.motion import Clip, at_rate
from dualpose_ros.inference.engine import Engine, EngineError
from dualpose_ros.lab.synthetic.scenes.placing import look_at
from dualpose_ros.metrics.poses import joint_errors, pa_mpjpe, root_depth_error, sigma_radii
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.lifting.completion import LONGEST_GAP_S, complete, time_feature
from dualpose_ros.top_down.lifting.lifter import ANSWERS, PlacedPeople, empty_memory, lookahead_frames, place_people

HZ = 30.0
LONGEST_PASSAGE = 150
FIRST_COUNTED = 30
"""Frames before are history, enough to fill a window of 27; one of 81 is filled in the longer passages only."""

AHEAD = 13
"""Frames that are not counted at the end: what a centred window of 27 looks ahead to."""

_NEAREST_M = 0.5
SPELL_FRAMES = 15
"""So long the same joints stay hidden."""


@dataclass(frozen=True)
class Passages:
    """joints_cam (N, T, K, 3) in metres; rays (N, T, K, 2) as found with scores (N, T, K), 0 = not found; frames
    (N,): the first so many of the T frames are there, the rest repeats the last."""

    joints_cam: Floats
    rays: Floats
    scores: Floats
    frames: Ints

    @property
    def counted(self) -> Mask:
        """Frames (N, T) that are measured: with history, with some to come, and nobody too near."""
        at, last = np.arange(self.scores.shape[1]), self.frames[:, None] - 1 - AHEAD
        return (at >= FIRST_COUNTED) & (at <= last) & (self.joints_cam[..., 2].min(axis=2) > _NEAREST_M)


@dataclass(frozen=True)
class Measured:
    """A network's answer for the counted frames (B of all passages together): people and true joints (B, K, 3)."""

    people: PlacedPeople
    joints_cam: Floats

    @property
    def joints_rel(self) -> Floats:
        """True joints (B, K, 3) from the pelvis."""
        return self.joints_cam - self.joints_cam[:, H36M17.root : H36M17.root + 1]


@dataclass(frozen=True)
class Tilt:
    """How cameras hang: elevation_deg over the person, range; rolled by up to roll_deg either way; the person up to
    aside_deg beside the middle of the image, across and down."""

    elevation_deg: tuple[float, float] = (-10.0, 35.0)
    roll_deg: float = 30.0
    aside_deg: tuple[float, float] = (20.0, 15.0)


def film_clips(clips: Sequence[Clip], seed: int, views: int, tilt: Tilt | None = None) -> Passages:
    """A passage of every clip, seen `views` times with exact 2D from 3 to 8 m by a camera that stands still.

    Without `tilt` it is about level and looks at the person.
    """
    rng = np.random.default_rng(seed)
    filmed, lengths = [], []
    for clip in clips:
        joints = at_rate(clip.joints_m, clip.fps, HZ)
        frames = min(len(joints), LONGEST_PASSAGE)
        for _ in range(views):
            start = int(rng.integers(len(joints) - frames + 1))
            world = joints[start : start + frames]
            rotation, translation = _camera(world, tilt, rng)
            seen = world @ rotation.T + translation
            filmed.append(np.pad(seen, ((0, LONGEST_PASSAGE - frames), (0, 0), (0, 0)), mode="edge"))
            lengths.append(frames)
    joints_cam = np.array(filmed).reshape(-1, LONGEST_PASSAGE, H36M17.num_joints, 3)
    rays = joints_cam[..., :2] / np.maximum(joints_cam[..., 2:], 0.1)
    return Passages(joints_cam, rays, np.ones(joints_cam.shape[:3]), np.array(lengths, dtype=np.int64))


def _camera(world: Floats, tilt: Tilt | None, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """World-to-camera rotation and translation of a camera 3 to 8 m from somebody who moves so (T, K, 3)."""
    middle = world[:, H36M17.root].mean(axis=0) + rng.normal(0, 0.2, 3)
    azimuth, distance = rng.uniform(0, 2 * np.pi), rng.uniform(3, 8)
    if tilt is None:
        eye = middle + distance * np.array([np.sin(azimuth), 0, np.cos(azimuth)])
        eye[1] = rng.uniform(0.5, 2.2)
        return look_at(eye, middle, rng.normal(0, 0.04))
    up = np.radians(rng.uniform(*tilt.elevation_deg))
    toward = np.array([np.sin(azimuth) * np.cos(up), np.sin(up), np.cos(azimuth) * np.cos(up)])
    rotation, _ = look_at(middle + distance * toward, middle, 0.0)
    across, down = np.tan(np.radians(rng.uniform(-1, 1, 2) * tilt.aside_deg))
    target = middle + distance * (across * rotation[0] + down * rotation[1])
    return look_at(middle + distance * toward, target, np.radians(rng.uniform(-tilt.roll_deg, tilt.roll_deg)))


def with_noise(passages: Passages, errors: JointErrors, seed: int) -> Passages:
    """The passages with 2D errors that a network made."""
    size = np.ptp(passages.rays, axis=2).max(axis=2)
    times = np.broadcast_to(np.arange(passages.rays.shape[1]) / HZ, size.shape)
    rays, scores = with_measured(passages.rays, passages.scores, size, times, errors, np.random.default_rng(seed))
    return replace(passages, rays=np.asarray(rays, dtype=np.float64), scores=np.asarray(scores, dtype=np.float64))


def with_hidden(passages: Passages, share: float, seed: int) -> Passages:
    """The passages with a share of the joints hidden: neighbours in the skeleton, others every SPELL_FRAMES."""
    rng = np.random.default_rng(seed)
    count = round(share * H36M17.num_joints)
    scores = passages.scores.copy()
    for passage in scores:
        for start in range(0, len(passage), SPELL_FRAMES):
            passage[start : start + SPELL_FRAMES, connected_joints(count, rng)] = 0
    return replace(passages, scores=scores)


PARTS = {
    "legs, below a table": ("knee", "ankle"),
    "all below the chest, a close-up": ("pelvis", "hip", "knee", "ankle", "spine"),
    "crown": ("head_top",),
    "one side": ("left_shoulder", "left_elbow", "left_wrist", "left_hip", "left_knee", "left_ankle"),
}
"""Parts of a body that stay unseen, by the ends of their joints' names."""


def without_part(passages: Passages, part: str) -> tuple[Passages, Mask]:
    """The passages with one of PARTS never found, and which joints (K,) those are."""
    hidden = np.array([name.endswith(PARTS[part]) for name in H36M17.joint_names])
    return replace(passages, scores=np.where(hidden, 0.0, passages.scores)), hidden


def part_row(part: str, measured: Measured, hidden: Mask) -> dict[str, Any]:
    """Errors of joints seen and unseen, in millimetres, and how much of the latter lies within stated deviations."""
    errors = joint_errors(measured.people.joints_rel, measured.joints_rel)
    unseen = hidden & (np.arange(len(hidden)) != H36M17.root)
    sigmas = errors[:, unseen] / measured.people.stddev[:, unseen]
    return {
        "unseen": part,
        "seen_mm": 1000 * float(errors[:, ~hidden].mean()),
        "unseen_mm": 1000 * float(errors[:, unseen].mean()),
        "stated_mm": 1000 * float(measured.people.stddev[:, unseen].mean()),
        "within_1_sigma": float((sigmas < sigma_radii(3)[0]).mean()),
        "within_2_sigma": float((sigmas < sigma_radii(3)[1]).mean()),
    }


def connected_joints(count: int, rng: np.random.Generator) -> Indices:
    """So many joints (count,) that hang together: what one thing in front of somebody hides."""
    neighbours: dict[int, set[int]] = {joint: set() for joint in range(H36M17.num_joints)}
    for parent, child in H36M17.bones:
        neighbours[parent].add(child)
        neighbours[child].add(parent)
    chosen: list[int] = [int(rng.integers(H36M17.num_joints))] if count else []
    while len(chosen) < count:
        border = sorted(set().union(*(neighbours[joint] for joint in chosen)) - set(chosen))
        chosen.append(int(rng.choice(border)))
    return np.array(chosen, dtype=np.intp)


def lift_passages(passages: Passages, engine: Engine, gcn: Engine | None, history: int | None = None) -> Measured:
    """What a lifting network and a GCN (None: without) make of the counted frames.

    history: how many frames before each counted one the network is shown, up to FIRST_COUNTED, as of a track that was
    born then; all of them by default.

    EngineError if it is no lifting network, or looks ahead although history is given.
    """
    late = lookahead_frames(engine)
    if late and history is not None:
        raise EngineError(f"this network looks {late} frames ahead, so that tracks just born have no answer")
    count, frames, joints = passages.scores.shape
    flat = complete(passages.rays.reshape(-1, joints, 2), passages.scores.reshape(-1, joints), gcn)
    features = flat.features.reshape(count, frames, -1).copy()
    features[..., -1] = time_feature(np.full((count, frames), 1 / HZ))
    features[:, 0, -1] = time_feature(np.array(LONGEST_GAP_S))
    counted = passages.counted
    if history is None:
        answer = engine.run({"features": features, **empty_memory(engine, count)})
        answered = np.roll(counted, late, axis=1)
        answers = {name: answer[name][answered] for name in ANSWERS}
    else:
        answers = _after_births(engine, features, counted, history)
    return Measured(place_people(flat[counted.reshape(-1)], answers), passages.joints_cam[counted])


def _after_births(engine: Engine, features: Float32s, counted: Mask, history: int) -> dict[str, Float32s]:
    """ANSWERS for the counted frames (N, T), each the last of a track that is `history` frames older."""
    passage, frame = np.nonzero(counted)
    seen = features[passage[:, None], frame[:, None] + np.arange(-history, 1)]
    seen[:, 0, -1] = time_feature(np.array(LONGEST_GAP_S))
    answer = engine.run({"features": seen, **empty_memory(engine, len(seen))})
    return {name: answer[name][:, -1] for name in ANSWERS}


def error_row(measured: Measured) -> dict[str, float]:
    """Errors of the counted frames: millimetres, and the median error in root depth in per cent.

    The depth is given as fused, and of its two sources by itself: learned, and fitted by geometry.
    """
    people, truth = measured.people, measured.joints_rel
    errors = 1000 * joint_errors(people.joints_rel, truth)
    depth = measured.joints_cam[:, H36M17.root, 2]
    # Learned and fitted depths are along the virtual camera's axis; the root lies near that.
    along = people.root_cam[:, 2] / np.maximum(people.depth_axis, 1e-6)
    return {
        "mpjpe_mm": float(errors.mean()),
        "pa_mpjpe_mm": 1000 * float(pa_mpjpe(people.joints_rel, truth).mean()),
        "root_depth_pct": 100 * float(np.median(root_depth_error(people.root_cam[:, 2], depth))),
        "learned_pct": 100 * float(np.median(root_depth_error(people.learned * along, depth))),
        "fitted_pct": 100 * float(np.median(root_depth_error(people.fitted * along, depth))),
    }


def sigma_rows(label: str, measured: Measured) -> list[dict[str, Any]]:
    """Shares of true joints and root depths within 1 and 2 standard deviations of the estimate.

    A joint is within where its distance is within the radius of `metrics.poses.sigma_radii`.
    """
    people, root = measured.people, H36M17.root
    limbs = np.arange(H36M17.num_joints) != root
    distance = joint_errors(people.joints_rel, measured.joints_rel)[:, limbs] / people.stddev[:, limbs]
    depth = np.abs(np.log(people.root_cam[:, 2] / measured.joints_cam[:, root, 2])) / people.depth_stddev
    along = people.depth_stddev * people.root_cam[:, 2]
    joints_cam = people.joints_rel + people.root_cam[:, None]
    off = np.abs(joints_cam[..., 2] - measured.joints_cam[..., 2]) / np.hypot(people.stddev, along[:, None])
    rows = (("joints from the root", distance, 3), ("root depth", depth, 1), ("joints' depth", off, 1))
    return [
        {
            "input": label,
            "of": name,
            "within_1_sigma": float((values < sigma_radii(axes)[0]).mean()),
            "within_2_sigma": float((values < sigma_radii(axes)[1]).mean()),
        }
        for name, values, axes in rows
    ]
