"""Jobs in several processes come to the same as in one."""

import math

import pytest

from dualpose_ros.lab.processes import in_processes


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_is_done_once(workers: int) -> None:
    assert sorted(in_processes(math.factorial, [3, 4, 5], workers)) == [6, 24, 120]
    assert list(in_processes(math.factorial, [], workers)) == []
