"""Managed nodes (ROS 2's lifecycle) that by default bring themselves up, and whose settings can change while they run.

unconfigured: the parameters are known. configure: networks are loaded, publishers made. activate: subscriptions and
timers; from here on it works. deactivate takes the latter away again, cleanup the former.
"""

from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from dualpose_ros import standalone
from dualpose_ros.nodes.lifecycle.logs import pass_on_logs
from dualpose_ros.nodes.parameters import declare
from dualpose_ros.settings import Settings, all_settings, with_values

_STEADY = Clock(clock_type=ClockType.STEADY_TIME)
_SUCCESS, _FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class ManagedNode(LifecycleNode):  # type: ignore[misc, unused-ignore]
    """A node whose work is in `configure` and `activate`; what these make is taken down by the state machine."""

    _configuring = False
    _made: dict[bool, list[tuple[Callable[[Any], Any], Any]]] | None = None

    def __init__(self, name: str, *groups: Settings) -> None:
        """Declare the settings as parameters; `self.settings` holds them with the values given from outside.

        SettingError for a parameter that is unknown, of the wrong type, or out of its range.
        """
        super().__init__(name)
        pass_on_logs(self.get_logger())
        for service in getattr(self, "services", ()):  # without ROS 2 there are none
            if service.srv_name.endswith("/change_state"):
                service.callback = refusing(service.callback, lambda text: self.get_logger().warning(text))
        self.settings: list[Any] = declare(self, *groups)
        self.add_on_set_parameters_callback(self._on_set)
        self.state = "unconfigured"
        self.is_starting = False
        self._failure: Exception | None = None

    def configure(self) -> None:
        """Load what takes long, and make publishers. An error leaves the node unconfigured, and its text is logged."""

    def activate(self) -> None:
        """Make subscriptions and timers. An error leaves the node inactive."""

    def release(self) -> None:
        """Let go of what else was opened: a camera, a file."""

    def reconfigured(self) -> None:
        """`self.settings` have changed while the node runs: pass them on to whatever was made with the old ones."""

    def bring_up(self) -> None:
        """Configure and activate, without a manager; raises the error that stood in the way."""
        self.is_starting = True
        for step in (self.trigger_configure, self.trigger_activate):
            if step() != _SUCCESS:
                raise self._failure or RuntimeError(f"{self.get_name()} could not be brought up")
        self.is_starting = False

    # The names by which rclpy calls them.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load networks and make publishers."""
        self._made = {True: [], False: []}
        self._configuring = True
        return self._change("inactive", self.configure, lambda: self._take_down(True))

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start to work."""
        self._configuring = False
        return self._change("active", self.activate, lambda: self._take_down(False))

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop working; networks stay loaded."""
        return self._change("inactive", lambda: self._take_down(False))

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of networks and publishers."""
        return self._change("unconfigured", lambda: self._take_down(True))

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of everything."""
        return self._change("finalized", lambda: self._take_down(True))

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Be as new after an error in a transition."""
        return self._change("unconfigured", lambda: self._take_down(True))

    def _change(
        self, to: str, work: Callable[[], None], undo: Callable[[], None] = lambda: None
    ) -> TransitionCallbackReturn:
        """Do a transition's work; rclpy would swallow its error, so it is said here."""
        before, self._failure = self.state, None
        try:
            work()
        except Exception as error:
            self._failure = error
            undo()
            self.transition_failed(f"{before} -> {to}", error)
            return _FAILURE
        self.state = to
        return _SUCCESS

    def transition_failed(self, transition: str, error: Exception) -> None:
        """Say why a transition failed."""
        self.get_logger().error(f"{transition} failed: {type(error).__name__}: {error}")

    def _take_down(self, all_of_it: bool) -> None:
        """Destroy what `activate` and the work after it made, and what `configure` made too."""
        for configured in (False, True)[: 1 + all_of_it]:
            found = [] if self._made is None else self._made[configured]
            while found:
                destroy, entity = found.pop()
                destroy(entity)
        if all_of_it:
            self.release()

    def _keep(self, destroy: Callable[[Any], Any], entity: Any) -> Any:
        if self._made is not None:
            self._made[self._configuring].append((destroy, entity))
        return entity

    def create_publisher(self, *args: Any, **kwargs: Any) -> Any:
        """As rclpy's; taken down with the state in which it was made."""
        return self._keep(self.destroy_publisher, super().create_publisher(*args, **kwargs))

    def create_subscription(self, *args: Any, **kwargs: Any) -> Any:
        """As rclpy's; taken down with the state in which it was made."""
        return self._keep(self.destroy_subscription, super().create_subscription(*args, **kwargs))

    def create_timer(self, timer_period_sec: float, callback: Callable[[], None]) -> Any:
        """As rclpy's, by steady time: with use_sim_time a bag that pauses, or no /clock, would stop waiting frames,
        warnings and diagnostics. Taken down with the state in which it was made."""
        return self._keep(self.destroy_timer, super().create_timer(timer_period_sec, callback, clock=_STEADY))

    def destroy_publisher(self, publisher: Any) -> bool:
        """As rclpy's."""
        return bool(super().destroy_publisher(self._drop(publisher)))

    def destroy_subscription(self, subscription: Any) -> bool:
        """As rclpy's."""
        return bool(super().destroy_subscription(self._drop(subscription)))

    def destroy_timer(self, timer: Any) -> bool:
        """As rclpy's."""
        return bool(super().destroy_timer(self._drop(timer)))

    def _drop(self, entity: Any) -> Any:
        """Keep an entity no longer, where it is destroyed before its state ends."""
        for made in (self._made or {}).values():
            made[:] = [pair for pair in made if pair[1] is not entity]
        return entity

    def _on_set(self, parameters: list[Any]) -> Any:
        """Take changed parameters, all of them or none; those that are read at start alone are read-only."""
        known = {item.name for group in self.settings for item in all_settings(group)}
        values = {parameter.name: parameter.value for parameter in parameters if parameter.name in known}
        before = self.settings
        try:
            self.settings = [with_values(group, values) for group in before]
            if values:
                self.reconfigured()
        except ValueError as error:
            self.settings = before
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)


def refusing(change_state: Callable[[Any, Any], Any], warn: Callable[[str], None]) -> Callable[[Any, Any], Any]:
    """rclpy's service of transitions, refusing those that the state does not have.

    rclpy's own raises for one that is asked for by number, as Nav2's manager asks, and ends the node with it.
    """

    def answer(request: Any, response: Any) -> Any:
        try:
            return change_state(request, response)
        except RuntimeError as error:
            warn(f"transition {request.transition.id} is refused: {' '.join(str(error).split())}")
            response.success = False
            return response

    return answer


def can_be_managed() -> bool:
    """Whether somebody else can change a node's state: without ROS 2 there are no services."""
    return not standalone.is_installed()
