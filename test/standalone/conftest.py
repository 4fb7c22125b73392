"""Helpers of these tests: processes of their own, in a DDS domain of their own, on loopback."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.child_environment import make_environment

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))


@pytest.fixture
def domain_environment() -> Any:
    """Environment of child processes: a domain that no other test of this machine should use, loopback only."""
    return make_environment()


@pytest.fixture
def children() -> Iterator[Any]:
    """Start child processes; all are dead after the test."""
    started = []

    def start(arguments: Any, environment: Any, **options: Any) -> Any:
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
