"""Backgrounds: determined by the seed, varied, of natural statistics; and the painter against plain geometry."""

import itertools

import numpy as np
import pytest

from dualpose_ros.lab.synthetic.backdrop import materials
from dualpose_ros.lab.synthetic.backdrop.backgrounds import KINDS, background, soften
from dualpose_ros.lab.synthetic.backdrop.paint import Look, Scene, make_view
from dualpose_ros.lab.synthetic.looks.noise import TILE, fractal, fractal_tile


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_background_depends_on_the_seed_alone(kind: str) -> None:
    first = background(np.random.default_rng(3), 96, 128, kind)
    again = background(np.random.default_rng(3), 96, 128, kind)
    other = background(np.random.default_rng(4), 96, 128, kind)
    assert first.shape == (96, 128, 3) and first.dtype == np.uint8 and first.flags.c_contiguous
    np.testing.assert_array_equal(first, again)
    assert np.mean(first != other) > 0.5


@pytest.mark.parametrize("size", [(1, 1), (17, 300), (300, 17), (480, 640)])
def test_any_size_can_be_had(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for kind in KINDS:
        assert background(rng, *size, kind).shape == (*size, 3)


def test_bad_arguments_are_named() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="0x4 is not positive"):
        background(rng, 4, 0)
    with pytest.raises(ValueError, match="no background kind 'moon'; there are room, "):
        background(rng, 8, 8, "moon")


def test_backgrounds_differ_in_brightness_colour_and_sharpness() -> None:
    rng = np.random.default_rng(1)
    images = [background(rng, 96, 96).astype(float) for _ in range(60)]
    brightness = np.array([image.mean() for image in images])
    detail = np.array([np.abs(np.diff(image, axis=1)).mean() for image in images])
    warmth = np.array([(image[..., 0] - image[..., 2]).mean() for image in images])
    assert 70 < brightness.mean() < 160 and brightness.std() > 20
    assert detail.max() > 5 * detail.min() and warmth.std() > 5


def test_the_spectrum_falls_off_as_in_photographs() -> None:
    """Photographs have amplitude spectra f^-a with a of 0.8 to 1.5 about (Field, 1987)."""
    rng = np.random.default_rng(2)
    power = np.zeros((128, 128))
    window = np.hanning(128)[:, None] * np.hanning(128)[None]
    for _ in range(60):
        grey = background(rng, 128, 128).astype(float).mean(-1)
        power += np.abs(np.fft.fft2((grey - grey.mean()) / (grey.std() + 1) * window)) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128)))
    bands = np.array([0.03, 0.05, 0.08, 0.12, 0.18, 0.27])
    amplitude = [np.sqrt(power[(frequency >= a) & (frequency < b)].mean()) for a, b in itertools.pairwise(bands)]
    slope = np.polyfit(np.log(np.sqrt(bands[:-1] * bands[1:])), np.log(amplitude), 1)[0]
    assert -2.0 < slope < -0.7


def test_a_given_view_sets_the_horizon() -> None:
    """Looking far down, nothing of the sky is left; looking far up, nothing but sky and what rises into it."""
    rng = np.random.default_rng(0)
    views = [make_view(64, 64, 0.6, 1.5, pitch) for pitch in (-0.9, 0.9)]
    up, down = (np.mean([background(rng, 64, 64, "nature", view).mean() for _ in range(12)]) for view in views)
    assert up > down + 20


def test_a_view_projects_by_the_pinhole_formula() -> None:
    view = make_view(480, 640, np.radians(60), 1.6, 0.0)
    x, y, z = view.pixel((0.5, 1.0, 4.0))
    focal = 320 / np.tan(np.radians(30))
    assert (x, y, z) == pytest.approx((319.5 + focal * 0.5 / 4, 239.5 + focal * 0.6 / 4, 4.0))
    np.testing.assert_allclose(view.rotation @ view.rotation.T, np.eye(3), atol=1e-12)
    turned = make_view(480, 640, 1.0, 1.6, 0.3, 0.4, 0.1)
    np.testing.assert_allclose(turned.rotation @ turned.rotation.T, np.eye(3), atol=1e-12)
    assert turned.pixel((np.sin(0.4), 1.6 - np.tan(0.3), np.cos(0.4)))[:2] == pytest.approx((319.5, 239.5))


