"""Calibration files in the format that ROS's camera_calibration writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from dualpose_ros.camera import Camera, CameraError, camera_from_matrix

_MODELS = ("plumb_bob", "rational_polynomial")


def load_calibration(path: Path) -> Camera:
    """Camera of a camera_calibration YAML file; CameraError names the file and what is wrong with it."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CameraError(f"calibration file {path} does not exist") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CameraError(f"calibration file {path} cannot be read: {' '.join(str(error).split())}") from None
    try:
        return _camera(content)
    except (CameraError, TypeError, ValueError) as error:
        raise CameraError(f"calibration file {path}: {error}") from None


def _camera(content: Any) -> Camera:
    if not isinstance(content, dict):
        raise CameraError("holds no mapping; camera_calibration's format is needed")
    model = content.get("distortion_model", "plumb_bob")
    if model not in _MODELS:
        raise CameraError(f"distortion_model '{model}' is not supported ({' or '.join(_MODELS)} is)")
    width, height = int(_entry(content, "image_width")), int(_entry(content, "image_height"))
    matrix = _entry(content, "camera_matrix", "data")
    distortion = _entry(content, "distortion_coefficients", "data")
    return camera_from_matrix(width, height, matrix, distortion)


def _entry(content: dict[str, Any], *keys: str) -> Any:
    value: Any = content
    for depth, key in enumerate(keys):
        if not isinstance(value, dict) or key not in value:
            raise CameraError(f"'{'.'.join(keys[: depth + 1])}' is missing")
        value = value[key]
    return value
