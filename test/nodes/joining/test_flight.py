"""How many frames in work a graph ends at: a simulated one, on as many cores as it has stages, on one, and on two."""

from __future__ import annotations

import heapq

import numpy as np
import pytest

from dualpose_ros.nodes.joining.flight import MOST, FlightControl


def simulated(stages_s: list[float], cores: int, seconds: float, fps: float = 1000.0) -> tuple[list[int], list[float]]:
    """The limit after each frame, and when frames came out: each stage has one frame at a time, each core one stage."""
    control = FlightControl()
    out: list[float] = []
    limits: list[int] = []
    rng, now, next_image, started = np.random.default_rng(0), 0.0, 0.0, 0
    queues: list[list[int]] = [[] for _ in stages_s]
    busy, running, waited = [False] * len(stages_s), list[tuple[float, int]](), False
    while now < seconds:
        while next_image <= now:
            next_image += 1 / fps
            if started - len(out) < control.limit:
                queues[0].append(started)
                started += 1
            else:
                waited = True
        # Later stages go first, so that frames that are nearly done do not wait for new ones.
        for stage in reversed(range(len(stages_s))):
            if queues[stage] and not busy[stage] and len(running) < cores:
                busy[stage] = True
                took = stages_s[stage] * (1 + 0.1 * rng.random())
                heapq.heappush(running, (now + took, stage))
        now = min(next_image, running[0][0]) if running else next_image
        while running and running[0][0] <= now:
            _, stage = heapq.heappop(running)
            busy[stage] = False
            frame = queues[stage].pop(0)
            if stage + 1 < len(stages_s):
                queues[stage + 1].append(frame)
            else:
                out.append(now)
                control.came_out(now, waited)
                limits.append(control.limit)
                waited = False
    return limits, out


@pytest.mark.parametrize(
    ("stages_ms", "cores", "least", "most"),
    [
        ([12, 40, 30, 18], 8, 2, 3),  # the second sets the rate: 100 ms in all hold two to three of them
        ([30, 30, 30, 30, 30], 8, 4, 5),
        ([12, 40, 30, 18], 1, 1, 1),  # one core has always something to do
        ([12, 40, 30, 18], 2, 2, 3),
    ],
)
def test_as_many_as_raise_the_rate(stages_ms: list[int], cores: int, least: int, most: int) -> None:
    limits, out = simulated([ms / 1000 for ms in stages_ms], cores, 60.0)
    usual = np.bincount(limits[len(limits) // 2 :]).argmax()
    assert least <= usual <= most and max(limits) <= MOST
    rate = (len(out) // 2) / (out[-1] - out[-1 - len(out) // 2])
    best = min(1000 / max(stages_ms), cores * 1000 / sum(stages_ms)) / 1.05
    assert rate > 0.85 * best


def test_a_camera_that_is_slower_than_the_graph_changes_nothing() -> None:
    limits, _ = simulated([0.004, 0.006], 2, 20.0, fps=20)
    assert set(limits) == {2}


def test_more_is_tried_again_after_a_while() -> None:
    limits, _ = simulated([0.02, 0.02, 0.02], 8, 120.0)
    later = limits[len(limits) // 2 :]
    assert len(set(later)) >= 2 and np.bincount(later).argmax() == 3
