"""Elimination of a sparse system whose blocks hang together as a tree.

The blocks are the skeleton's joints, each with its variables of all frames of a window; a block touches its parent's
and nothing else. Eliminated from the leaves to the root, nothing fills in: 17 joints of 16 frames take 6 million
multiplications, a band of frames over five past ones about 80 million. N blocks of n variables.

Nothing here, or before it, is left to what BLAS would do by several threads: at these sizes they wait for each other a
thousand times longer than they work.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dualpose_ros.arrays import Floats, Indices

_ONE_THREAD = 200_000
"""Multiplications of a product up to which OpenBLAS takes one thread."""

_SMALLEST_HALF = 20
"""Rows of matrices that are not worth halving."""


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
    for level in reversed(_levels(system.parents)):
        blocks = diagonal[list(level)]
        try:
            np.linalg.cholesky(blocks)
            inverses = _inverses(blocks)
        except np.linalg.LinAlgError as error:
            raise NotPositiveError("the system is not positive definite") from error
        if not np.isfinite(inverses).all():
            raise NotPositiveError("the system is not finite")
        for i, own in zip(level, inverses, strict=True):
            inverse[i] = own
            if system.parents[i] >= 0:
                gain[i] = _product(own, system.above[i])
                diagonal[system.parents[i]] -= _product(system.above[i].T, gain[i])
    return TreeFactor(system.parents, inverse, gain)


@lru_cache
def _levels(parents: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Blocks by how far they are from the root."""
    depth: list[int] = []
    for parent in parents:
        depth.append(depth[parent] + 1 if parent >= 0 else 0)
    return tuple(tuple(i for i, d in enumerate(depth) if d == level) for level in range(max(depth) + 1))


def _inverses(blocks: Floats) -> Floats:
    """Inverses (m, n, n) of symmetric positive definite matrices, by halves: in half the time of LAPACK's."""
    half = blocks.shape[-1] // 2
    if half < _SMALLEST_HALF:
        return np.asarray(np.linalg.inv(blocks))
    first, between, second = blocks[:, :half, :half], blocks[:, :half, half:], blocks[:, half:, half:]
    inverse = _inverses(first)
    gain = inverse @ between
    rest = _inverses(second - np.swapaxes(between, 1, 2) @ gain)
    passed = gain @ rest
    out = np.empty_like(blocks)
    out[:, :half, :half] = inverse + passed @ np.swapaxes(gain, 1, 2)
    out[:, :half, half:], out[:, half:, :half] = -passed, -np.swapaxes(passed, 1, 2)
    out[:, half:, half:] = rest
    return out


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

    Each is a sum over the block and those above it, as elimination passes its unit vectors on to its parent.
    """
    count, size = factor.inverse.shape[:2]
    out = np.zeros((count, columns.shape[1], columns.shape[1]))
    passed: list[list[tuple[list[int], Floats]]] = [[] for _ in range(count)]
    for i in range(count - 1, -1, -1):
        blocks = [i, *(block for some, _ in passed[i] for block in some)]
        vectors = np.concatenate([np.eye(size)[:, columns[i]], *(those for _, those in passed[i])], axis=1)
        shape = (size, len(blocks), columns.shape[1])
        weighed = _product(factor.inverse[i], vectors).reshape(shape)
        out[blocks] += np.einsum("nba,nbc->bac", vectors.reshape(shape), weighed)
        if factor.parents[i] >= 0:
            passed[factor.parents[i]].append((blocks, _product(factor.gain[i].T, vectors)))
    return out
