"""Parameter files whose nodes are in a namespace."""

import atexit
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from dualpose_ros.settings import read_yaml

VALUES = "ros__parameters"


def in_namespace(parameters: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """The content of a parameter file with its node names put under a namespace; wildcards stay.

    rclpy matches `/**` and full node names only, so a file that names nodes would otherwise be ignored by nodes in a
    namespace. Names that are in it already, as `ros2 param dump` writes them, stay, and go before those that were not.
    """
    prefix = "/".join(("", *(part for part in namespace.split("/") if part)))
    there: dict[str, Any] = {}
    found: dict[str, Any] = {}
    for name, section in _sections(parameters):
        if "*" in name:
            found[name] = section
        elif prefix and name.startswith(f"{prefix}/"):
            there[name] = section
        else:
            found[f"{prefix}{name}"] = section
    return _merged(found, there)


def _sections(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Full node names and what stands under them; namespaces may be levels of their own."""
    for key, section in tree.items():
        name = f"{above}/{str(key).lstrip('/')}"
        if isinstance(section, Mapping) and section and VALUES not in section:
            yield from _sections(section, name)
        else:
            yield name, section


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = {key: _merged(under[key], over[key]) for key in over if isinstance(under.get(key), Mapping)}
    return {**under, **over, **both}


def read_parameter_file(path: str) -> dict[str, Any]:
    """The content of a parameter file. RuntimeError where it is unusable."""
    try:
        content = read_yaml(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RuntimeError(f"params_file {path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not all(isinstance(section, dict) for section in content.values()):
        raise RuntimeError(f"params_file {path} holds no node names with ros__parameters")
    return content


def parameter_file(path: str, namespace: str) -> str:
    """A parameter file whose node names are in the namespace. RuntimeError where `path` is unusable."""
    content = read_parameter_file(path)
    return written_file(in_namespace(content, namespace)) if namespace else path


def written_file(content: Mapping[str, Any]) -> str:
    """A parameter file of this content, for as long as this process lives."""
    with tempfile.NamedTemporaryFile("w", prefix="dualpose_", suffix=".yaml", delete=False) as stream:
        yaml.safe_dump(content, stream, sort_keys=False)
    atexit.register(Path(stream.name).unlink, missing_ok=True)
    return stream.name
