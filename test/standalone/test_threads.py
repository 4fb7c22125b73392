"""Numerical libraries take one thread in a node's process, however it is started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dualpose_ros.standalone.run_node import THREAD_VARIABLES

ROOT = Path(__file__).resolve().parents[2]
PROBE = """
import os

def main():
    import numpy, scipy.linalg
    from threadpoolctl import threadpool_info
    print(os.environ["OMP_NUM_THREADS"], sorted({pool["num_threads"] for pool in threadpool_info()}))
"""


@pytest.mark.parametrize(("given", "expected"), [(None, "1 [1]"), ("2", "2")])
def test_a_node_started_without_our_launcher_has_one_thread(tmp_path: Path, given: str | None, expected: str) -> None:
    pytest.importorskip("cyclonedds")
    (tmp_path / "probe.py").write_text(PROBE)
    clean = {name: value for name, value in os.environ.items() if name not in THREAD_VARIABLES}
    environment = {**clean, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    if given is not None:
        environment["OMP_NUM_THREADS"] = given
    command = [sys.executable, "-m", "dualpose_ros.standalone.run_node", "probe"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip().startswith(expected), done.stderr
