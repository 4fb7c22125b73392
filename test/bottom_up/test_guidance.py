"""Guidance lies where the heatmaps' peaks are, at any scale, and small people keep their peaks."""

import numpy as np
import pytest

from dualpose_ros.bottom_up.guidance import guidance_maps, no_guidance
from dualpose_ros.heatmap import Heatmaps
from dualpose_ros.skeleton import H36M17, K


def heatmaps(peaks_px: np.ndarray, scale: float = 1 / 255) -> Heatmaps:
    """Image-level heatmaps with a Gaussian of 1.5 cells at one image pixel (K, 2) a channel."""
    step, (rows, columns) = 4.0, (120, 160)
    to_image = np.array([[step, 0, (step - 1) / 2], [0, step, (step - 1) / 2]])
    y, x = np.mgrid[:rows, :columns]
    at = (peaks_px - (step - 1) / 2) / step
    value = np.exp(-((x - at[:, 0, None, None]) ** 2 + (y - at[:, 1, None, None]) ** 2) / (2 * 1.5**2))
    return Heatmaps(H36M17.joint_names, np.rint(value / (255 * scale) * 255).astype(np.uint8), to_image, scale)


@pytest.mark.parametrize("zoom", [0.25, 0.6, 1.0, 1.25])
def test_peaks_lie_where_the_joints_are(zoom: float) -> None:
    rng = np.random.default_rng(4)
    peaks = rng.uniform((150, 120), (480, 350), (K, 2))
    view = np.array([[zoom, 0, 7.0], [0, zoom, -3.0]])
    size = (480, 640)
    found = guidance_maps(heatmaps(peaks), view, size)
    assert found.shape == (K, 120, 160) and found.dtype == np.uint8
    wanted = peaks * zoom + (7.0, -3.0)
    for channel, at in zip(found, wanted, strict=True):
        weight = channel.astype(float) ** 2
        rows, columns = np.indices(channel.shape)
        middle = 4 * np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum() + 1.5
        np.testing.assert_allclose(middle, at, atol=1.2)
        assert channel.max() > 200


def test_zeros_where_there_is_nothing_and_beyond_the_image() -> None:
    assert not no_guidance((256, 320)).any() and no_guidance((256, 320)).shape == (K, 64, 80)
    found = guidance_maps(heatmaps(np.full((K, 2), 100.0)), np.array([[0.5, 0, 0], [0, 0.5, 0]]), (288, 384))
    assert not found[:, 61:].any() and not found[:, :, 81:].any()  # the letterbox's padding


def test_other_scales_of_the_data_mean_the_same() -> None:
    peaks, view = np.full((K, 2), 200.0), np.array([[0.6, 0, 0], [0, 0.6, 0]])
    usual = guidance_maps(heatmaps(peaks), view, (288, 384)).astype(int)
    other = guidance_maps(heatmaps(peaks, scale=1 / 127), view, (288, 384)).astype(int)
    assert np.abs(usual - other).max() <= 4


def test_other_joints_are_refused() -> None:
    maps = Heatmaps(("nose",), np.zeros((1, 4, 4), np.uint8), np.eye(3)[:2], 1 / 255)
    with pytest.raises(ValueError, match="channels nose"):
        guidance_maps(maps, np.eye(3)[:2], (64, 64))
