"""Child processes of tests that speak DDS: where they run, and what they print."""

import json
import os
import subprocess
import sys
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dualpose_ros.runs.session import claimed_domain

_TESTS = Path(__file__).resolve().parents[1]
_claims: deque[ExitStack] = deque()


def free_domain() -> str:
    """A DDS domain in which no run and no other test of this machine is: claimed as runs claim theirs, until thirty
    more of this process are."""
    _claims.append(ExitStack())
    if len(_claims) > 30:
        _claims.popleft().close()
    return str(_claims[-1].enter_context(claimed_domain(None)))


def make_environment() -> Any:
    """A domain of its own, loopback only, and the helpers of `test/standalone`."""
    path = os.pathsep.join(map(str, (_TESTS.parent, _TESTS, _TESTS / "standalone")))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ROS_", "CYCLONEDDS_"))}
    # Messages of a real rclpy then refuse what does not fit, as ours do, instead of ending the process.
    strict = {"ROS_PYTHON_CHECK_FIELDS": "1"}
    return {**clean, **strict, "ROS_DOMAIN_ID": free_domain(), "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def scenario(script: str, *words: object, timeout_s: float = 90, environment: dict[str, str] | None = None) -> Any:
    """What `nodes/live/live_SCRIPT.py` prints, run in a DDS domain of its own unless it is given an environment."""
    command = [sys.executable, str(_TESTS / "nodes" / "live" / f"live_{script}.py"), *map(str, words)]
    env = environment or make_environment()
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
