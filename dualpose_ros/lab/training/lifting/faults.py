"""What a 2D network makes of joints that it should find: errors, modelled and measured, and joints not found.

Needs torch. N sequences, M frames, K joints of `skeleton.H36M17`; rays (N, M, K, 2), scores (N, M, K) with
0 = not found, clock (N, M) in seconds, size (N, M) of the person on the image in rays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dualpose_ros.datasets.joint_errors import JointErrors
from dualpose_ros.lab.training.lifting.bodies import LEGS, MIRROR, K
from dualpose_ros.lab.training.lifting.dice import Dice
from dualpose_ros.settings import Settings, setting, share
from dualpose_ros.skeleton import H36M17

_NAMES = H36M17.joint_names
_LIMB = [4, 0, 0, 0, 1, 1, 1, 4, 4, 4, 4, 2, 2, 2, 3, 3, 3]
_SWAPS = ([1, 2, 3, 4, 5, 6], [11, 12, 13, 14, 15, 16], list(range(K)))
_SPELLS = 3
_HALVES = np.array(
    [
        LEGS,
        ~LEGS & (np.arange(K) != H36M17.root),
        [name.startswith("left_") for name in _NAMES],
        [name.startswith("right_") for name in _NAMES],
    ]
)
_BELOW_HIPS = np.array([name.endswith(("knee", "ankle")) for name in _NAMES])
_BELOW_KNEES = np.array([name.endswith("ankle") for name in _NAMES])
_CROWN = np.array([name == "head_top" for name in _NAMES])
_HEAD = np.array([name in ("neck", "head_top") for name in _NAMES])


@dataclass(frozen=True)
class FaultConfig(Settings):
    """What 2D networks get wrong."""

    noise: float = setting(
        0.018, "median error of modelled joints, as a share of the person's size on the image", least=0, below=1
    )
    cut_below: float = share(0.3, "share of people cut from below for as long as they are seen")
    cut_aside: float = share(0.08, "share of people cut by the picture's edge or a table, aside")
    seated: float = share(0.12, "share of people without legs in view")
    headless: float = share(0.15, "share of people without a crown, or a head, in view")
    guessed: float = share(0.35, "of those, share in whom the 2D network puts what is hidden somewhere, unsurely")


@dataclass(frozen=True)
class ErrorTensors:
    """`joint_errors.JointErrors` on a device; scores are 0 where a joint was not found or lies outside the image."""

    offsets: Tensor
    scores: Tensor

    @classmethod
    def of(cls, errors: JointErrors, device: torch.device) -> ErrorTensors:
        """The arrays as tensors there."""
        scores = np.where(errors.labelled, errors.scores, np.float32(0))
        return cls(torch.from_numpy(errors.offsets).to(device), torch.from_numpy(scores).to(device))


def visible_size(rays: Tensor, scores: Tensor) -> Tensor:
    """The longer side (N, M) of the joints that are there to be found, in rays: what errors are in proportion to."""
    seen = (scores > 0)[..., None]
    high = torch.where(seen, rays, -torch.inf).amax(dim=2)
    low = torch.where(seen, rays, torch.inf).amin(dim=2)
    return torch.where(seen.any(dim=2), high - low, 0.0).amax(dim=-1)


def hidden_for_good(scores: Tensor, rays: Tensor, config: FaultConfig, dice: Dice) -> Tensor:
    """Scores without what the picture's edge or a table hides all the time; below 0 where it is guessed even so."""
    n = len(scores)
    top, bottom = rays[..., 1].amin(dim=2), rays[..., 1].amax(dim=2)
    cut = torch.where(dice.happens((n, 1), config.cut_below), dice.uniform((n, 1), 0.2, 0.95), 2.0)
    hidden = rays[..., 1] > (top + (bottom - top) * cut)[..., None]
    left, right = rays[..., 0].amin(dim=2), rays[..., 0].amax(dim=2)
    side = torch.where(dice.happens((n, 1), config.cut_aside), dice.uniform((n, 1), 0.3, 0.9), 2.0)
    hidden |= rays[..., 0] > (left + (right - left) * side)[..., None]
    for rate, more, less in ((config.seated, _BELOW_HIPS, _BELOW_KNEES), (config.headless, _HEAD, _CROWN)):
        chosen, deep = dice.happens((n, 1, 1), rate), dice.happens((n, 1, 1), 0.5)
        joints = torch.where(deep, torch.from_numpy(more).to(rays.device), torch.from_numpy(less).to(rays.device))
        hidden = hidden | (chosen & joints)
    guessed = dice.happens((n, 1, 1), config.guessed)
    return torch.where(hidden, torch.where(guessed & (scores > 0), -1.0, 0.0), scores)


