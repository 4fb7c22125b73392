"""Settings as ROS parameters: descriptors, values from outside, and names that they had before."""

import copy
import difflib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterValueException
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

from dualpose_ros.settings import Item, SettingError, Settings, all_settings, with_values
from dualpose_ros.standalone import arguments
from dualpose_ros.standalone.arguments import Override
from dualpose_ros.standalone.errors import StandaloneError

# Declared by ROS itself on every node; anything else that is given must be a setting.
ROS_PARAMETERS = ("use_sim_time", "start_type_description_service")

_TRACKER = {
    "score_low": "low_score",
    "score_high": "high_score",
    "score_new": "new_track_score",
    "match_limit": "max_match_cost",
    "weak_match_limit": "max_weak_match_cost",
    "tentative_s": "max_tentative_gap_s",
    "remember_s": "max_lost_s",
    **{name: name for name in ("gate_sigmas", "max_size_ratio", "appearance_weight", "confirm_hits", "max_coast_s",
                               "duplicate_iou", "duplicate_s")},
}  # fmt: skip
_ERRORS = {"slow": "correlated_share", "seconds": "correlation_time_s", "freedom": "student_t_dof"}
_SOLVER = {
    "keypoint_m": "keypoint_stddev_m",
    "keypoint_px": "min_keypoint_stddev_px",
    "hidden_score": "min_keypoint_score",
    "bone_m": "bone_stddev_m",
    "motion_share": "motion_stddev_scale",
    "motion_freedom": "motion_student_t_dof",
    "stated_share": "stddev_scale",
    "step_m": "max_step_m",
    **{f"{kind}.{old}": f"{kind}.{new}" for kind in ("relative", "keypoints") for old, new in _ERRORS.items()},
}
_BONES = {
    "proportions_s": "proportions_prior_s",
    "size_s": "size_prior_s",
    "memory_s": "memory_time_constant_s",
    "strange": "outlier_share",
    "creep": "max_change_per_s",
}

RENAMED: dict[str, tuple[str, ...]] = {
    "rate": ("playback_rate",),
    "start_when_subscribed": ("wait_for_subscribers",),
    "max_rate": ("max_rate_hz", "max_rate_without_detector_hz"),
    "max_in_flight": ("max_frames_in_flight",),
    "in_flight_timeout": ("in_flight_timeout_s",),
    "ring_frames": ("sync_queue_size",),
    "max_wait": ("max_wait_s",),
    "give_up": ("give_up_after_frames",),
    "detector_timeout": ("detector_timeout_s",),
    "backend": ("engine.backend",),
    "threads": ("engine.threads",),
    "input_long_side": ("input_long_side_px",),
    "long_side": ("input_long_side_px",),
    "enlarge": ("patch_scale",),
    "peak_score": ("decode.min_peak_score",),
    "seed_score": ("decode.grouping.seed_score",),
    "tag_limit": ("decode.grouping.max_tag_distance",),
    "min_joints": ("decode.grouping.min_joints",),
    "same_oks": ("merge.same_person_oks", "decode.same_person_oks"),
    "min_score": ("decode.min_score",),
    "min_bottom_up_score": ("min_score",),
    "max_people": ("decode.max_people",),
    "keep_weight": ("merge.previous_pose_weight",),
    "heatmap_cells": ("heatmap_long_side_cells",),
    "floor": ("floor.enabled",),
    "velocity_seconds": ("velocity_time_constant_s",),
    "pixel_stddev": ("keypoint_stddev_px",),
    "min_similarity": ("matching.min_similarity",),
    "shadow_oks": ("matching.duplicate_oks",),
    "confirm_frames": ("identity.confirm_frames",),
    "forget_s": ("identity.max_lost_s",),
    "handover_s": ("handover_time_constant_s",),
    "window": ("window_frames",),
    "steps": ("gauss_newton_steps",),
    "steady_s": ("smoothing_time_constant_s",),
    "markers.bone_width": ("markers.bone_width_m",),
    "markers.joint_diameter": ("markers.joint_diameter_m",),
    "markers.text_height": ("markers.text_height_m",),
    **{old: (f"tracker.{new}",) for old, new in _TRACKER.items()},
    **{f"solver.{old}": (f"solver.{new}",) for old, new in _SOLVER.items()},
    **{f"bones.{old}": (f"bones.{new}",) for old, new in _BONES.items()},
}
"""What parameters were called before, and what they are now, by the first of these names that a node has."""

_GONE = {"image_reliability": "the node takes no images"}

QOS = "qos_overrides"
_POLICIES: dict[str, Any] = {"history": HistoryPolicy, "depth": int, "reliability": ReliabilityPolicy}
_QOS_NAME = re.compile(rf"{QOS}\./[^.]+\.(publisher|subscription)\.({'|'.join(_POLICIES)})")


