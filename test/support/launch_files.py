"""The launch files with stand-ins for ROS 2's launch: what they declare, and what they do with arguments."""

import dataclasses
import runpy
from typing import Any

from support.data import ROOT

NODES = ("detection_node", "top_down_node", "bottom_up_node", "fusion_node", "refinement_node", "visualization_node")
LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.py"))


@dataclasses.dataclass
class Recorded:
    """Stands for any class of the launch packages: remembers how it was made."""

    kind: str
    args: tuple[Any, ...]
    options: dict[str, Any]

    def perform(self, context: dict[str, str]) -> str:
        return context[self.args[0]]


INSTALLED = {"dualpose_ros", "rviz2", "tf2_ros"}


def find(package: str) -> str:
    """Where a package's data is; KeyError, as ament's PackageNotFoundError is one, where it is not installed."""
    if package not in INSTALLED:
        raise KeyError(package)
    return str(ROOT)


def arguments_of(description: Recorded) -> dict[str, str]:
    """The arguments at their defaults; cameras, which there are none of by default, are two."""
    declared = [item for item in description.args[0] if item.kind == "DeclareLaunchArgument"]
    assert all(item.options["description"] for item in declared)
    defaults = {item.args[0]: item.options["default_value"] for item in declared}
    return defaults | ({"cameras": "front,rear"} if "cameras" in defaults else {})


class Context(dict[str, str]):
    """The launch configurations, and the words that `ros2 launch` was given for the launch file."""

    argv: tuple[str, ...] = ()

    @property
    def launch_configurations(self) -> dict[str, str]:
        return self


def actions_of(description: Recorded, given: dict[str, str], argv: tuple[str, ...] = ()) -> list[Recorded]:
    """What the launch file does once its arguments are known."""
    context = Context(given)
    context.argv = argv
    functions = [item.options["function"] for item in description.args[0] if item.kind == "OpaqueFunction"]
    return [action for function in functions for action in function(context)]


def nodes_of(actions: list[Recorded]) -> dict[str, dict[str, Any]]:
    return {action.options["executable"]: action.options for action in actions if action.kind == "Node"}


def values_of(parameters: dict[str, Recorded]) -> dict[str, Any]:
    """The parameters of a node, each typed as its own value is."""
    assert all(value.options == {"value_type": type(value.args[0])} for value in parameters.values())
    return {name: value.args[0] for name, value in parameters.items()}


def given_to(node: dict[str, Any]) -> dict[str, Any]:
    """What a launch file tells a node beside the parameter file."""
    return values_of(node["parameters"][1]) if len(node["parameters"]) > 1 else {}


def handlers_of(actions: list[Recorded], kind: str) -> list[Recorded]:
    """The event handlers of one kind."""
    handlers = [action.args[0] for action in actions if action.kind == "RegisterEventHandler"]
    return [handler for handler in handlers if handler.kind == kind]


def describe(name: str) -> Recorded:
    return runpy.run_path(str(ROOT / "launch" / name))["generate_launch_description"]()
