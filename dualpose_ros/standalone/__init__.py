"""The nodes with no ROS 2 installed: rclpy's and the messages' names, served by Cyclone DDS and rosbags."""

import importlib
import sys
from types import ModuleType

from dualpose_ros.standalone.errors import MissingPackageError, StandaloneError, note_rclpy_error

__all__ = ["MissingPackageError", "StandaloneError", "install", "is_installed"]

_RCLPY = (
    "",
    ".clock",
    ".context",
    ".exceptions",
    ".executors",
    ".lifecycle",
    ".logging",
    ".node",
    ".parameter",
    ".publisher",
    ".qos",
    ".serialization",
    ".signals",
    ".subscription",
    ".time",
    ".timer",
    ".utilities",
)


def is_installed() -> bool:
    """Whether `rclpy` means this package's own."""
    return getattr(sys.modules.get("rclpy"), "__name__", "") == f"{__name__}.rclpy"


def install() -> bool:
    """Where rclpy cannot be imported, make `import rclpy` and the message packages mean ours; True where they do.

    A ROS 2 that works is never touched. Errors: MissingPackageError where rosbags is not installed.
    """
    if is_installed():
        return True
    try:
        importlib.import_module("rclpy")
    except ImportError as error:
        if told := note_rclpy_error(error):
            print(f"[WARN] [dualpose_ros.standalone]: {told}", file=sys.stderr)
    else:
        return False
    messages = importlib.import_module(f"{__name__}.messages")
    packages = importlib.import_module(f"{__name__}.typestore").PACKAGES
    modules = {package: messages.package_module(package) for package in packages}
    for name in [name for name in sys.modules if name.partition(".")[0] == "rclpy"]:
        del sys.modules[name]
    for part in _RCLPY:
        sys.modules[f"rclpy{part}"] = importlib.import_module(f"{__name__}.rclpy{part}")
    for package, module in modules.items():
        parent = sys.modules.get(package)
        if parent is None or package != "dualpose_ros":
            parent = ModuleType(package, f"Stands for {package} where no ROS 2 is installed.")
            parent.__path__ = []
            sys.modules[package] = parent
        parent.msg = module  # type: ignore[attr-defined]
        sys.modules[f"{package}.msg"] = module
    return True
