"""Stand-ins for the packages that launch files import, where ROS 2's launch is not installed."""

import logging
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from support.launch_files import Recorded, find


def _logger(name: str) -> logging.Logger:
    """One that pytest hears: those of a ROS 2 that is sourced hand nothing on."""
    logger = logging.Logger(name)
    logger.parent = logging.root
    return logger


@pytest.fixture
def launch_stub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The names that our launch files import, where ROS 2's launch is not installed; no launch ends here, and what one
    would delete then lies in the test's own folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def recorder(kind: str) -> Any:
        return lambda *args, **options: Recorded(kind, args, options)

    names: dict[str, tuple[str, ...]] = {
        "launch": ("LaunchContext", "LaunchDescription"),
        "launch.actions": ("DeclareLaunchArgument", "LogInfo", "OpaqueFunction", "RegisterEventHandler", "TimerAction",
                           "PushLaunchConfigurations", "PopLaunchConfigurations"),
        "launch.launch_context": ("LaunchContext",),
        "launch.logging": ("get_logger",),
        "launch.event_handlers": ("OnProcessExit",),
        "launch.substitutions": ("LaunchConfiguration",),
        "launch_ros": (),
        "launch_ros.actions": ("Node",),
        "launch_ros.parameter_descriptions": ("ParameterValue",),
        "ament_index_python": (),
        "ament_index_python.packages": (),
    }  # fmt: skip
    for name in [name for name in sys.modules if name.startswith("dualpose_ros.launching")]:
        monkeypatch.delitem(sys.modules, name)
    for module_name, attributes in names.items():
        module = ModuleType(module_name)
        for attribute in attributes:
            setattr(module, attribute, recorder(attribute))
        monkeypatch.setitem(sys.modules, module_name, module)
    sys.modules["ament_index_python.packages"].get_package_share_directory = find  # type: ignore
    sys.modules["launch.logging"].get_logger = _logger  # type: ignore
    yield
    for name in [name for name in sys.modules if name.startswith("dualpose_ros.launching")]:
        del sys.modules[name]
