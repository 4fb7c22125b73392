"""Parameter files whose nodes are in a namespace."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from launch.actions import RegisterEventHandler
from launch.event_handlers import OnShutdown
from launch.launch_context import LaunchContext

from dualpose_ros.settings import read_yaml


def in_namespace(parameters: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """The content of a parameter file with its node names put under a namespace; wildcards stay.

    rclpy matches `/**` and full node names only, so a file that names nodes would otherwise
    be ignored by nodes in a namespace.
    """
    prefix = "/".join(("", *(part for part in namespace.split("/") if part)))
    return {key if "*" in key else f"{prefix}/{key.lstrip('/')}": value for key, value in parameters.items()}


def read_parameter_file(path: str) -> dict[str, Any]:
    """The content of a parameter file. RuntimeError where it is unusable."""
    try:
        content = read_yaml(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RuntimeError(f"params_file {path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not all(isinstance(section, dict) for section in content.values()):
        raise RuntimeError(f"params_file {path} holds no node names with ros__parameters")
    return content


def parameter_file(path: str, namespace: str) -> tuple[str, list[Any]]:
    """A parameter file whose node names are in the namespace, and the actions that clean up after it.

    RuntimeError where `path` is unusable.
    """
    content = read_parameter_file(path)
    if not namespace:
        return path, []
    with tempfile.NamedTemporaryFile("w", prefix="dualpose_", suffix=".yaml", delete=False) as stream:
        yaml.safe_dump(in_namespace(content, namespace), stream)
    written = Path(stream.name)

    def delete(event: Any, context: LaunchContext) -> None:
        written.unlink(missing_ok=True)

    return stream.name, [RegisterEventHandler(OnShutdown(on_shutdown=delete))]
