"""Which signals stop a command."""

from __future__ import annotations

import signal

import pytest

from dualpose_ros.standalone.stopping import stop_signals


@pytest.mark.parametrize("ignored", [False, True])
def test_who_is_started_by_nohup_outlives_the_terminal(ignored: bool) -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.default_int_handler)
    try:
        with stop_signals(lambda number, frame: came.append(number)):
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGHUP)
    finally:
        assert signal.signal(signal.SIGHUP, before) == (signal.SIG_IGN if ignored else signal.default_int_handler)
    assert came == ([signal.SIGTERM] if ignored else [signal.SIGTERM, signal.SIGHUP])
