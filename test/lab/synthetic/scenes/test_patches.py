"""Patches are centred on a target that can be seen, and what is cut off or covered is labelled so."""

from dataclasses import replace

import numpy as np
import pytest

from dualpose_ros.camera import Camera, camera_from_hfov, project
from dualpose_ros.datasets.labels import HIDDEN, OCCLUDER, OUTSIDE, VISIBLE, LabelledImage, People
from dualpose_ros.lab.synthetic.scenes import patches
from dualpose_ros.lab.synthetic.scenes.world import World

COUNT = 24


@pytest.fixture(scope="module")
def samples(small_world: World) -> list[LabelledImage]:
    rng = np.random.default_rng(0)
    return [patches.make_patch(small_world, rng, 96) for _ in range(COUNT)]


def test_targets_can_be_seen(samples: list[LabelledImage]) -> None:
    for sample in samples:
        assert sample.image.shape == (96, 96, 3) and sample.image.dtype == np.uint8
        assert sample.mask.shape == (96, 96) and sample.mask.dtype == np.uint8
        assert (sample.people.visibility[0] == VISIBLE).sum() >= 4
        assert (sample.mask == 1).any() and sample.people.visible_fraction[0] > 0
        assert set(np.unique(sample.mask)) <= {0, OCCLUDER, *range(1, len(sample.people) + 1)}


def test_joints_project_to_their_pixels(samples: list[LabelledImage]) -> None:
    for sample in samples:
        ahead = sample.people.joints_cam[..., 2] > 0.1
        pixels = project(sample.camera, sample.people.joints_cam)
        np.testing.assert_allclose(sample.people.joints_px[ahead], pixels[ahead], atol=0.05)


def test_patches_are_centred_on_the_target_with_context(samples: list[LabelledImage]) -> None:
    for sample in samples:
        x0, y0, x1, y1 = sample.people.boxes_px[0]
        assert abs((x0 + x1) / 2 - 47.5) < 20 and abs((y0 + y1) / 2 - 47.5) < 20
        assert 0.45 < max(x1 - x0, y1 - y0) / 96 < 0.95  # about 1 / CONTEXT


def test_visible_joints_lie_inside_the_photograph_and_boxes_too(samples: list[LabelledImage]) -> None:
    for sample in samples:
        people = sample.people
        seen = people.visibility != OUTSIDE
        assert (people.joints_px[seen] >= -0.5).all() and (people.joints_px[seen] <= 95.5).all()
        assert (people.boxes_px >= 0).all() and (people.boxes_px <= 95).all()


def test_patches_vary(samples: list[LabelledImage]) -> None:
    assert len({len(sample.people) for sample in samples}) >= 3
    cut = [(sample.image[-1] == 0).all() for sample in samples]  # the photograph ends above the patch's border
    assert any(cut) and not all(cut)
    assert any((sample.people.visibility[0] == HIDDEN).any() for sample in samples)


def test_the_same_seed_draws_the_same(small_world: World) -> None:
    first, second, other = (patches.make_patch(small_world, np.random.default_rng(seed), 64) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.people.joints_cam, second.people.joints_cam)
    assert not np.array_equal(first.image, other.image)


def plain_sample() -> LabelledImage:
    """Two people's labels on an even picture: joints on a grid, boxes over all of it."""
    y, x = np.mgrid[4:60:14, 4:60:14]
    joints = np.stack([x.ravel(), y.ravel()], -1)[:16]
    joints = np.concatenate([joints, [[40, 40]]]).astype(np.float32)
    people = People(
        np.arange(2, dtype=np.int32), np.tile(np.array([2, 2, 61, 61], np.float32), (2, 1)), np.stack([joints] * 2),
        np.full((2, 17), VISIBLE, np.uint8), np.ones((2, 17, 3), np.float32), np.array([1.0, 0.5], np.float32),
    )  # fmt: skip
    mask = np.zeros((64, 64), np.uint8)
    mask[8:56, 8:32], mask[8:56, 32:56] = 1, 2
    return LabelledImage(np.full((64, 64, 3), 200, np.uint8), mask, people, camera_from_hfov(64, 64, 1.0))


def test_cutting_blackens_what_the_photograph_does_not_show() -> None:
    sample = plain_sample()
    cut = patches._cut_to_frame(sample, np.array([10.0, 0.0, 63.0, 40.0]))
    assert (cut.image[41:] == 0).all() and (cut.image[:, :10] == 0).all() and (cut.image[:41, 10:] == 200).all()
    assert (cut.mask[41:] == OCCLUDER).all() and (cut.mask[:, :10] == OCCLUDER).all()
    np.testing.assert_array_equal(cut.mask[:41, 10:], sample.mask[:41, 10:])
    np.testing.assert_allclose(cut.people.boxes_px, [[10, 2, 61, 40]] * 2)
    inside = (sample.people.joints_px[..., 0] >= 10) & (sample.people.joints_px[..., 1] <= 40)
    np.testing.assert_array_equal(cut.people.visibility == VISIBLE, inside)
    np.testing.assert_array_equal(cut.people.visibility == OUTSIDE, ~inside)


def test_pasted_occluders_hide_joints_and_shrink_fractions(monkeypatch: pytest.MonkeyPatch) -> None:
    alpha = np.zeros((64, 64), np.float32)
    alpha[:, :20] = 1.0
    cover = np.full((64, 64, 3), 10, np.uint8), alpha
    monkeypatch.setattr(patches, "foreground_occluder", lambda rng, height, width: cover)
    sample = plain_sample()
    hidden = patches._paste_occluder(np.random.default_rng(0), sample)
    assert (hidden.image[:, :20] == 10).all() and (hidden.image[:, 20:] == 200).all()
    assert (hidden.mask[:, :20] == OCCLUDER).all()
    behind = sample.people.joints_px[..., 0] < 20
    np.testing.assert_array_equal(hidden.people.visibility == HIDDEN, behind)
    np.testing.assert_allclose(hidden.people.visible_fraction, [0.5, 0.5])  # half of person 0 is left, all of 1


def test_frame_borders_are_the_pixels_of_their_rays() -> None:
    camera = Camera(100, 80, 50.0, 50.0, 49.5, 39.5)
    border = patches._frame_pixels(camera, np.array([-0.5, -np.inf, np.inf, 0.2]))
    np.testing.assert_allclose(border, [24.5, 0, 99, 49.5])


def test_hopeless_scenes_are_given_up(small_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "_is_usable", lambda people: False)
    with pytest.raises(RuntimeError, match="no usable patch"):
        patches.make_patch(replace(small_world), np.random.default_rng(0), 32)
