import numpy as np
import pytest
from scipy import ndimage

from dualpose_ros.arrays import Floats
from dualpose_ros.heatmap import Heatmaps, combine_heatmaps, combined_grid, find_peaks, local_maxima


def gaussians(centres: Floats, sigma: float, height: int = 24, width: int = 32) -> Floats:
    """One map (h, w) a centre (x, y)."""
    y, x = np.mgrid[:height, :width]
    return np.exp(-((x - centres[:, 0, None, None]) ** 2 + (y - centres[:, 1, None, None]) ** 2) / (2 * sigma**2))


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0, 3.0])
def test_lone_gaussian_is_found_exactly(sigma: float) -> None:
    rng = np.random.default_rng(0)
    centres = rng.uniform([4, 4], [27, 19], (200, 2))
    peaks = find_peaks(0.7 * gaussians(centres, sigma), 0.3)
    assert len(peaks) == 200
    assert np.array_equal(peaks.channel, np.arange(200))
    assert np.abs(peaks.xy - centres).max() < 2e-3


def test_noise_leaves_the_peak_within_a_tenth_of_a_cell() -> None:
    rng = np.random.default_rng(1)
    centres = rng.uniform([6, 6], [25, 17], (300, 2))
    noisy = gaussians(centres, 2.0) + rng.normal(0, 0.01, (300, 24, 32))
    refined, plain = [], []
    for map_index in range(300):
        peaks = find_peaks(noisy[map_index : map_index + 1], 0.5, max_peaks=1)
        refined.append(np.linalg.norm(peaks.xy[0] - centres[map_index]))
        plain.append(np.linalg.norm(peaks.cell[0] - centres[map_index]))
    assert np.mean(refined) < 0.1 < 0.3 < np.mean(plain)


def test_a_neighbour_pulls_a_peak_by_little() -> None:
    """The stated bias: 6 cells (3 sigma) apart, both peaks stay within a tenth of a cell."""
    y, x = np.mgrid[:24, :32]
    both = np.maximum.reduce([np.exp(-((x - c) ** 2 + (y - 12.2) ** 2) / 8) for c in (10.3, 16.3)])
    peaks = find_peaks(both[None], 0.5)
    assert np.allclose(np.sort(peaks.xy[:, 0]), [10.3, 16.3], atol=0.1)


@pytest.mark.parametrize("window", [3, 5])
def test_peaks_equal_a_loop_over_cells(window: int) -> None:
    """Coarse values make many ties: the first of equals in reading order counts."""
    maps = np.round(np.random.default_rng(2).random((5, 17, 13)), 1)
    reach = window // 2
    expected = set()
    for c, y, x in np.ndindex(maps.shape):
        value, best = maps[c, y, x], True
        for v in range(max(y - reach, 0), min(y + reach + 1, 17)):
            for u in range(max(x - reach, 0), min(x + reach + 1, 13)):
                if maps[c, v, u] > value or (maps[c, v, u] == value and (v, u) < (y, x)):
                    best = False
        if best and np.float32(value) > np.float32(0.45):
            expected.add((c, x, y))
    peaks = find_peaks(maps, 0.45, max_peaks=1000, window=window)
    found = {(int(c), int(x), int(y)) for c, (x, y) in zip(peaks.channel, peaks.cell, strict=True)}
    assert found == expected and len(peaks) == len(expected)
    assert np.abs(peaks.xy - peaks.cell).max() <= 0.5


def test_the_best_peaks_of_each_channel_are_kept_in_order() -> None:
    maps = np.zeros((2, 9, 40))
    maps[0, 4, 2::5] = np.linspace(0.2, 0.9, 8)
    maps[1, 4, 20] = 0.5
    peaks = find_peaks(maps, 0.1, max_peaks=3)
    assert peaks.channel.tolist() == [0, 0, 0, 1]
    assert np.allclose(peaks.score, [0.9, 0.8, 0.7, 0.5])


def test_a_peak_on_the_rim_moves_along_the_rim_only() -> None:
    maps = gaussians(np.array([[0.0, 8.3], [12.4, 23.0]]), 2.0)
    peaks = find_peaks(maps, 0.5)
    assert np.allclose(peaks.xy, [[0, 8.3], [12.4, 23]], atol=2e-2)


def test_flat_and_empty_maps() -> None:
    assert len(find_peaks(np.zeros((3, 8, 8)), 0.1)) == 0
    assert len(find_peaks(np.zeros((0, 8, 8)), 0.1)) == 0
    assert len(find_peaks(np.full((1, 8, 8), 0.5), 0.1)) == 1


