"""Child processes of tests that speak DDS: where they run, and what they print."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_TESTS = Path(__file__).resolve().parents[1]
_counter = itertools.count()


def make_environment() -> Any:
    """A domain that no other test of this machine should use, loopback only, and the helpers of `test/standalone`."""
    domain = 1 + (os.getpid() * 13 + next(_counter)) % 100
    path = os.pathsep.join(map(str, (_TESTS.parent, _TESTS, _TESTS / "standalone")))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ROS_", "CYCLONEDDS_"))}
    return {**clean, "ROS_DOMAIN_ID": str(domain), "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def scenario(script: str, *words: object, timeout_s: float = 90, environment: dict[str, str] | None = None) -> Any:
    """What `test/nodes/live_SCRIPT.py` prints, run in a DDS domain of its own unless it is given an environment."""
    command = [sys.executable, str(_TESTS / "nodes" / f"live_{script}.py"), *map(str, words)]
    env = environment or make_environment()
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
