"""The errors of standalone mode and the guarded imports behind it."""

from __future__ import annotations

import importlib
from types import ModuleType


class StandaloneError(RuntimeError):
    """Something that the user can mend: the message is one line that says what is wrong and what to do."""


class MissingPackageError(StandaloneError, ImportError):
    """A Python package that standalone mode needs is not installed."""


_PURPOSE = {
    "cyclonedds": "speak ROS 2 on the wire (Eclipse Cyclone DDS)",
    "rosbags": "read message definitions and write CDR",
    "yaml": "read parameter files",
    "psutil": "measure the nodes that it starts",
}
_PACKAGE = {"yaml": "pyyaml"}


def require(module: str) -> ModuleType:
    """Import a module that standalone mode needs.

    Errors: MissingPackageError names the package, what it is for and what to do.
    """
    top = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = _PACKAGE.get(top, top)
        raise MissingPackageError(
            f"without ROS 2, dualpose_ros needs the Python package {package!r} to {_PURPOSE.get(top, 'run')} "
            f"({error}). Either run `pip install {package}` (cyclonedds has no wheel for aarch64: build it from source "
            "there), or source a ROS 2 installation (Humble or Jazzy) and build dualpose_ros with colcon"
        ) from error
