import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from dualpose_ros.lab.training.loop.curves import read_lines
from dualpose_ros.lab.training.loop.loading import StepSampler
from dualpose_ros.lab.training.loop.processes import Processes, joined
from dualpose_ros.lab.training.loop.task import TrainingError
from support.data import ROOT
from support.train_together import trained


def run_two(out: Path, batch_size: int, accumulate: int) -> list[dict[str, Any]]:
    """What the two processes of one run save, started with the environment that `torchrun` gives them."""
    out.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    path = os.pathsep.join([str(ROOT), str(ROOT / "test"), os.environ.get("PYTHONPATH", "")])
    shared = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "support.train_together", str(out), str(batch_size), str(accumulate)]
    children = []
    for rank in range(2):
        told = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
        environment = {**shared, **told, "MASTER_PORT": port}
        children.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    try:
        for child in children:
            _, errors = child.communicate(timeout=120)
            assert child.returncode == 0, errors.decode()
    finally:
        for child in children:
            child.kill()
    return [torch.load(out / f"{rank}.pt", weights_only=True) for rank in range(2)]


def test_two_processes_train_as_one_with_twice_the_batch(tmp_path: Path) -> None:
    first, second = run_two(tmp_path / "two", batch_size=4, accumulate=2)
    alone = trained(tmp_path / "one", batch_size=8, accumulate=2)
    assert (first["is_first"], second["is_first"], first["steps"]) == (True, False, alone["steps"])
    for name, value in first["trained"].items():
        assert torch.equal(value, second["trained"][name]), name
        assert torch.allclose(value, alone["trained"][name], atol=1e-5), name
    assert first["figures"] == second["figures"]
    assert first["figures"]["mse"] == pytest.approx(alone["figures"]["mse"], rel=1e-4)
    # One log, of the first process: each step and each validation once.
    two, one = (read_lines(tmp_path / name / "metrics.jsonl") for name in ("two", "one"))
    assert [(line["kind"], line["step"]) for line in two] == [(line["kind"], line["step"]) for line in one]


def test_each_process_gets_its_part_of_a_batch() -> None:
    parts = [iter(StepSampler(11, 2, seed=1, processes=Processes(rank, 2))) for rank in range(2)]
    whole = iter(StepSampler(11, 4, seed=1))
    for _ in range(5):
        together = [next(part) for part in parts]
        assert sorted(together[0] + together[1]) == sorted(next(whole))
        assert len(together[0]) == len(together[1]) == 2


def test_one_process_needs_nobody() -> None:
    assert Processes().agreed(1.5, True, torch.device("cpu")) == (1.5, True)


@pytest.mark.parametrize("device", ["fridge", "cuda:99"])
def test_a_device_that_can_not_be_used_is_named(device: str) -> None:
    with pytest.raises(TrainingError, match=f"can't use the device '{device}'"), joined(device):
        pass
