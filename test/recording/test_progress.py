"""What a run tells while it goes on, to a terminal that may be closed."""

import contextlib
import os
import signal

import pytest

from dualpose_ros.recording.progress import RunProgress, run_console


def test_a_terminal_that_is_closed_is_a_signal_to_stop_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, _: told.append(number))
    terminal, ours = os.openpty()
    try:
        # What is left in its buffer can't be written when it is closed.
        with contextlib.suppress(OSError), os.fdopen(ours, "w", buffering=1) as stream:
            monkeypatch.setattr("sys.stderr", stream)
            console = run_console()
            assert console.is_terminal
            with RunProgress(console, 10) as progress:
                progress.show("playing", 1, 1, 1, 9.0, None)
                os.close(terminal)
                for count in range(3):
                    progress.show("playing", count, 1, 1, 9.0, None)
                    console.print("a line")
            monkeypatch.undo()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert told == [signal.SIGHUP]


def test_names_in_brackets_are_told_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    run_console().print("written to a[b]/c[/d] :fire:")
    assert capsys.readouterr().err == "written to a[b]/c[/d] :fire:\n"
