"""Passages of movement on bodies of many sizes: what lifting is trained on, before any camera. Needs torch.

N sequences, M frames, K joints of `skeleton.H36M17`; world y up, metres, seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dualpose_ros.lab.training.lifting.bank import BANK_HZ, BONES_OF_STATURE, SHARE_OF_STATURE, Bank
from dualpose_ros.lab.training.lifting.dice import Dice
from dualpose_ros.settings import Settings, setting, share
from dualpose_ros.skeleton import H36M17, K

MIRROR = list(H36M17.mirror)
PARENTS = [max(parent, 0) for parent in H36M17.parents]
LEGS = np.array([name.endswith(("hip", "knee", "ankle")) for name in H36M17.joint_names])
_FLIP_X = (-1.0, 1.0, 1.0)


@dataclass(frozen=True)
class BodyConfig(Settings):
    """Whose movements are drawn, and at which frame rates."""

    vary_bones: float = setting(0.06, "deviation of bone lengths within a body, as a share", least=0, below=1)
    stature_m: tuple[float, float] = setting((1.70, 0.095), "mean and deviation of adults' stature", unit="m", above=0)
    adult_m: tuple[float, float] = setting((1.45, 2.05), "limits of adults' stature", unit="m", above=0)
    child_m: tuple[float, float] = setting((0.95, 1.5), "limits of children's stature", unit="m", above=0)
    evenly: float = share(0.2, "share of adults of any stature alike")
    children: float = share(0.03, "share of children")
    mixed: float = share(0.2, "share of people whose upper body moves by another sequence than their legs")
    bent: float = share(0.4, "share of people whose limbs all point a little elsewhere for as long as they are seen")
    fps: tuple[float, float] = setting((8.0, 40.0), "range of frame rates", unit="frames/s", above=0)
    as_captured: bool = setting(False, "everybody as they were captured, for validation")


@dataclass(frozen=True)
class MotionTensors:
    """A `bank.Bank` on a device."""

    joints: Tensor
    starts: Tensor
    lengths: Tensor
    weight: Tensor
    captured: Tensor

    @classmethod
    def of(cls, bank: Bank, device: torch.device) -> MotionTensors:
        """The bank's arrays as tensors there."""
        parts = (bank.joints_m, bank.starts, bank.lengths, bank.weight, bank.captured)
        return cls(*(torch.from_numpy(np.asarray(part)).to(device) for part in parts))


def draw_motion(bank: MotionTensors, config: BodyConfig, dice: Dice, count: int, frames: int) -> tuple[Tensor, Tensor]:
    """Frame times (N, M), ending in 0, and joints (N, M, K, 3) of people of random proportions."""
    which = dice.choose(bank.weight, count)
    period = 1 / dice.log_uniform((count, 1), *config.fps)
    steady = -torch.arange(frames - 1, -1, -1, device=dice.device) * period
    jitter = dice.uniform((count, frames), -0.15, 0.15) * period * dice.happens((count, 1), 0.5)
    jitter[:, -1] = 0
    times = steady + jitter
    pace = dice.uniform((count, 1), 0.85, 1.2)
    joints, started = _passage(bank, which, times * pace, dice)
    # Before its first frame a sequence stands still: the person was not there yet.
    times = torch.where(started, times, -math.inf)
    if config.as_captured:
        return times, joints
    if config.mixed > 0:
        other = dice.choose(bank.weight, count)
        upper, _ = _passage(bank, other, torch.where(started, times, 0.0) * pace, dice)
        mixed = dice.happens((count, 1, 1, 1), config.mixed)
        joints = torch.where(mixed, recombined(joints, upper), joints)
    if config.bent > 0:
        joints = torch.where(dice.happens((count, 1, 1, 1), config.bent), bent(joints, dice), joints)
    flipped = joints[:, :, MIRROR] * joints.new_tensor(_FLIP_X)
    joints = torch.where(dice.happens((count, 1, 1, 1), 0.5), flipped, joints)
    return times, with_bone_lengths(joints, body_scales(joints[:, -1], bank.captured[which], config, dice))


def _passage(bank: MotionTensors, which: Tensor, times: Tensor, dice: Dice) -> tuple[Tensor, Tensor]:
    """Joints (N, M, K, 3) of sequences (N,) around random moments, at times (N, M) from there, and whether there
    are any so early (N, M); the first ones otherwise."""
    last = (bank.lengths[which] - 1)[:, None]
    wanted = dice.uniform((len(which), 1)) * last + times * BANK_HZ
    at = torch.minimum(wanted.clamp(min=0), last.float())
    low = torch.minimum(at.long(), (last - 1).clamp(min=0))
    high = torch.minimum(low + 1, last)
    u = (at - low)[..., None, None]
    first = bank.starts[which][:, None]
    return bank.joints[first + low] * (1 - u) + bank.joints[first + high] * u, wanted >= -0.5


