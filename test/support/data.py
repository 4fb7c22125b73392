"""Data that is no part of the repository: tests that use it find its folder by DUALPOSE_DATA, and skip without."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""


def data_path(name: str) -> Path:
    """A file or folder below the one that DUALPOSE_DATA names; skips the test where it is not there.

    Raises RuntimeError while tests are collected, with the data too: without it, skipping there ends the whole run.
    """
    if "PYTEST_CURRENT_TEST" not in os.environ:
        raise RuntimeError(f"ask for {name} within a test or a fixture: a file of tests must be read without the data")
    folder = os.environ.get("DUALPOSE_DATA")
    if not folder:
        pytest.skip(f"DUALPOSE_DATA names no folder with {name}")
    path = Path(folder) / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path