@pytest.mark.parametrize("bad", [{"window": 4}, {"window": 1}])
def test_bad_windows_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="odd"):
        find_peaks(np.zeros((1, 8, 8)), 0.1, **bad)


def test_combined_equals_bilinear_sampling_and_a_maximum() -> None:
    rng = np.random.default_rng(3)
    patches = np.stack([gaussians(rng.uniform(3, 20, (2, 2)), 2.0, 24, 24) for _ in range(3)])
    scales = (5.0, 7.3, 9.1)  # image pixels a patch cell: more than the grid's 4
    affines = np.stack([[[s, 0, rng.uniform(-30, 100)], [0, s, rng.uniform(-30, 60)]] for s in scales])
    result = combine_heatmaps(patches, affines, (200, 300), ("a", "b"))
    expected: Floats = np.zeros(result.data.shape)
    rows, columns = np.mgrid[: expected.shape[1], : expected.shape[2]]
    image_xy = np.stack([columns, rows], axis=-1) @ result.to_image[:, :2].T + result.to_image[:, 2]
    for maps, affine in zip(patches, affines, strict=True):
        cell = (image_xy - affine[:, 2]) / affine[0, 0]
        for channel in range(2):
            sampled = ndimage.map_coordinates(
                maps[channel], [cell[..., 1], cell[..., 0]], order=1, mode="grid-constant"
            )
            expected[channel] = np.maximum(expected[channel], sampled)
    assert np.abs(result.data * result.scale - expected).max() < 0.02
    assert result.data.max() > 200


def test_a_joint_comes_back_where_it_was() -> None:
    cells = np.array([[15.3, 8.7]])
    affine = np.array([[[6.0, 0, 120.0], [0, 6.0, 40.0]]])
    result = combine_heatmaps(gaussians(cells, 2.0, 24, 24)[None], affine, (480, 640), ("a",))
    peak = find_peaks(result.data * result.scale, 0.3).xy[0]
    assert np.allclose(result.to_image[:, :2] @ peak + result.to_image[:, 2], [6 * 15.3 + 120, 6 * 8.7 + 40], atol=1.0)


def test_small_people_keep_their_peaks() -> None:
    """Patch cells of 0.6 px under grid cells of 8 px: plain sampling would miss the peak."""
    patch = gaussians(np.array([[11.0, 13.0]]), 2.0, 24, 24)[None]
    for shift in np.linspace(200, 208, 9):
        affine = np.array([[[0.6, 0, shift], [0, 0.6, 100.0]]])
        result = combine_heatmaps(patch, affine, (720, 1280), ("a",))
        assert result.data.max() * result.scale > 0.8


def test_patches_outside_leave_nothing_and_no_patches_are_empty() -> None:
    affine = np.array([[[4.0, 0, 5000.0], [0, 4.0, 0.0]]])
    assert combine_heatmaps(np.ones((1, 1, 24, 24)), affine, (100, 100), ("a",)).data.max() == 0
    assert combine_heatmaps(np.zeros((0, 1, 1, 1)), np.zeros((0, 2, 3)), (100, 130), ("a",)).data.shape == (1, 25, 33)


def test_grid_covers_the_image_within_the_limit() -> None:
    for size in ((480, 640), (100, 90), (1080, 1920), (7, 1000)):
        (rows, columns), affine = combined_grid(size, 160)
        assert max(rows, columns) <= 160
        low = affine @ [-0.5, -0.5, 1]
        high = affine @ [columns - 0.5, rows - 0.5, 1]
        assert np.allclose(low, -0.5) and (high >= np.array(size[::-1]) - 0.5 - 1e-9).all()


def test_records_whose_shapes_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match="2 channels"):
        Heatmaps(("a", "b"), np.zeros((1, 2, 2), np.uint8), np.zeros((2, 3)), 1.0)
    with pytest.raises(ValueError, match="to_image"):
        Heatmaps(("a",), np.zeros((1, 2, 2), np.uint8), np.zeros(6), 1.0)


def test_maps_laid_together_do_not_see_each_other() -> None:
    maps = np.random.default_rng(2).random((5, 7, 6)).astype(np.float32)
    together = local_maxima(maps, 0.2, 50, 5)
    alone = [local_maxima(one[None], 0.2, 50, 5) for one in maps]
    for n, (part, parts) in enumerate(zip(together, zip(*alone, strict=True), strict=True)):
        expected = [np.full(len(values), i) for i, values in enumerate(parts)] if n == 0 else parts
        np.testing.assert_array_equal(part, np.concatenate(expected))