def _ray_cast(view, corner, u, v, height: int, width: int) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Which pixels' rays meet a parallelogram, and where (a, b): (H, W, 3) of hit, a, b; slow and obvious."""
    hits = np.zeros((height, width, 3))
    for y in range(height):
        for x in range(width):
            ray_cam = np.array([(x - view.centre_px[0]) / view.focal_px, (y - view.centre_px[1]) / view.focal_px, 1.0])
            ray = view.rotation.T @ ray_cam
            a, b, minus_t = np.linalg.solve(np.stack([u, v, ray], axis=1), view.position - np.array(corner))
            hits[y, x] = (0 <= a <= 1 and 0 <= b <= 1 and -minus_t > 0.2, a, b)
    return hits


@pytest.mark.parametrize("seed", range(4))
def test_a_plane_covers_the_pixels_whose_rays_meet_it(seed: int) -> None:
    """Against ray casting; also where the plane reaches behind the camera."""
    rng = np.random.default_rng(seed)
    view = make_view(48, 64, 1.1, 1.5, float(rng.normal(0, 0.2)), float(rng.normal(0, 0.3)), float(rng.normal(0, 0.1)))
    corner = (float(rng.uniform(-3, 0)), float(rng.uniform(0, 2)), float(rng.uniform(-1, 3)))
    u = (float(rng.uniform(1, 4)), float(rng.normal(0, 0.3)), float(rng.normal(0, 1.0)))
    v = (float(rng.normal(0, 0.3)), float(rng.normal(-1, 0.5)), float(rng.uniform(0.5, 4)))
    image = np.zeros((48, 64, 3), np.uint8)
    scene = Scene(view)
    white = materials.pick(rng, "plaster")
    scene.plane(corner, u, v, (1.0, 1.0), Look(white, (9.0, 9.0, 9.0)))
    scene.paint(image)
    expected = _ray_cast(view, corner, np.array(u), np.array(v), 48, 64)[..., 0] > 0
    assert expected.any()
    wrong = (image[..., 0] > 127) != expected
    assert wrong.sum() <= 0.03 * expected.sum() + 6, "only pixels on the outline may differ"


def test_a_texture_lies_on_its_plane_in_perspective() -> None:
    """Each pixel shows the texel that its ray meets, as far as the texture is magnified."""
    view = make_view(60, 60, 0.5, 0.0, 0.1)
    material = materials.pick(np.random.default_rng(0), "painting")
    corner, u, v = (-0.7, 0.6, 2.0), (1.3, 0.1, 0.4), (0.1, -1.2, 0.6)
    tiles = (0.1, 0.1)
    image = np.zeros((60, 60, 3), np.uint8)
    scene = Scene(view)
    scene.plane(corner, u, v, tiles, Look(material))
    scene.paint(image)
    hits = _ray_cast(view, corner, np.array(u), np.array(v), 60, 60)
    tile = materials.atlas()[0][material][..., :3].astype(float)
    inside = (hits[..., 0] > 0) & (np.abs(hits[..., 1] - 0.5) < 0.45) & (np.abs(hits[..., 2] - 0.5) < 0.45)
    j = np.clip(hits[..., 1] * tiles[0] * TILE - 0.5, 0, TILE - 2)
    i = np.clip(hits[..., 2] * tiles[1] * TILE - 0.5, 0, TILE - 2)
    i0, j0 = i.astype(int), j.astype(int)
    a, b = (j - j0)[..., None], (i - i0)[..., None]
    expected = (1 - a) * (1 - b) * tile[i0, j0] + a * (1 - b) * tile[i0, j0 + 1]
    expected += (1 - a) * b * tile[i0 + 1, j0] + a * b * tile[i0 + 1, j0 + 1]
    assert inside.sum() > 300
    assert np.abs(image[inside].astype(float) - expected[inside]).max() <= 2.5


