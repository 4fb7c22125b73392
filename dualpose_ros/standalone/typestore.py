"""Message definitions as rosbags parses them: ROS 2's own, vision_msgs', and this package's .msg files."""

import functools
import os
from typing import Any

from dualpose_ros.standalone.errors import StandaloneError, require

# Field and constant names as published in vision_msgs 4.1 (the same for Humble and Jazzy).
_VISION_MSGS = {
    "Point2D": "float64 x\nfloat64 y\n",
    "Pose2D": "vision_msgs/Point2D position\nfloat64 theta\n",
    "BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n",
    "ObjectHypothesis": "string class_id\nfloat64 score\n",
    "ObjectHypothesisWithPose": "ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose\n",
    "Detection2D": "std_msgs/Header header\nObjectHypothesisWithPose[] results\nBoundingBox2D bbox\nstring id\n",
    "Detection2DArray": "std_msgs/Header header\nDetection2D[] detections\n",
}

# Those of REP-155 that the humans node publishes, as published in hri_msgs 2.0.
_HRI_MSGS = {
    "IdsList": "std_msgs/Header header\nstring[] ids\n",
    "NormalizedPointOfInterest2D": "float32 x\nfloat32 y\nfloat32 c\n",
    "NormalizedRegionOfInterest2D": "std_msgs/Header header\n"
    "float32 xmin\nfloat32 ymin\nfloat32 xmax\nfloat32 ymax\nfloat32 c\n",
    "Skeleton2D": "std_msgs/Header header\nNormalizedPointOfInterest2D[18] skeleton\n",
}

# rosbags drops the default values that a .msg file gives to fields; these are all that the served packages have.
FIELD_DEFAULTS: dict[str, dict[str, Any]] = {"geometry_msgs/msg/Quaternion": {"w": 1.0}}

PACKAGES = (
    "builtin_interfaces",
    "diagnostic_msgs",
    "dualpose_ros",
    "geometry_msgs",
    "hri_msgs",
    "lifecycle_msgs",
    "rcl_interfaces",
    "rmw_dds_common",
    "rosgraph_msgs",
    "sensor_msgs",
    "std_msgs",
    "tf2_msgs",
    "vision_msgs",
    "visualization_msgs",
)


@functools.cache
def typestore() -> Any:
    """The rosbags type store that holds every message of PACKAGES (Jazzy; Humble where ROS_DISTRO says so)."""
    rosbags = require("rosbags.typesys")
    humble = os.environ.get("ROS_DISTRO") == "humble"
    store = rosbags.get_typestore(rosbags.Stores.ROS2_HUMBLE if humble else rosbags.Stores.ROS2_JAZZY)
    store.register(own_definitions())
    return store


def own_definitions() -> dict[str, Any]:
    """The parsed definitions that rosbags does not ship: vision_msgs, of hri_msgs some, and dualpose_ros.

    Errors: StandaloneError where the package's msg folder holds no .msg file or one cannot be parsed.
    """
    from dualpose_ros.paths import share_dir

    rosbags = require("rosbags.typesys")
    folder = share_dir() / "msg"
    texts = {f"vision_msgs/msg/{name}": text for name, text in _VISION_MSGS.items()}
    texts |= {f"hri_msgs/msg/{name}": text for name, text in _HRI_MSGS.items()}
    files = sorted(folder.glob("*.msg"))
    if not files:
        raise StandaloneError(f"no .msg file in {folder}: reinstall dualpose_ros")
    texts |= {f"dualpose_ros/msg/{path.stem}": path.read_text(encoding="utf-8") for path in files}
    definitions: dict[str, Any] = {}
    for typename, text in texts.items():
        try:
            definitions |= rosbags.get_types_from_msg(text, typename)
        except Exception as error:
            raise StandaloneError(f"the message definition of {typename} cannot be parsed: {error}") from error
    return definitions


@functools.cache
def type_hash(typename: str) -> str:
    """A message type's hash, `RIHS01_` and 64 hexadecimal digits, as ROS 2 has it from Jazzy on (REP-2016)."""
    return str(typestore().hash_rihs01(typename))


def message_names(package: str) -> list[str]:
    """The names of a package's messages, sorted; empty for an unknown package."""
    prefix = f"{package}/msg/"
    return sorted(name.removeprefix(prefix) for name in typestore().fielddefs if name.startswith(prefix))
