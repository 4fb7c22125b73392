import numpy as np
import pytest

from dualpose_ros.metrics.detection import recall_at_precision


@pytest.mark.parametrize("seed", range(20))
def test_recall_at_a_precision_is_the_best_of_all_thresholds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, right = rng.integers(0, 8, 30) / 8, rng.random(30) < 0.7
    people, best = 40, 0.0
    for threshold in np.unique(scores):
        let_in = scores >= threshold
        if right[let_in].mean() >= 0.8:
            best = max(best, right[let_in].sum() / people)
    assert recall_at_precision(scores, right, people, 0.8) == pytest.approx(best)


def test_recall_of_nothing() -> None:
    none = np.zeros(0)
    assert recall_at_precision(none, none > 0, 3, 0.9) == 0
    assert np.isnan(recall_at_precision(none, none > 0, 0, 0.9))