def modelled_errors(
    rays: Tensor, scores: Tensor, size: Tensor, clock: Tensor, config: FaultConfig, dice: Dice, whole: Tensor
) -> tuple[Tensor, Tensor]:
    """2D joints as a network finds them: lasting errors, jitter, hidden limbs, swapped sides, telling scores.

    whole (N, 1, 1): people of whom nothing is hidden or swapped.
    """
    n, m, _ = scores.shape
    level = config.noise * torch.exp(dice.normal((n, 1), 0.0, 0.6)) * dice.happens((n, 1), 0.9)
    joint_level = level * torch.exp(dice.normal((n, K), 0.0, 0.35))
    hidden = spells(dice, clock, K, 0.12, 0.6) | spells(dice, clock, 5, 0.08, 1.0)[..., _LIMB]
    blur = joint_level[:, None] * torch.where(hidden & ~whole, dice.uniform((n, 1, K), 2.5, 6.0), 1.0)
    blur = torch.where(scores < 0, dice.uniform((n, 1, K), 0.05, 0.25), blur)
    fast = 2 * torch.pi * dice.uniform((n, 1, K, 2), 0.5, 4.0)
    swing = torch.sin(fast * clock[:, :, None, None] + dice.uniform((n, 1, K, 2), 0.0, 2 * torch.pi))
    error = 0.5 * dice.normal((n, 1, K, 2)) + 0.7 * swing + 0.5 * dice.normal((n, m, K, 2))
    out = rays + error * (blur * size[..., None])[..., None]
    for joints in _SWAPS:
        swapped = spells(dice, clock, 1, 0.03, 0.15) & ~whole
        others = [MIRROR[joint] for joint in joints]
        out[:, :, joints] = torch.where(swapped[..., None], out[:, :, others], out[:, :, joints])
    quality = torch.exp(-12 * blur) * dice.uniform((n, 1, 1), 0.75, 1.0) + 0.05 * dice.normal((n, m, K))
    quality = torch.where(scores < 0, dice.uniform((n, m, K), 0.05, 0.35), quality.clamp(0.08, 1.0))
    return out, torch.where(scores != 0, quality, 0.0)


def real_errors(
    rays: Tensor, scores: Tensor, size: Tensor, clock: Tensor, errors: ErrorTensors, dice: Dice
) -> tuple[Tensor, Tensor]:
    """2D joints with errors of whole poses that a network made, and its scores; as `joint_errors.with_measured`.

    An error lasts for a random spell, as it does in video, with a little jitter on top; half of the
    people get their errors mirrored.
    """
    n, m, _ = scores.shape
    rate = dice.log_uniform((n, 1), 0.7, 8.0)
    gap = torch.diff(clock, dim=1, prepend=clock[:, :1]).clamp(min=0)
    change = dice.uniform((n, m)) < 1 - torch.exp(-gap * rate)
    rows = torch.arange(n, device=rays.device)[:, None]
    which = dice.below((n, m + 1), len(errors.offsets))[rows, torch.cumsum(change, dim=1)]
    offset, score = errors.offsets[which], errors.scores[which]
    mirrored = dice.happens((n, 1, 1), 0.5)
    flipped = offset[:, :, MIRROR] * offset.new_tensor([-1.0, 1.0])
    offset = torch.where(mirrored[..., None], flipped, offset)
    score = torch.where(mirrored, score[:, :, MIRROR], score)
    # What is guessed lies far off, and its score says so.
    far = dice.uniform((n, 1, K, 1), 0.05, 0.25) * dice.normal((n, m, K, 2))
    guess = scores < 0
    offset = torch.where(guess[..., None], far, offset) + 0.004 * dice.normal((n, m, K, 2))
    score = torch.where(guess, dice.uniform((n, m, K), 0.05, 0.35), score)
    return rays + offset * size[..., None, None], torch.where(scores != 0, score, 0.0)


