import numpy as np
import pytest
import torch
from torch import Tensor

from dualpose_ros.datasets.labels import UNKNOWN
from dualpose_ros.lab.training.losses import ABSENT, heatmap_loss, heatmap_targets
from dualpose_ros.lab.training.on_device.judged import PAD, UNJUDGED, judged_cells

SIZE, STRIDE, MARGIN = (7, 9), 4, 0.06


def draw(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Weights (2, 3, 4), boxes (2, 3, 4) of which the last of each image is nobody's, and trust elsewhere (2,)."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-5, 25, (2, 3, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(2, 20, (2, 3, 2))], axis=-1)
    boxes[:, -1] = PAD
    weights = rng.choice([1.0, 0.3, 0.0, ABSENT, UNJUDGED], (2, 3, 4))
    weights[:, -1] = ABSENT
    return torch.tensor(weights), torch.tensor(boxes), torch.tensor([1.0, 0.1])


@pytest.mark.parametrize("seed", range(8))
def test_cells_are_judged_as_one_by_one(seed: int) -> None:
    weights, boxes, elsewhere = draw(seed)
    found = judged_cells(weights, boxes, elsewhere, SIZE, STRIDE, MARGIN).numpy()
    for n, k, i, j in np.ndindex(2, 4, *SIZE):
        place = np.array([j, i]) * STRIDE + (STRIDE - 1) / 2
        trust = float(elsewhere[n])
        silent = False
        for person in range(3):
            box = boxes[n, person].numpy()
            if box[2] <= box[0]:
                continue
            margin = MARGIN * max(box[2:] - box[:2])
            if (place >= box[:2] - margin).all() and (place <= box[2:] + margin).all():
                trust = 1.0
                silent |= float(weights[n, person, k]) == UNJUDGED
        assert found[n, k, i, j] == pytest.approx(0.0 if silent else trust)


def test_an_unjudged_joint_teaches_neither_where_it_is_nor_where_it_is_not() -> None:
    weights = torch.tensor([[[1.0, UNJUDGED]]])
    boxes = torch.tensor([[[0.0, 0.0, 36.0, 28.0]]])
    joints = torch.tensor([[[[10.0, 10.0], [20.0, 20.0]]]])
    target, cells = heatmap_targets(joints, weights, SIZE)
    cells = cells * judged_cells(weights, boxes, torch.ones(1), SIZE)
    answer = torch.rand(1, 2, *SIZE, requires_grad=True)
    heatmap_loss(answer, target, cells).backward()
    assert answer.grad is not None
    assert (answer.grad[0, 1] == 0).all() and (answer.grad[0, 0] != 0).any()
    assert target[0, 1].max() == 0


def test_the_codes_of_labels_and_losses_are_told_apart() -> None:
    assert len({UNJUDGED, ABSENT, 0.0}) == 3 and UNKNOWN not in (0, 1, 2)
