"""Tracks and people of recordings for semi-supervised training (paper, section 3.4): numpy alone.

N tracks, T frames, M top-down estimates, K joints of `skeleton.H36M17`; metres. Axes are the camera's, or upright:
y along gravity.
"""

from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from scipy.spatial.transform import Rotation

from dualpose_ros.arrays import AnyInts, Float32s, Floats, Ints, Mask
from dualpose_ros.datasets.motion import load_clips
from dualpose_ros.datasets.recordings import Recordings
from dualpose_ros.inference.engine import Engine
from dualpose_ros.lab.experiments.semi_supervised import evaluation
from dualpose_ros.lab.synthetic.motion.meetings import draw_groups
from dualpose_ros.skeleton import ROOT, K

VALIDATION_ONE_IN = 8
_NEAREST_M = 0.5
_TOGETHER_M = 4.0


@dataclass(frozen=True)
class Tracks:
    """Tracks of one domain. told: what a lifting network sees; sequence (N,); stamps_s (N, T); upright (N, T, 3, 3):
    camera axes -> upright; rays (N, T, K, 2) and scores (N, T, K) as found; joints_cam (N, T, K, 3), known (N, T):
    what they are taught, truth or pseudo-labels; other (N, T): the estimate of the nearest person, or -1."""

    told: evaluation.TrackInput
    sequence: Ints
    stamps_s: Floats
    upright: Floats
    rays: Floats
    scores: Floats
    joints_cam: Floats
    known: Mask
    other: Ints

    def __len__(self) -> int:
        return len(self.sequence)


@dataclass(frozen=True)
class Targets:
    """features (N, T, F) of a lifting network and what it ought to say: joints (N, T, K, 3) from the root along the
    virtual camera's axes, log_depth_extent (N, T), counted (N, T)."""

    features: Float32s
    joints: Float32s
    log_depth_extent: Float32s
    counted: Mask


@dataclass(frozen=True)
class RealPeople:
    """People as they are, upright: singles (S, K, 3), and pairs (P, 2, K, 3) who are together."""

    singles: Floats
    pairs: Floats

    def draw(self, rng: np.random.Generator, together: Mask) -> Floats:
        """Two for each row that is `together` (G,), one and nobody for the others, turned any way: (G, 2, K, 3)."""
        count = len(together)
        people = np.zeros((count, 2, K, 3))
        people[:, 0] = self.singles[rng.integers(len(self.singles), size=count)]
        if len(self.pairs):
            people[together] = self.pairs[rng.integers(len(self.pairs), size=int(together.sum()))]
        turn = about_vertical(np.tile([0.0, 1.0, 0.0], (count, 1)), rng.uniform(-np.pi, np.pi, count))
        return np.asarray(np.einsum("nab,npkb->npka", turn, people))


def make_tracks(
    recordings: Recordings, chosen: Mask, taught: Floats | None = None, gcn: Engine | None = None
) -> Tracks:
    """The tracks of the sequences with `chosen` frames (F,).

    taught (M, K, 3): pseudo-labels by estimate, NaN for none; the truth unless given. gcn: what completes poses.
    """
    estimates, frames = recordings.top_down, recordings.frames
    rows = evaluation.track_rows(recordings)
    kept = chosen[estimates.frame[np.maximum(rows[:, 0], 0)]] if len(estimates.frame) else np.zeros(len(rows), bool)
    told = evaluation.track_input(recordings, rows[kept], gcn)
    rows, there = np.maximum(told.rows, 0), told.there
    if taught is None:
        owner = estimates.truth
        truth = np.concatenate([recordings.truth.joints_cam, np.full((1, K, 3), np.nan)])
        taught = truth[owner].astype(np.float64)
    joints = taught[rows]
    known = there & np.isfinite(joints).all(axis=(2, 3))
    joints = np.where(known[..., None, None], joints, 0.0)
    other = nearest(estimates.frame, taught[:, ROOT])[rows]
    rays, frame = evaluation.ray_of(recordings, estimates)[rows], estimates.frame[rows]
    return Tracks(
        told,
        frames.sequence[frame[:, 0]].astype(np.int64),
        frames.stamp_s[frame],
        upright(frames.down[frame].astype(np.float64)),
        np.where(there[..., None, None], rays, 0.0),
        np.where(there[..., None], estimates.joint_scores[rows], 0.0).astype(np.float64),
        joints,
        known,
        np.where(there, other, -1),
    )


