"""One process of a node: its end and what follows from it, its processor time and its memory."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from dualpose_ros.standalone.errors import require
from dualpose_ros.standalone.forking import ForkedProcess

BAD_INPUT = 2
"""Exit code of a node that could not start for bad input: it would be as bad a second time."""

# Who did not listen for longer has been stopped or starved itself, and so may the process have been.
_LONGEST_SILENCE_S = 2.0

LONGEST_STOP_S = 0.5
"""A node that is stopped for longer is told to go on: the graph waits for it."""


@dataclass(frozen=True)
class RestartPolicy:
    """When a node that died is started again: after a pause that triples, at most `limit` times in a row.

    A node that ran for `forgive_s` seconds has its earlier deaths forgiven. One that ended with BAD_INPUT never is.
    One that serves nothing for `hung_s` seconds, once it has begun to, is killed; 0: none is.
    """

    limit: int = 5
    first_pause_s: float = 0.1
    longest_pause_s: float = 8.0
    forgive_s: float = 30.0
    hung_s: float = 20.0

    def pause(self, deaths: int) -> float:
        """Seconds to wait after the given number of deaths in a row, from 1."""
        return float(min(self.first_pause_s * 3 ** (deaths - 1), self.longest_pause_s))

    def after_death(self, code: int, ran_s: float, deaths: int) -> tuple[int, float | None]:
        """Deaths in a row with this one, and the seconds until the next start; None where there is none.

        code: exit code, other than 0; minus the signal's number where one ended the process. ran_s: seconds that the
        process ran; deaths: deaths in a row before this one.
        """
        deaths = 1 if ran_s >= self.forgive_s else deaths + 1
        return deaths, None if code == BAD_INPUT or deaths > self.limit else self.pause(deaths)


@dataclass(frozen=True)
class NodeUsage:
    """What a node has cost: its processes in order, restarts, processor seconds, largest memory in MB (2^20 bytes)."""

    name: str
    pids: tuple[int, ...]
    restarts: int
    cpu_s: float
    max_rss_mb: float

    @property
    def pid(self) -> int | None:
        """The node's latest process."""
        return self.pids[-1] if self.pids else None


class NodeProcess:
    """A child process: its memory is sampled while it runs; its processor time is exact once it has ended."""

    def __init__(self, process: subprocess.Popen[bytes] | ForkedProcess, stdin: socket.socket) -> None:
        """`stdin` is the launcher's end of what the process has as standard input, and tells over that it serves."""
        self.pid = process.pid
        self.cpu_s = 0.0
        self.max_rss_mb = 0.0
        self.silent_s = 0.0
        self._process, self._stdin = process, stdin
        self._listened_at: float | None = None
        self._started = time.monotonic()
        self._stopped_since: float | None = None
        self._sampler = require("psutil").Process(process.pid)

    def age_s(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._started

    def sample(self) -> None:
        """Measure it now, if it still runs, and hear whether it serves."""
        psutil = require("psutil")
        before_s = self.cpu_s
        with contextlib.suppress(psutil.Error):
            times = self._sampler.cpu_times()
            self.cpu_s = max(self.cpu_s, times.user + times.system)
            self.max_rss_mb = max(self.max_rss_mb, self._sampler.memory_info().rss / 2**20, _peak_mb(self.pid))
        self._listen(self.cpu_s - before_s)

    def _listen(self, computed_s: float) -> None:
        """Count how long it has been silent since it first served: the seconds in which all of it slept, or computed,
        but none in which it waited for a processor or a disk, or was stopped, or nobody listened."""
        now, heard = time.monotonic(), b""
        with contextlib.suppress(OSError):
            heard = self._stdin.recv(1 << 16, socket.MSG_DONTWAIT)
        if heard:
            self.silent_s = 0.0
        elif self._listened_at is not None:
            self.silent_s += min(now - self._listened_at, _LONGEST_SILENCE_S) if _sleeps(self.pid) else computed_s
        if heard or self._listened_at is not None:
            self._listened_at = now

    def goes_on(self) -> bool:
        """Whether it had been stopped (SIGSTOP, not by a debugger) for a while, and was told to go on."""
        with contextlib.suppress(require("psutil").Error):
            if self._sampler.status() != "stopped":
                self._stopped_since = None
            elif self._stopped_since is None:
                self._stopped_since = time.monotonic()
            elif time.monotonic() - self._stopped_since > LONGEST_STOP_S:
                self._stopped_since = None
                self.signal(signal.SIGCONT)
                return True
        return False

    def poll(self) -> int | None:
        """Its exit code (minus the signal's number where one ended it), or None while it runs."""
        if self._process.returncode is not None:
            return self._process.returncode
        try:
            pid, status, used = os.wait4(self.pid, os.WNOHANG)
        except ChildProcessError:
            return self._process.poll()
        if pid == 0:
            return None
        self.cpu_s = used.ru_utime + used.ru_stime
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._stdin.close()
        return self._process.returncode

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _sleeps(pid: int) -> bool:
    """Whether all threads of a process wait for something else than a processor or a disk."""
    try:
        stats = [path.read_bytes() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:
        return False
    return bool(stats) and all(stat.rpartition(b")")[2].split()[:1] == [b"S"] for stat in stats)


def _peak_mb(pid: int) -> float:
    """The most memory that a process has held, where the kernel tells (wait4's figure may be its parent's), else 0."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 2**10 for line in lines if line.startswith("VmHWM:")), 0.0)
