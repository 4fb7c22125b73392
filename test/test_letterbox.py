"""Letterbox: exact round trips for any shape, and pixels that land where the mapping says."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualpose_ros.letterbox import PAD_VALUE, Letterbox, fit_inside, fit_long_side

sizes = st.integers(1, 3000)


@settings(max_examples=200, deadline=None)
@given(sizes, sizes, st.sampled_from([32, 384, 416, 640]))
def test_round_trip_is_exact_for_any_shape(width: int, height: int, long_side: int) -> None:
    box = fit_long_side(width, height, long_side)
    assert box.width % 32 == 0 and box.height % 32 == 0
    assert box.inner_width <= box.width < box.inner_width + 32
    assert max(box.inner_width, box.inner_height) == long_side
    boxes = np.random.default_rng(0).uniform(-10, 3000, (5, 4))
    np.testing.assert_allclose(box.boxes_to_image(box.boxes_to_network(boxes)), boxes, rtol=0, atol=1e-8)
    np.testing.assert_allclose(box.points_to_image(box.points_to_network(boxes[:, :2])), boxes[:, :2], atol=1e-8)
    whole = np.array([0, 0, width, height])
    np.testing.assert_allclose(box.boxes_to_network(whole), [0, 0, box.inner_width, box.inner_height], atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(sizes, sizes, st.sampled_from([(416, 416), (640, 384)]))
def test_fit_inside_fills_one_side_of_the_network(width: int, height: int, size: tuple[int, int]) -> None:
    box = fit_inside(width, height, *size)
    assert (box.width, box.height) == size
    assert box.inner_width == size[0] or box.inner_height == size[1]
    assert box.inner_width <= size[0] and box.inner_height <= size[1]


@pytest.mark.parametrize("shape", [(480, 640), (431, 768), (1000, 37), (90, 120), (720, 1280), (1081, 1923)])
def test_a_drawn_block_lands_where_the_mapping_says(shape: tuple[int, int]) -> None:
    height, width = shape
    image = np.zeros((height, width, 3), np.uint8)
    x0, y0, x1, y1 = width // 4, height // 3, width // 4 + max(width // 3, 8), height // 3 + height // 4
    image[y0:y1, x0:x1] = 255
    box = fit_long_side(width, height, 384)
    out = box.apply(image)
    assert out.shape == (box.height, box.width, 3)
    assert np.all(out[box.inner_height :] == PAD_VALUE) and np.all(out[:, box.inner_width :] == PAD_VALUE)
    weight = out[: box.inner_height, : box.inner_width, 0].astype(float)
    y, x = np.mgrid[: box.inner_height, : box.inner_width]
    centroid = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
    middle = np.array([(x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2])
    np.testing.assert_allclose(box.points_to_network(middle), centroid, atol=0.25)
    # The same middle as a box: edges count from the corner, half a pixel further.
    edges = box.boxes_to_network(np.array([x0, y0, x1, y1]))
    np.testing.assert_allclose((edges[:2] + edges[2:]) / 2 - 0.5, centroid, atol=0.25)


@pytest.mark.parametrize("shape", [(431, 768), (720, 1280), (1081, 1923), (2160, 3840)])
def test_a_large_image_is_what_means_over_areas_are(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 6).astype(np.uint8)
    box = fit_long_side(shape[1], shape[0], 384)
    for image, most in ((smooth, 1.0), (noise, 12.0)):
        size = (box.inner_width, box.inner_height)
        expected = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(float)
        found = box.apply(image)[: box.inner_height, : box.inner_width].astype(float)
        # Of pure noise, whose pixels deviate by 74, linear interpolation alone would keep 37 to 49.
        assert np.abs(found - expected).mean() < most and found.std() < expected.std() + most / 2


def test_apply_keeps_an_image_of_fitting_size_untouched() -> None:
    image = np.random.default_rng(1).integers(0, 256, (64, 384, 3), dtype=np.uint8)
    np.testing.assert_array_equal(fit_long_side(384, 64, 384).apply(image), image)


def test_bad_sizes_are_named() -> None:
    with pytest.raises(ValueError, match="image size 0x10"):
        fit_long_side(0, 10, 384)
    with pytest.raises(ValueError, match="long side -1"):
        fit_long_side(10, 10, -1)
    with pytest.raises(ValueError, match="image size 10x0"):
        fit_inside(10, 0, 64, 64)
    with pytest.raises(ValueError, match="exceeds 32x32"):
        Letterbox(10, 10, 64, 64, 32, 32)
    with pytest.raises(ValueError, match="image is 20x10, the letterbox is for 10x20"):
        fit_long_side(10, 20, 64).apply(np.zeros((10, 20, 3), np.uint8))


def test_the_affine_is_what_points_to_network_does() -> None:
    box = fit_long_side(1280, 717, 384)
    points = np.random.default_rng(0).uniform(-100, 1400, (20, 2))
    mapped = points @ box.affine[:, :2].T + box.affine[:, 2]
    np.testing.assert_allclose(mapped, box.points_to_network(points))