def take(tracks: Tracks, rows: Ints) -> Tracks:
    """Some of the tracks."""
    told = tracks.told
    frames = told.rows.shape[1]
    flat = (rows[:, None] * frames + np.arange(frames)).ravel()
    return Tracks(
        evaluation.TrackInput(told.rows[rows], told.people[flat], told.features[rows]),
        *(getattr(tracks, name)[rows] for name in ("sequence", "stamps_s", "upright", "rays", "scores", "joints_cam",
                                                    "known", "other")),
    )  # fmt: skip


def draw_sequences(tracks: Tracks, rng: np.random.Generator, count: int) -> Ints:
    """Tracks of random sequences, whole, until there are about `count` of them."""
    sequences = np.unique(tracks.sequence)
    chosen: list[Ints] = []
    while sum(map(len, chosen)) < count:
        chosen.append(np.flatnonzero(tracks.sequence == sequences[rng.integers(len(sequences))]))
    return np.concatenate(chosen)


def targets(told: evaluation.TrackInput, joints_cam: Floats, known: Mask) -> Targets:
    """What a lifting network ought to say of tracks whose people are at joints_cam (N, T, K, 3) where known (N, T)."""
    view, shape = told.people.view, known.shape
    turned = np.einsum("nba,nkb->nka", view.to_camera, joints_cam.reshape(-1, K, 3))
    depth = turned[:, ROOT, 2].reshape(shape)
    counted = known & (depth > 0.3)
    extent = view.extent.reshape(shape)
    log_depth = np.log(np.where(counted, depth * extent, 1.0))
    relative = (turned - turned[:, ROOT, None]).reshape(*shape, K, 3)
    return Targets(told.features, relative.astype(np.float32), log_depth.astype(np.float32), counted)


def turned_targets(
    tracks: Tracks, rng: np.random.Generator, noise: float, limit: float = np.pi, gcn: Engine | None = None
) -> Targets:
    """The tracks' taught poses turned about the vertical, each track as a whole, as they would be found then.

    The multi-perspective term: by up to `limit` either way around where the person is on average. The joints
    keep their confidences; their places have errors of `noise` in parts of the person's size on the image.
    """
    count = len(tracks)
    weight = tracks.known / np.maximum(tracks.known.sum(axis=1, keepdims=True), 1)
    middle = np.einsum("nt,ntc->nc", weight, tracks.joints_cam[:, :, ROOT])
    down = tracks.upright[:, 0, 1]
    turn = about_vertical(down, limit * rng.uniform(-1, 1, count))
    joints = np.einsum("nab,ntkb->ntka", turn, tracks.joints_cam - middle[:, None, None]) + middle[:, None, None]
    known = tracks.known & (joints[..., 2].min(axis=2) > _NEAREST_M)
    rays = joints[..., :2] / np.maximum(joints[..., 2:], _NEAREST_M)
    size = np.sqrt(((rays - rays.mean(axis=2, keepdims=True)) ** 2).sum(axis=3).mean(axis=2))
    # The surer a joint, the less it is off.
    spread = noise * (1.5 - tracks.scores) * size[..., None]
    rays = rays + rng.normal(0, 1, rays.shape) * spread[..., None]
    scores = np.where(known[..., None], tracks.scores, 0.0)
    told = evaluation.lifting_input(
        tracks.told.rows, rays, scores, evaluation.elapsed(tracks.stamps_s, tracks.told.there), gcn
    )
    return targets(told, joints, known)


def pairs_within(tracks: Tracks) -> tuple[Ints, Ints]:
    """Of tracks taken together, every estimate (M,) by its place in N * T, and that of the nearest other, or -1."""
    rows = tracks.told.rows.ravel()
    places = np.flatnonzero(rows >= 0)
    of_estimate = np.full(int(max(rows.max(initial=-1), tracks.other.max(initial=-1))) + 2, -1, dtype=np.int64)
    of_estimate[rows[places]] = places
    return places, of_estimate[tracks.other.ravel()[places]]


