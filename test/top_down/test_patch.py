import numpy as np
import pytest

from dualpose_ros.top_down.patch import (
    apply_affines,
    cell_to_patch,
    compose_affines,
    extract_patches,
    invert_affines,
    patch_affines,
)

PATCH_SIZE = 256


def random_boxes(count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    corner = rng.uniform(-50, 500, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(10, 400, (count, 2))], axis=1)


def test_box_lies_centred_at_its_share_of_the_patch() -> None:
    boxes = random_boxes(20)
    corners = apply_affines(patch_affines(boxes, PATCH_SIZE, 1.25), boxes.reshape(-1, 2, 2))
    assert np.allclose(corners.mean(axis=1), (PATCH_SIZE - 1) / 2)
    assert np.allclose((corners[:, 1] - corners[:, 0]).max(axis=1), PATCH_SIZE / 1.25)


def test_round_trip_and_composition() -> None:
    affines = patch_affines(random_boxes(20), PATCH_SIZE)
    points = np.random.default_rng(1).uniform(-100, 700, (20, 9, 2))
    assert np.allclose(apply_affines(invert_affines(affines), apply_affines(affines, points)), points)
    composed = compose_affines(invert_affines(affines), cell_to_patch())
    chained = apply_affines(invert_affines(affines), points * 4 + 1.5)
    assert np.allclose(apply_affines(composed, points), chained)


def test_cells_are_the_means_of_the_pixels_that_they_cover() -> None:
    for cell in (0, 5, 63):
        assert cell_to_patch()[0] @ [cell, 0, 1] == pytest.approx(np.mean(np.arange(4 * cell, 4 * cell + 4)))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("side", [60, 150, 256, 300, 520, 1100])
def test_patch_pixels_hold_what_lies_at_their_place(side: int, axis: int) -> None:
    """On ramps, sampling is exact but for rounding to bytes; a rising and a falling one cancel its bias."""
    place = np.mgrid[:1400, :1500][1 - axis] * 0.17
    image = np.stack([place, 255 - place, np.full_like(place, 77)], axis=-1)
    image += np.random.default_rng(0).uniform(-0.5, 0.5, image.shape)
    affine = patch_affines(np.array([[130.4, 99.7, 130.4 + side, 99.7 + side * 0.6]]), PATCH_SIZE, 1.0)
    patch = extract_patches(np.clip(np.rint(image), 0, 255).astype(np.uint8), affine, PATCH_SIZE)[0].astype(float)
    v, u = np.mgrid[:PATCH_SIZE, :PATCH_SIZE]
    at = apply_affines(invert_affines(affine)[0], np.stack([u, v], axis=-1).reshape(-1, 2)).reshape(256, 256, 2)
    inside = ((at > 2) & (at < [1497, 1397])).all(axis=-1)
    rising = (patch[..., 0] - at[..., axis] * 0.17)[inside]
    falling = (patch[..., 1] - 255 + at[..., axis] * 0.17)[inside]
    assert max(np.abs(rising).max(), np.abs(falling).max()) < 2.5
    assert abs((rising - falling).mean() / 2 / 0.17) < 0.15  # image pixels


def test_shrinking_averages_fine_texture() -> None:
    checkered = (np.indices((1200, 1200)).sum(axis=0) % 2 * 255).astype(np.uint8)
    image = np.repeat(checkered[..., None], 3, axis=2)
    patch = extract_patches(image, patch_affines(np.array([[50.0, 50, 1100, 1100]]), PATCH_SIZE, 1.0), PATCH_SIZE)[0]
    assert np.abs(patch.astype(int) - 127).max() < 28


def test_beyond_the_image_is_black() -> None:
    image = np.full((100, 100, 3), 200, np.uint8)
    patch = extract_patches(image, patch_affines(np.array([[-100.0, 0, 0, 100]]), PATCH_SIZE, 2.0), PATCH_SIZE)[0]
    assert patch[:, :120].max() == 0 and patch[100:150, 200:230].min() == 200


def test_no_boxes_no_patches() -> None:
    image = np.zeros((10, 10, 3), np.uint8)
    assert extract_patches(image, patch_affines(np.zeros((0, 4)), PATCH_SIZE), PATCH_SIZE).shape == (0, 256, 256, 3)


@pytest.mark.parametrize("box", [[0, 0, np.nan, 5], [5, 0, 1, 9], [0, 0, np.inf, 5]])
def test_bad_boxes_are_named(box: list[float]) -> None:
    with pytest.raises(ValueError, match="is not"):
        patch_affines(np.array([[0, 0, 5, 5], box], dtype=float), PATCH_SIZE)
