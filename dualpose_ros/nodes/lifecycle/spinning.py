"""Serving a node at a fraction of what rclpy's own executor takes.

rclpy's puts all that a node has, some thirty services, event handlers and timers, into a new wait set twice for each
message: 0.6 ms of the processor, more than some nodes' own work. Ours keeps its wait set until something is made or
destroyed, calls messages' and timers' callbacks itself, and leaves the rest, services and events, to rclpy's.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
import rclpy.executors
import rclpy.signals
from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from dualpose_ros import standalone
from dualpose_ros.standalone import stopping

_LONGEST_END_S = 8.0


def spin(node: Any) -> None:
    """Serve a node until the context is shut down; errors of callbacks, and ExternalShutdownException, are raised.

    Told to stop, a process that then does not end says where all its threads are, and ends by that.
    """
    executor = executor_of(node)
    try:
        while executor.context.ok():
            executor.spin_once()
    finally:
        end(executor)
        # Signals are noted alone from here on, and `ros2 launch` kills without a word what has not ended after 10 s.
        if stopping.told() and not standalone.is_installed():
            faulthandler.dump_traceback_later(_LONGEST_END_S, exit=True)


def end(*executors: Any) -> None:
    """End what served the process's nodes. Its signals are noted alone from then on: for a second one, as with Ctrl-C
    under `ros2 launch`, rclpy's handler would try to wake executors that have ended, and log that as an error."""
    rclpy.signals.uninstall_signal_handlers()
    for executor in executors:
        executor.shutdown()


def executor_of(node: Any) -> Any:
    """What serves a node, in the thread that spins it; rclpy's own executor where ours does not fit this rclpy."""
    if not standalone.is_installed():
        lean = LeanExecutor()
        lean.add_node(node)
        if lean.fits():
            return lean
        lean.shutdown()
    plain = SingleThreadedExecutor()
    plain.add_node(node)
    return plain


class LeanExecutor(SingleThreadedExecutor):  # type: ignore[misc, unused-ignore]
    """rclpy's executor of one thread, with a wait set that it keeps. Callbacks of subscriptions take a message alone.

    What is ready is called once each before it waits again: timers, messages, guard conditions, and then the rest.
    """

    _kept: _WaitSet | None = None
    _is_current = False

    def fits(self) -> bool:
        """Whether this rclpy has what it is made of, none of which rclpy promises; calls nothing."""
        try:
            self._wait(0)
        except (AttributeError, ImportError, TypeError):
            return False
        return hasattr(self, "wait_for_ready_callbacks")

    def wake(self) -> None:
        """Wait no longer: a node's entity was made or destroyed."""
        self._is_current = False
        super().wake()

    def add_node(self, node: Any) -> bool:
        """Serve a node; False where it is served already."""
        self._is_current = False
        return bool(super().add_node(node))

    def remove_node(self, node: Any) -> None:
        """Serve a node no more."""
        self._is_current = False
        super().remove_node(node)

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait, at most so many seconds, and call all that is ready.

        Errors: a callback's own; ExternalShutdownException where the context is shut down.
        """
        kept = self._wait(-1 if timeout_sec is None or timeout_sec < 0 else round(timeout_sec * 1e9))
        if not self._context.ok():
            raise ExternalShutdownException
        for entity, call in kept.ready():
            # What another callback has just destroyed is not called any more.
            if self._is_current or any(one is entity for kind in _entities(self.get_nodes()) for one in kind):
                call(entity)
        if kept.others_are_ready():
            self._serve_others()

    def _wait(self, timeout_ns: int) -> _WaitSet:
        if self._kept is None or not self._is_current:
            self._let_go()
            self._is_current = True
            # What another thread destroys while it is put in has told so, and is not there the next time.
            while self._kept is None:
                with contextlib.suppress(InvalidHandle):
                    self._kept = _WaitSet(self.get_nodes(), (self._guard, self._sigint_gc), self._context)
        self._kept.wait(timeout_ns)
        return self._kept

    def _serve_others(self) -> None:
        """Have rclpy call whatever is ready, once each."""
        with contextlib.suppress(rclpy.executors.ShutdownException, rclpy.executors.TimeoutException):
            while True:
                handler, _, _ = self.wait_for_ready_callbacks(timeout_sec=0)
                handler()
                if handler.exception() is not None:
                    raise handler.exception()

    def _let_go(self) -> None:
        if self._kept is not None:
            self._kept.close()
        self._kept = None

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """As rclpy's."""
        self._let_go()
        return bool(super().shutdown(timeout_sec))


