"""Sequences drawn before, to be learnt from again. Needs torch."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

KEPT_BATCHES = 64


class Replay:
    """The last KEPT_BATCHES batches, mixed: each sequence is learnt from `reuse` times on average.

    To draw a sequence, and to complete it, costs a CPU four times what a step on it costs. `reuse` of 1 keeps
    nothing: only then does a resumed run go on exactly as it would have.
    """

    def __init__(self, reuse: float) -> None:
        self._reuse = reuse
        self._kept: list[tuple[Tensor, ...]] = []
        self._oldest = 0

    def mixed(self, draw: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """A batch of rows of batches kept, after `draw` gave a new one as often as `reuse` says."""
        if self._reuse <= 1:
            return draw()
        if len(self._kept) < KEPT_BATCHES:
            self._kept.append(draw())
            return self._kept[-1]
        if torch.rand(()) * self._reuse < 1:
            self._kept[self._oldest] = draw()
            self._oldest = (self._oldest + 1) % KEPT_BATCHES
        rows = len(self._kept[0][0])
        batches, places = torch.randint(KEPT_BATCHES, (rows,)).tolist(), torch.randint(rows, (rows,)).tolist()
        picked: list[Any] = [
            torch.stack([self._kept[batch][part][place] for batch, place in zip(batches, places, strict=True)])
            for part in range(len(self._kept[0]))
        ]
        return tuple(picked)
