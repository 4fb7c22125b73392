"""Colour histograms: alike for the same clothes, different for others."""

import numpy as np

from dualpose_ros.detection.appearance import appearance_distances, describe_people

BOX = np.array([[20.0, 20, 60, 120]])


def dressed(colour: tuple[int, int, int], light: float = 1.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (140, 80, 3)).astype(float)
    image[20:120, 20:60] = np.array(colour) * light + rng.normal(0, 8, (100, 40, 3))
    return np.clip(image, 0, 255).astype(np.uint8)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(appearance_distances(describe_people(a, BOX), describe_people(b, BOX))[0, 0])


def test_histograms_sum_to_one() -> None:
    boxes = np.array([[20.0, 20, 60, 120], [-10, -30, 40, 40], [40, 100, 100, 300]])
    np.testing.assert_allclose(describe_people(dressed((200, 30, 30)), boxes).sum(axis=1), 1, rtol=1e-5)


def test_same_clothes_are_closer_than_others_in_other_light() -> None:
    colours = [(200, 40, 40), (40, 60, 190), (60, 60, 60), (200, 200, 200), (60, 140, 70)]
    for i, mine in enumerate(colours):
        again = distance(dressed(mine), dressed(mine, light=1.1, seed=1))
        others = [distance(dressed(mine), dressed(o, seed=2)) for k, o in enumerate(colours) if k != i]
        assert again < 0.55 and again < 0.7 * min(others)


def test_a_box_outside_the_image_is_unknown_and_neutral() -> None:
    image = dressed((200, 40, 40))
    table = describe_people(image, np.array([[500.0, 500, 600, 700], [20, 20, 60, 120]]))
    assert np.isnan(table[0]).all() and np.isfinite(table[1]).all()
    np.testing.assert_allclose(appearance_distances(table, table), [[0.5, 0.5], [0.5, 0]], atol=1e-3)


def test_nobody() -> None:
    table = describe_people(dressed((1, 2, 3)), np.zeros((0, 4)))
    assert table.shape[0] == 0 and appearance_distances(table, table).shape == (0, 0)
