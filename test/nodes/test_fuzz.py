"""Messages with spoilt fields to every callback of every node: no crash, no growth, and errors that are the package's.

DUALPOSE_FUZZ=100000 makes it so many messages a callback, for an hour or a night.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cyclonedds")

HERE = Path(__file__).parent
COUNT = int(os.environ.get("DUALPOSE_FUZZ", "15"))
NODES = ("detection", "top_down", "compressed", "bottom_up", "fusion", "refinement", "visualization", "recorder")


@pytest.mark.timeout(60 + COUNT)
@pytest.mark.parametrize(("number", "node"), list(enumerate(NODES)))
def test_no_message_is_more_than_one_clear_error(number: int, node: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ROS_", "CYCLONEDDS_"))}
    domain = 101 + (os.getpid() + number) % 120
    paths = os.pathsep.join([str(HERE.parents[1]), str(HERE.parent)])
    environment = {**clean, "ROS_DOMAIN_ID": str(domain), "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-W", "ignore", str(HERE / "live_fuzz.py"), node, str(COUNT)],
                          env=environment, capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads(done.stdout.splitlines()[-1])
    assert len(results) >= 2
    for result in results:
        assert not result["strange"], (result["what"], result["samples"])
        assert result["growth_mb"] < 30, result["what"]
