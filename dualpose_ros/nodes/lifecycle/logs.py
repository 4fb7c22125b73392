"""What the stages say by Python's logging, in the log of their node: on the console, and on /rosout with ROS 2."""

import logging
from typing import Any

_PACKAGE = "dualpose_ros"


class NodeLogHandler(logging.Handler):
    """Passes lines of the package on to a node's logger; where a process has several nodes, to the last one's."""

    def __init__(self, logger: Any) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Say it; rclpy wants a place of its own for each severity."""
        if record.levelno >= logging.ERROR:
            self._logger.error(self.format(record))
        elif record.levelno >= logging.WARNING:
            self._logger.warning(self.format(record))
        else:
            self._logger.info(self.format(record))


def pass_on_logs(logger: Any) -> None:
    """Say by a node's logger what the package says, in place of a bare line on stderr."""
    package = logging.getLogger(_PACKAGE)
    package.handlers = [one for one in package.handlers if not isinstance(one, NodeLogHandler)]
    package.addHandler(NodeLogHandler(logger))
