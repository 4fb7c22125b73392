"""Quality of service, as rclpy.qos names it; only what standalone mode can honour."""

from enum import IntEnum
from typing import Any

from dualpose_ros.standalone.errors import require


class InvalidQoSProfileException(Exception):
    """A profile without history and depth, or with unknown policies."""


class HistoryPolicy(IntEnum):
    """How many messages are kept."""

    SYSTEM_DEFAULT = 0
    KEEP_LAST = 1
    KEEP_ALL = 2


class ReliabilityPolicy(IntEnum):
    """Whether lost messages are sent again."""

    SYSTEM_DEFAULT = 0
    RELIABLE = 1
    BEST_EFFORT = 2


class DurabilityPolicy(IntEnum):
    """Whether late subscribers get earlier messages."""

    SYSTEM_DEFAULT = 0
    TRANSIENT_LOCAL = 1
    VOLATILE = 2


class QoSProfile:
    """History, depth, reliability and durability; the other policies of ROS 2 need ROS 2."""

    def __init__(self, **kwargs: Any) -> None:
        """Set the policies; without `history`, `depth` alone means KEEP_LAST.

        Errors: InvalidQoSProfileException where neither is given; AssertionError for a policy that is not served.
        """
        unknown = kwargs.keys() - {"history", "depth", "reliability", "durability"}
        if unknown:
            raise AssertionError(f"QoS policies not available without ROS 2: {', '.join(sorted(unknown))}")
        if "history" not in kwargs and "depth" not in kwargs:
            raise InvalidQoSProfileException("History and/or depth settings are required.")
        self.history = HistoryPolicy(kwargs.get("history", HistoryPolicy.KEEP_LAST))
        if self.history == HistoryPolicy.KEEP_LAST and "depth" not in kwargs:
            raise InvalidQoSProfileException("History set to KEEP_LAST without a depth setting.")
        self.depth = int(kwargs.get("depth", 10))
        self.reliability = ReliabilityPolicy(kwargs.get("reliability", ReliabilityPolicy.RELIABLE))
        self.durability = DurabilityPolicy(kwargs.get("durability", DurabilityPolicy.VOLATILE))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, QoSProfile) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"QoSProfile({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


def dds_policies(profile: QoSProfile) -> dict[str, Any]:
    """The keyword arguments that the DDS layer takes for a profile."""
    return {
        "depth": profile.depth,
        "keep_all": profile.history == HistoryPolicy.KEEP_ALL,
        "reliable": profile.reliability != ReliabilityPolicy.BEST_EFFORT,
        "transient_local": profile.durability == DurabilityPolicy.TRANSIENT_LOCAL,
    }


def profile_of(policies: Any) -> QoSProfile:
    """The profile of an endpoint by its DDS policies, which do not tell of its depth."""
    policy = require("cyclonedds.qos").Policy
    return QoSProfile(
        depth=1,
        reliability=ReliabilityPolicy(2 if policy.Reliability.BestEffort in policies else 1),
        durability=DurabilityPolicy(1 if policy.Durability.TransientLocal in policies else 2),
    )


def as_profile(profile: QoSProfile | int) -> QoSProfile:
    """The profile that an argument means: a number is the depth of a reliable one. ValueError below 0."""
    if isinstance(profile, QoSProfile):
        return profile
    if isinstance(profile, bool) or not isinstance(profile, int):
        raise TypeError(f"Expected QoSProfile or int, but received {type(profile)!r}")
    if profile < 0:
        raise ValueError("history depth must be greater than or equal to zero")
    return QoSProfile(depth=profile)


qos_profile_sensor_data = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