class _WaitSet:
    """rcl's wait set of all that some nodes have; what of it is destroyed meanwhile goes with `close`."""

    def __init__(self, nodes: Sequence[Any], wakers: Sequence[Any], context: Any) -> None:
        rcl = importlib.import_module("rclpy.impl.implementation_singleton").rclpy_implementation
        self._timers, self._subscriptions, self._guards, services, clients, self._waitables = _entities(nodes)
        self._kinds: list[tuple[str, list[Any]]] = [
            ("timer", [one.handle for one in self._timers]),
            ("subscription", [one.handle for one in self._subscriptions]),
            ("guard_condition", [one.handle for one in (*self._guards, *wakers)]),
            ("service", [one.handle for one in services]),
            ("client", [one.handle for one in clients]),
        ]
        handles = itertools.chain.from_iterable(handles for _, handles in self._kinds)
        with contextlib.ExitStack() as stack:
            for held in (*handles, *self._waitables, context.handle):
                stack.enter_context(held)
            self._held = stack.pop_all()
        size = {kind: len(handles) for kind, handles in self._kinds}
        events = [one.get_num_entities() for one in self._waitables]
        order = ("subscription", "guard_condition", "timer", "client", "service")
        counts = [size[kind] + sum(getattr(count, f"num_{kind}s") for count in events) for kind in order]
        self._set = rcl.WaitSet(*counts, sum(one.num_events for one in events), context.handle)
        self._adders = [
            (getattr(self._set, f"add_{kind}"), handle) for kind, handles in self._kinds for handle in handles
        ]

    def wait(self, timeout_ns: int) -> None:
        """Until something is ready; for ever where the time is negative."""
        self._set.clear_entities()
        for add, handle in self._adders:
            add(handle)
        for waitable in self._waitables:
            waitable.add_to_wait_set(self._set)
        self._set.wait(timeout_ns)

    def ready(self) -> list[tuple[Any, Callable[[Any], None]]]:
        """The timers, messages and guard conditions that were ready, and what calls each."""
        ready = {kind: set(self._set.get_ready_entities(kind)) for kind, _ in self._kinds[:3]}
        return [
            (entity, call)
            for kind, entities, call in (
                ("timer", self._timers, _call_timer),
                ("subscription", self._subscriptions, _call_subscription),
                ("guard_condition", self._guards, _call_guard_condition),
            )
            if ready[kind]
            for entity in entities
            if entity.handle.pointer in ready[kind]
        ]

    def others_are_ready(self) -> bool:
        """Whether a service, a client or an event was ready."""
        others = any(self._set.get_ready_entities(kind) for kind, _ in self._kinds[3:])
        return others or any([one.is_ready(self._set) for one in self._waitables])

    def close(self) -> None:
        """Hold nothing any more."""
        self._held.close()


def _entities(nodes: Sequence[Any]) -> tuple[tuple[Any, ...], ...]:
    """All that the nodes have, by kind."""
    kinds = ("timers", "subscriptions", "guards", "services", "clients", "waitables")
    return tuple(tuple(itertools.chain.from_iterable(getattr(node, kind) for node in nodes)) for kind in kinds)


def _call_timer(timer: Any) -> None:
    if timer.handle.is_timer_ready():
        timer.handle.call_timer()
        timer.callback()


def _call_subscription(subscription: Any) -> None:
    taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
    if taken is not None:
        subscription.callback(taken[0])


def _call_guard_condition(guard: Any) -> None:
    guard.callback()
