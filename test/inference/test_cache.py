"""Compiled networks that are kept."""

import os
from pathlib import Path

from dualpose_ros.inference.cache import keep, kept


def test_the_cache_keeps_the_newest_files(tmp_path: Path) -> None:
    for number in range(70):
        keep(tmp_path / f"{number}.blob", b"x")
        os.utime(tmp_path / f"{number}.blob", (number, number))
    assert kept(tmp_path / "69.blob") == b"x" and kept(tmp_path / "0.blob") is None
    assert len(list(tmp_path.iterdir())) == 64
