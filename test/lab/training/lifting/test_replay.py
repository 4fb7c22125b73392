"""Sequences that are learnt from several times."""

import torch

from dualpose_ros.lab.training.lifting.replay import KEPT_BATCHES, Replay

ROWS = 5


class Counter:
    """Draws batches of two parts whose rows say which batch they are of, and which row."""

    def __init__(self) -> None:
        self.drawn = 0

    def __call__(self) -> tuple[torch.Tensor, ...]:
        self.drawn += 1
        rows = 10 * self.drawn + torch.arange(ROWS)
        return rows, -rows[:, None].double()


def test_each_batch_is_new_when_nothing_is_reused() -> None:
    draw = Counter()
    replay = Replay(1.0)
    batches = [replay.mixed(draw)[0][0].item() // 10 for _ in range(3 * KEPT_BATCHES)]
    assert batches == list(range(1, 3 * KEPT_BATCHES + 1))


def test_sequences_come_back_as_often_as_was_asked_and_in_one_piece() -> None:
    torch.manual_seed(0)
    draw = Counter()
    replay = Replay(4.0)
    steps = 4000
    counts: dict[int, int] = {}
    for _ in range(steps):
        rows, negatives = replay.mixed(draw)
        assert torch.equal(negatives, -rows[:, None].double())
        assert rows.shape == (ROWS,)
        for row in rows.tolist():
            counts[row] = counts.get(row, 0) + 1
    assert 0.22 * steps < draw.drawn - KEPT_BATCHES < 0.28 * steps
    settled = [counts.get(10 * batch + row, 0) for batch in range(100, 800) for row in range(ROWS)]
    assert 3.6 < sum(settled) / len(settled) < 4.4
    assert max(settled) < 20


def test_old_sequences_are_let_go() -> None:
    torch.manual_seed(1)
    draw = Counter()
    replay = Replay(2.0)
    for _ in range(2000):
        rows, _ = replay.mixed(draw)
    assert int(rows.min()) // 10 > draw.drawn - KEPT_BATCHES
