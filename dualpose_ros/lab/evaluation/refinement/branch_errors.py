"""Movements seen by a moving camera, with the errors that our own branches were recorded to make of other people.

T frames, K joints of `skeleton.H36M17`; metres, seconds; world y up, camera optical frame x right, y down, z forward.
A person's view axes: the third along the ray to the root, the first level in the image, the second across both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy.spatial.transform import Rotation

from dualpose_ros.arrays import Floats, Indices, Mask
from dualpose_ros.camera import Camera, camera_from_hfov, project
from dualpose_ros.datasets.motion import Clip, at_rate
from dualpose_ros.lab.evaluation.fusion.measures import RecordedFrame
from dualpose_ros.lab.evaluation.people import match_people
from dualpose_ros.lab.synthetic.scenes.placing import look_at
from dualpose_ros.people import Pose3D, Source, TrackingState
from dualpose_ros.refinement.least_squares.terms import joints_from_bones
from dualpose_ros.skeleton import H36M17, ROOT, K

_PARENTS = [max(parent, 0) for parent in H36M17.parents]
_SHORTEST_M = 1e-4

FEWEST_FRAMES = 8
"""Tracks that hold a person in fewer frames are left out."""


@dataclass(frozen=True)
class PoseErrors:
    """How poses (..., K, 3) err: by frame, then by joint.

    turns (..., K, 3): rotation vectors, along the view axes, that turn each joint's bone to where it was said to point,
    and log_lengths (..., K): logarithms of its length as said over the true one, so that bones are as much too short or
    unsteady on other people as they were; aside (..., 2): of the root across the ray, in metres; log_depth (...,): of
    its distance; keypoints (..., K, 2): of 2D joints over the person's longer side in the image; scores (..., K).
    Stated deviations: stated (..., K) about the root, stated_depth (...,) of the root as a share of its distance.
    """

    turns: Floats
    log_lengths: Floats
    aside: Floats
    log_depth: Floats
    keypoints: Floats
    scores: Floats
    stated: Floats
    stated_depth: Floats

    def at(self, frames: Indices) -> PoseErrors:
        """Those of some frames."""
        return PoseErrors(**{field.name: getattr(self, field.name)[frames] for field in fields(self)})


@dataclass(frozen=True)
class ErrorTrack:
    """One person's track from its first to its last frame: where it was there (T,), and its errors in these frames
    (n,)."""

    present: Mask
    errors: PoseErrors


@dataclass(frozen=True)
class RecordedErrors:
    """Those of many tracks."""

    tracks: tuple[ErrorTrack, ...]


@dataclass(frozen=True)
class SeenClip:
    """Truth of one person before a camera: times (T,), joints_cam (T, K, 3)."""

    camera: Camera
    times: Floats
    joints_cam: Floats


@dataclass(frozen=True)
class CorruptedClip:
    """What a branch says: present (T,), joints_cam (T, K, 3), joint_stddev (T, K), joint_scores (T, K) and
    keypoints_px (T, K, 2); frames that are not present hold the errors of the last that was."""

    present: Mask
    joints_cam: Floats
    joint_stddev: Floats
    joint_scores: Floats
    keypoints_px: Floats

    def pose(self, frame: int, track_id: int = 0) -> Pose3D | None:
        """The record of one frame; None where the person was not found."""
        if not self.present[frame]:
            return None
        pixels, scores = self.keypoints_px[frame], self.joint_scores[frame]
        return Pose3D(
            track_id=track_id,
            state=TrackingState.CONFIRMED,
            source=Source.FUSED,
            score=float(scores.mean()),
            box_px=np.concatenate([pixels.min(axis=0), pixels.max(axis=0)]),
            joints_cam=self.joints_cam[frame],
            joint_scores=scores,
            joint_stddev=self.joint_stddev[frame],
            keypoints_px=pixels,
        )


def recorded_errors(
    frames: Iterable[RecordedFrame], persons_of: Callable[[RecordedFrame], Sequence[Pose3D]]
) -> RecordedErrors:
    """The errors of the tracks that `persons_of` makes of recorded frames, asked in their order.

    A track that goes over to another true person counts as another. People without a track are left out.
    """
    found: dict[tuple[int, int, int], list[tuple[int, PoseErrors]]] = defaultdict(list)
    for index, frame in enumerate(frames):
        persons = [person for person in persons_of(frame) if person.track_id >= 0]
        whose = match_people(frame.people, np.array([p.keypoints_px for p in persons]).reshape(-1, K, 2))
        for person, who in zip(persons, whose.tolist(), strict=True):
            if who >= 0:
                truth, pixels = frame.people.joints_cam[who], frame.people.joints_px[who]
                key = (frame.sequence, int(frame.people.ids[who]), person.track_id)
                found[key].append((index, errors_of(person, truth.astype(np.float64), pixels.astype(np.float64))))
    return RecordedErrors(tuple(_track(parts) for parts in found.values() if len(parts) >= FEWEST_FRAMES))


def _track(parts: Sequence[tuple[int, PoseErrors]]) -> ErrorTrack:
    indices = np.array([index for index, _ in parts])
    present = np.zeros(indices[-1] - indices[0] + 1, dtype=np.bool_)
    present[indices - indices[0]] = True
    columns = {field.name: np.array([getattr(e, field.name) for _, e in parts]) for field in fields(PoseErrors)}
    return ErrorTrack(present, PoseErrors(**columns))


def errors_of(person: Pose3D, truth: Floats, pixels: Floats) -> PoseErrors:
    """How a pose errs about true joints (K, 3), which are at pixels (K, 2) of the image."""
    said, axes = np.asarray(person.joints_cam, dtype=np.float64), view_axes(truth[ROOT])
    turns, log_lengths = _bone_errors((said - said[_PARENTS]) @ axes.T, (truth - truth[_PARENTS]) @ axes.T)
    distance, said_distance = float(np.linalg.norm(truth[ROOT])), float(np.linalg.norm(said[ROOT]))
    seen = axes @ said[ROOT]
    stated = np.asarray(person.joint_stddev, dtype=np.float64)
    return PoseErrors(
        turns=turns,
        log_lengths=log_lengths,
        aside=seen[:2] / seen[2] * distance,
        log_depth=np.log(said_distance / distance),
        keypoints=(np.asarray(person.keypoints_px, dtype=np.float64) - pixels) / image_size(pixels),
        scores=np.asarray(person.joint_scores, dtype=np.float64),
        stated=np.sqrt(np.maximum(stated**2 - stated[ROOT] ** 2, 0.0)),
        stated_depth=stated[ROOT] / said_distance,
    )


def _bone_errors(said: Floats, true: Floats) -> tuple[Floats, Floats]:
    """Turns (K, 3) and logarithms of ratios (K,) of lengths that make bones (K, 3) what they were said to be."""
    across, along = np.cross(true, said), np.sum(true * said, axis=-1)
    sine = np.linalg.norm(across, axis=-1)
    angle = np.arctan2(sine, along)
    lengths = [np.maximum(np.linalg.norm(bones, axis=-1), _SHORTEST_M) for bones in (said, true)]
    return across * (angle / np.maximum(sine, 1e-12))[:, None], np.log(lengths[0] / lengths[1])


def view_axes(root: Floats) -> Floats:
    """View axes (..., 3, 3), as rows, of people whose roots are at (..., 3)."""
    along = root / np.linalg.norm(root, axis=-1, keepdims=True)
    right = np.cross([0.0, 1.0, 0.0], along)
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    return np.stack([right, np.cross(along, right), along], axis=-2)


def image_size(pixels: Floats) -> Floats:
    """The longer side (...,) of joints (..., K, 2) in the image, in pixels."""
    return np.asarray(np.ptp(pixels, axis=-2).max(axis=-1))


def corrupt(seen: SeenClip, errors: RecordedErrors, rng: np.random.Generator) -> CorruptedClip:
    """What would be said of a person with the errors of a recorded track, drawn at random.

    Frame follows frame as recorded, from the track's start, then back and forth: a clip should have the recordings'
    rate. ValueError if there is no track.
    """
    if not errors.tracks:
        raise ValueError("no errors were recorded")
    track = errors.tracks[int(rng.integers(len(errors.tracks)))]
    frames, last = np.arange(len(seen.times)), len(track.present) - 1
    frames = last - np.abs(last - frames % (2 * last))
    return with_errors(seen, track.present[frames], track.errors.at(np.cumsum(track.present)[frames] - 1))


def with_errors(seen: SeenClip, present: Mask, errors: PoseErrors) -> CorruptedClip:
    """The clip with errors of as many frames."""
    truth = seen.joints_cam
    root, axes = truth[:, ROOT], view_axes(truth[:, ROOT])
    distance = np.linalg.norm(root, axis=-1)
    direction = np.concatenate([errors.aside / distance[:, None], np.ones((len(truth), 1))], axis=-1)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    said_distance = distance * np.exp(errors.log_depth)
    said_root = said_distance[:, None] * np.einsum("tba,tb->ta", axes, direction)
    bones = (truth - truth[:, _PARENTS]) @ np.swapaxes(axes, 1, 2)
    turned = Rotation.from_rotvec(errors.turns.reshape(-1, 3)).apply(bones.reshape(-1, 3)).reshape(bones.shape)
    said_bones = (np.exp(errors.log_lengths)[..., None] * turned) @ axes
    pixels = project(seen.camera, truth)
    return CorruptedClip(
        present,
        joints_from_bones(said_root, said_bones),
        np.hypot(errors.stated, (errors.stated_depth * said_distance)[:, None]),
        errors.scores,
        pixels + errors.keypoints * image_size(pixels)[:, None, None],
    )


def film_clips(
    clips: Sequence[Clip], rng: np.random.Generator, count: int, frames: int, hz: tuple[float, float] = (12.0, 25.0)
) -> list[SeenClip]:
    """Passages of clips at random rates, each by a camera of its own that walks and turns; all joints before it."""
    seen: list[SeenClip] = []
    longest = [c for c in clips if c.duration_s * hz[0] > frames + 1]
    if not longest:
        raise ValueError(f"no clip has {frames} frames at {hz[0]} Hz")
    while len(seen) < count:
        clip = longest[int(rng.integers(len(longest)))]
        rate = float(np.exp(rng.uniform(*np.log(hz))))
        joints = at_rate(clip.joints_m, clip.fps, rate)
        if len(joints) < frames:
            continue
        start = int(rng.integers(len(joints) - frames + 1))
        times = np.arange(frames) / rate
        camera = camera_from_hfov(640, 480, np.radians(rng.uniform(50, 90)))
        joints_cam = _filmed(joints[start : start + frames], times, rng)
        if joints_cam[..., 2].min() > 0.8:
            seen.append(SeenClip(camera, times, joints_cam))
    return seen


def _filmed(world: Floats, times: Floats, rng: np.random.Generator) -> Floats:
    """Joints in the frame of a camera 2.5 to 8 m away at first, which looks about the person as it walks."""
    root = world[:, H36M17.root]
    azimuth, distance = rng.uniform(-np.pi, np.pi), np.exp(rng.uniform(np.log(2.5), np.log(8.0)))
    eye = root[0] + distance * np.array([np.sin(azimuth), 0.0, np.cos(azimuth)])
    eye[1] = rng.uniform(0.4, 1.9)
    walk = rng.normal(0, [0.3, 0.03, 0.3]) * times[:, None]
    eyes = eye + walk + _swaying(times, rng) * [0.04, 0.02, 0.04]
    aim = _smooth(root, times, 0.5) + _swaying(times, rng) * [0.35, 0.15, 0.35]
    views = [look_at(at, target, 0.0) for at, target in zip(eyes, aim, strict=True)]
    return np.stack([joints @ turn.T + shift for joints, (turn, shift) in zip(world, views, strict=True)])


def _swaying(times: Floats, rng: np.random.Generator) -> Floats:
    """Smooth motion (T, 3) of about unit deviation: sines of 0.1 to 0.7 Hz."""
    rate, phase = 2 * np.pi * rng.uniform(0.1, 0.7, (3, 3)), rng.uniform(0, 2 * np.pi, (3, 3))
    return np.asarray(np.sqrt(2 / 3) * np.sin(rate * times[:, None, None] + phase).sum(axis=1))


def _smooth(path: Floats, times: Floats, seconds: float) -> Floats:
    """A path (T, 3) as a camera follows it that turns gently."""
    weights = np.exp(-0.5 * ((times[:, None] - times) / seconds) ** 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True) @ path)
