"""The movements that lifting is trained on: procedural and captured, on bodies of many shapes.

T frames, K joints of `skeleton.H36M17`, y-up world in metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dualpose_ros.arrays import AnyFloats, Float32s, Floats, Ints, Mask
from dualpose_ros.datasets.motion import Clip, at_rate, load_clips
from dualpose_ros.lab.synthetic.body.body import load_body, shape_body
from dualpose_ros.lab.synthetic.body.builtin_body import builtin_body
from dualpose_ros.lab.synthetic.body.rig import Rig, pose_rig
from dualpose_ros.lab.synthetic.motion.motion import KINDS, Motion, from_clip, generate, meeting
from dualpose_ros.skeleton import H36M17

BANK_HZ = 30.0
MIN_FRAMES = 45


@dataclass(frozen=True)
class BankConfig:
    """Where movements come from: files of captured clips and of a body (the built-in one without), and how many.

    clip_copies: times that every clip is posed on another body, besides once as it was captured; captured_share: how
    often what is drawn is a clip as it was captured.
    """

    mocap: str | None = None
    body: str | None = None
    motions: int = 900
    motion_s: float = 4.0
    bodies: int = 80
    clip_copies: int = 1
    captured_share: float = 0.4


@dataclass(frozen=True)
class Bank:
    """Sequences end to end: joints_m (T, K, 3) at BANK_HZ; starts and lengths (S,) in frames; weight (S,) to draw by.

    captured (S,): sequences on the skeleton of the capture, which is one and the same for all clips.
    """

    joints_m: Float32s
    starts: Ints
    lengths: Ints
    weight: Floats
    captured: Mask


def make_bank(config: BankConfig, rng: np.random.Generator, split: str = "train") -> Bank:
    """Draw bodies, pose procedural motion and clips on them, and keep the clips themselves too."""
    model = load_body(Path(config.body)) if config.body else builtin_body()
    rigs = [shape_body(model, rng).rig for _ in range(config.bodies)]
    sequences: list[Floats] = []
    captured: list[bool] = []
    for joints in _procedural(config, rng, rigs):
        sequences.append(joints)
        captured.append(False)
    clips = load_clips(config.mocap, split) if config.mocap else []
    for clip in clips:
        frames = at_rate(clip.joints_m, clip.fps, BANK_HZ)
        if len(frames) < MIN_FRAMES:
            continue
        sequences.append(frames)
        captured.append(True)
        for _ in range(config.clip_copies):
            sequences.append(_on(rigs[int(rng.integers(len(rigs)))], from_clip(frames, BANK_HZ)))
            captured.append(False)
    return collect(sequences, captured, config.captured_share)


def collect(sequences: Sequence[AnyFloats], captured: Sequence[bool], captured_share: float = 0.4) -> Bank:
    """A bank of the given sequences; captured ones have that share, where there are others, by length within it."""
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    flags = np.array(captured, dtype=bool)
    weight = lengths.astype(np.float64)
    for flag, share in ((True, captured_share), (False, 1 - captured_share)):
        if np.any(flags == flag):
            weight[flags == flag] *= share / weight[flags == flag].sum()
    joints = np.concatenate([np.asarray(sequence, dtype=np.float32) for sequence in sequences])
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    return Bank(joints, starts, lengths, weight / weight.sum(), flags)


def clip_bank(clips: Sequence[Clip]) -> Bank:
    """A bank of clips as they were captured, for validation."""
    frames = [at_rate(clip.joints_m, clip.fps, BANK_HZ) for clip in clips]
    frames = [sequence for sequence in frames if len(sequence) >= 2]
    return collect(frames, [True] * len(frames))


def _procedural(config: BankConfig, rng: np.random.Generator, rigs: list[Rig]) -> list[Floats]:
    sequences: list[Floats] = []
    while len(sequences) < config.motions:
        motions: tuple[Motion, ...]
        if rng.random() < 0.1:
            motions = meeting(rng, config.motion_s, BANK_HZ)
        else:
            motions = (generate(KINDS[int(rng.integers(len(KINDS)))], rng, config.motion_s, BANK_HZ),)
        sequences += [_on(rigs[int(rng.integers(len(rigs)))], motion) for motion in motions]
    return sequences


def _on(rig: Rig, motion: Motion) -> Floats:
    return pose_rig(rig, motion.joints_m, motion.head_forward).joints


def with_bone_lengths(joints_m: AnyFloats, scale: AnyFloats) -> Float32s:
    """Joints (N, M, K, 3) with bone k of person n scaled by scale[n, k] (N, K), directions kept; root in place."""
    out = np.array(joints_m, dtype=np.float32)
    for parent, child in H36M17.bones:
        bone = joints_m[:, :, child] - joints_m[:, :, parent]
        out[:, :, child] = out[:, :, parent] + bone * scale[:, None, child, None]
    return out
