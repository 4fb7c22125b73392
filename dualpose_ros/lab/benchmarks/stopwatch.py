"""Where the time of calls goes: each step's own, without that of the steps inside it."""

import functools
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from dualpose_ros.inference.cpu import usable_cores

Answer = TypeVar("Answer")


class Stopwatch:
    """Processor and wall seconds of named steps of one thread; `frames` has them by step for each frame that ended."""

    def __init__(self) -> None:
        self.frames: list[dict[str, tuple[float, float]]] = []
        self._now: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self._inside: list[list[float]] = []

    def call(self, step: str, work: Callable[[], Answer]) -> Answer:
        """The answer of a call, whose time is the step's."""
        self._inside.append([0.0, 0.0])
        cpu, wall = time.thread_time(), time.perf_counter()
        try:
            return work()
        finally:
            took = (time.thread_time() - cpu, time.perf_counter() - wall)
            inner = self._inside.pop()
            for kind in range(2):
                self._now[step][kind] += took[kind] - inner[kind]
                if self._inside:
                    self._inside[-1][kind] += took[kind]

    def end_frame(self) -> None:
        """Everything so far was of one frame."""
        self.frames.append({step: (cpu, wall) for step, (cpu, wall) in self._now.items()})
        self._now.clear()

    @contextmanager
    def watching(self, places: Sequence[tuple[Any, str, str]]) -> Iterator[None]:
        """Time functions where they stand, as (owner, attribute, step), until the end of the block."""
        before = [(owner, name, owner.__dict__.get(name)) for owner, name, _ in places]
        for owner, name, step in places:
            setattr(owner, name, self._timed(getattr(owner, name), step))
        try:
            yield
        finally:
            for owner, name, value in before:
                if value is None:
                    delattr(owner, name)
                else:
                    setattr(owner, name, value)

    def _timed(self, function: Callable[..., Any], step: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            return self.call(step, lambda: function(*args, **kwargs))

        return timed


def machine() -> list[dict[str, Any]]:
    """A row on where something is measured: usable cores, and how many programs wanted one in the last minute."""
    return [{"cores": usable_cores(), "load": round(os.getloadavg()[0], 1)}]