def descriptor(item: Item) -> Any:
    """The ParameterDescriptor of a setting: its own text, unit and range; read-only unless it is live."""
    said = item.said
    # Typed by the settings instead of rclpy, which refuses `rate: 1` where 1.0 is meant.
    made = ParameterDescriptor(name=item.name, description=said.text, dynamic_typing=True)
    made.read_only = not said.live
    made.additional_constraints = said.limits
    if said.low is not None and said.high is not None:
        if isinstance(item.value, float):
            made.floating_point_range = [FloatingPointRange(from_value=float(said.low), to_value=float(said.high))]
        elif isinstance(item.value, int):
            made.integer_range = [IntegerRange(from_value=int(said.low), to_value=int(said.high), step=said.step)]
    return made


def declare(node: Any, *groups: Settings) -> list[Settings]:
    """Declare every setting as a parameter of a node, and return the groups with the values given from outside.

    SettingError for a parameter that is unknown, of the wrong type, or out of its range.
    """
    items = [item for group in groups for item in all_settings(group)]
    values = {item.name: _declared(node, item) for item in items}
    check_given(_unknown(node, values), values)
    return [with_values(group, values) for group in groups]


def _declared(node: Any, item: Item) -> Any:
    default = list(item.value) if isinstance(item.value, tuple) else item.value
    try:
        return node.declare_parameter(item.name, default, descriptor(item)).value
    except InvalidParameterValueException:
        # Out of range. `with_values` says so too, and the same whichever of ROS's ranges or of ours was left.
        return node.declare_parameter(item.name, default, ParameterDescriptor(dynamic_typing=True)).value


def _unknown(node: Any, known: Iterable[str]) -> dict[str, str]:
    """Values that are given to this node and that it does not declare, with where they were found.

    rclpy passes over such a value in silence, and only the command line tells for whom it was meant: what stands under
    `/**` of a file that several packages share is none of a node's business, and neither is what a launch file gives to
    all of its nodes (`-p` without a node's name), unless it is but misspelt.
    """
    found: dict[str, str] = {}
    for item in given_parameters(node):
        if not item.matches(node.get_fully_qualified_name()) or item.name in (*known, *ROS_PARAMETERS):
            continue
        shared = item.is_for_all or (item.node_pattern == "**" and not _meant(item.name, known))
        if shared or _QOS_NAME.fullmatch(item.name):
            continue
        found[item.name] = item.origin
    return found


def with_qos_overrides(node: Any, topic: str, qos: QoSProfile, entity: str) -> QoSProfile:
    """The profile with what `qos_overrides.TOPIC.ENTITY.POLICY` say, read-only parameters that are declared for it.

    As rclpy's QoSOverridingOptions has them by default: history, depth and reliability.

    node: whose topic it is; topic: its absolute name; qos: as the node would have it, which stays as it is; entity:
    `publisher` or `subscription`.
    SettingError for a value that is no such policy.
    """
    qos = copy.copy(qos)
    for policy, kind in _POLICIES.items():
        name, said = f"{QOS}.{topic}.{entity}.{policy}", getattr(qos, policy)
        if not node.has_parameter(name):
            text = f"{policy} of the {entity} of {topic}"
            made = ParameterDescriptor(name=name, description=text, read_only=True, dynamic_typing=True)
            node.declare_parameter(name, said if kind is int else said.name.lower(), made)
        value = node.get_parameter(name).value
        if kind is int:
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise SettingError(name, f"is {value!r}; it must be a whole number of at least 1")
            setattr(qos, policy, value)
        elif str(value).upper() in kind.__members__:
            setattr(qos, policy, kind[str(value).upper()])
        else:
            choices = ", ".join(sorted(member.lower() for member in kind.__members__))
            raise SettingError(name, f"is {value!r}; it must be one of {choices}")
    return qos


def unused_qos_overrides(node: Any) -> list[str]:
    """What is given to this node alone for topics that it does not have."""
    own = node.get_fully_qualified_name()
    given = [item for item in given_parameters(node) if _QOS_NAME.fullmatch(item.name) and item.matches(own)]
    return [item.name for item in given if not item.is_for_all and item.node_pattern != "**" and
            not node.has_parameter(item.name)]  # fmt: skip


def given_parameters(node: Any) -> Sequence[Override]:
    """What a node's command line, and the parameter files that it names, give to any node."""
    try:
        known = getattr(node.context, "arguments", None)
        return (known or arguments.parse(sys.argv)).overrides
    except StandaloneError:
        # rcl takes arguments that this reader does not know.
        return ()


def _meant(name: str, known: Iterable[str]) -> str:
    """The parameter that an unknown name may stand for, or an empty string."""
    known = list(known)
    now = next((new for new in RENAMED.get(name, ()) if new in known), None)
    return now or next(iter(difflib.get_close_matches(name, known, n=1)), "")


def check_given(unknown: Mapping[str, str], known: Iterable[str]) -> None:
    """SettingError for names that are unknown (by where they were found): what each is called now, or may mean."""
    known = list(known)
    told = []
    for name, origin in unknown.items():
        meant = _meant(name, known)
        guess = f"did you mean {meant}?" if meant else ""
        hint = (
            f"it is now called {meant}" if meant in RENAMED.get(name, ()) else _GONE.get(name.partition(".")[0], guess)
        )
        told.append(f"'{name}'" + (f" (in {origin})" if origin else "") + (f": {hint}" if hint else ""))
    if told:
        raise SettingError("parameter", f"unknown: {'; '.join(told)}")
