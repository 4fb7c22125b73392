"""The settings with which a run refines, kept in its folder: who refines it anew begins with them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dualpose_ros.camera import GroundConfig, ground_config
from dualpose_ros.errors import InputError
from dualpose_ros.refinement.config import RefinementConfig
from dualpose_ros.settings import all_settings, with_values, yaml_lines
from dualpose_ros.sources.calibration import load_ground
from dualpose_ros.standalone.arguments import in_force, read_parameter_file
from dualpose_ros.standalone.errors import StandaloneError

REFINEMENT = "refinement_node"
FILE = "refinement.yaml"


def keep_refinement_settings(folder: Path, params_file: Path | None, given: Mapping[str, Any]) -> None:
    """Write FILE, a parameter file: what a run's parameter file says of refinement, and what is given besides.

    Nothing is written of settings that the node will refuse, and say why. OSError, StandaloneError for files.
    """
    path = folder / FILE
    path.unlink(missing_ok=True)
    try:
        groups = refinement_settings(params_file, given)
    except ValueError:
        return
    path.write_text(f"{REFINEMENT}:\n  ros__parameters:\n" + "\n".join(yaml_lines(*groups, indent=4)) + "\n")


def kept_refinement_settings(folder: Path) -> tuple[Any, RefinementConfig]:
    """Settings of a run's refinement node itself (RefinementNodeConfig), and of its stage; the defaults where it kept
    none. InputError if the file is damaged, or says something that the node would not understand."""
    from dualpose_ros.nodes.parameters import check_given

    path = folder / FILE
    if not path.exists():
        return refinement_settings(None)
    try:
        groups = refinement_settings(path)
        known = {item.name for group in groups for item in all_settings(group)}
        said = in_force(read_parameter_file(path), f"/{REFINEMENT}")
        if not said:
            raise ValueError(f"it says nothing of {REFINEMENT}")
        check_given({name: "" for name in said if name not in known}, known)
        return groups
    except (StandaloneError, ValueError) as error:
        raise InputError(f"{path} is damaged: {error}") from None


def refinement_settings(
    params_file: Path | None, given: Mapping[str, Any] | None = None
) -> tuple[Any, RefinementConfig]:
    """Settings of the refinement node and of its stage by a parameter file, and what is given in front of it.

    StandaloneError for the file, SettingError for a value.
    """
    # Here, not at the top: importing the node puts rclpy, or what stands for it, in place.
    from dualpose_ros.nodes.refinement_node import RefinementNodeConfig

    said = in_force(read_parameter_file(params_file), f"/{REFINEMENT}") if params_file is not None else {}
    values = {**{name: override.value for name, override in said.items()}, **(given or {})}
    return with_values(RefinementNodeConfig(), values), with_values(RefinementConfig(), values)


def stated_ground(
    height_m: float | None, pitch_deg: float, roll_deg: float, calibration: Path | None
) -> GroundConfig | None:
    """The ground by --camera-height and the like, by a file where that is None; InputError, CameraError."""
    if height_m is None:
        if pitch_deg or roll_deg:
            raise InputError("--camera-pitch and --camera-roll say where the ground is with --camera-height alone")
        return load_ground(calibration) if calibration is not None else None
    try:
        return ground_config(height_m, pitch_deg, roll_deg)
    except ValueError as error:
        raise InputError(str(error)) from None


def ground_parameters(ground: GroundConfig | None) -> dict[str, Any]:
    """Parameters of the refinement node."""
    if ground is None:
        return {}
    names = ("camera_height_m", "camera_pitch_rad", "camera_roll_rad")
    return {f"ground.{name}": getattr(ground, name) for name in names}
