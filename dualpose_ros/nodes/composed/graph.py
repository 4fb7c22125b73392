"""Several nodes in one process: `... dualpose_ros.nodes.composed.graph [NODE ...] --ros-args ...`, by default all from
the detector to the markers.

Each node has a thread. Messages between them are handed over as they are, images as arrays, and go over DDS only where
somebody outside listens. Errors of a callback stay in their node; what ends a process ends all of them.
"""

import contextlib
import importlib
import sys
import threading
from collections.abc import Sequence
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from dualpose_ros.nodes.base import PipelineNode, StartupError, run_node
from dualpose_ros.nodes.composed.bus import Bus
from dualpose_ros.nodes.lifecycle.spinning import end, executor_of

GRAPH = (
    "detection_node", "top_down_node", "bottom_up_node", "fusion_node", "refinement_node", "visualization_node"
)  # fmt: skip
_MODULES = {
    "camera_node": "camera_node", **{name: name for name in GRAPH}, "humans_node": "humans.humans_node",
    "view_node": "watching.view_node",
}  # fmt: skip
"""Where a node is, below `dualpose_ros.nodes`."""

# Between networks, which need no interpreter, a node's Python must not wait long for another's.
_SWITCH_S = 0.0005
_LOOK_S = 0.1


class ComposedGraph:
    """The nodes of a process, each with a thread."""

    def __init__(self, names: Sequence[str]) -> None:
        """Make the nodes of these names. Errors are those of the nodes; StartupError for a name that is none."""
        unknown = [name for name in names if name not in _MODULES]
        if unknown:
            raise StartupError(f"there is no node '{unknown[0]}'; there are {', '.join(_MODULES)}")
        self._failure: BaseException | None = None
        self._over = threading.Event()
        bus = PipelineNode.bus = Bus()
        self._nodes: list[Any] = []
        self._executors: list[Any] = []
        for name in names:
            module = importlib.import_module(f"dualpose_ros.nodes.{_MODULES[name]}")
            self._nodes.append(getattr(module, "".join(word.capitalize() for word in name.split("_")))())
        self._nodes.append(Node("composed_inputs"))
        bus.open(self._nodes[-1])

    def spin(self) -> None:
        """Serve all nodes until the context is shut down; the error of a thread that failed is raised."""
        before = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_S)
        threads = [threading.Thread(target=self._serve, args=(node,), name=node.get_name()) for node in self._nodes]
        try:
            for thread in threads:
                thread.start()
            while rclpy.ok() and not self._over.wait(_LOOK_S):
                pass
        finally:
            self._over.set()
            for thread in threads:
                thread.join()
            end(*self._executors)
            sys.setswitchinterval(before)
        if self._failure is not None:
            raise self._failure

    def _serve(self, node: Any) -> None:
        try:
            executor = executor_of(node)
            self._executors.append(executor)
            while rclpy.ok() and not self._over.is_set():
                executor.spin_once(timeout_sec=_LOOK_S)
        except ExternalShutdownException:
            pass
        except BaseException as error:
            if rclpy.ok():
                self._failure = error
                self._over.set()

    def destroy_node(self) -> None:
        """Leave the graph."""
        PipelineNode.bus = None
        for node in self._nodes:
            with contextlib.suppress(Exception):
                node.destroy_node()


def main() -> int:
    """Run the nodes named on the command line; the exit code of the process."""
    given = sys.argv[1:]
    names = given[: given.index("--ros-args")] if "--ros-args" in given else given

    def make() -> ComposedGraph:
        return ComposedGraph(names or GRAPH)

    make.__name__ = "ComposedGraph"
    return run_node(make, spin=ComposedGraph.spin)
