"""What every node shares: parameters from frozen dataclasses, guarded callbacks, the main function."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from threadpoolctl import threadpool_limits

from dualpose_ros.nodes.diagnostics import Diagnostics
from dualpose_ros.nodes.parameters import (
    ParameterField,
    build_config,
    check_known,
    coerce,
    parameter_fields,
    to_parameter,
)

# Declared by ROS itself on every node; anything else that is given must be a field of a configuration.
_ROS_PARAMETERS = ("use_sim_time", "start_type_description_service")
_RELIABILITY = {"best_effort": ReliabilityPolicy.BEST_EFFORT, "reliable": ReliabilityPolicy.RELIABLE}

RELIABLE = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.RELIABLE)
"""QoS of detections, heatmaps, poses and markers."""


class StartupError(ValueError):
    """Why a node cannot start; shown as one line, exit code 2."""


@dataclass(frozen=True)
class NodeConfig:
    """Parameters that every node has."""

    image_reliability: str = field(
        default="best_effort",
        metadata={"help": "QoS of images and camera_info: best_effort accepts any camera, reliable loses no frame"},
    )
    diagnostics_period_s: float = field(default=1.0, metadata={"help": "seconds between two messages on /diagnostics"})

    def __post_init__(self) -> None:
        if self.image_reliability not in _RELIABILITY:
            raise ValueError(f"image_reliability is '{self.image_reliability}'; best_effort and reliable are known")
        if not self.diagnostics_period_s > 0:
            raise ValueError(f"diagnostics_period_s is {self.diagnostics_period_s}; it must be positive")


def image_qos(config: NodeConfig, depth: int) -> QoSProfile:
    """QoS of an image stream: the newest `depth` frames, reliability as configured."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=_RELIABILITY[config.image_reliability])


class PipelineNode(Node):  # type: ignore[misc, unused-ignore]
    """A node whose parameters are the fields of frozen dataclasses, and whose callbacks survive errors."""

    def __init__(self, name: str, node_config: type[Any], *stage_configs: type[Any]) -> None:
        """Declare every field of the given dataclasses as a read-only parameter.

        The configurations, with the values given by file or command line, are then in
        `self.config` and `self.stage_configs`. ParameterError for an unknown parameter, a
        value of the wrong type, or one that a dataclass refuses.
        """
        super().__init__(name)
        types = (node_config, *stage_configs)
        fields = [field for config_type in types for field in parameter_fields(config_type)]
        values = {field.name: self._declare(field) for field in fields}
        _check_given(self, [field.name for field in fields])
        self.config, *self.stage_configs = [build_config(config_type, values) for config_type in types]
        self.diagnostics = Diagnostics(self, self.config.diagnostics_period_s)

    def _declare(self, field: ParameterField) -> Any:
        """Declare one parameter, and return the value it has."""
        # Typed by `coerce` instead of rclpy, which refuses `rate: 1` where 1.0 is meant.
        descriptor = ParameterDescriptor(description=field.help, read_only=True, dynamic_typing=True)
        parameter = self.declare_parameter(field.name, to_parameter(field.default), descriptor)
        return coerce(field.name, parameter.value, field.hint)

    def guarded(self, what: str, callback: Callable[..., None]) -> Callable[..., None]:
        """The callback, with any error turned into a throttled log line and a diagnostic."""

        def run(*args: Any) -> None:
            try:
                callback(*args)
            except Exception as error:
                self.report(f"{what}: {_describe(error)}")

        return run

    def report(self, message: str) -> None:
        """Log an error that the node survives, throttled, and show it in the diagnostics."""
        self.get_logger().error(message, throttle_duration_sec=5.0)
        self.diagnostics.error(message)


def _check_given(node: Any, known: Sequence[str]) -> None:
    """ParameterError if files or command line give the node a parameter that it does not have.

    rclpy passes over such a value in silence, and only its private table knows of it.
    """
    if hasattr(node, "parameter_store"):
        node.parameter_store.check_unknown()
    names = getattr(node, "_parameter_overrides", {})
    check_known([n for n in names if n not in _ROS_PARAMETERS and not n.startswith("qos_overrides.")], known)


def _describe(error: Exception) -> str:
    """One line for an error; where it came from too, if it is none of the expected kinds."""
    text = " ".join(str(error).split()) or "no details"
    if isinstance(error, (ValueError, OSError)) or type(error).__module__.startswith("dualpose_ros."):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{where}"


def run_node(make: Callable[[], Any], args: Sequence[str] | None = None) -> int:
    """Start a node, spin it until it is told to stop, and give the exit code of its process.

    0 after an ordinary stop; 2, with one line on stderr, where the node could not start
    (missing file, bad weights, wrong parameter).
    """
    node = None
    try:
        rclpy.init(args=list(args) if args is not None else None)
        node = make()
        # The nodes' matrices are small: BLAS threads that wait for each other cost many times the work.
        threadpool_limits(1, user_api="blas")
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (ValueError, OSError, RuntimeError, ImportError, ParameterException) as error:
        if node is not None:
            raise
        print(f"{make.__name__}: cannot start: {_describe(error)}", file=sys.stderr, flush=True)
        return 2
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
