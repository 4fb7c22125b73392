"""Which cell learns whom, against an obvious slow version, and what the losses are worth."""

import numpy as np
import pytest
import torch
from torch import Tensor

from dualpose_ros.detection.yolox import STRIDES, decode_people
from dualpose_ros.lab.training.detector.losses import (
    CANDIDATES,
    CENTRE_CELLS,
    Cells,
    DetectorTargets,
    assign,
    cells_of,
    detector_loss,
    overlaps,
)
from dualpose_ros.people import box_iou

HEIGHT, WIDTH = 96, 128


def random_raw(seed: int, count: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(count, 6, HEIGHT // s, WIDTH // s, generator=generator) for s in STRIDES]


def random_targets(seed: int, count: int = 2, people: int = 5) -> DetectorTargets:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-5, 80, (count, people, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(6, 60, (count, people, 2))], -1).astype(np.float32)
    boxes[:, -1] = 0
    return DetectorTargets(torch.from_numpy(boxes), torch.from_numpy(rng.random((count, people)) < 0.25))


def slow_assign(cells: Cells, boxes: np.ndarray, ignored: np.ndarray, n: int) -> list[int]:
    middle, stride = cells.middle_px.numpy(), cells.stride_px.numpy()
    found = cells.boxes_px[n].double().numpy()
    score = torch.sqrt(cells.objectness[n].double().sigmoid() * cells.person[n].double().sigmoid()).numpy()
    wishes: list[list[tuple[float, int]]] = [[] for _ in middle]
    for p, box in enumerate(boxes):
        if ignored[p] or box[2] <= box[0]:
            continue
        rows = []
        for a, (x, y) in enumerate(middle):
            inside = box[0] < x < box[2] and box[1] < y < box[3]
            away = max(abs(x - (box[0] + box[2]) / 2), abs(y - (box[1] + box[3]) / 2))
            near = away < CENTRE_CELLS * stride[a]
            if inside or near:
                iou = float(box_iou(box[None].astype(float), found[a : a + 1])[0, 0])
                cost = -np.log(score[a]) - 3 * np.log(iou + 1e-8) + (0 if inside and near else 1e5)
                rows.append((cost, iou, a))
        wanted = max(int(sum(sorted((iou for _, iou, _ in rows), reverse=True)[:CANDIDATES])), 1)
        for cost, _, a in sorted(rows)[:wanted]:
            wishes[a].append((cost, p))
    result = []
    for a, (x, y) in enumerate(middle):
        unjudged = any(i and box[0] < x < box[2] and box[1] < y < box[3] for i, box in zip(ignored, boxes, strict=True))
        result.append(min(wishes[a])[1] if wishes[a] else -2 if unjudged else -1)
    return result


@pytest.mark.parametrize("seed", range(6))
def test_cells_learn_whom_the_slow_version_says(seed: int) -> None:
    cells, targets = cells_of(random_raw(seed)), random_targets(seed)
    found = assign(cells, targets)
    for n in range(2):
        expected = slow_assign(cells, targets.boxes_px[n].numpy(), targets.ignored[n].numpy(), n)
        assert found[n].tolist() == expected


def test_cells_are_read_as_the_live_detector_reads_them() -> None:
    raw = random_raw(3, 1)
    cells = cells_of(raw)
    rows = torch.cat([one.flatten(2) for one in raw], 2)[0].T
    scores = rows[:, 4:].sigmoid()
    boxes, found = decode_people(torch.cat([rows[:, :4], scores], 1).numpy(), HEIGHT, WIDTH, 0.0)
    np.testing.assert_allclose(cells.boxes_px[0], boxes, atol=1e-3)
    np.testing.assert_allclose(scores.prod(1), found, atol=1e-6)


def test_overlaps_are_those_of_boxes() -> None:
    boxes = random_targets(4).boxes_px[0, :4]
    np.testing.assert_allclose(overlaps(boxes[:, None], boxes[None]), box_iou(boxes.numpy(), boxes.numpy()), atol=1e-6)


def perfect(targets: DetectorTargets) -> list[Tensor]:
    """Rows that say exactly what is there, at the cells that are to say it."""
    raw = [torch.full((1, 6, HEIGHT // s, WIDTH // s), -20.0) for s in STRIDES]
    for p, box in enumerate(targets.boxes_px[0]):
        if targets.ignored[0, p] or box[2] <= box[0]:
            continue
        middle, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
        column, row = (middle / 8 - 0.5).round().int().tolist()
        raw[0][0, :2, row, column] = middle / 8 - torch.tensor([column, row])
        raw[0][0, 2:4, row, column] = (size / 8).log()
        raw[0][0, 4:, row, column] = 20
    return raw


def test_what_is_right_costs_nothing_and_each_fault_something() -> None:
    boxes = torch.tensor([[[10.0, 12, 40, 80], [70, 20, 110, 90], [50, 5, 60, 25]]])
    targets = DetectorTargets(boxes, torch.tensor([[False, False, True]]))
    right, terms = detector_loss(cells_of(perfect(targets)), targets)
    assert float(right) < 1e-3 and set(terms) == {"box", "objectness", "person"}
    missed = perfect(targets)
    missed[0][0, 4] = -20
    assert float(detector_loss(cells_of(missed), targets)[0]) > 5
    ghost = perfect(targets)
    ghost[0][0, 4, 11, 6] = 5
    assert float(detector_loss(cells_of(ghost), targets)[0]) > 1
    unjudged = perfect(targets)
    unjudged[0][0, 4, 1, 6] = 5
    assert float(detector_loss(cells_of(unjudged), targets)[0]) < 1e-3


def test_pictures_without_anybody_are_learnt_too() -> None:
    targets = DetectorTargets(torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.bool))
    raw = [one.requires_grad_() for one in random_raw(5)]
    loss, terms = detector_loss(cells_of(raw), targets)
    loss.backward()
    assert float(terms["box"]) == 0 and float(terms["objectness"]) > 0
    assert all(one.grad is not None and bool(one.grad.isfinite().all()) for one in raw)
