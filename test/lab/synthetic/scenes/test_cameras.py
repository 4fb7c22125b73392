"""One scene through many cameras: the same people in all, wholly in view, as large as each camera makes them."""

import numpy as np
import pytest

from dualpose_ros.camera import camera_from_hfov, project
from dualpose_ros.datasets.labels import OUTSIDE
from dualpose_ros.lab.synthetic.scenes.cameras import DEPTHS, scene_through
from dualpose_ros.lab.synthetic.scenes.world import World

CAMERAS = [camera_from_hfov(*size, np.radians(hfov)) for size in ((160, 120), (240, 180)) for hfov in (45, 100)]


def test_all_cameras_see_the_same_people(small_world: World) -> None:
    for seed in range(4):
        images = scene_through(small_world, np.random.default_rng(seed), CAMERAS)
        first = images[0].people
        assert 1 <= len(first) <= 4
        for image, camera in zip(images, CAMERAS, strict=True):
            assert image.camera == camera and image.image.shape == (camera.height, camera.width, 3)
            np.testing.assert_array_equal(image.people.joints_cam, first.joints_cam)
            np.testing.assert_allclose(image.people.joints_px, project(camera, first.joints_cam), atol=1e-2)
            assert (image.people.visibility != OUTSIDE).all()
            np.testing.assert_allclose(image.people.visible_fraction, first.visible_fraction, atol=0.15)
        depth = first.joints_cam[:, 0, 2]
        assert (depth > 0.7 * DEPTHS[0]).all() and (depth < 1.2 * DEPTHS[1]).all()
        narrow, wide = images[0].people.joints_px, images[1].people.joints_px
        zoom = np.tan(np.radians(50)) / np.tan(np.radians(22.5))
        assert np.ptp(narrow[..., 1], axis=1) == pytest.approx(zoom * np.ptp(wide[..., 1], axis=1), rel=1e-3)


def test_a_scene_depends_on_its_seed_alone(small_world: World) -> None:
    once, again = (scene_through(small_world, np.random.default_rng(7), CAMERAS[:2]) for _ in range(2))
    for a, b in zip(once, again, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
    other = scene_through(small_world, np.random.default_rng(8), CAMERAS[:2])
    assert (once[0].image != other[0].image).any()


def test_a_view_that_nobody_fits_into_is_refused(small_world: World) -> None:
    narrow = camera_from_hfov(160, 120, np.radians(3))
    with pytest.raises(RuntimeError, match="nobody fits"):
        scene_through(small_world, np.random.default_rng(0), [narrow])
