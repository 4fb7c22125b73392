"""Topics that one node alone should publish: two cameras on one, or two graphs in a namespace, mix without an error."""

from typing import Any

_LOOK_S, _LOOKS = 3.0, 9
"""A publisher that died without a word counts for ten seconds with Cyclone DDS and twenty with Fast DDS, while the node
that took its place publishes."""


class OnePublisher:
    """Tells, again and again, of a topic that has had several publishers for a while."""

    def __init__(self, node: Any, topic: str, means: str) -> None:
        """A timer of the node; `means`: what several of them mean, and what to do."""
        self._node, self._topic, self._means = node, node.resolve_topic_name(topic), means
        self._looks = 0
        node.create_timer(_LOOK_S, node.guarded(topic, self.look))

    def look(self) -> None:
        """Count them now."""
        many = self._node.count_publishers(self._topic)
        self._looks = self._looks + 1 if many > 1 else 0
        if self._looks and self._looks % _LOOKS == 0:
            self._node.report(f"{many} publishers of {self._topic}: {self._means}")