def nearest(frame: AnyInts, roots: Floats) -> Ints:
    """The nearest other of each (M,) in its frame (M,), by roots (M, 3), within 4 m; -1 for none."""
    found = np.full(len(frame), -1, dtype=np.int64)
    bounds = np.flatnonzero(np.diff(frame, prepend=-1, append=-1))
    for low, high in pairwise(bounds):
        away = np.linalg.norm(roots[low:high, None] - roots[None, low:high], axis=2)
        np.fill_diagonal(away, np.inf)
        away = np.where(np.isfinite(away), away, np.inf)
        best = away.argmin(axis=1)
        near = away[np.arange(high - low), best] < _TOGETHER_M
        found[low:high] = np.where(near, low + best, -1)
    return found


def smoothed(values: Floats, known: Mask) -> Floats:
    """Tracks (N, T, ...) each averaged over a frame, twice, and its neighbours, once, where known (N, T)."""
    weight = known.astype(np.float64).reshape(*known.shape, *([1] * (values.ndim - 2)))
    total, share = 2 * weight * values, 2 * weight
    for axis_slice, other in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[:, :-1], np.s_[:, 1:])):
        total[axis_slice] += (weight * values)[other]
        share[axis_slice] += weight[other]
    return np.where(weight > 0, total / np.maximum(share, 1e-9), values)


def real_people(recordings: Recordings, frames: Mask, meetings: int, mocap: str | None, seed: int) -> RealPeople:
    """The truth of the `frames` (F,) chosen, drawn people who meet, and captured people alone (of a file's
    validation clips, which no recording shows). None of the last two has an image, so they label nothing."""
    truth = recordings.truth
    rows = np.flatnonzero(frames[truth.frame])
    turn = upright(recordings.frames.down[truth.frame[rows]].astype(np.float64))
    people = np.einsum("nab,nkb->nka", turn, truth.joints_cam[rows].astype(np.float64))
    singles, pairs = [people], [_together(truth.frame[rows], people)]
    over = np.array([1.0, -1.0, -1.0])
    if meetings:
        drawn = draw_groups(np.random.default_rng(seed), meetings, 2) * over
        pairs.append(_repeated(drawn, len(pairs[0])))
        singles.append(_repeated(drawn.reshape(-1, K, 3), len(people)))
    if mocap:
        clips = np.concatenate([clip.joints_m[::6] for clip in load_clips(mocap, "validation")]).astype(np.float64)
        singles.append(_repeated(clips * over, len(people)))
    return RealPeople(np.concatenate(singles), np.concatenate(pairs))


def _repeated(people: Floats, count: int) -> Floats:
    """As often as there are about `count` of them, so that each source counts alike."""
    return np.concatenate([people] * max(1, round(count / len(people))))


def _together(frame: AnyInts, people: Floats) -> Floats:
    """Every two of a frame who are within 4 m: (P, 2, K, 3)."""
    found: list[Floats] = []
    bounds = np.flatnonzero(np.diff(frame, prepend=-1, append=-1)).tolist()
    for low, high in pairwise(bounds):
        for a, b in combinations(range(low, high), 2):
            if np.linalg.norm(people[a, ROOT] - people[b, ROOT]) < _TOGETHER_M:
                found.append(people[[a, b]])
    return np.array(found).reshape(-1, 2, K, 3)


def upright(down: Floats) -> Floats:
    """Rotations (..., 3, 3), the shortest ones, that turn the direction of gravity (..., 3) to the y axis."""
    x, y, z = np.moveaxis(down / np.linalg.norm(down, axis=-1, keepdims=True), -1, 0)
    shared = 1 / np.maximum(1 + y, 1e-6)
    rows = [[1 - x * x * shared, -x, -x * z * shared], [x, y, z], [-x * z * shared, -z, 1 - z * z * shared]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def about_vertical(down: Floats, angle: Floats) -> Floats:
    """Rotations (N, 3, 3) by angle (N,) about the direction of gravity (N, 3)."""
    axes = down / np.linalg.norm(down, axis=1, keepdims=True)
    return Rotation.from_rotvec(angle[:, None] * axes).as_matrix()
