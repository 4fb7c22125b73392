"""rclpy.context: the process's share in the ROS graph, from init to shutdown."""

import sys
from collections.abc import Sequence

from dualpose_ros.standalone import arguments, dds
from dualpose_ros.standalone.arguments import RosArguments
from dualpose_ros.standalone.errors import require
from dualpose_ros.standalone.rclpy import logging
from dualpose_ros.standalone.rclpy.exceptions import NotInitializedException


class Context:
    """Command line, domain and participant of a process."""

    def __init__(self) -> None:
        self.arguments = RosArguments()
        self._domain = 0
        self._ok = False
        self._participant: dds.Participant | None = None

    def init(self, args: Sequence[str] | None = None, *, domain_id: int | None = None) -> None:
        """Read the command line (sys.argv where `args` is None) and start.

        Errors: RuntimeError where it runs already; StandaloneError for wrong arguments, environment, or a package
        that is missing.
        """
        if self._ok:
            raise RuntimeError("Context.init() must only be called once")
        require("cyclonedds.domain")
        self.arguments = arguments.parse(sys.argv if args is None else args)
        self._domain = dds.domain_id() if domain_id is None else domain_id
        for name, level in self.arguments.log_levels:
            logging.set_logger_level(name or "", logging.LoggingSeverity(level))
        self._ok = True

    @property
    def participant(self) -> dds.Participant:
        """The DDS participant, made with the first node. NotInitializedException before init."""
        if not self._ok and self._participant is None:
            raise NotInitializedException("rclpy.init() has not been called")
        if self._participant is None:
            self._participant = dds.Participant(self._domain)
        return self._participant

    def ok(self) -> bool:
        """Whether it runs."""
        return self._ok

    def shutdown(self) -> None:
        """Stop and leave the graph. RuntimeError where it does not run."""
        if not self._ok:
            raise RuntimeError("failed to shutdown: rcl_shutdown already called on the given context")
        self.try_shutdown()

    def try_shutdown(self) -> None:
        """Stop, if it runs, and leave the graph."""
        self.stop()
        if self._participant is not None:
            self._participant.close()
            self._participant = None

    def stop(self) -> None:
        """Make ok() false and leave the participant to the nodes that still use it; safe in a signal handler."""
        self._ok = False
