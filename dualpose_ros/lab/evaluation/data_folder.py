"""The folder of captured movements and bodies that evaluations take."""

from __future__ import annotations

from pathlib import Path

from dualpose_ros.errors import InputError


def find_data(data: Path) -> tuple[Path, Path | None]:
    """The first file of motion/ and of makehuman/ in a data folder; InputError without the former."""
    clips, bodies = sorted(data.glob("motion/*.npz")), sorted(data.glob("makehuman/*.npz"))
    if not clips:
        raise InputError(f"--data {data} holds no motion capture, motion/*.npz; docs/data.md has its form")
    return clips[0], bodies[0] if bodies else None
