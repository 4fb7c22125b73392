"""rclpy.executors: wait for messages and timers, and call what is due."""

import time
from collections.abc import Callable
from typing import Any

from dualpose_ros.standalone import alive
from dualpose_ros.standalone.errors import require
from dualpose_ros.standalone.rclpy.context import Context
from dualpose_ros.standalone.rclpy.exceptions import InvalidHandle
from dualpose_ros.standalone.rclpy.timer import Timer
from dualpose_ros.standalone.rclpy.utilities import get_default_context

# Python runs signal handlers between calls only, so no wait is longer than this.
_LONGEST_WAIT_NS = 100_000_000


class ExternalShutdownException(Exception):
    """The context was shut down, by SIGTERM or another thread."""


class SingleThreadedExecutor:
    """Calls one callback at a time, timers and subscriptions in turn."""

    def __init__(self, *, context: Context | None = None) -> None:
        self._context = context or get_default_context()
        self._nodes: list[Any] = []
        self._turn = 0
        self._is_shutdown = False
        self._watched: tuple[Any, ...] = ()
        self._wait_set: Any = None
        self._conditions: list[Any] = []

    @property
    def context(self) -> Context:
        """The context it runs in."""
        return self._context

    def add_node(self, node: Any) -> bool:
        """Serve a node; False where it is served already."""
        if node in self._nodes:
            return False
        self._nodes.append(node)
        return True

    def remove_node(self, node: Any) -> None:
        """Serve a node no more."""
        if node in self._nodes:
            self._nodes.remove(node)

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Stop serving."""
        self._is_shutdown = True
        self._nodes.clear()
        self._release()
        return True

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait for one callback and run it; without a time limit (seconds) wait for ever, with 0 not at all.

        Errors: ExternalShutdownException where the context is shut down.
        """
        wait_for_ever = timeout_sec is None or timeout_sec < 0
        deadline = time.monotonic_ns() + int((timeout_sec or 0) * 1e9)
        while not self._is_shutdown:
            alive.beat()
            if not self._context.ok():
                raise ExternalShutdownException
            work = self._next_work()
            if work:
                with alive.working():
                    work()
                return
            left = _LONGEST_WAIT_NS if wait_for_ever else deadline - time.monotonic_ns()
            if left <= 0:
                return
            self._wait(left)

    def _next_work(self) -> Callable[[], None] | None:
        """The next callback that is due, taking turns so that none starves another."""
        entities = [entity for node in self._nodes for entity in (*node.timers_, *node.guards_, *node.subscriptions_)]
        for offset in range(len(entities)):
            index = (self._turn + offset) % len(entities)
            entity = entities[index]
            work = _work(entity)
            if work:
                self._turn = index + 1
                return work
        return None

    def _wait(self, longest_ns: int) -> None:
        """Sleep until a message arrives or a timer is due."""
        nexts = [_until_next_call(timer) for node in self._nodes for timer in node.timers_]
        wait = min([longest_ns, _LONGEST_WAIT_NS, *(left for left in nexts if left is not None)])
        if wait <= 0:
            return
        readers = tuple(item.reader for node in self._nodes for item in node.subscriptions_ if item.reader is not None)
        guards = tuple(guard.entity for node in self._nodes for guard in node.guards_ if guard.entity is not None)
        if not (readers or guards):
            time.sleep(wait / 1e9)
            return
        if readers + guards != self._watched:
            self._watch(readers, guards)
        self._wait_set.wait(wait)

    def _watch(self, readers: tuple[Any, ...], guards: tuple[Any, ...]) -> None:
        core = require("cyclonedds.core")
        self._release()
        self._wait_set = core.WaitSet(self._context.participant.entity)
        mask = core.ViewState.Any | core.InstanceState.Any | core.SampleState.NotRead
        self._conditions = [*(core.ReadCondition(reader, mask) for reader in readers), *guards]
        for condition in self._conditions:
            self._wait_set.attach(condition)
        self._watched = readers + guards

    def _release(self) -> None:
        """Let go of the readers: DDS deletes an entity with its last Python reference."""
        self._wait_set = None
        self._conditions = []
        self._watched = ()


def _work(entity: Any) -> Callable[[], None] | None:
    """What a timer, guard condition or subscription has to be done now, or None."""
    if isinstance(entity, Timer):
        left_ns = _until_next_call(entity)
        return entity.call if left_ns is not None and left_ns <= 0 else None
    taken = entity.take()
    if hasattr(entity, "trigger"):
        return entity.callback if taken else None
    return None if taken is None else lambda: entity.callback(taken)


def _until_next_call(timer: Timer) -> int | None:
    """As the timer's own; None of one that another thread has destroyed just now."""
    try:
        return timer.time_until_next_call()
    except InvalidHandle:
        return None