def test_near_things_hide_far_ones_and_later_layers_all() -> None:
    view = make_view(40, 40, 0.8, 0.0, 0.0)
    dark, bright = (Look(materials.pick(np.random.default_rng(1), "plaster"), (t, t, t)) for t in (0.0, 9.0))

    def painted(first: tuple[Look, float], second: tuple[Look, float], layer: bool = False) -> int:
        image, scene = np.full((40, 40, 3), 100, np.uint8), Scene(view)
        for n, (look, z) in enumerate((first, second)):
            if n and layer:
                scene.next_layer()
            scene.plane((-5.0, 5.0, z), (10.0, 0.0, 0.0), (0.0, -10.0, 0.0), (1.0, 1.0), look)
        scene.paint(image)
        return int(image[20, 20, 0])

    assert painted((dark, 2.0), (bright, 5.0)) == 0 == painted((bright, 5.0), (dark, 2.0))
    assert painted((dark, 2.0), (bright, 5.0), layer=True) == 255


def test_a_box_shows_the_faces_that_look_at_the_camera() -> None:
    view = make_view(64, 64, 0.9, 2.5, 0.4)
    rng = np.random.default_rng(0)
    material = materials.pick(rng, "plaster")
    ends, top, front = (Look(material, tint) for tint in ((9.0, 0.0, 0.0), (0.0, 9.0, 0.0), (0.0, 0.0, 9.0)))
    image = np.zeros((64, 64, 3), np.uint8)
    scene = Scene(view)
    scene.box((1.0, 0.0, 5.0), (1.0, 1.5, 1.0), 0.0, (ends, top, front))
    scene.paint(image)
    red, green, blue = (image[..., k] > 128 for k in range(3))
    assert red.sum() > 10 and green.sum() > 10 and blue.sum() > 50
    assert np.nonzero(green)[0].mean() < np.nonzero(blue)[0].mean(), "the top is above the front"
    assert np.nonzero(red)[1].mean() < np.nonzero(blue)[1].mean(), "the near end is the left one"


def test_the_materials_are_a_pyramid() -> None:
    levels = materials.atlas()
    assert [level.shape[1] for level in levels] == [256, 128, 64, 32, 16]
    opaque = [k for k in range(len(levels[0])) if levels[0][k, ..., 3].min() == 255]
    assert len(opaque) > 100 and len(opaque) < len(levels[0])
    for k in opaque[::9]:
        np.testing.assert_allclose(levels[4][k].mean((0, 1)), levels[0][k].mean((0, 1)), atol=4)
    words, count, side = materials.packed()
    assert (count, side) == (len(levels[0]), 256) and len(words) == sum(level.size // 4 for level in levels)
    assert words[5] == levels[0].reshape(-1, 4)[5].view("<u4")[0]


def test_an_unknown_material_is_named() -> None:
    with pytest.raises(KeyError, match="cheese"):
        materials.pick(np.random.default_rng(0), "cheese")


def test_noise_repeats_and_has_its_spectrum() -> None:
    tile = fractal_tile(np.random.default_rng(0), 128, 1.0)
    assert abs(tile.mean()) < 1e-5 and tile.std() == pytest.approx(1, abs=1e-3)
    seam = np.abs(tile[:, 0] - tile[:, -1]).mean()
    assert seam < 1.3 * np.abs(np.diff(tile, axis=1)).mean()
    power = np.abs(np.fft.rfft2(tile)) ** 2
    low, high = power[1:5, 1:5].mean(), power[33:37, 33:37].mean()
    assert np.log(low / high) / np.log(35 / 3) == pytest.approx(2.0, abs=0.6)
    assert fractal(np.random.default_rng(0), 480, 640).shape == (480, 640)


@pytest.mark.parametrize("sigma", [1.0, 4.0, 9.0])
def test_soften_is_a_gaussian_blur(sigma: float) -> None:
    import cv2

    image = background(np.random.default_rng(8), 200, 160, "clutter")
    error = soften(image, sigma).astype(float) - cv2.GaussianBlur(image, (0, 0), sigma)
    # edges of the image aside, where the reduced copy mirrors differently
    assert np.abs(error[30:-30, 30:-30]).mean() < 2
