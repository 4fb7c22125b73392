"""Centre heatmaps: peaks against a slow search, and boxes through encoding and back."""

import numpy as np
import pytest

from dualpose_ros.detection.decode import STRIDE, decode_boxes
from support.detector_maps import encode_boxes


def test_no_peak_in_an_empty_map() -> None:
    boxes, scores = decode_boxes(np.zeros((8, 8)), np.ones((2, 8, 8)), np.zeros((2, 8, 8)), 0.1)
    assert boxes.shape == (0, 4) and scores.shape == (0,)


def test_cell_positions_count_from_the_corner() -> None:
    centre = np.zeros((3, 5))
    centre[0, 0], centre[2, 4] = 0.9, 0.8
    boxes, scores = decode_boxes(centre, np.ones((2, 3, 5)), np.zeros((2, 3, 5)), 0.1)
    assert ((boxes[:, :2] + boxes[:, 2:]) / 2).tolist() == [[2, 2], [18, 10]]
    np.testing.assert_allclose(scores, [0.9, 0.8])


@pytest.mark.parametrize("seed", range(10))
def test_encoded_boxes_decode_to_themselves(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = 64, 80
    slots = rng.permutation(12)[:5]
    corner = np.stack([slots % 4 * 80, slots // 4 * 80], axis=1) + rng.uniform(0, 8, (5, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(10, 70, (5, 2))], axis=1)
    centre, size, offset, weight = encode_boxes(boxes, height, width)
    assert centre.max() == 1 and np.all(weight.sum() <= len(boxes) + 1e-4)
    found, scores = decode_boxes(centre[0], size, offset, 0.99)
    assert len(found) == 5 and np.all(scores == 1)
    order, expected = np.lexsort(found.T), np.lexsort(boxes.T)
    np.testing.assert_allclose(found[order], boxes[expected], atol=1e-3)
    # Every cell that teaches a size teaches its own box exactly.
    where = np.argwhere(weight[0] > 0)
    for i, j in where:
        middle = STRIDE * np.array([j + 0.5, i + 0.5]) + offset[:, i, j]
        box = np.concatenate([middle - size[:, i, j] / 2, middle + size[:, i, j] / 2])
        assert np.abs(boxes - box).max(axis=1).min() < 1e-3


def test_a_box_at_the_border_keeps_its_peak_inside() -> None:
    centre, *_ = encode_boxes(np.array([[316.0, 250, 320, 256]]), 64, 80)
    assert centre[0, 63, 79] == 1


def test_an_ignored_box_makes_no_peak_and_teaches_no_size() -> None:
    boxes = np.array([[20.0, 20, 60, 120], [120, 30, 160, 150]])
    centre, _, _, weight = encode_boxes(boxes, 64, 80, np.array([True, False]))
    assert (centre == 1).sum() == 1
    cells = (np.array([40, 70]) / STRIDE).astype(int)
    assert 0.9 < centre[0, cells[1], cells[0]] < 1
    assert weight[0, :, :20].sum() == 0 and weight.sum() > 0.9


def test_no_people_is_an_empty_target() -> None:
    assert all(not maps.any() for maps in encode_boxes(np.zeros((0, 4)), 16, 16))
