"""Topics within a process: what one of its nodes publishes the others get as it is, without serialisation.

A topic that no node of the process publishes has one subscription for all of them. Each node is served by a thread of
its own; what comes waits in a queue of its subscription's depth, from which the oldest falls out, as with ROS.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message, serialize_message

SHARED = ("/tf", "/tf_static", "/diagnostics")
"""Topics of the whole robot, which others publish too: they go by DDS, and come from there, even from this process."""


class LocalSubscription:
    """One node's subscription of a topic: a queue, and what wakes the node's executor."""

    def __init__(
        self, node: Any, kind: type[Any], topic: str, callback: Callable[[Any], None], qos: Any, raw: bool = False
    ) -> None:
        self.kind, self.topic, self.callback, self.raw = kind, topic, callback, raw
        self.qos = qos if isinstance(qos, QoSProfile) else QoSProfile(depth=qos)
        self._node, self._waiting = node, deque[Any](maxlen=max(self.qos.depth, 1))
        self._guard = node.create_guard_condition(self._serve)

    def offer(self, message: Any) -> None:
        """Take in a message, in the thread of whoever has it."""
        self._waiting.append(message)
        self._guard.trigger()

    def _serve(self) -> None:
        """Serve the oldest message, in the node's thread; others of the node have their turn before the next."""
        try:
            message = self._waiting.popleft()
        except IndexError:
            return
        if self._waiting:
            self._guard.trigger()
        if self.raw != isinstance(message, bytes):
            message = serialize_message(message) if self.raw else deserialize_message(message, self.kind)
        self.callback(message)

    def destroy(self) -> None:
        """Listen no more."""
        self._node.destroy_guard_condition(self._guard)


class LocalPublisher:
    """A publisher that serves the process's own subscriptions itself, and others where there are any."""

    def __init__(self, publisher: Any, subscriptions: list[LocalSubscription]) -> None:
        self._publisher, self._subscriptions = publisher, subscriptions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._publisher, name)

    def publish(self, message: Any) -> None:
        """Hand a message to everybody who listens. It must not be changed any more."""
        for subscription in tuple(self._subscriptions):
            subscription.offer(message)
        if self._publisher.get_subscription_count():
            self._publisher.publish(message)

    def get_subscription_count(self) -> int:
        """How many listen, in this process and elsewhere."""
        return len(self._subscriptions) + int(self._publisher.get_subscription_count())


class Bus:
    """The topics of a process; nothing comes from elsewhere until `open`, when all of its nodes are there."""

    def __init__(self) -> None:
        self._subscriptions: dict[str, list[LocalSubscription]] = defaultdict(list)
        self._published: set[str] = set()
        self._outside: dict[tuple[str, bool], Any] = {}
        self._intake: Any = None

    def publisher(self, topic: str, publisher: Any) -> Any:
        """What a node publishes with; `publisher` sends to other processes."""
        if topic in SHARED:
            return publisher
        self._published.add(topic)
        return LocalPublisher(publisher, self._subscriptions[topic])

    def subscribe(
        self, node: Any, kind: type[Any], topic: str, callback: Callable[[Any], None], qos: Any, raw: bool = False
    ) -> LocalSubscription:
        """A node's subscription of a topic (absolute name)."""
        subscription = LocalSubscription(node, kind, topic, callback, qos, raw)
        self._subscriptions[topic].append(subscription)
        if self._intake is not None:
            self._listen(subscription)
        return subscription

    def forget(self, subscription: LocalSubscription) -> bool:
        """End a subscription; False where it is none of the bus."""
        own = self._subscriptions[subscription.topic]
        if subscription not in own:
            return False
        own.remove(subscription)
        subscription.destroy()
        for latched in (False, True):
            if not own and (subscription.topic, latched) in self._outside:
                self._intake.destroy_subscription(self._outside.pop((subscription.topic, latched)))
        return True

    def open(self, intake: Any) -> None:
        """Listen to other processes, through a node that does nothing else."""
        self._intake = intake
        for subscription in [one for group in list(self._subscriptions.values()) for one in group]:
            self._listen(subscription)

    def _listen(self, subscription: LocalSubscription) -> None:
        """See to it that a topic comes from elsewhere, unless a node of the process publishes it."""
        topic, latched = subscription.topic, subscription.qos.durability == DurabilityPolicy.TRANSIENT_LOCAL
        if topic in self._published or (topic, latched) in self._outside:
            return
        group = self._subscriptions[topic]
        alike = [one.qos for one in group if (one.qos.durability == DurabilityPolicy.TRANSIENT_LOCAL) == latched]
        deepest = max(alike, key=lambda qos: int(qos.depth))

        def receive(message: Any) -> None:
            for one in tuple(group):
                one.offer(message)

        raw = all(one.raw for one in group)
        self._outside[topic, latched] = self._intake.create_subscription(
            subscription.kind, topic, receive, deepest, raw=raw
        )
