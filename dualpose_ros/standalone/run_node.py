"""Run one node's `main`, with ROS 2 or without: `python -m dualpose_ros.standalone.run_node MODULE [--ros-args ...]`.

The executables of `ros2 run` are this too. It is quick to import, so that a signal finds its handler from the start.
"""

import contextlib
import ctypes
import importlib
import os
import signal
import sys
import threading
from collections.abc import Sequence

from dualpose_ros import standalone
from dualpose_ros.inference.cpu import keep_memory
from dualpose_ros.standalone import alive, stopping

# Set by the launcher: the node ends when its standard input does, so that none outlives a launcher that was killed,
# and tells over it that it serves.
EXIT_WITH_STDIN = "DUALPOSE_EXIT_WITH_STDIN"

# Set by the launch files: `ros2 launch` ends at SIGTERM or SIGKILL without its nodes, which would run on.
END_WITH_PARENT = "DUALPOSE_END_WITH_PARENT"
_PR_SET_PDEATHSIG = 1


THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
"""By what numerical libraries are told how many threads to take."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the node; 0 after a clean end, 2 with one line on stderr for bad input, 1 by traceback otherwise."""
    args = list(sys.argv[1:] if arguments is None else arguments)
    if not args:
        print("usage: python -m dualpose_ros.standalone.run_node MODULE [--ros-args ...]", file=sys.stderr)
        return 2
    stopping.leave_at_once()
    keep_memory()
    # Before NumPy and the like are loaded: by `ros2 launch`, each process would take all cores for matrices that
    # are too small for it.
    for variable in THREAD_VARIABLES:
        os.environ.setdefault(variable, "1")
    if os.environ.pop(END_WITH_PARENT, ""):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.environ.pop(EXIT_WITH_STDIN, ""):
        threading.Thread(target=_end_with_stdin, daemon=True).start()
        alive.begin()
    sys.argv = args
    try:
        standalone.install()
        exceptions = importlib.import_module("rclpy.exceptions")
        bad_input = (standalone.StandaloneError, exceptions.ParameterException, exceptions.NameValidationException)
        module = importlib.import_module(args[0])
    except (standalone.StandaloneError, ImportError) as error:
        return _refuse(args[0], error)
    # A node with a `main` of its own ends as rclpy ends it.
    stopping.take_over()
    try:
        result = module.main()
    except bad_input as error:
        return _refuse(args[0], error)
    except KeyboardInterrupt:
        return 0
    finally:
        stopping.ignore()
    return result if isinstance(result, int) else 0


def _refuse(module: str, error: Exception) -> int:
    """One line on stderr, and the exit code of bad input: a missing library is as missing the next time."""
    print(f"[FATAL] [{module.rpartition('.')[2]}]: {' '.join(str(error).split())}", file=sys.stderr)
    return 2


def _end_with_stdin() -> None:
    # A launcher that ends with signs of life unread ends its side by an error.
    with contextlib.suppress(ConnectionError):
        while os.read(0, 1024):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
