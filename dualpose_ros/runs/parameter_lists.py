"""The parameters of all nodes as files: config/pipeline.yaml and docs/parameters.md."""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from dualpose_ros.bottom_up.stage import BottomUpConfig
from dualpose_ros.detection.stage import DetectionConfig
from dualpose_ros.errors import InputError
from dualpose_ros.fusion.stage import FusionConfig
from dualpose_ros.nodes.bottom_up_node import BottomUpNodeConfig
from dualpose_ros.nodes.camera_node import CameraNodeConfig
from dualpose_ros.nodes.detection_node import DetectionNodeConfig
from dualpose_ros.nodes.fusion_node import FusionNodeConfig
from dualpose_ros.nodes.humans.humans_node import HumansNodeConfig
from dualpose_ros.nodes.parameters import QOS, ROS_PARAMETERS, check_given
from dualpose_ros.nodes.refinement_node import RefinementNodeConfig
from dualpose_ros.nodes.top_down_node import TopDownNodeConfig
from dualpose_ros.nodes.visualization_node import VisualizationNodeConfig
from dualpose_ros.nodes.watching.view_node import ViewNodeConfig
from dualpose_ros.refinement.config import RefinementConfig
from dualpose_ros.settings import Settings, all_settings, with_values, yaml_lines, yaml_value
from dualpose_ros.standalone.arguments import in_force, misspelt_parameters, read_parameter_file
from dualpose_ros.top_down.stage import TopDownConfig

NODES: Mapping[str, Sequence[Settings]] = {
    "camera_node": (CameraNodeConfig(),),
    "detection_node": (DetectionNodeConfig(), DetectionConfig()),
    "top_down_node": (TopDownNodeConfig(), TopDownConfig()),
    "bottom_up_node": (BottomUpNodeConfig(), BottomUpConfig()),
    "fusion_node": (FusionNodeConfig(), FusionConfig()),
    "refinement_node": (RefinementNodeConfig(), RefinementConfig()),
    "visualization_node": (VisualizationNodeConfig(),),
    "humans_node": (HumansNodeConfig(),),
    "view_node": (ViewNodeConfig(),),
}
"""The settings of each node: its own, and those of its stage."""

_YAML_HEAD = """\
# Parameters of every node, with their defaults. Read by `ros2 launch dualpose_ros pipeline.launch.py`
# and by `dualpose run` alike. docs/parameters.md says which may change while a node
# runs; an unknown name stops the node.
# Written by `dualpose parameters`; change the settings' classes, not this file.
"""

_MARKDOWN_HEAD = """\
# Parameters

Every node reads its parameters at start: from a parameter file (`params_file:=...` of the launch file, `--params-file`
of `dualpose run`) or from the command line (`--ros-args -p name:=value`).
[config/pipeline.yaml](../config/pipeline.yaml) has all of them at their defaults. One that is unknown, of the wrong
type or out of its range stops the node with one line that names it, and exit code 2. `ros2 param describe` says what
is said here. Those marked live may change while a node runs (`ros2 param set`, with ROS 2); the others are read-only.

`dualpose run` looks at the file before anything is started or written, and refuses a section that is nearly called as a
node, and an entry that is there twice. What a file says of
`camera_node`'s lens, pace and number of frames, and of the ground, holds there where no option says otherwise.

Written by `dualpose parameters --markdown`; change the settings' classes, not this file.
"""


def check_values(path: Path) -> None:
    """InputError for what a parameter file says that a node would refuse, or all pass over; StandaloneError for it."""
    overrides = read_parameter_file(path)
    names = [item.name for groups in NODES.values() for group in groups for item in all_settings(group)]
    for name, meant in misspelt_parameters(overrides, names).items():
        raise InputError(f"--params-file {path}: no node has '{name}': did you mean {meant}?")
    for node, groups in NODES.items():
        said = in_force(overrides, f"/{node}")
        known = [*ROS_PARAMETERS, *(item.name for group in groups for item in all_settings(group))]
        own = [item for item in said.values() if not (item.is_for_all or item.name.startswith(f"{QOS}."))]
        try:
            check_given({item.name: "" for item in own if item.name not in known}, known)
            for group in groups:
                with_values(group, {name: item.value for name, item in said.items()})
        except ValueError as error:
            raise InputError(f"--params-file {path}: {node}: {error}") from None


def as_yaml(nodes: Sequence[str] = tuple(NODES)) -> str:
    """A parameter file with the defaults of some nodes, and what each parameter does."""
    parts = [f"\n{node}:\n  ros__parameters:\n" + "\n".join(yaml_lines(*NODES[node], indent=4)) for node in nodes]
    return _YAML_HEAD + "\n".join(parts) + "\n"


def as_markdown(nodes: Sequence[str] = tuple(NODES)) -> str:
    """Tables of the parameters of some nodes."""
    lines = [_MARKDOWN_HEAD]
    for node in nodes:
        lines += [f"## {node}", "", "| parameter | default | unit | range | what it does |", "|---" * 5 + "|"]
        for item in chain.from_iterable(all_settings(group) for group in NODES[node]):
            cells: list[Any] = [f"`{item.name}`", f"`{yaml_value(item.value)}`", item.said.unit, item.said.range]
            live = "live: " if item.said.live else ""
            lines.append("| " + " | ".join([*cells, live + item.said.text]) + " |")
        lines.append("")
    return "\n".join(lines)
