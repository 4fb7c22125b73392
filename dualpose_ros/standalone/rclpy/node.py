"""rclpy.node: publishers, subscriptions, timers, parameters and a logger under one name."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from dualpose_ros.standalone.arguments import expand_topic, remap_topic
from dualpose_ros.standalone.errors import StandaloneError
from dualpose_ros.standalone.guard import GuardCondition
from dualpose_ros.standalone.messages import Message, message_class
from dualpose_ros.standalone.rclpy import logging
from dualpose_ros.standalone.rclpy.clock import Clock, ROSClock
from dualpose_ros.standalone.rclpy.context import Context
from dualpose_ros.standalone.rclpy.exceptions import InvalidTopicNameException, NotInitializedException
from dualpose_ros.standalone.rclpy.parameter import Parameter, ParameterStore
from dualpose_ros.standalone.rclpy.publisher import Publisher
from dualpose_ros.standalone.rclpy.qos import DurabilityPolicy, QoSProfile, as_profile, dds_policies, profile_of
from dualpose_ros.standalone.rclpy.subscription import Subscription
from dualpose_ros.standalone.rclpy.timer import Timer
from dualpose_ros.standalone.rclpy.utilities import get_default_context


class _EndpointInfo(NamedTuple):
    """What is known of a publisher."""

    qos_profile: QoSProfile


_ROSOUT_QOS = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Node:
    """A node of the ROS graph, seen by `ros2 node list` of machines that do have ROS 2."""

    def __init__(
        self,
        node_name: str,
        *,
        context: Context | None = None,
        namespace: str | None = None,
        use_global_arguments: bool = True,
    ) -> None:
        """Join the graph. The command line may change name, namespace, topics and parameters.

        Errors: NotInitializedException before rclpy.init(); StandaloneError for a name that ROS 2 refuses.
        """
        self._context = context or get_default_context()
        if not self._context.ok():
            raise NotInitializedException("rclpy.init() has not been called")
        arguments = self._context.arguments
        self._remaps = arguments.remaps if use_global_arguments else ()
        name = arguments.named("__node", node_name) if use_global_arguments else None
        space = arguments.named("__ns", node_name) if use_global_arguments else None
        self._name = _checked_name(name or node_name)
        self._namespace = _checked_namespace(space or namespace or "/")
        self._logger = logging.get_logger(self.get_fully_qualified_name().strip("/").replace("/", "."))
        self._clock = ROSClock()
        self.own_executor: Any = None
        self.timers_: list[Timer] = []
        self.subscriptions_: list[Subscription] = []
        self.publishers_: list[Publisher] = []
        self.guards_: list[GuardCondition] = []
        overrides = arguments.overrides if use_global_arguments else ()
        self.parameter_store = ParameterStore(self.get_fully_qualified_name(), overrides)
        self._participant = self._context.participant
        self._entities = self._participant.add_node(self._namespace, self._name)
        self._connect_rosout()
        if self.declare_parameter("use_sim_time", False).value:
            raise StandaloneError("use_sim_time is not available without ROS 2: leave it false")

    def _connect_rosout(self) -> None:
        log = message_class("rcl_interfaces/msg/Log")
        writer = self._participant.make_writer(self._entities, log.TYPE, "/rosout", **dds_policies(_ROSOUT_QOS))
        publisher = Publisher(writer, log, "/rosout", _ROSOUT_QOS)
        self.publishers_.append(publisher)

        def send(severity: logging.LoggingSeverity, name: str, text: str, caller: Any) -> None:
            code = caller.f_code if caller else None
            publisher.publish(
                log(
                    stamp=self._clock.now().to_msg(),
                    level=int(severity),
                    name=name,
                    msg=text,
                    file=code.co_filename if code else "",
                    function=code.co_name if code else "",
                    line=caller.f_lineno if caller else 0,
                )
            )

        logging.connect(self._logger.name, send)

    @property
    def context(self) -> Context:
        """The context that the node runs in."""
        return self._context

    def get_name(self) -> str:
        """The node's name."""
        return self._name

    def get_namespace(self) -> str:
        """The node's namespace, `/` at least."""
        return self._namespace

    def get_fully_qualified_name(self) -> str:
        """Namespace and name."""
        return f"{self._namespace.rstrip('/')}/{self._name}"

    def get_logger(self) -> logging.RcutilsLogger:
        """The node's logger."""
        return self._logger

    def get_clock(self) -> ROSClock:
        """The node's clock."""
        return self._clock

    def resolve_topic_name(self, topic: str) -> str:
        """A topic's absolute name, after the remap rules. InvalidTopicNameException."""
        try:
            return remap_topic(topic, self._namespace, self._name, self._remaps)
        except StandaloneError as error:
            raise InvalidTopicNameException(topic, str(error), 0) from error

    def create_publisher(self, msg_type: type[Message], topic: str, qos_profile: QoSProfile | int) -> Publisher:
        """A publisher; a number for `qos_profile` is the depth of a reliable one."""
        profile, name = as_profile(qos_profile), self.resolve_topic_name(topic)
        writer = self._participant.make_writer(self._entities, msg_type.TYPE, name, **dds_policies(profile))
        publisher = Publisher(writer, msg_type, name, profile)
        self.publishers_.append(publisher)
        return publisher

    def create_subscription(
        self,
        msg_type: type[Message],
        topic: str,
        callback: Callable[[Any], None],
        qos_profile: QoSProfile | int,
        *,
        raw: bool = False,
    ) -> Subscription:
        """A subscription that calls `callback(message)`, `raw` with the message's CDR bytes.

        A number for `qos_profile` is the depth of a reliable one.
        """
        profile, name = as_profile(qos_profile), self.resolve_topic_name(topic)
        reader = self._participant.make_reader(self._entities, msg_type.TYPE, name, **dds_policies(profile))
        subscription = Subscription(reader, msg_type, name, callback, profile, self._logger, raw)
        self.subscriptions_.append(subscription)
        return subscription

    def count_publishers(self, topic_name: str) -> int:
        """How many publishers a topic has in the whole graph, by its name before any remap rule. ValueError."""
        return len(self._writers_of(topic_name))

    def get_publishers_info_by_topic(self, topic_name: str) -> list[_EndpointInfo]:
        """Each publisher of a topic in the whole graph, named as for count_publishers."""
        return [_EndpointInfo(profile_of(qos)) for qos in self._writers_of(topic_name)]

    def _writers_of(self, topic_name: str) -> list[Any]:
        try:
            return self._participant.writers_of(expand_topic(topic_name, self._namespace, self._name))
        except StandaloneError as error:
            raise ValueError(str(error)) from error

    def create_timer(
        self, timer_period_sec: float, callback: Callable[[], None], *, clock: Clock | None = None
    ) -> Timer:
        """A timer that calls `callback()` every so many seconds, by steady time whatever the clock; errors as of Timer;
        ValueError for no number."""
        timer = Timer(callback, int(float(timer_period_sec) * 1e9))
        self.timers_.append(timer)
        return timer

    def create_guard_condition(self, callback: Callable[[], None]) -> GuardCondition:
        """A condition whose `trigger()`, from any thread, has the node's executor call `callback()`."""
        guard = GuardCondition(self._participant.entity, callback)
        self.guards_.append(guard)
        return guard

    def destroy_guard_condition(self, guard: GuardCondition) -> bool:
        """End a guard condition; False where it is not this node's."""
        return self._destroy(self.guards_, guard, None)

    def destroy_publisher(self, publisher: Publisher) -> bool:
        """End a publisher; False where it is not this node's."""
        return self._destroy(self.publishers_, publisher, publisher.writer)

    def destroy_subscription(self, subscription: Subscription) -> bool:
        """End a subscription; False where it is not this node's."""
        return self._destroy(self.subscriptions_, subscription, subscription.reader)

    def destroy_timer(self, timer: Timer) -> bool:
        """End a timer; False where it is not this node's."""
        return self._destroy(self.timers_, timer, None)

    def _destroy(self, owners: list[Any], item: Any, entity: Any) -> bool:
        if item not in owners:
            return False
        owners.remove(item)
        if entity is not None:
            self._participant.forget(self._entities, entity)
        item.destroy()
        return True

    def destroy_node(self) -> None:
        """Leave the graph with all that the node made."""
        logging.connect(self._logger.name, None)
        if self.own_executor is not None:
            self.own_executor.shutdown()
            self.own_executor = None
        groups: tuple[list[Any], ...] = (self.timers_, self.guards_, self.subscriptions_, self.publishers_)
        for group in groups:
            while group:
                group.pop().destroy()
        self._participant.remove_node(self._entities)

    def declare_parameter(
        self, name: str, value: Any = None, descriptor: Any = None, ignore_override: bool = False
    ) -> Parameter:
        """Declare a parameter; values from files and the command line go before the default. Errors: rclpy's."""
        return self.parameter_store.declare(name, value, descriptor, ignore_override)

    def has_parameter(self, name: str) -> bool:
        """Whether a parameter is declared."""
        return self.parameter_store.has(name)

    def get_parameter(self, name: str) -> Parameter:
        """A declared parameter. Errors: ParameterNotDeclaredException, ParameterUninitializedException."""
        return self.parameter_store.get(name)

    def set_parameters(self, parameter_list: Sequence[Parameter]) -> list[Message]:
        """Change declared parameters; each SetParametersResult says whether and why not."""
        return [self.parameter_store.set(parameter) for parameter in parameter_list]

    def add_on_set_parameters_callback(self, callback: Callable[[list[Parameter]], Any]) -> None:
        """Let `callback(parameters) -> SetParametersResult` refuse changes; the newest is asked first."""
        self.parameter_store.callbacks.insert(0, callback)


def _checked_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise StandaloneError(f"node name {name!r} is not valid in ROS 2: letters, digits and underscores only")
    return name


def _checked_namespace(namespace: str) -> str:
    full = f"/{namespace.strip('/')}"
    if full != "/" and not re.fullmatch(r"(/[A-Za-z_][A-Za-z0-9_]*)+", full):
        raise StandaloneError(f"namespace {namespace!r} is not valid in ROS 2")
    return full
