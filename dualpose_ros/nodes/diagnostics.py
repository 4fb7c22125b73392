"""How a node is doing, on /diagnostics: frame rate, latency, last error."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

# Stamps that are further away than this are those of a recording.
_ANOTHER_CLOCK_MS = 3.6e6

T = TypeVar("T")
_TIMED_FRAMES = 100
_STANDS_S = 0.9
"""A clock that has not moved for so long stands; nodes ask once a second."""
_MOST_FRAMES = 10_000
"""Kept of the last seconds, should nobody read them."""


@dataclass(frozen=True)
class Health:
    """One reading: level "ok", "warn" or "error", a line of text, and named values."""

    level: str
    message: str
    values: dict[str, str]


class HealthLog:
    """Frames, latencies and errors of the last seconds; times are nanoseconds of any clock that never goes back.

    An error keeps the level at "error" for `hold_ns`, so that a fault that comes and goes is
    seen by whoever looks once in a while. Without a frame for `hold_ns` the level is "warn".
    """

    def __init__(self, now_ns: int, window_ns: int = 5_000_000_000, hold_ns: int = 3_000_000_000) -> None:
        self._window_ns, self._hold_ns = window_ns, hold_ns
        self._started_ns = self._last_frame_ns = now_ns
        self._frames: deque[tuple[int, int]] = deque(maxlen=_MOST_FRAMES)
        self._error: tuple[int, str] | None = None
        self.total_frames = 0
        self.total_errors = 0

    def frame(self, now_ns: int, latency_ns: int) -> None:
        """Record that a frame was done, so long after its stamp."""
        self.total_frames += 1
        self._frames.append((now_ns, latency_ns))
        self._last_frame_ns = now_ns

    def error(self, now_ns: int, message: str) -> None:
        """Record an error that the node has survived."""
        self.total_errors += 1
        self._error = (now_ns, message)

    def read(self, now_ns: int) -> Health:
        """The node's health at `now_ns`."""
        while self._frames and self._frames[0][0] < now_ns - self._window_ns:
            self._frames.popleft()
        span_ns = min(self._window_ns, max(now_ns - self._started_ns, 1))
        values = {
            "frames": str(self.total_frames),
            "frames_per_second": f"{len(self._frames) / (span_ns * 1e-9):.2f}",
            "errors": str(self.total_errors),
            "last_error": self._error[1] if self._error else "",
        }
        if self._frames:
            latencies_ms = np.array([latency for _, latency in self._frames]) / 1e6
        if self._frames and abs(np.median(latencies_ms)) < _ANOTHER_CLOCK_MS:
            values["latency_ms_p50"] = f"{np.percentile(latencies_ms, 50):.1f}"
            values["latency_ms_p95"] = f"{np.percentile(latencies_ms, 95):.1f}"
        if self._error and now_ns - self._error[0] <= self._hold_ns:
            return Health("error", self._error[1], values)
        silent_ns = now_ns - self._last_frame_ns
        if silent_ns > self._hold_ns:
            return Health("warn", f"no frame for {silent_ns * 1e-9:.0f} s", values)
        return Health("ok", "running" if self.total_frames else "waiting for input", values)


class Diagnostics:
    """Publishes a node's health once a period, and at once when asked to.

    `state`, where set, replaces the text of a healthy node ("playing", "finished"), and `missing` names an input that
    does not come; `extra` adds named values, `fixed` those that do not change, `inputs_hz` what comes in by topic, and
    `hardware_id` the camera's frame.
    """

    def __init__(self, node: Any, period_s: float) -> None:
        self._node = node
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.log = HealthLog(time.monotonic_ns())
        self.state = self.missing = self.hardware_id = ""
        self.extra: dict[str, str] = {}
        self.fixed: dict[str, str] = {}
        self.inputs_hz: dict[str, float] = {}
        self._stage_ms: deque[float] = deque(maxlen=_TIMED_FRAMES)
        self._clock_moved = self.now_ns(), time.monotonic()
        self._timer = node.create_timer(period_s, self.publish)

    def now_ns(self) -> int:
        """The node's clock."""
        return int(self._node.get_clock().now().nanoseconds)

    def clock_stands(self) -> bool:
        """Whether the node's clock is one that came and has stopped, as of a bag that pauses; to be asked often."""
        now_ns, now_s = self.now_ns(), time.monotonic()
        if now_ns != self._clock_moved[0]:
            self._clock_moved = now_ns, now_s
        return now_ns != 0 and now_s - self._clock_moved[1] > _STANDS_S

    def health(self) -> Health:
        """How the node is doing now."""
        return self.log.read(time.monotonic_ns())

    def frame(self, stamp_ns: int) -> None:
        """Record a frame that is done now."""
        self.log.frame(time.monotonic_ns(), self.now_ns() - stamp_ns)

    def timed(self, work: Callable[..., T], *args: Any) -> T:
        """What a stage's work on a frame gives; how long it takes is shown."""
        started = time.perf_counter()
        result = work(*args)
        self._stage_ms.append(1000 * (time.perf_counter() - started))
        return result

    def error(self, message: str) -> None:
        """Record an error, and publish it unless one was published within the last period."""
        previous = self.health().level
        self.log.error(time.monotonic_ns(), message)
        if previous != "error":
            self.publish()

    def publish(self) -> None:
        """Publish the health now; nothing once a signal has ended the node's context."""
        if not self._node.context.ok():
            return
        health = self.health()
        if self.missing and health.level != "error":
            health = Health("warn", self.missing, health.values)
        state = self.state or ("/clock stands (a bag that pauses?)" if self.clock_stands() else "")
        levels = {"ok": DiagnosticStatus.OK, "warn": DiagnosticStatus.WARN, "error": DiagnosticStatus.ERROR}
        status = DiagnosticStatus()
        status.level = levels["ok" if state and health.level == "warn" else health.level]
        status.name = f"{self._node.get_fully_qualified_name().lstrip('/')}: pipeline"
        status.message = state if state and health.level != "error" else health.message
        status.hardware_id = self.hardware_id
        values = {**health.values, "lifecycle": self._node.state, **self._measured(), **self.fixed, **self.extra}
        status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.status = [status]
        self._publisher.publish(message)

    def _measured(self) -> dict[str, str]:
        """Rates of what comes in, and how long the stage takes."""
        values = {f"{topic.strip('/').replace('/', '.')}_hz": f"{rate:.2f}" for topic, rate in self.inputs_hz.items()}
        if self._stage_ms:
            p50, p95 = np.percentile(self._stage_ms, [50, 95])
            values |= {"stage_ms_p50": f"{p50:.1f}", "stage_ms_p95": f"{p95:.1f}"}
        return values