def recombined(joints: Tensor, upper: Tensor) -> Tensor:
    """Joints (N, M, K, 3) with everything above the pelvis from `upper`, turned to face the way that the hips do."""
    turned = turned_about_y(upper - upper[:, :, :1], _heading(joints) - _heading(upper)) + joints[:, :, :1]
    legs = torch.from_numpy(LEGS).to(joints.device)
    return torch.where(legs[:, None], joints, turned)


def _heading(joints: Tensor) -> Tensor:
    """The angle (N, M) of the line through the hips about the vertical."""
    across = joints[:, :, H36M17.index("left_hip")] - joints[:, :, H36M17.index("right_hip")]
    return torch.atan2(across[..., 0], across[..., 2])


def turned_about_y(points: Tensor, angle: Tensor) -> Tensor:
    """Points (N, M, J, 3) turned about the vertical by angles (N, M)."""
    c, s = torch.cos(angle)[..., None], torch.sin(angle)[..., None]
    x, y, z = points.unbind(-1)
    return torch.stack([c * x + s * z, y, c * z - s * x], dim=-1)


def by_part(values: Mapping[str, float]) -> list[float]:
    """The value of each joint's part, such as that of "knee" for both knees; 0 where there is none."""
    return [next((value for part, value in values.items() if name.endswith(part)), 0.0) for name in H36M17.joint_names]


_BENDS = np.radians(by_part({"thorax": 4, "neck": 8, "elbow": 18, "wrist": 15, "knee": 10, "ankle": 8}))


def bent(joints: Tensor, dice: Dice) -> Tensor:
    """Joints (N, M, K, 3) whose bones are turned by small angles that stay with the body, and what hangs on them."""
    count, frames = joints.shape[:2]
    turns = dice.normal((count, 1, K, 3)) * torch.from_numpy(_BENDS).to(joints)[:, None]
    heading = _heading(joints)
    rotations = _rotations(turned_about_y(turns.expand(-1, frames, -1, -1), heading))
    out, carried = [joints[:, :, 0]], [rotations[:, :, 0]]
    for joint in range(1, K):
        parent = PARENTS[joint]
        turn = carried[parent] @ rotations[:, :, joint]
        bone = joints[:, :, joint] - joints[:, :, parent]
        out.append(out[parent] + (turn @ bone[..., None])[..., 0])
        carried.append(turn)
    return torch.stack(out, dim=2)


def _rotations(vectors: Tensor) -> Tensor:
    """Matrices (..., 3, 3) of rotation vectors (..., 3), Rodrigues."""
    angle = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True).clamp(min=1e-8)
    x, y, z = (vectors / angle).unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    angle = angle[..., None]
    return torch.eye(3, device=vectors.device) + torch.sin(angle) * skew + (1 - torch.cos(angle)) * (skew @ skew)


_HEAD = [H36M17.index("neck"), H36M17.index("head_top")]
_LIMBS = [i for i, n in enumerate(H36M17.joint_names) if n.endswith(("knee", "ankle", "elbow", "wrist"))]


def body_scales(joints: Tensor, captured: Tensor, config: BodyConfig, dice: Dice) -> Tensor:
    """How much longer each bone (N, K) becomes of people who stand so (N, K, 3).

    Captured people take any stature; bodies that were made have one, and keep it within a few per cent.
    """
    count = len(joints)
    scale = dice.normal((count, K), 1.0, config.vary_bones).clamp(0.82, 1.2)
    scale = 0.85 * 0.5 * (scale + scale[:, MIRROR]) + 0.15 * scale
    child = dice.happens((count, 1), config.children) & captured[:, None]
    wanted = dice.normal((count, 1), *config.stature_m).clamp(*config.adult_m)
    wanted = torch.where(dice.happens((count, 1), config.evenly), dice.uniform((count, 1), *config.adult_m), wanted)
    age = dice.uniform((count, 1))
    wanted = torch.where(child, config.child_m[0] + (config.child_m[1] - config.child_m[0]) * age, wanted)
    # Proportions of children as of `lab.synthetic.body.body.shape_body`.
    young = torch.ones_like(scale)
    young[:, _HEAD], young[:, _LIMBS] = 1.45 - 0.35 * age, 0.85 + 0.12 * age
    scale = torch.where(child, scale * young, scale)
    bones = torch.linalg.vector_norm(joints - joints[:, PARENTS], dim=-1) * scale
    stature = bones[:, BONES_OF_STATURE].sum(dim=1, keepdim=True) / SHARE_OF_STATURE
    size = torch.where(captured[:, None], wanted / stature.clamp(min=0.1), dice.normal((count, 1), 1.0, 0.03))
    return scale * size


def with_bone_lengths(joints: Tensor, scale: Tensor) -> Tensor:
    """Joints (N, M, K, 3) with bone k of person n scaled by scale[n, k] (N, K), directions kept; root in place."""
    out = [joints[:, :, 0]]
    for joint in range(1, K):
        bone = joints[:, :, joint] - joints[:, :, PARENTS[joint]]
        out.append(out[PARENTS[joint]] + bone * scale[:, None, joint, None])
    return torch.stack(out, dim=2)
