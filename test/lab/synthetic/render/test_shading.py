"""Light on a plain wall against the formula, its bounds, shadows, and the final picture against box averages."""

import numpy as np
import pytest

from dualpose_ros.arrays import AnyFloats
from dualpose_ros.lab.synthetic.render import shading

SIZE = 24
INVERSE_K = np.array([1 / 20, 1 / 20, 11.5, 11.5], np.float32)
NO_SHADOW = np.zeros((8, 8), np.float32), np.zeros((3, 4), np.float32)


def shade_wall(
    light: AnyFloats,
    normal: AnyFloats,
    base: AnyFloats,
    params: AnyFloats,
    texture: int = -1,
    shadow: tuple[AnyFloats, AnyFloats] = NO_SHADOW,
) -> AnyFloats:
    """Colours (SIZE, SIZE, 3) of a wall at 2 m that fills the picture, whose normals all are `normal`."""
    corners = np.array([[-30, -30, 0.5], [90, -30, 0.5], [-30, 90, 0.5]], np.float32)  # pixels, 1 / z
    faces = np.array([[0, 1, 2]], np.int32)
    uv = np.array([[[0.1, 0.1], [1.9, 0.1], [0.1, 1.9]]], np.float32)
    rng = np.random.default_rng(0)
    textures = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    out = np.full((SIZE, SIZE, 3), np.nan, np.float32)
    shading.shade(
        corners, np.zeros((SIZE, SIZE), np.int32), INVERSE_K, faces, np.tile(normal, (3, 1)).astype(np.float32),
        np.zeros(3, np.float32), uv, np.zeros(1, np.int32), base[None].astype(np.float32),
        params[None].astype(np.float32), np.array([texture], np.int32), textures,
        rng.normal(0, 1, (16, 16)).astype(np.float32), shading.TO_LINEAR, light.astype(np.float32),
        shadow[1].astype(np.float32), shadow[0].astype(np.float32), out,
    )  # fmt: skip
    return out


def unit(vector: AnyFloats) -> AnyFloats:
    return np.asarray(vector, float) / np.linalg.norm(vector)


@pytest.mark.parametrize("seed", range(6))
def test_wall_is_as_bright_as_the_formula_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    direction, normal = unit(rng.normal(0, 1, 3)), unit(np.array([*rng.normal(0, 0.4, 2), -1]))
    up = np.array([0.0, -1.0, 0.0])
    key, sky, ground, base = (rng.uniform(0.1, 1, 3) for _ in range(4))
    specular, shininess = (0.3, 9.0) if seed % 2 else (0.0, 1.0)
    light = np.stack([direction, key, sky, ground, up])
    colours = shade_wall(light, normal, base, np.array([0.0, 1.0, specular, 0.0, shininess]))
    y, x = np.mgrid[:SIZE, :SIZE]
    rays = np.stack([(x - 11.5) / 20, (y - 11.5) / 20, np.ones(x.shape)], axis=-1)
    view = -rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    facing = view @ normal
    assert (facing > 0).all()
    lambert = max(float(normal @ direction), 0.0)
    up_share = 0.5 + 0.5 * normal @ up
    ambient = (up_share * sky + (1 - up_share) * ground) * (0.75 + 0.25 * facing[..., None])
    half = view + direction
    shine = np.clip((half / np.linalg.norm(half, axis=-1, keepdims=True)) @ normal, 0, None) ** shininess
    expected = base * (ambient + lambert * key) + (specular * lambert * shine)[..., None] * key
    np.testing.assert_allclose(colours, expected, atol=2e-3)


def test_shading_stays_between_the_darkest_and_brightest_that_light_allows() -> None:
    rng = np.random.default_rng(9)
    for texture in (-1, 0, 1):
        key, sky, ground = (rng.uniform(0, 1, 3) for _ in range(3))
        light = np.stack([unit(rng.normal(0, 1, 3)), key, sky, ground, [0, -1, 0]])
        params = np.array([0.8, 3.0, 0.2, 1.0, 12.0])
        colours = shade_wall(light, unit(rng.normal(0, 1, 3)), np.ones(3), params, texture)
        assert np.isfinite(colours).all() and colours.min() >= 0
        assert (colours <= np.maximum(sky, ground) + 1.2 * key + 1e-5).all()
        assert colours.std() > 1e-3  # the folds show


