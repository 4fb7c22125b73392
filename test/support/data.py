"""Data that is no part of the repository: tests that use it find its folder by DUALPOSE_DATA, and skip without."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""


def data_path(name: str) -> Path:
    """A file or folder below the one that DUALPOSE_DATA names; skips the test where it is not there."""
    folder = os.environ.get("DUALPOSE_DATA")
    if not folder:
        pytest.skip(f"DUALPOSE_DATA names no folder with {name}")
    path = Path(folder) / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path
