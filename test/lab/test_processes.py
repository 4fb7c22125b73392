"""Jobs in several processes come to the same as in one, and leave none behind."""

import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dualpose_ros.lab.processes import WorkerError, in_processes
from support.data import ROOT


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_is_done_once(workers: int) -> None:
    assert sorted(in_processes(math.factorial, [3, 4, 5], workers)) == [6, 24, 120]
    assert list(in_processes(math.factorial, [], workers)) == []


def test_a_process_that_is_killed_is_told_of() -> None:
    with pytest.raises(WorkerError, match="fewer --workers"):
        list(in_processes(os._exit, [1, 2, 3], 2))


def test_no_process_is_left_where_one_job_fails() -> None:
    before = set(multiprocessing.active_children())
    with pytest.raises(ValueError, match="sleep length"):
        list(in_processes(time.sleep, [-1, 60, 60], 2))
    assert set(multiprocessing.active_children()) <= before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_ends_all_processes(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dualpose_ros.cli", "synth", "patches", "--workers", "2", "--count", "600"]
    process = subprocess.Popen([*command, "--out", str(tmp_path)], cwd=ROOT, stderr=subprocess.PIPE, text=True,
                               stdout=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    workers: list[psutil.Process] = []
    while len(workers) < 2:
        assert process.poll() is None
        time.sleep(0.05)
        workers = [p for p in psutil.Process(process.pid).children() if "spawn_main" in " ".join(p.cmdline())]
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert psutil.wait_procs(workers, timeout=20)[1] == []
    if number != signal.SIGKILL:
        assert process.returncode == 130
        assert said == "dualpose: stopped after 0 of 600 patches: the same command makes what is missing\n"
        assert "Traceback" not in said
