"""rclpy.logging: lines on stderr in ROS 2's format, with throttle, once and skip_first by place of call."""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Any


class LoggingSeverity(IntEnum):
    """How grave a line is."""

    UNSET = 0
    DEBUG = 10
    INFO = 20
    WARN = 30
    ERROR = 40
    FATAL = 50


_COLOURS = {
    LoggingSeverity.DEBUG: "32",
    LoggingSeverity.WARN: "33",
    LoggingSeverity.ERROR: "31",
    LoggingSeverity.FATAL: "31",
}
_levels: dict[str, LoggingSeverity] = {"": LoggingSeverity.INFO}
_sinks: dict[str, Callable[[LoggingSeverity, str, str, Any], None]] = {}
_OPTIONS = {"throttle_duration_sec", "throttle_time_source_type", "skip_first", "once"}


class RcutilsLogger:
    """A named logger; the name's parts are joined by points."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._places: dict[tuple[str, int], float] = {}

    def get_child(self, name: str) -> RcutilsLogger:
        """The logger of a part."""
        if not name:
            raise ValueError("Child logger name must not be empty.")
        return RcutilsLogger(f"{self.name}.{name}" if self.name else name)

    def set_level(self, level: LoggingSeverity) -> None:
        """Show lines of this severity and above."""
        set_logger_level(self.name, level)

    def get_effective_level(self) -> LoggingSeverity:
        """The severity from which on lines are shown: this logger's, or its nearest parent's."""
        return get_logger_effective_level(self.name)

    def is_enabled_for(self, severity: LoggingSeverity) -> bool:
        """Whether lines of this severity are shown."""
        return severity >= self.get_effective_level()

    def log(self, message: str, severity: LoggingSeverity, **kwargs: Any) -> bool:
        """Write a line, unless its severity or an option (throttle_duration_sec, once, skip_first) withholds it."""
        return self._log(message, severity, kwargs)

    def debug(self, message: str, **kwargs: Any) -> bool:
        """Write a line of severity DEBUG; see log."""
        return self._log(message, LoggingSeverity.DEBUG, kwargs)

    def info(self, message: str, **kwargs: Any) -> bool:
        """Write a line of severity INFO; see log."""
        return self._log(message, LoggingSeverity.INFO, kwargs)

    def warning(self, message: str, **kwargs: Any) -> bool:
        """Write a line of severity WARN; see log."""
        return self._log(message, LoggingSeverity.WARN, kwargs)

    def warn(self, message: str, **kwargs: Any) -> bool:
        """Write a line of severity WARN; see log."""
        return self._log(message, LoggingSeverity.WARN, kwargs)

    def error(self, message: str, **kwargs: Any) -> bool:
        """Write a line of severity ERROR; see log."""
        return self._log(message, LoggingSeverity.ERROR, kwargs)

    def fatal(self, message: str, **kwargs: Any) -> bool:
        """Write a line of severity FATAL; see log."""
        return self._log(message, LoggingSeverity.FATAL, kwargs)

    def _log(self, message: str, severity: LoggingSeverity, options: dict[str, Any]) -> bool:
        severity = LoggingSeverity(severity)
        unknown = options.keys() - _OPTIONS
        if unknown:
            raise TypeError(f"{sorted(unknown)[0]!r} is not one of the recognized logging options {sorted(_OPTIONS)}")
        if not self.is_enabled_for(severity):
            return False
        frame = inspect.currentframe()
        caller = frame.f_back.f_back if frame and frame.f_back else None
        if any(options.get(name) for name in _OPTIONS) and not self._passes(caller, options):
            return False
        now = time.time_ns()
        line = f"[{severity.name}] [{now // 10**9}.{now % 10**9:09d}] [{self.name}]: {message}"
        if sys.stderr.isatty() and severity in _COLOURS:
            line = f"\033[{_COLOURS[severity]}m{line}\033[0m"
        print(line, file=sys.stderr, flush=True)
        sink = _sinks.get(self.name.partition(".")[0])
        if sink:
            sink(severity, self.name, str(message), caller)
        return True

    def _passes(self, caller: Any, options: dict[str, Any]) -> bool:
        """Whether the options let this call through; the state is kept for each place in the code."""
        place = (caller.f_code.co_filename, caller.f_lasti) if caller else ("", 0)
        last = self._places.get(place)
        now = time.monotonic()
        if options.get("skip_first") and last is None:
            self._places[place] = -1e9
            return False
        if options.get("once") and last is not None and last > -1e9:
            return False
        throttle = options.get("throttle_duration_sec")
        if throttle and last is not None and now < last + throttle:
            return False
        self._places[place] = now
        return True


def get_logger(name: str) -> RcutilsLogger:
    """The logger of this name."""
    if not name:
        raise ValueError("Logger name must not be empty.")
    return RcutilsLogger(name)


def set_logger_level(name: str, level: LoggingSeverity) -> None:
    """Show a logger's lines from this severity on; the name "" is all loggers' parent."""
    _levels[name] = LoggingSeverity(level)


def get_logger_effective_level(name: str) -> LoggingSeverity:
    """The severity from which on a logger's lines are shown."""
    while name:
        if _levels.get(name):
            return _levels[name]
        name = name.rpartition(".")[0]
    return _levels[""]


def connect(name: str, sink: Callable[[LoggingSeverity, str, str, Any], None] | None) -> None:
    """Send the lines of a logger and its children to `sink` too (/rosout); None ends that."""
    if sink:
        _sinks[name] = sink
    else:
        _sinks.pop(name, None)
