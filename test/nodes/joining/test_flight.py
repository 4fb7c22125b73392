"""How many frames in work a graph ends at: a simulated one, on as many cores as it has stages, on one, and on two."""

import heapq

import numpy as np
import pytest

from dualpose_ros.nodes.joining.flight import MOST, FlightControl


def simulated(
    stages_s: list[float], cores: int, seconds: float, fps: float = 1000.0, believed: int = 0, drift: float = 0.0
) -> tuple[list[int], list[float]]:
    """The limit after each frame, and when frames came out: each stage has one frame at a time, each core one stage.

    `believed`: cores that the control is told of. `drift`: how far frames' work differs from the mean, for seconds.
    """
    control = FlightControl(believed or cores)
    out: list[float] = []
    limits: list[int] = []
    rng, now, next_image, started = np.random.default_rng(0), 0.0, 0.0, 0
    queues: list[list[int]] = [[] for _ in stages_s]
    busy, running, waited = [False] * len(stages_s), list[tuple[float, int]](), False
    while now < seconds:
        phase = np.sin(2 * np.pi * now / 7.3) + np.sin(2 * np.pi * now / 3.1)
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
                took = stages_s[stage] * (1 + 0.1 * rng.random()) * (1 + drift * phase / 2)
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


@pytest.mark.parametrize("drift", [0.0, 0.2])
def test_a_twelfth_more_is_worth_a_frame_though_the_work_changes_by_more(drift: float) -> None:
    limits, _ = simulated([0.002, 0.05, 0.002], 2, 120.0, drift=drift)
    share = np.bincount(limits, minlength=MOST + 1) / len(limits)
    assert share[2] > 0.75 and share[1] < 0.1


def test_one_more_is_better_where_images_then_need_not_wait() -> None:
    stages_s = [0.011, 0.019, 0.019]  # 51 ms in all, and an image each 50 ms
    limits, out = simulated(stages_s, 2, 60.0, fps=20, believed=1)
    assert limits[0] == 1 and set(limits[len(limits) // 2 :]) == {2}
    rate = (len(out) // 2) / (out[-1] - out[-1 - len(out) // 2])
    assert rate == pytest.approx(20, rel=0.005)


def test_what_comes_out_after_a_pause_says_nothing_of_the_rate() -> None:
    control, now = FlightControl(2), 0.0
    for frame in range(3000):
        control.came_out(now, True)
        # Three cores' worth of work, and somebody who holds the camera back where three are tried.
        now += 0.05 if control.limit < 3 else 0.04
        now += 30.0 if frame % 25 == 0 and control.limit == 3 else 0.0
    assert control.limit >= 3
