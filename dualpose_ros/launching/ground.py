"""The ground that a calibration file says beside its camera, as parameters."""

import math
import re

from dualpose_ros.paths import user_path

_NAMES = ("camera_height_m", "camera_pitch_deg", "camera_roll_deg")
# Its matrices need a loader of their own, which the Python of `ros2 launch` may lack libraries for.
_LINE = re.compile(r"^(camera_(?:height|pitch|roll)\w*)\s*:\s*([^\s#]*)", re.MULTILINE)


def calibrated_ground(calibration: str) -> dict[str, float]:
    """Parameters `ground.*` of a calibration file, or of a camera of one of several (`FILE:cam1`); none where it says
    no ground, or can't be read, which the camera's node tells. RuntimeError for a name or a number that is none."""
    path, (name, _, _) = user_path(calibration), calibration.rpartition(":")
    try:
        text = (path if path.exists() else user_path(name)).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    said: dict[str, float] = {}
    for key, value in _LINE.findall(text):
        try:
            said[_NAMES[_NAMES.index(key)]] = float(value)
        except ValueError:
            needed = f"the ground is said by numbers of {', '.join(_NAMES)}"
            raise RuntimeError(f"calibration {calibration}: {key}: {value}; {needed}") from None
    if said and "camera_height_m" not in said:
        raise RuntimeError(f"calibration {calibration}: {min(said)} says where the ground is with camera_height_m only")
    return {
        f"ground.{key.replace('_deg', '_rad')}": math.radians(value) if key.endswith("_deg") else value
        for key, value in said.items()
    }
