"""Gauss-Newton's normal equations of the terms, by joint in the form that `tree` solves.

The block of a joint holds its coordinates, frame by frame. W frames, K joints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.refinement.terms import (
    CHILDREN,
    PARENTS,
    Terms,
    bone_residuals,
    motion_residuals,
    reprojection_jacobian,
    reprojection_residuals,
)
from dualpose_ros.refinement.tree import TreeSystem


@dataclass(frozen=True)
class NormalEquations:
    """diagonal and above (K, 3 W, 3 W), as in `tree.TreeSystem`, and the right-hand side (K, 3 W), the negative
    gradient; with an axis before those for several people."""

    diagonal: Floats
    above: Floats
    right: Floats


def normal_equations(terms: Terms, joints: Floats) -> NormalEquations:
    """The equations for the change of joints (..., W, K, 3)."""
    *people, frames, count, _ = joints.shape
    size, stiff = 3 * frames, terms.bone_stddev**-2.0
    direction, excess = bone_residuals(joints, terms.lengths)
    shape, blocks = (*people, count, size, size), (*people, count, frames, 3, frames, 3)
    diagonal, above = np.zeros(shape), np.zeros(shape)
    jacobian = reprojection_jacobian(joints)
    _add_positions(terms, jacobian, diagonal.reshape(blocks))
    _add_bones(direction, stiff, diagonal.reshape(blocks), above.reshape(blocks))
    pulled = (stiff[..., None, :] * excess)[..., None] * direction
    return NormalEquations(diagonal, above, _negative_gradient(terms, joints, jacobian, pulled))


def system_of(equations: NormalEquations, person: int, damping: float = 0.0) -> TreeSystem:
    """One person's system; damping: a share of the diagonal added to it (Marquardt)."""
    diagonal = equations.diagonal[person]
    if damping > 0:
        at = np.arange(diagonal.shape[-1])
        diagonal = diagonal.copy()
        diagonal[:, at, at] *= 1 + damping
    return TreeSystem(PARENTS, diagonal, equations.above[person])


def _add_positions(terms: Terms, jacobian: Floats, blocks: Floats) -> None:
    """Prior, trajectory and reprojection of each joint's coordinates, to blocks (..., K, W, 3, W, 3)."""
    weighed = terms.motion[..., None, :, :] * np.sqrt(terms.motion_information)[..., None]
    same = terms.prior_information + np.swapaxes(weighed, -1, -2) @ weighed
    # Rows u (a of x, z) and v (a of y, z) of the jacobian, their zeros left out.
    across = np.ascontiguousarray(np.swapaxes(jacobian[..., 0, 0], -1, -2))
    along = np.swapaxes(jacobian[..., 2], -3, -2)
    scaled = terms.ray_information * across[..., None]
    lateral = scaled * across[..., None, :] + same
    blocks[..., 0, :, 0] = blocks[..., 1, :, 1] = lateral
    for axis in range(2):
        deep = scaled * along[..., None, :, axis]
        blocks[..., axis, :, 2] = deep
        blocks[..., 2, :, axis] = np.swapaxes(deep, -1, -2)
    both = np.sum(along[..., :, None, :] * along[..., None, :, :], axis=-1)
    blocks[..., 2, :, 2] = terms.ray_information * both + same


def _add_bones(direction: Floats, stiff: Floats, diagonal: Floats, above: Floats) -> None:
    """Bones' pull on both of their ends, to blocks (..., K, W, 3, W, 3): within a frame, along the bone."""
    at = np.arange(direction.shape[-3])
    outer = stiff[..., None, :, None, None] * direction[..., :, None] * direction[..., None, :]
    on_parents = CHILDREN @ outer.reshape(*outer.shape[:-2], 9)
    # NumPy puts the axis that `at` goes along first.
    diagonal[..., at, :, at, :] += np.moveaxis(outer + on_parents.reshape(outer.shape), -4, 0)
    above[..., at, :, at, :] = np.moveaxis(-outer, -4, 0)


def _negative_gradient(terms: Terms, joints: Floats, jacobian: Floats, pulled: Floats) -> Floats:
    """(..., K, 3 W), from the bones' pull (..., W, K, 3) on their child joints among others."""
    offset = np.swapaxes(terms.prior - joints, -3, -2)
    moved = terms.motion_information[..., None] * motion_residuals(terms, joints)
    descent = terms.prior_information @ offset - np.swapaxes(terms.motion, -1, -2)[..., None, :, :] @ moved
    reprojected = np.swapaxes(reprojection_residuals(joints, terms.rays), -3, -2)
    weighed = np.swapaxes(terms.ray_information @ reprojected, -3, -2)
    descent -= np.swapaxes(np.sum(weighed[..., None] * jacobian, axis=-2), -3, -2)
    descent += np.swapaxes(CHILDREN @ pulled - pulled, -3, -2)
    return descent.reshape(*descent.shape[:-2], -1)
