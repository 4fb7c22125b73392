"""The folder of captured movements and bodies that evaluations take."""

from pathlib import Path

from dualpose_ros.errors import InputError


def find_data(data: Path) -> tuple[Path, Path | None]:
    """The folder motion/ and the first file of makehuman/ in a data folder; InputError without clips in the former."""
    motion, bodies = data / "motion", sorted(data.glob("makehuman/*.npz"))
    if not list(motion.glob("*.npz")):
        raise InputError(f"--data {data} holds no motion capture, motion/*.npz; docs/data.md has its form")
    return motion, bodies[0] if bodies else None
