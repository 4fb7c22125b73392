"""Degradation: the identity at strength 0, deterministic, and each part against its definition."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from dualpose_ros.lab.synthetic.render.degrade import (
    ClipDegradation,
    apply,
    degrade,
    degrade_clip_params,
    motion_kernel,
)

NEUTRAL = ClipDegradation()


def picture(height: int = 90, width: int = 120) -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (9, 12, 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def test_strength_zero_changes_nothing() -> None:
    image = picture()
    rng = np.random.default_rng(1)
    for _ in range(5):
        result = degrade(rng, image, 0.0)
        np.testing.assert_array_equal(result, image)
        assert result is not image, "the caller may write into it"


def test_degradation_depends_on_the_seed_alone_and_leaves_the_input() -> None:
    image = picture()
    before = image.copy()
    for seed in range(30):
        first, again = (degrade(np.random.default_rng(seed), image) for _ in range(2))
        np.testing.assert_array_equal(first, again)
        assert first.shape == image.shape and first.dtype == np.uint8
    np.testing.assert_array_equal(image, before)


def test_more_strength_degrades_more() -> None:
    image = picture()

    def change(strength: float) -> float:
        return float(
            np.mean([
                np.abs(degrade(np.random.default_rng(seed), image, strength).astype(float) - image).mean()
                for seed in range(60)
            ])
        )  # fmt: skip

    assert 0 < change(0.3) < change(1.0) < change(2.0)


def test_a_clip_keeps_its_look_while_its_noise_is_fresh() -> None:
    image = picture()
    params = replace(NEUTRAL, exposure=0.6, white_balance=(1.2, 1.0, 0.8), read_noise=0.03)
    rng = np.random.default_rng(0)
    frames = np.stack([apply(params, image, rng) for _ in range(40)]).astype(float)
    clean = apply(replace(params, read_noise=0.0), image, rng).astype(float)
    middle = (clean > 40) & (clean < 215)
    assert np.abs(frames.mean(0) - clean)[middle].mean() < 1.5
    assert np.mean(frames[0] != frames[1]) > 0.7
    assert frames.std(0)[middle].mean() == pytest.approx(0.03 * 255, rel=0.1)


def test_shot_noise_grows_with_the_root_of_the_signal() -> None:
    rng = np.random.default_rng(0)
    params = replace(NEUTRAL, shot_noise=0.05)
    for value in (50, 200):
        flat = np.full((200, 200, 3), value, np.uint8)
        assert apply(params, flat, rng).std() == pytest.approx(255 * 0.05 * np.sqrt(value / 255), rel=0.06)


def test_chroma_noise_colours_blocks() -> None:
    noisy = apply(replace(NEUTRAL, chroma_noise=0.05), np.full((100, 100, 3), 128, np.uint8), np.random.default_rng(0))
    assert noisy.std() == pytest.approx(0.05 * 255, rel=0.1)
    np.testing.assert_array_equal(noisy[::2, ::2], noisy[1::2, 1::2])


def test_exposure_is_a_factor_on_linear_light() -> None:
    image = np.full((8, 8, 3), 120, np.uint8)
    dark = apply(replace(NEUTRAL, exposure=0.25), image, np.random.default_rng(0))
    assert dark[0, 0, 0] == pytest.approx(120 * 0.25 ** (1 / 2.2), abs=1)


def test_white_balance_shifts_colour_and_saturation_removes_it() -> None:
    image = np.full((8, 8, 3), 120, np.uint8)
    warm = apply(replace(NEUTRAL, white_balance=(1.3, 1.0, 0.7)), image, np.random.default_rng(0))
    assert warm[0, 0, 0] > 125 > 115 > warm[0, 0, 2]
    for params in (replace(NEUTRAL, saturation=1e-6), replace(NEUTRAL, toning="grey")):
        grey = apply(params, picture(), np.random.default_rng(0)).astype(int)
        assert np.ptp(grey, axis=-1).max() <= 1
        np.testing.assert_allclose(grey[..., 0], picture() @ [0.299, 0.587, 0.114], atol=1.5)


@pytest.mark.parametrize(("length", "angle"), [(5, 0.0), (9, np.pi / 2), (12, 0.7)])
def test_a_motion_kernel_is_a_line(length: float, angle: float) -> None:
    kernel = motion_kernel(length, angle).astype(float)
    y, x = (np.indices(kernel.shape) - (len(kernel) - 1) / 2).astype(float)
    along, across = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    assert kernel.sum() == pytest.approx(1)
    assert np.sqrt((kernel * along**2).sum()) == pytest.approx(length / np.sqrt(12), rel=0.1)
    assert np.sqrt((kernel * across**2).sum()) < 0.5


def test_blur_softens_and_sharpening_overshoots() -> None:
    image = np.zeros((80, 80, 3), np.uint8)
    image[:, 40:] = 200
    image[:, :40] = 60
    soft = apply(replace(NEUTRAL, defocus=0.03), image, np.random.default_rng(0)).astype(int)
    sharp = apply(replace(NEUTRAL, sharpen=1.0), image, np.random.default_rng(0)).astype(int)
    assert np.abs(np.diff(soft, axis=1)).max() < 60
    assert sharp.max() > 205 and sharp.min() < 55
    moved = apply(replace(NEUTRAL, motion_length=0.1, motion_angle=0.0), image, np.random.default_rng(0)).astype(int)
    assert np.abs(np.diff(moved, axis=1)).max() < 40
    still = apply(replace(NEUTRAL, motion_length=0.1, motion_angle=np.pi / 2), image, np.random.default_rng(0))
    np.testing.assert_array_equal(still, image)


def test_vignette_haze_and_glow_act_where_they_should() -> None:
    flat = np.full((100, 100, 3), 120, np.uint8)
    rng = np.random.default_rng(0)
    dim = apply(replace(NEUTRAL, vignette=0.5), flat, rng).astype(int)
    assert dim[50, 50, 0] > 115 and dim[2, 2, 0] < 80
    hazy = apply(replace(NEUTRAL, haze=0.5, haze_rgb=(1.0, 0.5, 0.0)), flat, rng).astype(int)
    np.testing.assert_allclose(hazy[50, 50], [60 + 127, 60 + 64, 60], atol=2)
    lit = apply(replace(NEUTRAL, glow=0.5, glow_at=(0.0, 0.0), glow_radius=0.3), flat, rng).astype(int)
    assert lit[3, 3, 0] > 220 and lit[95, 95, 0] < 125


def test_jpeg_is_the_codec_s_own_round_trip_and_resampling_loses_detail() -> None:
    image = picture()
    result = apply(replace(NEUTRAL, jpeg_quality=40), image, np.random.default_rng(0))
    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    np.testing.assert_array_equal(result, decoded[..., ::-1])
    grain = np.random.default_rng(0).integers(0, 256, (80, 80, 3)).astype(np.uint8)
    assert apply(replace(NEUTRAL, resample=2.0), grain, np.random.default_rng(0)).std() < 0.6 * grain.std()


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="strength -1"):
        degrade_clip_params(np.random.default_rng(0), -1.0)
    wrong: list[Any] = [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 4), np.uint8)]
    for bad in wrong:
        with pytest.raises(ValueError, match="RGB image"):
            degrade(np.random.default_rng(0), bad)
