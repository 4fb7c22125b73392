"""Elimination of a sparse system whose blocks hang together as a tree.

The blocks are the skeleton's joints, each with its variables of all frames of a window; a block touches its parent's
and nothing else. Eliminated from the leaves to the root, nothing fills in: 17 joints of 16 frames take 6 million
multiplications, a band of frames over five past ones about 80 million. N blocks of n variables.

Nothing here, or before it, is left to what BLAS would do by several threads: at these sizes they wait for each other a
thousand times longer than they work.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri

from dualpose_ros.arrays import Floats, Indices

_ONE_THREAD = 200_000
"""Multiplications of a product up to which OpenBLAS takes one thread."""


class NotPositiveError(ValueError):
    """A matrix that is not positive definite."""


@dataclass(frozen=True)
class TreeSystem:
    """A symmetric matrix by its blocks.

    parents (N,): -1 for the root, and no block before its parent. diagonal (N, n, n); above (N, n, n): the rows of each
    block in the columns of its parent, unused for the root.
    """

    parents: tuple[int, ...]
    diagonal: Floats
    above: Floats


@dataclass(frozen=True)
class TreeFactor:
    """inverse (N, n, n) of each block after its children's elimination, gain (N, n, n): that times `above`."""

    parents: tuple[int, ...]
    inverse: Floats
    gain: Floats


def factorise(system: TreeSystem) -> TreeFactor:
    """The factor of a positive definite system; NotPositiveError if it is none, or not finite."""
    diagonal = system.diagonal.copy()
    inverse, gain = np.empty_like(diagonal), np.zeros_like(diagonal)
    for i in range(len(diagonal) - 1, -1, -1):
        inverse[i] = _inverse(diagonal[i])
        if system.parents[i] >= 0:
            gain[i] = _product(inverse[i], system.above[i])
            diagonal[system.parents[i]] -= _product(system.above[i].T, gain[i])
    return TreeFactor(system.parents, inverse, gain)


def _inverse(block: Floats) -> Floats:
    """The inverse (n, n) of a positive definite matrix, by its Cholesky factor; NotPositiveError if it is none."""
    factor, failed = dpotrf(block.T)
    if failed:
        raise NotPositiveError("the system is not positive definite")
    upper, _ = dpotri(factor, overwrite_c=True)
    if not np.isfinite(upper).all():
        raise NotPositiveError("the system is not finite")
    whole = upper + upper.T
    whole.reshape(-1)[:: len(whole) + 1] /= 2
    return np.asarray(whole)


def _product(a: Floats, b: Floats) -> Floats:
    """Product of two matrices, by as many rows at a time as are taken by one thread."""
    rows = max(_ONE_THREAD // b.size, 1)
    if rows >= len(a):
        return np.asarray(a @ b)
    return np.concatenate([a[at : at + rows] @ b for at in range(0, len(a), rows)])


def solve(factor: TreeFactor, right: Floats) -> Floats:
    """Solution (N, n) for a right-hand side (N, n)."""
    values, out = np.array(right), np.empty_like(right)
    for i in range(len(values) - 1, 0, -1):
        values[factor.parents[i]] -= factor.gain[i].T @ values[i]
    for i, parent in enumerate(factor.parents):
        out[i] = factor.inverse[i] @ values[i]
        if parent >= 0:
            out[i] -= factor.gain[i] @ out[parent]
    return out


def variances(factor: TreeFactor, columns: Indices) -> Floats:
    """Covariances (N, c, c) of the variables `columns` (N, c) of each block: parts of the inverse.

    A block's is its own after elimination, and that of its parent passed on.
    """
    out = np.empty((len(columns), columns.shape[1], columns.shape[1]))
    whole: dict[int, Floats] = {}
    inner = set(factor.parents)
    for i, parent in enumerate(factor.parents):
        own = columns[i]
        if i in inner:
            whole[i] = factor.inverse[i]
            if parent >= 0:
                passed = _product(factor.gain[i], whole[parent])
                whole[i] = whole[i] + _product(passed, factor.gain[i].T)
            out[i] = whole[i][own[:, None], own]
        else:
            gain = factor.gain[i][own]
            out[i] = factor.inverse[i][own[:, None], own]
            if parent >= 0:
                out[i] += gain @ whole[parent] @ gain.T
    return out
