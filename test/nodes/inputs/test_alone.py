"""Several publishers where one alone should be."""

from typing import Any

import pytest

from dualpose_ros.nodes.refinement_node import RefinementNode

POSES = "/robot1/humans/poses3d"


def test_a_second_graph_is_told_of_but_not_a_node_that_took_anothers_place(
    started: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both publish /humans/poses3d, and who listens gets everybody twice."""
    timers: dict[float, Any] = {}
    create = RefinementNode.create_timer
    monkeypatch.setattr(
        RefinementNode, "create_timer", lambda node, s, call: timers.setdefault(s, call) and create(node, s, call)
    )
    node = started(RefinementNode, "-r", "__ns:=/robot1")
    many = [2]
    monkeypatch.setattr(node, "count_publishers", lambda topic: many[0] * (topic == POSES))
    for _ in range(8):
        timers[3.0]()
    many[0] = 1
    timers[3.0]()
    assert node.diagnostics.health().level == "ok"
    many[0] = 2
    for _ in range(9):
        timers[3.0]()
    health = node.diagnostics.health()
    assert health.level == "error" and f"2 publishers of {POSES}: another graph runs here too" in health.message
