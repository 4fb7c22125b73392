import cv2
import numpy as np
import pytest

from dualpose_ros.grouping import cells_to_pixels
from dualpose_ros.top_down.decode import TARGET_TAG, DecodeConfig, decode_patches, smoothed
from support import people_maps as maps


def test_one_person_is_found_to_a_fraction_of_a_pixel() -> None:
    truth = maps.figure(127.3, 30.2, 190.6)
    heat, tags = maps.ideal_maps([truth], [TARGET_TAG])
    people = decode_patches(heat[None], tags[None], maps.figure_box(truth)[None])[0]
    assert len(people) == 1 and people.target == 0
    assert np.abs(people.joints_px[0] - truth).max() < 0.05
    assert people.scores[0].min() > 0.85


def test_overlapping_people_are_told_apart_and_the_box_picks_one() -> None:
    own, other = maps.figure(120.0, 28.0, 200.0), maps.figure(170.0, 45.0, 180.0)
    heat, tags = maps.ideal_maps([own, other], [0.4, -2.1])
    stack = np.stack([heat, heat]), np.stack([tags, tags])
    boxes = np.stack([maps.figure_box(own), maps.figure_box(other)])
    first, second = decode_patches(*stack, boxes)
    assert len(first) == len(second) == 2
    assert np.abs(first.joints_px[first.target] - own).max() < 1.5
    assert np.abs(second.joints_px[second.target] - other).max() < 1.5


def test_a_joint_below_the_peak_threshold_is_filled_in_from_its_map() -> None:
    truth = maps.figure(127.3, 30.2, 190.6)
    heat, tags = maps.ideal_maps([truth], [1.0])
    heat[16] *= 0.06
    people = decode_patches(heat[None], tags[None], maps.figure_box(truth)[None])[0]
    assert np.abs(people.joints_px[0, 16] - truth[16]).max() < 0.5
    assert people.scores[0, 16] == pytest.approx(0.06, abs=0.01)


def test_a_missing_joint_is_not_taken_from_the_other_person() -> None:
    own, other = maps.figure(110.0, 28.0, 200.0), maps.figure(190.0, 45.0, 180.0)
    own[13] = np.nan
    heat, tags = maps.ideal_maps([own, other], [0.0, 3.0])
    box = maps.figure_box(own[np.isfinite(own[:, 0])])
    people = decode_patches(heat[None], tags[None], box[None])[0]
    assert people.scores[people.target, 13] == 0
    assert people.scores[1 - people.target, 13] > 0.8


def test_absent_people_and_absent_patches() -> None:
    empty = np.zeros((2, 17, 64, 64))
    boxes = np.tile([20.0, 20, 230, 230], (2, 1))
    decoded = decode_patches(empty, empty, boxes)
    assert len(decoded) == 2
    for people in decoded:
        assert len(people) == 0 and people.target == -1
    assert decode_patches(empty[:0], empty[:0], boxes[:0]) == []


def test_noise_does_not_break_it() -> None:
    rng = np.random.default_rng(0)
    heat, tags = rng.random((3, 17, 64, 64)), rng.normal(0, 3, (3, 17, 64, 64))
    decoded = decode_patches(heat, tags, np.tile([20.0, 20, 230, 230], (3, 1)))
    assert len(decoded) == 3
    for people in decoded:
        assert 0 <= people.target < len(people)
        assert np.isfinite(people.joints_px).all() and people.scores.max() <= 1


def test_broken_outputs_are_refused() -> None:
    good = np.zeros((1, 17, 64, 64))
    boxes = np.array([[20.0, 20, 230, 230]])
    broken = good.copy()
    broken[0, 3, 5, 5] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        decode_patches(broken, good, boxes)
    with pytest.raises(ValueError, match="NaN"):
        decode_patches(good, broken, boxes)
    with pytest.raises(ValueError, match="don't fit"):
        decode_patches(good, good[:, :3], boxes)


def test_of_a_broad_hill_and_a_higher_spike_the_hill_is_the_joint() -> None:
    truth = maps.figure(127.3, 30.2, 190.6)
    heat, tags = maps.ideal_maps([truth], [1.0])
    spike = (8, 50)
    heat[16][spike], tags[16][spike] = 1.3 * heat[16].max(), 1.0
    box = maps.figure_box(truth)[None]
    people = decode_patches(heat[None], tags[None], box)[0]
    assert np.abs(people.joints_px[0, 16] - truth[16]).max() < 0.5
    (sharp,) = decode_patches(heat[None], tags[None], box, DecodeConfig(smoothing_cells=0))
    assert np.abs(sharp.joints_px[0, 16] - cells_to_pixels(np.array(spike[::-1]))).max() < 2.5


@pytest.mark.parametrize("shape", [(2, 3, 48, 48), (1, 2, 20, 33), (1, 1, 4, 1)])
def test_maps_are_blurred_as_opencv_blurs_each_of_them(shape: tuple[int, ...]) -> None:
    maps = np.random.default_rng(0).random(shape, dtype=np.float32)
    expected = [[cv2.GaussianBlur(one, (0, 0), 1.25).reshape(one.shape) for one in patch] for patch in maps]
    np.testing.assert_allclose(smoothed(maps, 1.25), expected, atol=1e-6)
