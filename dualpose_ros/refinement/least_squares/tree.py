"""Estimates that hang together as a tree: what the edges say, from the leaves to the root and back.

Each node has an estimate of its own, each edge says with some slack how a child and its parent differ in one direction
in each frame. The nodes are the skeleton's joints, with their coordinates in all frames of a window; the edges are
bones. What is solved for is how much each edge pulls, W numbers an edge where a node has A W of them: nothing fills in,
and all nodes of one height in the trees of all people are worked out at once.

P people, N nodes of A axes in W frames, edges named by their child; a root's own are zero.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dualpose_ros.arrays import Floats, Indices
from dualpose_ros.refinement.least_squares.noise import inverses


@dataclass(frozen=True)
class TreeSystem:
    """What is to be brought together.

    parents (N,): -1 for the root. mean (P, N, A, W) of nodes by themselves, and their covariance (P, N, A, A) within a
    frame. An edge says that along direction (P, N, A, W) the child less its parent is -excess (P, N, W), with
    the variance slack (P, N). toward, behind (P, N, A, W, W): the covariances of the child, and of its parent, by
    themselves, times the direction.
    """

    parents: tuple[int, ...]
    mean: Floats
    covariance: Callable[[int], Floats]
    direction: Floats
    excess: Floats
    slack: Floats
    toward: Floats
    behind: Floats


@dataclass(frozen=True)
class _Passed:
    """What goes up from nodes (J,) with children (J, c): inverse (P, J, c W, c W) of what their pulls may be, heard
    (P, J, c W, 1) of where these are, gain (P, J, c W, W) of their pulls by the node's own."""

    nodes: Indices
    children: Indices
    inverse: Floats
    heard: Floats
    gain: Floats


@dataclass(frozen=True)
class TreeSolution:
    """mean (P, N, A, W) of all together; what went up, for deviations."""

    system: TreeSystem
    mean: Floats
    passed: tuple[_Passed, ...]

    def variances(self, frame: int) -> Floats:
        """Covariances (P, N, A, A) of the nodes in a frame."""
        system = self.system
        out = system.covariance(frame)
        # How uncertain the pulls of edges are: taken from what the nodes are by themselves.
        pulls = np.zeros((*system.slack.shape, *system.toward.shape[-1:] * 2))
        own = np.swapaxes(system.toward[..., frame, :], -1, -2).copy()
        across = np.swapaxes(system.behind[..., frame, :], -1, -2)
        for p in reversed(self.passed):
            below = across[:, p.children].reshape(*p.inverse.shape[:-1], -1)
            own[:, p.nodes] -= _transposed(p.gain) @ below
            out[:, p.nodes] -= _transposed(below) @ p.inverse @ below
            together = p.inverse + p.gain @ pulls[:, p.nodes] @ _transposed(p.gain)
            pulls[:, p.children] = _diagonal_blocks(together, p.children.shape[1])
        return np.asarray(out - _transposed(own) @ pulls @ own)


def solve(system: TreeSystem) -> TreeSolution:
    """All estimates together; what is not finite of one person makes that person's answers NaN."""
    heard = _along(system.direction, system.mean[..., None])
    heard[..., 0] += system.excess
    seen = _along(system.direction, system.toward)
    at = np.arange(seen.shape[-1])
    seen[..., at, at] += system.slack[..., None]
    passed = []
    for nodes, children in _groups(system.parents):
        (people, frames), (count, each) = (len(seen), len(at)), children.shape
        wide = each * frames
        # All children of a node at once: their frames one behind the other.
        below = system.direction[:, children]
        among = _along(below[:, :, :, None], system.behind[:, children][:, :, None])
        block = np.arange(each)
        among[:, :, block, block] += seen[:, children]
        inverse = inverses(np.moveaxis(among, 3, 4).reshape(people, count, wide, wide))
        between = _along(below, system.toward[:, nodes][:, :, None]).reshape(people, count, wide, frames)
        surprise = heard[:, children] - _along(below, system.mean[:, nodes][:, :, None, ..., None])
        surprise = surprise.reshape(people, count, wide, 1)
        gain = inverse @ between
        seen[:, nodes] -= _transposed(between) @ gain
        heard[:, nodes] += _transposed(gain) @ surprise
        passed.append(_Passed(nodes, children, inverse, surprise, gain))
    pull = np.zeros_like(heard)
    for p in reversed(passed):
        pulls = p.inverse @ p.heard + p.gain @ pull[:, p.nodes]
        pull[:, p.children] = pulls.reshape(*pull[:, p.children].shape)
    mean = system.mean - (system.toward @ pull[..., None, :, :])[..., 0]
    back = (system.behind @ pull[..., None, :, :])[..., 0]
    for p in passed:
        mean[:, p.nodes] += back[:, p.children].sum(axis=2)
    return TreeSolution(system, mean, tuple(passed))


def _along(direction: Floats, values: Floats) -> Floats:
    """Values (..., A, W, m) along directions (..., A, W): (..., W, m)."""
    return np.asarray(np.sum(direction[..., None] * values, axis=-3))


def _transposed(matrices: Floats) -> Floats:
    return np.swapaxes(matrices, -1, -2)


def _diagonal_blocks(matrices: Floats, count: int) -> Floats:
    """The blocks (..., c, n, n) on the diagonal of matrices (..., c n, c n)."""
    size = matrices.shape[-1] // count
    blocks = matrices.reshape(*matrices.shape[:-2], count, size, count, size)
    return np.stack([blocks[..., i, :, i, :] for i in range(count)], axis=-3)


@lru_cache(maxsize=8)
def _groups(parents: tuple[int, ...]) -> tuple[tuple[Indices, Indices], ...]:
    """Nodes (J,) of one height and one number of children, which they have, and these (J, c), from the leaves on."""
    children = [[i for i, parent in enumerate(parents) if parent == node] for node in range(len(parents))]
    heights = [0] * len(parents)
    for node in range(len(parents) - 1, -1, -1):
        heights[node] = max((heights[child] + 1 for child in children[node]), default=0)
    inner = [node for node in range(len(parents)) if children[node]]
    kinds = sorted({(heights[node], len(children[node])) for node in inner})
    alike = [[n for n in inner if (heights[n], len(children[n])) == kind] for kind in kinds]
    return tuple((np.array(nodes), np.array([children[n] for n in nodes])) for nodes in alike)
