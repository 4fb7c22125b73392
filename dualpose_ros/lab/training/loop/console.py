"""What a run has to do with the terminal it was started from: Ctrl-C and a progress bar."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dualpose_ros.standalone.stopping import stop_signals


@contextmanager
def interruption() -> Iterator[Callable[[], bool]]:
    """Whether one of STOP_SIGNALS came; a second one acts at once. Never outside the main thread."""
    came: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    with stop_signals(handle):
        yield lambda: bool(came)


@contextmanager
def progress_bar(name: str, is_shown: bool = True) -> Iterator[Callable[[float, str], None]]:
    """A bar to be told how far the run is, 0..1, with a note."""
    columns = (TextColumn(f"[bold]{name}"), BarColumn(), TextColumn("{task.percentage:3.0f}%  {task.fields[note]}"))
    with Progress(
        *columns, TimeElapsedColumn(), TimeRemainingColumn(), refresh_per_second=2, disable=not is_shown
    ) as bar:
        row = bar.add_task("", total=1.0, note="")
        yield lambda done, note: bar.update(row, completed=done, note=note)
