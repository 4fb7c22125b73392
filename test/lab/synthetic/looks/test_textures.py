"""Cloth that repeats without seams, and colours that people have."""

import numpy as np
import pytest

from dualpose_ros.lab.synthetic.looks import textures


def seam(tile: np.ndarray, axis: int) -> tuple[float, float]:
    """Mean step over the border, and the largest mean step between neighbouring lines within."""
    steps = np.abs(np.diff(tile.astype(float), axis=axis)).mean(axis=(1 - axis, 2))
    first, last = np.take(tile, 0, axis).astype(float), np.take(tile, -1, axis).astype(float)
    return float(np.abs(first - last).mean()), float(steps.max())


@pytest.mark.parametrize("kind", list(textures.CLOTH_KINDS))
def test_cloth_is_tileable(kind: str) -> None:
    for seed in range(6):
        tile = textures.cloth_tile(np.random.default_rng(seed), kind)
        assert tile.shape == (128, 128, 3) and tile.dtype == np.uint8
        for axis in (0, 1):
            across, within = seam(tile, axis)
            if kind == "blocks":  # fields may end where the tile does
                continue
            assert across <= 1.25 * within + 3, f"axis {axis}, seed {seed}"


def test_the_seam_test_can_fail() -> None:
    ramp = np.broadcast_to(np.arange(128, dtype=np.uint8)[None, :, None], (128, 128, 3))
    across, within = seam(ramp, 1)
    assert across > 1.25 * within + 3


@pytest.mark.parametrize("size", [32, 64, 128])
def test_an_atlas_depends_on_the_seed_alone(size: int) -> None:
    first, again, other = (textures.cloth_atlas(np.random.default_rng(seed), 12, size) for seed in (1, 1, 2))
    assert first.shape == (12, size, size, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert np.mean(first != other) > 0.5
    assert textures.cloth_atlas(np.random.default_rng(0), 0, size).shape == (0, size, size, 3)


def test_an_atlas_is_varied_and_mostly_muted() -> None:
    atlas = textures.cloth_atlas(np.random.default_rng(0), 150, 64).astype(float)
    mean = atlas.mean((1, 2))
    assert np.mean(mean.max(-1) < 70) > 0.15, "dark cloth is common"
    assert np.mean(mean.min(-1) > 180) > 0.05, "so is white"
    saturated = np.ptp(mean, axis=-1) > 110
    assert 0.02 < saturated.mean() < 0.35
    contrast = atlas.std((1, 2)).max(-1)
    assert np.mean(contrast < 15) > 0.2 and np.mean(contrast > 35) > 0.2


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match="no cloth kind 'fur'; there are plain, "):
        textures.cloth_tile(np.random.default_rng(0), "fur")


def test_skin_runs_from_light_to_dark_and_is_never_blue() -> None:
    rng = np.random.default_rng(0)
    tones = np.stack([textures.skin_tones(rng) for _ in range(400)])
    luma = tones @ [0.299, 0.587, 0.114]
    assert tones.min() >= 0 and tones.max() <= 255
    assert luma.min() < 60 and luma.max() > 205 and np.histogram(luma, bins=4, range=(40, 220))[0].min() > 30
    assert np.mean((tones[:, 0] > tones[:, 1]) & (tones[:, 1] > tones[:, 2])) > 0.95


def test_hair_and_cloth_colours_are_in_range_and_mostly_dark() -> None:
    rng = np.random.default_rng(0)
    hair = np.stack([textures.hair_colours(rng) for _ in range(400)])
    cloth = np.stack([textures.cloth_colour(rng) for _ in range(400)])
    for colours in (hair, cloth):
        assert colours.shape == (400, 3) and colours.min() >= 0 and colours.max() <= 255
    assert np.mean(hair.max(-1) < 90) > 0.5 and np.mean(hair.min(-1) > 90) > 0.03
    assert 0.2 < np.mean(cloth.max(-1) < 90) < 0.6
