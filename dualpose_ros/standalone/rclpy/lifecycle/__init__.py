"""rclpy.lifecycle: managed nodes that their own process manages; the services that others would call need ROS 2."""

from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

from dualpose_ros.standalone.rclpy.node import Node


class TransitionCallbackReturn(Enum):
    """How a transition's callback ended."""

    SUCCESS = 97
    FAILURE = 98
    ERROR = 99


class LifecycleState(NamedTuple):
    """A state by name and by number."""

    label: str
    state_id: int


_STATES = {
    label: LifecycleState(label, number + 1)
    for number, label in enumerate(("unconfigured", "inactive", "active", "finalized"))
}
# (state, transition) -> (state after success, after failure).
_TRANSITIONS = {
    ("unconfigured", "configure"): ("inactive", "unconfigured"),
    ("inactive", "activate"): ("active", "inactive"),
    ("active", "deactivate"): ("inactive", "active"),
    ("inactive", "cleanup"): ("unconfigured", "inactive"),
    **{(state, "shutdown"): ("finalized", "finalized") for state in ("unconfigured", "inactive", "active")},
}


class LifecycleNode(Node):
    """A node with a state; its callbacks do nothing unless they are overridden."""

    def __init__(self, node_name: str, *, enable_communication_interface: bool = True, **kwargs: Any) -> None:
        """As Node's; the services of `enable_communication_interface` are not served."""
        super().__init__(node_name, **kwargs)
        self.lifecycle_state = _STATES["unconfigured"]

    def trigger_configure(self) -> TransitionCallbackReturn:
        """unconfigured -> inactive. RuntimeError from another state; so all of them."""
        return self._trigger("configure", self.on_configure)

    def trigger_activate(self) -> TransitionCallbackReturn:
        """inactive -> active."""
        return self._trigger("activate", self.on_activate)

    def trigger_deactivate(self) -> TransitionCallbackReturn:
        """active -> inactive."""
        return self._trigger("deactivate", self.on_deactivate)

    def trigger_cleanup(self) -> TransitionCallbackReturn:
        """inactive -> unconfigured."""
        return self._trigger("cleanup", self.on_cleanup)

    def trigger_shutdown(self) -> TransitionCallbackReturn:
        """Any state -> finalized."""
        return self._trigger("shutdown", self.on_shutdown)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Called from trigger_configure with the state before; so the others."""
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Called from trigger_activate."""
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Called from trigger_deactivate."""
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Called from trigger_cleanup."""
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Called from trigger_shutdown."""
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Called where another callback ended with ERROR, or raised: SUCCESS makes the node unconfigured."""
        return TransitionCallbackReturn.SUCCESS

    def _trigger(
        self, transition: str, callback: Callable[[LifecycleState], TransitionCallbackReturn]
    ) -> TransitionCallbackReturn:
        before = self.lifecycle_state
        goals = _TRANSITIONS.get((before.label, transition))
        if goals is None:
            raise RuntimeError(
                f"Failed to trigger lifecycle state machine transition: no {transition} from {before.label}"
            )
        result = _called(callback, before)
        if result == TransitionCallbackReturn.ERROR:
            mended = _called(self.on_error, before) == TransitionCallbackReturn.SUCCESS
            self.lifecycle_state = _STATES["unconfigured" if mended else "finalized"]
        else:
            self.lifecycle_state = _STATES[goals[result != TransitionCallbackReturn.SUCCESS]]
        return result


def _called(
    callback: Callable[[LifecycleState], TransitionCallbackReturn], state: LifecycleState
) -> TransitionCallbackReturn:
    """What a callback says; ERROR, without a word, where it raises, as rclpy has it."""
    try:
        return callback(state)
    except Exception:
        return TransitionCallbackReturn.ERROR
