"""Our nodes use nothing that the real rclpy lacks, and our own rclpy offers nothing that it lacks."""

import enum
import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest
import rclpy_usage as usage

from dualpose_ros.standalone import _RCLPY

REPOSITORY = Path(__file__).resolve().parents[2]


# What the executor reaches into, and names that stand for rclpy's C layer; the nodes' check refuses them.
INTERNAL = {
    "Node": {"own_executor", "timers_", "subscriptions_", "publishers_", "guards_", "parameter_store"},
    "LifecycleNode": {"lifecycle_state"},
    "Publisher": {"writer", "msg_type", "topic", "qos_profile", "dropped"},
    "Subscription": {"reader", "msg_type", "topic", "callback", "qos_profile", "take"},
    "Timer": {"callback", "call"},
    "Context": {"arguments", "participant", "stop"},
}
INTERNAL_NAMES = {"rclpy.qos": {"as_profile", "dds_policies", "profile_of"}, "rclpy.logging": {"connect"}}


def test_nodes_use_only_what_rclpy_has() -> None:
    files = sorted((REPOSITORY / "dualpose_ros" / "nodes").rglob("*.py"))
    assert files
    assert usage.Sources({path.name: path.read_text(encoding="utf-8") for path in files}).complaints() == []


GOOD = """
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.time import Time

class Base(Node):
    def __init__(self):
        super().__init__("base", namespace="x")
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        self._publisher = self.create_publisher(object, "a", qos)

class Derived(Base):
    def __init__(self):
        super().__init__()
        self.own = 1
        self.get_logger().info("x", throttle_duration_sec=1.0)
        self._publisher.publish(self.own)
        stamp = Time.from_msg(self.get_clock().now().to_msg())
        print(stamp.nanoseconds)

def main() -> None:
    rclpy.init(args=None)
    rclpy.spin(Derived())
    rclpy.try_shutdown()
"""


def test_good_source_passes() -> None:
    assert usage.Sources({"good.py": GOOD}).complaints() == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("rclpy.try_shutdown()", "rclpy.stop()", "rclpy has no 'stop'"),
        ("rclpy.init(args=None)", "rclpy.init(None)", "positional"),
        ("import QoSProfile,", "import QoSProfil,", "rclpy.qos has no 'QoSProfil'"),
        ("depth=1", "size=1", "no argument 'size'"),
        ("ReliabilityPolicy.RELIABLE", "ReliabilityPolicy.SURE", "'SURE'"),
        ('namespace="x"', 'space="x"', "no argument 'space'"),
        ("self.get_logger()", "self.logger()", "'logger'"),
        ("throttle_duration_sec", "throttle_sec", "no argument 'throttle_sec'"),
        ("self.get_clock().now().to_msg()", "self.get_clock().time()", "'time'"),
        ("stamp.nanoseconds", "stamp.nanos", "rclpy's Time has no 'nanos'"),
        ('self.create_publisher(object, "a",', 'self.create_publisher(object, "a", 1, 2,', "positional"),
        ("self._publisher.publish(self.own)", "self.timers_.clear()", "'timers_'"),
    ],
)
def test_bad_source_is_caught(old: Any, new: Any, complaint: Any) -> None:
    assert old in GOOD
    found = usage.Sources({"bad.py": GOOD.replace(old, new)}).complaints()
    assert any(complaint in text for text in found), found


@pytest.mark.parametrize("part", _RCLPY)
def test_own_rclpy_offers_nothing_else(part: Any) -> None:
    module = importlib.import_module(f"dualpose_ros.standalone.rclpy{part}")
    name = f"rclpy{part}"
    known = usage.names_of(name) if name in usage.MODULES else set()
    for attribute, value in vars(module).items():
        if attribute.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(value):
            _check_class(value)
        elif inspect.isfunction(value) and attribute not in INTERNAL_NAMES.get(name, set()):
            assert attribute in known, f"{name} has no {attribute}"
            _check_arguments(value, usage.MODULES[name]["functions"][attribute], attribute, skip=0)


def _check_class(cls: Any) -> None:
    if cls.__name__ == "ParameterStore":
        return
    assert cls.__name__ in usage.CLASSES, f"rclpy has no class {cls.__name__}"
    if issubclass(cls, Exception):
        return
    for attribute, value in vars(cls).items():
        if attribute.startswith("_") and attribute != "__init__":
            continue
        if attribute in INTERNAL.get(cls.__name__, set()):
            continue
        if issubclass(cls, enum.Enum) and attribute not in cls.__members__:
            continue
        found = usage.member(cls.__name__, attribute)
        inner = value.__func__ if isinstance(value, classmethod) else value
        if attribute == "__init__" and cls.__name__ in ("Publisher", "Subscription", "Timer"):
            continue
        assert found is not None, f"rclpy's {cls.__name__} has no {attribute}"
        if inspect.isfunction(inner):
            assert isinstance(found, list), f"rclpy's {cls.__name__}.{attribute} is not a method"
            _check_arguments(inner, found, f"{cls.__name__}.{attribute}", skip=1)


def _check_arguments(function: Any, known: Any, what: Any, skip: Any) -> None:
    """Every argument is one of the real function, and positional only where the real one is."""
    star = known.index("*") if "*" in known else len(known)
    for parameter in list(inspect.signature(function).parameters.values())[skip:]:
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        allowed = known if parameter.kind == parameter.KEYWORD_ONLY else known[:star]
        assert parameter.name in allowed, f"{what} takes no argument {parameter.name!r}"
