"""Guard conditions: callbacks of a node that any thread can ask for."""

from collections.abc import Callable
from typing import Any

from dualpose_ros.standalone.errors import require


class GuardCondition:
    """Has the node's executor call `callback()` once after `trigger()`."""

    def __init__(self, participant: Any, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.entity = require("cyclonedds.core").GuardCondition(participant)

    def trigger(self) -> None:
        """Ask for the callback; from any thread."""
        entity = self.entity
        if entity is not None:
            entity.set(True)

    def take(self) -> bool:
        """Whether the callback was asked for since the last time."""
        return self.entity is not None and self.entity.take()

    def destroy(self) -> None:
        """End it for good."""
        self.entity = None
