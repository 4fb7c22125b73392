"""The errors of standalone mode and the guarded imports behind it."""

import importlib
import os
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
        needs = f"dualpose_ros needs the Python package {package!r} to {_PURPOSE.get(top, 'run')} ({error})"
        if os.environ.get("ROS_DISTRO") and not rclpy_error:
            raise MissingPackageError(f"{needs}: run `pip install {package}`") from error
        raise MissingPackageError(
            f"without ROS 2, {needs}. Either run `pip install {package}` (cyclonedds has no wheel for aarch64: build "
            "it from source there), or source a ROS 2 installation (Humble or Jazzy) and build dualpose_ros with colcon"
        ) from error


rclpy_error = ""
"""Why the rclpy of a ROS 2 that is sourced could not be imported."""


def note_rclpy_error(error: ImportError) -> str:
    """Keep why rclpy is not there; one line to show where a ROS 2 is sourced, whose rclpy should be."""
    global rclpy_error
    rclpy_error = str(error)
    distro = os.environ.get("ROS_DISTRO")
    if not distro:
        return ""
    return f"ROS 2 {distro} is sourced, but this Python can't import its rclpy ({error}): going on without ROS 2"
