"""The movements that lifting is trained on: procedural and captured, on bodies of many shapes.

T frames, K joints of `skeleton.H36M17`, y-up world in metres.
"""

from collections import defaultdict
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
from dualpose_ros.settings import Settings, setting, share
from dualpose_ros.skeleton import H36M17

BANK_HZ = 30.0
MIN_FRAMES = 30

BONES_OF_STATURE = [H36M17.index(n) for n in ("spine", "thorax", "neck", "head_top", "left_knee", "left_ankle")]
SHARE_OF_STATURE = 0.95
"""What those bones make up of it, end to end; the rest lies below the ankle joint."""


@dataclass(frozen=True)
class BankConfig(Settings):
    """Where movements come from, and how many."""

    mocap: str | None = setting(
        None, "captured clips, a file or a folder (datasets/motion.py); null: procedural motion alone"
    )
    body: str | None = setting(None, "a body mesh (.npz); null: the built-in one")
    motions: int = setting(900, "movements", unit="movements", least=0)
    motion_s: float = setting(4.0, "length of each", unit="s", above=0)
    bodies: int = setting(80, "bodies that move", unit="bodies", least=1)
    clip_copies: int = setting(1, "times that every clip is posed on another body, besides once as captured", least=0)
    captured_share: float = share(0.6, "how often what is drawn is a clip as it was captured")
    copied_share: float = share(0.15, "how often it is one that another body copies")


@dataclass(frozen=True)
class Bank:
    """Sequences end to end: joints_m (T, K, 3) at BANK_HZ; starts and lengths (S,) in frames; weight (S,) to draw by.

    captured (S,): sequences on the skeleton of a capture, of which there are few.
    """

    joints_m: Float32s
    starts: Ints
    lengths: Ints
    weight: Floats
    captured: Mask


@dataclass(frozen=True)
class Sequence3D:
    """A movement, joints_m (T, K, 3) at BANK_HZ, and the kind that it is drawn as: (source, action)."""

    joints_m: AnyFloats
    source: str
    action: str


def make_bank(config: BankConfig, rng: np.random.Generator, split: str = "train") -> Bank:
    """Draw bodies, pose procedural motion and clips on them, and keep the clips themselves too."""
    model = load_body(Path(config.body)) if config.body else builtin_body()
    rigs = [shape_body(model, rng).rig for _ in range(config.bodies)]
    sequences = [Sequence3D(joints, "made", "") for joints in _procedural(config, rng, rigs)]
    for clip in load_clips(config.mocap, split) if config.mocap else []:
        frames = at_rate(clip.joints_m, clip.fps, BANK_HZ)
        if len(frames) < MIN_FRAMES:
            continue
        sequences.append(Sequence3D(frames, "captured", action_of(clip.name)))
        for _ in range(config.clip_copies):
            posed = _on(rigs[int(rng.integers(len(rigs)))], from_clip(frames, BANK_HZ))
            sequences.append(Sequence3D(posed, "copied", action_of(clip.name)))
    made = 1 - config.captured_share - config.copied_share
    shares = {"captured": config.captured_share, "copied": config.copied_share, "made": made}
    return collect(sequences, shares)


def action_of(clip_name: str) -> str:
    """What a clip shows: its name before the slash."""
    return clip_name.partition("/")[0]


def collect(sequences: Sequence[Sequence3D], shares: dict[str, float] | None = None) -> Bank:
    """A bank of the given sequences.

    A source has its share of `shares`, where there are others (all alike without). Within a source an action weighs
    by the square root of its length, so that no action that was captured at length crowds out the others, and within
    an action a sequence by its length.
    """
    lengths = np.array([len(sequence.joints_m) for sequence in sequences], dtype=np.int64)
    groups: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, sequence in enumerate(sequences):
        groups[sequence.source][sequence.action].append(index)
    weight = lengths.astype(np.float64)
    for source, actions in groups.items():
        roots = {action: float(np.sqrt(lengths[chosen].sum())) for action, chosen in actions.items()}
        for action, chosen in actions.items():
            share = (shares or {}).get(source, 1.0) * roots[action] / sum(roots.values())
            weight[chosen] *= share / lengths[chosen].sum()
    joints = np.concatenate([np.asarray(sequence.joints_m, dtype=np.float32) for sequence in sequences])
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    captured = np.array([sequence.source == "captured" for sequence in sequences], dtype=bool)
    return Bank(joints, starts, lengths, weight / weight.sum(), captured)


def clip_bank(clips: Sequence[Clip]) -> Bank:
    """A bank of clips as they were captured, for validation."""
    frames = [(clip.name, at_rate(clip.joints_m, clip.fps, BANK_HZ)) for clip in clips]
    return collect([Sequence3D(joints, "captured", action_of(name)) for name, joints in frames if len(joints) >= 2])


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
