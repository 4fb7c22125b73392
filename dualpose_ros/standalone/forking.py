"""Nodes forked by a process that has imported what they need: one runs at once, and they share what it holds in memory.

That process has one thread, no DDS participant and no engine, so that whatever it forks is whole. It forks twice, and
the launcher adopts the node: signals, exit codes and costs are those of a child of its own.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from dualpose_ros import standalone
from dualpose_ros.standalone import run_node, stopping

_PR_SET_CHILD_SUBREAPER = 36
_LONGEST_REQUEST = 1 << 17
# Room in the parent's own command line for those of nodes, which `ps` then shows.
_ROOM = "-" * 500
_ARGUMENTS_AT = 45
"""Place of arg_start in /proc/PID/stat, after the name."""


class ForkedProcess:
    """What subprocess.Popen is of a process that it started; `poll` tells what nobody can wait for."""

    def __init__(self, pid: int, stdout: IO[bytes]) -> None:
        self.pid, self.stdout = pid, stdout
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """None while it runs; of one that is no child of this process the exit code stays unknown."""
        if self.returncode is None and not Path(f"/proc/{self.pid}").exists():
            self.returncode = -signal.SIGKILL
        return self.returncode


class ForkServer:
    """The launcher's end: asks for nodes by number, and takes in those that run."""

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the process that imports `modules`. OSError where this system has no such thing."""
        if sys.platform != "linux" or ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
            raise OSError("nodes can't be adopted here")
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.setblocking(False)
        self._asked: dict[int, IO[bytes]] = {}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno()), *modules, _ROOM],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self.output = self._process.stdout

    def ask(self, number: int, command: Sequence[str], stdin: socket.socket) -> bool:
        """Ask for a node: its module, arguments and standard input; False where it has to be started otherwise."""
        request = json.dumps([number, list(command)]).encode()
        if len(request) > _LONGEST_REQUEST:
            return False
        our_out, node_out = os.pipe()
        try:
            socket.send_fds(self._channel, [request], [stdin.fileno(), node_out])
        except OSError:
            os.close(our_out)
            return False
        finally:
            os.close(node_out)
        self._asked[number] = os.fdopen(our_out, "rb")
        return True

    def take(self) -> dict[int, ForkedProcess | None]:
        """Nodes that were asked for and run now, by number; None for one that has to be started otherwise."""
        born: dict[int, ForkedProcess | None] = {}
        while self._asked:
            try:
                answer = self._channel.recv(1024)
            except BlockingIOError:
                break
            except OSError:
                answer = b""
            for number, pid in [json.loads(answer)] if answer else [(number, 0) for number in self._asked]:
                stdout = self._asked.pop(number)
                born[number] = ForkedProcess(pid, stdout) if pid else None
                if not pid:
                    stdout.close()
        return born

    def close(self, patience_s: float = 0.2) -> dict[int, ForkedProcess | None]:
        """End it, and give what it has started since the last `take`."""
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        born = self.take()
        self._channel.close()
        return born


def main(arguments: Sequence[str]) -> int:
    """Import the modules named, call `prepare()` of those that have it, and fork a node for each request until the
    launcher closes its end."""
    channel = socket.socket(fileno=int(arguments[0]))
    stopping.leave_at_once()
    _import_ahead(arguments[1:-1])
    # With a rclpy that is not ours there is no telling what it has begun; nor can threads be forked.
    is_whole = standalone.is_installed() and len(os.listdir("/proc/self/task")) == 1
    while True:
        request, files, _, _ = socket.recv_fds(channel, _LONGEST_REQUEST, 2)
        if not request:
            return 0
        number, command = json.loads(request)
        pid = _fork_twice() if is_whole else None
        if pid == 0:
            channel.close()
            return _become(command, files)
        for file in files:
            os.close(file)
        with contextlib.suppress(OSError):
            channel.send(json.dumps([number, pid or 0]).encode())


def _import_ahead(modules: Sequence[str]) -> None:
    for variable in run_node.THREAD_VARIABLES:
        os.environ.setdefault(variable, "1")
    # What can't be imported the node itself says.
    with contextlib.suppress(Exception):
        standalone.install()
    for name in (*modules, f"{standalone.__name__}.dds_types"):
        with contextlib.suppress(Exception):
            module = importlib.import_module(name)
            getattr(module, "prepare", int)()
    gc.collect()
    # A collection in a node would write to every object, and the pages would be shared no longer.
    gc.freeze()


def _fork_twice() -> int | None:
    """0 in a grandchild whose parent has ended, its process id here; None where there is no room for another."""
    reader, writer = os.pipe()
    try:
        between = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        return None
    if between == 0:
        os.close(reader)
        try:
            pid = os.fork()
        except OSError:
            os._exit(1)
        if pid:
            os.write(writer, str(pid).encode())
            os._exit(0)
        os.close(writer)
        return 0
    os.close(writer)
    with open(reader, "rb") as stream:
        told = stream.read()
    os.waitpid(between, 0)
    return int(told) if told else None


def _become(command: Sequence[str], files: Sequence[int]) -> int:
    """Run a node in this process, as if it had been started by itself."""
    os.setsid()
    for number, file in enumerate((files[0], files[1], files[1])):
        os.dup2(file, number)
    for file in files:
        os.close(file)
    _show_as([sys.executable, "-m", run_node.__name__, *command])
    return run_node.main(command)


def _show_as(command: Sequence[str]) -> None:
    """Have `ps`, `top` and `pgrep` show a command, of which the module's last name is the process's."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        Path("/proc/self/comm").write_text(command[3].rpartition(".")[2], encoding="utf-8")
        fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        start, end = (int(field) for field in fields[_ARGUMENTS_AT : _ARGUMENTS_AT + 2])
        text = b"\0".join(os.fsencode(word) for word in command)[: end - start - 1]
        ctypes.memmove(start, text.ljust(end - start - 1) + b"\0", end - start)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
