"""pip's side of the build: pyproject.toml says everything but where the data files go.

They go under share/dualpose_ros, laid out as in the checkout, where `dualpose_ros.paths` finds them as it does in a
ROS 2 workspace. The networks that only evaluations compare with stay out.
"""

from __future__ import annotations

from pathlib import Path

from setuptools import setup

SHARED = ("msg", "config", "launch", "weights", "demo")
LEFT_OUT = {"__pycache__", "baselines"}


def data_files() -> list[tuple[str, list[str]]]:
    """(target folder, files) of every folder under the shared ones; a clean checkout may lack some."""
    root = Path(__file__).parent
    targets: dict[str, list[str]] = {}
    for top in SHARED:
        for path in sorted((root / top).rglob("*")):
            relative = path.relative_to(root)
            if path.is_file() and not LEFT_OUT & set(relative.parts):
                targets.setdefault(f"share/dualpose_ros/{relative.parent.as_posix()}", []).append(relative.as_posix())
    return sorted(targets.items())


setup(data_files=data_files())
