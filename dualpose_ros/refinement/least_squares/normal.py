"""A Gauss-Newton step of the terms in the form that `tree` solves: joints by themselves, and what bones say of them.

P people, W frames, K joints, three axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import Floats, Indices
from dualpose_ros.refinement.least_squares.noise import inverses
from dualpose_ros.refinement.least_squares.terms import (
    PARENTS,
    Terms,
    bone_residuals,
    motion_residuals,
    reprojection_jacobian,
    reprojection_residuals,
)
from dualpose_ros.refinement.least_squares.tree import TreeSystem

_UP = np.maximum(PARENTS, 0)


def step_system(terms: Terms, joints: Floats) -> TreeSystem:
    """The system for the change of people's joints (P, W, K, 3)."""
    jacobian = reprojection_jacobian(joints)
    alone = _alone(terms, jacobian)
    direction, excess = bone_residuals(joints, terms.lengths)
    direction = np.ascontiguousarray(np.moveaxis(direction, 1, -1))
    return TreeSystem(
        PARENTS,
        alone.times(_descent(terms, joints, jacobian)[..., None])[..., 0],
        alone.within,
        direction,
        np.swapaxes(excess, -1, -2),
        terms.bone_stddev**2,
        alone.along(direction),
        alone[_UP].along(direction),
    )


@dataclass(frozen=True)
class _Alone:
    """Covariance of joints by themselves: their information has one block for x and y, by which these are eliminated
    before z. sides (P, K, 1, W, W): its inverse; pulled (P, K, 2, W, W): that times the blocks of x and y with z; depth
    (P, K, 1, W, W): covariance of z."""

    sides: Floats
    pulled: Floats
    depth: Floats

    def __getitem__(self, joints: Indices) -> _Alone:
        return _Alone(self.sides[:, joints], self.pulled[:, joints], self.depth[:, joints])

    def times(self, right: Floats) -> Floats:
        """The covariance times (P, K, 3, W, m)."""
        pulled = np.swapaxes(self.pulled, -1, -2) @ right[..., :2, :, :]
        deep = self.depth @ (right[..., 2:, :, :] - pulled.sum(axis=-3, keepdims=True))
        return np.concatenate([self.sides @ right[..., :2, :, :] - self.pulled @ deep, deep], axis=-3)

    def along(self, direction: Floats) -> Floats:
        """The covariance times directions of each frame by themselves (P, K, 3, W): (P, K, 3, W, W)."""
        direction = direction[..., None, :]
        pulled = np.swapaxes(self.pulled, -1, -2) * direction[..., :2, :, :]
        deep = -pulled.sum(axis=-3, keepdims=True)
        at = np.arange(deep.shape[-1])
        deep[..., 0, at, at] += direction[..., 2, 0, :]
        deep = self.depth @ deep
        return np.concatenate([self.sides * direction[..., :2, :, :] - self.pulled @ deep, deep], axis=-3)

    def within(self, frame: int) -> Floats:
        """The part (P, K, 3, 3) of a frame's coordinates with each other."""
        pulled = self.pulled[..., frame, :]
        passed = (pulled[..., None, :] @ self.depth)[..., 0, :]
        blocks = np.empty((*pulled.shape[:-2], 3, 3))
        blocks[..., :2, :2] = passed @ np.swapaxes(pulled, -1, -2)
        for axis in range(2):
            blocks[..., axis, axis] += self.sides[..., 0, frame, frame]
        blocks[..., :2, 2] = blocks[..., 2, :2] = -passed[..., frame]
        blocks[..., 2, 2] = self.depth[..., 0, frame, frame]
        return blocks


def _alone(terms: Terms, jacobian: Floats) -> _Alone:
    """By prior, trajectory and reprojection."""
    weighed = terms.motion[..., None, :, :] * np.sqrt(terms.motion_information)[..., None]
    same = terms.prior_information + np.swapaxes(weighed, -1, -2) @ weighed
    # Rows u (a of x, z) and v (a of y, z) of the jacobian, their zeros left out.
    across = np.ascontiguousarray(np.swapaxes(jacobian[..., 0, 0], -1, -2))
    along = np.ascontiguousarray(np.moveaxis(jacobian[..., 2], -3, -1))
    scaled = terms.ray_information * across[..., None]
    sides = inverses(scaled * across[..., None, :] + same)[..., None, :, :]
    deep = scaled[..., None, :, :] * along[..., None, :]
    pulled = sides @ deep
    information = terms.ray_information * (np.swapaxes(along, -1, -2) @ along) + same
    information -= np.sum(np.swapaxes(deep, -1, -2) @ pulled, axis=-3)
    return _Alone(sides, pulled, inverses(information)[..., None, :, :])


def _descent(terms: Terms, joints: Floats, jacobian: Floats) -> Floats:
    """The negative gradient (P, K, 3, W) of prior, trajectory and reprojection."""
    offset = np.swapaxes(terms.prior - joints, -3, -2)
    moved = terms.motion_information[..., None] * motion_residuals(terms, joints)
    descent = terms.prior_information @ offset - np.swapaxes(terms.motion, -1, -2)[..., None, :, :] @ moved
    reprojected = np.swapaxes(reprojection_residuals(joints, terms.rays), -3, -2)
    weighed = np.swapaxes(terms.ray_information @ reprojected, -3, -2)
    descent -= np.swapaxes(np.sum(weighed[..., None] * jacobian, axis=-2), -3, -2)
    return np.ascontiguousarray(np.swapaxes(descent, -1, -2))