def test_what_lies_behind_the_first_surface_is_in_shadow() -> None:
    direction = np.array([0.0, 0.0, -1.0])  # from the camera
    light = np.stack([direction, np.ones(3), np.zeros(3), np.zeros(3), [0, -1, 0]])
    # Cells of the map are 0.4 m wide; nearness in metres grows toward the light: 3 - z.
    to_light = np.array([[2.5, 0, 0, 4.0], [0, 2.5, 0, 4.0], [0, 0, -1, 3.0]])
    blocker = np.zeros((8, 8))
    blocker[:, :4] = 1.5  # a surface at z = 1.5 m over the left half; the wall stands at 2 m
    wall = shade_wall(light, direction, np.ones(3), np.array([0, 1, 0, 0, 1.0]), shadow=(blocker, to_light))
    bare = shade_wall(light, direction, np.ones(3), np.array([0, 1, 0, 0, 1.0]))
    assert (bare > 0.9).all()
    assert (wall[:, :4] < 1e-6).all()
    np.testing.assert_allclose(wall[:, -8:], bare[:, -8:])
    blocker[:, :4] = 1.0 - shading.SHADOW_BIAS_M / 2  # the wall itself, as a coarse map holds it
    np.testing.assert_allclose(
        shade_wall(light, direction, np.ones(3), np.array([0, 1, 0, 0, 1.0]), shadow=(blocker, to_light)), bare
    )


def test_floor_is_dark_only_under_what_stands_on_it() -> None:
    up = np.array([0, -1, 0], np.float32)  # the camera stands 1.5 m above the floor, level
    to_light = np.array([[2, 0, 0, 8], [0, 0, 2, 0], [0, -1, 0, 1.6]], np.float32)  # light from straight above
    shadow_map = np.zeros((16, 16), np.float32)
    shadow_map[6:9, 7:10] = 0.9  # something 0.8 m above the floor around x = 0, z = 3.5
    out = np.empty((60, 60), np.float32)
    inverse = np.array([1 / 50, 1 / 50, 29.5, 20], np.float32)
    shading.floor_shadow(inverse, up, -1.5, to_light, shadow_map, 40.0, out)
    y, x = np.mgrid[:60, :60]
    with np.errstate(divide="ignore"):
        z = np.where(y > 20, 1.5 / ((y - 20) / 50), np.inf)
    across = (x - 29.5) / 50 * z
    dark = (z > 3.05) & (z < 3.95) & (np.abs(across) < 0.45)
    away = (z < 2.4) | (z > 4.6) | (np.abs(across) > 1.1)
    assert dark.any()
    assert (out[dark] < 0.01).all() and (out[away] == 1).all()


def test_picture_is_the_box_average_over_the_background() -> None:
    rng = np.random.default_rng(4)
    for factor in (1, 2, 3):
        colour = rng.uniform(0, 0.7, (10 * factor, 12 * factor, 3)).astype(np.float32)
        face_id = rng.integers(-1, 3, colour.shape[:2]).astype(np.int32)
        background = rng.integers(0, 256, (10, 12, 3), dtype=np.uint8)
        shadow = rng.uniform(0.3, 1, (10, 12)).astype(np.float32)
        behind = (background / 255.0) ** 2.2 * shadow[..., None]
        fine = np.where(face_id[..., None] >= 0, 1.3 * colour, behind.repeat(factor, 0).repeat(factor, 1))
        mean = fine.reshape(10, factor, 12, factor, 3).mean((1, 3))
        expected = 255 * np.clip(mean, 0, 1) ** (1 / 2.2)
        image = shading.resolve(colour, face_id, factor, 1.3, background, shadow)
        assert image.dtype == np.uint8
        assert np.abs(image - expected).max() < 0.6  # rounded, by a table of 4096 steps


def test_exposure_meters_covered_pixels_only() -> None:
    rng = np.random.default_rng(5)
    colour = rng.uniform(0, 1, (16, 20, 3)).astype(np.float32)
    face_id = rng.integers(-1, 2, (16, 20)).astype(np.int32)
    sub = colour[::4, ::4][face_id[::4, ::4] >= 0]
    assert shading.mean_luminance(colour, face_id, 4) == pytest.approx(sub.mean(), abs=1e-6)
    assert shading.mean_luminance(colour, np.full_like(face_id, -1), 4) == -1


def test_mask_is_the_majority_of_samples() -> None:
    rng = np.random.default_rng(6)
    face_object = np.array([1, 2, 255], np.uint8)
    face_id = np.where(rng.random((40, 40)) < 0.4, -1, rng.integers(0, 3, (40, 40))).astype(np.int32)
    mask, pixels = np.empty((20, 20), np.uint8), np.zeros(256, np.int32)
    shading.cover(face_id, face_object, 2, mask, pixels)
    samples = np.where(face_id >= 0, face_object[np.maximum(face_id, 0)], 0)
    assert (pixels == np.bincount(samples.ravel(), minlength=256)).all()
    for y in range(20):
        for x in range(20):
            block = samples[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].ravel()
            counts = {int(o): int((block == o).sum()) for o in block if o}
            most = max(counts.values(), default=0)
            empty = int((block == 0).sum())
            if 2 * most < empty or not counts:
                assert mask[y, x] == 0
            else:
                assert counts.get(int(mask[y, x]), 0) == most
