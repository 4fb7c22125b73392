"""Live progress of a run in the terminal; a plain line now and then where there is none."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from typing import IO, Any, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

_PLAIN_PERIOD_S = 5.0


class _LastingStream:
    """A stream whose reader may go, a terminal that is closed or a pipe: nothing fails then, and the process is told
    once, by SIGHUP, which ends a run in good order."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream, self._is_lost = stream, False

    def write(self, text: str) -> int:
        self._tried(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._tried(self._stream.flush)

    def _tried(self, action: Callable[[], Any]) -> None:
        if self._is_lost:
            return
        try:
            action()
        except OSError:
            self._is_lost = True
            signal.raise_signal(signal.SIGHUP)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def run_console() -> Console:
    """What a run is told about on: stderr, whose end it survives; names in brackets are no markup."""
    return Console(file=cast("IO[str]", _LastingStream(sys.stderr)), markup=False, emoji=False)


class RunProgress:
    """Shows frames, people, rate and latency while the graph runs; `total` frames where that is known."""

    def __init__(self, console: Console, total: int | None) -> None:
        self._console = console
        self._total = total
        self._printed = time.monotonic()
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            refresh_per_second=4,
        )
        self._task: TaskID = self._bar.add_task("starting", total=total, figures="")

    def show(self, state: str, frames: int, poses: int, people: int, fps: float, latency_ms: float | None) -> None:
        """Update the figures: images so far, poses so far, people in the newest, rate, newest latency."""
        latency = "" if latency_ms is None else f", {latency_ms:.0f} ms"
        of_total = f"/{self._total}" if self._total else ""
        figures = f"frame {frames}{of_total}, {poses} with poses, {people} people, {fps:.1f} fps{latency}"
        self._bar.update(self._task, description=state, completed=frames, figures=figures)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._printed >= _PLAIN_PERIOD_S:
            self._printed = now
            self._console.print(f"{state}: {figures}", highlight=False)

    def __enter__(self) -> RunProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
