"""Where child processes of tests that speak DDS run."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

_TESTS = Path(__file__).resolve().parents[1]
_counter = itertools.count()


def make_environment() -> Any:
    """A domain that no other test of this machine should use, loopback only, and the helpers of `test/standalone`."""
    domain = 1 + (os.getpid() * 13 + next(_counter)) % 100
    path = os.pathsep.join([str(_TESTS.parent), str(_TESTS / "standalone")])
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ROS_", "CYCLONEDDS_"))}
    return {**clean, "ROS_DOMAIN_ID": str(domain), "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
