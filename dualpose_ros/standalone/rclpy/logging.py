"""rclpy.logging: lines on stderr in ROS 2's format, throttled by place of call."""

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


class RcutilsLogger:
    """A named logger; the name's parts are joined by points."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._places: dict[tuple[str, int], tuple[LoggingSeverity, float, float]] = {}

    def is_enabled_for(self, severity: LoggingSeverity) -> bool:
        """Whether lines of this severity are shown."""
        return severity >= get_logger_effective_level(self.name)

    def debug(self, message: str, *, throttle_duration_sec: float = 0.0) -> bool:
        """Write a line of severity DEBUG, not more often than every `throttle_duration_sec`."""
        return self._log(message, LoggingSeverity.DEBUG, throttle_duration_sec)

    def info(self, message: str, *, throttle_duration_sec: float = 0.0) -> bool:
        """Write a line of severity INFO; see debug."""
        return self._log(message, LoggingSeverity.INFO, throttle_duration_sec)

    def warning(self, message: str, *, throttle_duration_sec: float = 0.0) -> bool:
        """Write a line of severity WARN; see debug."""
        return self._log(message, LoggingSeverity.WARN, throttle_duration_sec)

    def error(self, message: str, *, throttle_duration_sec: float = 0.0) -> bool:
        """Write a line of severity ERROR; see debug."""
        return self._log(message, LoggingSeverity.ERROR, throttle_duration_sec)

    def _log(self, message: str, severity: LoggingSeverity, throttle_s: float) -> bool:
        if not self.is_enabled_for(severity):
            return False
        frame = inspect.currentframe()
        caller = frame.f_back.f_back if frame and frame.f_back else None
        if not self._passes(caller, severity, throttle_s):
            return False
        now = time.time_ns()
        line = f"[{severity.name}] [{now // 10**9}.{now % 10**9:09d}] [{self.name}]: {message}"
        if sys.stderr.isatty() and severity in _COLOURS:
            line = f"\033[{_COLOURS[severity]}m{line}\033[0m"
        print(line, file=sys.stderr, flush=True)
        sink = _sinks.get(self.name)
        if sink:
            sink(severity, self.name, str(message), caller)
        return True

    def _passes(self, caller: Any, severity: LoggingSeverity, throttle_s: float) -> bool:
        """Whether a line of this place in the code may be written again.

        ValueError, as rclpy's, where a place has another severity or another throttle than before.
        """
        place = (caller.f_code.co_filename, caller.f_lasti) if caller else ("", 0)
        before = self._places.get(place, (severity, throttle_s, float("-inf")))
        if before[:2] != (severity, throttle_s):
            what = "Logger severity" if before[0] != severity else "Logging filter parameters"
            raise ValueError(f"{what} cannot be changed between calls.")
        now = time.monotonic()
        if now < before[2] + throttle_s:
            return False
        self._places[place] = (severity, throttle_s, now)
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
    """Send the lines of a logger to `sink` too (/rosout); None ends that."""
    if sink:
        _sinks[name] = sink
    else:
        _sinks.pop(name, None)