def spells(dice: Dice, clock: Tensor, items: int, chance: float, long_s: float) -> Tensor:
    """Spells (N, M, J) of up to twice long_s that befall each of the items, with a chance every second."""
    n = len(clock)
    first = clock.amin(dim=1)[:, None, None]
    span = clock.amax(dim=1)[:, None, None] - first
    befallen = torch.zeros((n, clock.shape[1], items), dtype=torch.bool, device=clock.device)
    for _ in range(_SPELLS):
        start = first - long_s + (span + long_s) * dice.uniform((n, 1, items))
        since = clock[:, :, None] - start
        happens = dice.uniform((n, 1, items)) < chance * (span + long_s) / _SPELLS
        befallen |= (since >= 0) & (since < long_s * dice.uniform((n, 1, items), 0.2, 2.0)) & happens
    return befallen


def stolen(rays: Tensor, scores: Tensor, size: Tensor, clock: Tensor, dice: Dice) -> tuple[Tensor, Tensor]:
    """Limbs taken for those of somebody beside, now and then for a spell: rays and scores."""
    n = len(rays)
    taken = spells(dice, clock, 5, 0.03, 0.4)[..., _LIMB] & dice.happens((n, 1, K), 0.8)
    other = rays.roll(1, dims=0)
    own = size.clamp(min=1e-6)[:, :, None, None]
    middle, other_middle = rays.mean(dim=2, keepdim=True), other.mean(dim=2, keepdim=True)
    aside = torch.stack([dice.sign((n,)) * dice.uniform((n,), 0.1, 0.6), dice.normal((n,), 0.0, 0.1)], dim=1)
    shape = (other - other_middle) / size.roll(1, dims=0).clamp(min=1e-6)[:, :, None, None]
    theirs = middle + own * (shape.clamp(-2, 2) + aside[:, None, None])
    score = torch.where(taken & (scores > 0), dice.uniform((n, 1, K), 0.15, 0.8), scores)
    return torch.where(taken[..., None], theirs, rays), score


def lost(scores: Tensor, clock: Tensor, dice: Dice) -> Tensor:
    """Scores (N, M, K) without joints, limbs and halves not found for a spell, and whole frames."""
    n, m, _ = scores.shape
    gone = spells(dice, clock, K, 0.06, 0.3) | dice.happens(tuple(scores.shape), 0.02)
    gone |= spells(dice, clock, 5, 0.06, 0.5)[..., _LIMB]
    halves = spells(dice, clock, 4, 0.03, 0.6)
    for half, joints in enumerate(_HALVES):
        gone |= halves[..., half : half + 1] & torch.from_numpy(joints).to(scores.device)
    share = torch.where(dice.happens((n, 1, 1), 0.25), dice.uniform((n, 1, 1), 0.0, 0.6), 0.0)
    gone |= spells(dice, clock, K, 1.0, 1.0) & (dice.uniform((n, 1, K)) < share)
    frames = spells(dice, clock, 1, 0.15, 0.4)[..., 0] | dice.happens((n, m), 0.03)
    return torch.where(gone | frames[..., None], 0.0, scores)
