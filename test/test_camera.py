"""The pinhole camera against OpenCV, round trips and absurd intrinsics; the ground before it."""

import cv2
import numpy as np
import pytest

from dualpose_ros.camera import (
    Camera,
    CameraError,
    Ground,
    GroundConfig,
    GroundError,
    back_project,
    camera_from_hfov,
    camera_from_matrix,
    camera_from_model,
    ground_below,
    pixels_to_rays,
    project,
    rays_to_pixels,
)

DISTORTION = (-0.28, 0.07, 0.0012, -0.0008, 0.01)


@pytest.mark.parametrize("distortion", [(), DISTORTION])
def test_projection_agrees_with_opencv(distortion: tuple[float, ...]) -> None:
    rng = np.random.default_rng(0)
    camera = Camera(640, 480, 520.0, 515.0, 322.0, 238.0, distortion)
    points = rng.uniform([-1, -1, 2], [1, 1, 8], (50, 3))
    zero = np.zeros(3)
    reference, _ = cv2.projectPoints(points, zero, zero, camera.matrix, np.array(distortion or (0.0,) * 5))
    np.testing.assert_allclose(project(camera, points), reference[:, 0], atol=1e-6)


@pytest.mark.parametrize("distortion", [(), DISTORTION])
def test_pixels_come_back_from_rays_and_depth(distortion: tuple[float, ...]) -> None:
    rng = np.random.default_rng(1)
    camera = Camera(640, 480, 520.0, 515.0, 322.0, 238.0, distortion)
    points = rng.uniform([-0.8, -0.6, 2], [0.8, 0.6, 6], (4, 17, 3))
    pixels = project(camera, points)
    np.testing.assert_allclose(back_project(camera, pixels, points[..., 2]), points, atol=1e-5)
    np.testing.assert_allclose(rays_to_pixels(camera, pixels_to_rays(camera, pixels)), pixels, atol=1e-4)


def test_resizing_keeps_rays_of_pixel_centres() -> None:
    camera = camera_from_hfov(640, 480, np.radians(70))
    small = camera.resized(320, 240)
    # pixel (0, 0) of the half image covers pixels 0 and 1 of the whole: its centre lies at 0.5
    np.testing.assert_allclose(pixels_to_rays(small, np.zeros(2)), pixels_to_rays(camera, np.full(2, 0.5)), atol=1e-12)


def test_field_of_view_spans_the_image() -> None:
    camera = camera_from_hfov(640, 480, np.radians(60))
    edges = pixels_to_rays(camera, np.array([[-0.5, 239.5], [639.5, 239.5]]))
    assert np.degrees(np.diff(np.arctan(edges[:, 0])))[0] == pytest.approx(60)


def test_points_behind_the_camera_have_no_pixel() -> None:
    camera = camera_from_hfov(640, 480, 1.0)
    assert np.isnan(project(camera, np.array([[0.1, 0.2, -1.0], [0.1, 0.2, 0.0]]))).all()


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.zeros(9), "all zero"),
        ([np.nan, 0, 320, 0, 500, 240, 0, 0, 1], "not finite"),
        ([-500, 0, 320, 0, 500, 240, 0, 0, 1], "not positive"),
        ([1.0, 0, 320, 0, 500, 240, 0, 0, 1], "absurd"),
        ([500, 0, 9000, 0, 500, 240, 0, 0, 1], "far outside"),
        ([500, 0, 320], "3 values"),
    ],
)
def test_absurd_intrinsics_are_refused(matrix: list[float], words: str) -> None:
    with pytest.raises(CameraError, match=words):
        camera_from_matrix(640, 480, matrix)


FISHEYE = Camera(640, 480, 220.0, 218.0, 322.0, 238.0, (0.02, -0.012, 0.003, -0.0005), fisheye=True)


def test_a_fisheye_agrees_with_opencv() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform([-4, -4, 0.6], [4, 4, 4], (400, 3))
    zero, d = np.zeros(3), np.array(FISHEYE.distortion)
    reference, _ = cv2.fisheye.projectPoints(points[:, None], zero, zero, FISHEYE.matrix, d)
    np.testing.assert_allclose(project(FISHEYE, points), reference[:, 0], atol=1e-6)
    near = reference[np.linalg.norm(reference[:, 0] - (322, 238), axis=-1) < 250]
    rays = cv2.fisheye.undistortPoints(near, FISHEYE.matrix, d)
    np.testing.assert_allclose(pixels_to_rays(FISHEYE, near[:, 0]), rays[:, 0], atol=1e-5, rtol=1e-5)
    back = back_project(FISHEYE, project(FISHEYE, points), points[:, 2])
    np.testing.assert_allclose(back, points, atol=1e-6)


def test_a_fisheye_sees_its_centre_its_edges_and_nothing_beyond_what_rays_can_tell() -> None:
    assert project(FISHEYE, np.array([0.0, 0, 3])) == pytest.approx((322, 238))
    assert pixels_to_rays(FISHEYE, np.array([322.0, 238])) == pytest.approx((0, 0))
    far = pixels_to_rays(FISHEYE, np.array([[5000.0, 238], [-5000.0, 238]]))
    assert np.degrees(np.arctan(far[:, 0])) == pytest.approx([85, -85], abs=0.1)
    assert np.degrees(FISHEYE.hfov) == pytest.approx(2 * np.degrees(np.arctan(far[0, 0])), abs=15)
    half = FISHEYE.resized(320, 240)
    ray = pixels_to_rays(FISHEYE, np.array([100.5, 60.5]))
    np.testing.assert_allclose(rays_to_pixels(half, ray), (50, 30), atol=0.3)


@pytest.mark.parametrize(
    ("model", "distortion", "fisheye"),
    [
        ("plumb_bob", (-0.1, 0.02, 0.0, 0.0, 0.0, 0.1, 0.1, 0.1), False),
        ("rational_polynomial", (-0.1, 0.02, 0.0, 0.0, 0.0), False),
        ("none", (0.0,) * 5, False),
        ("", (), False),
        ("equidistant", FISHEYE.distortion, True),
        ("fisheye", (), True),
    ],
)
def test_models_by_the_names_that_cameras_give(model: str, distortion: tuple[float, ...], fisheye: bool) -> None:
    camera = camera_from_model(640, 480, model, FISHEYE.matrix, distortion)
    assert camera.fisheye is fisheye
    expected = distortion if any(distortion) else (0.0,) * 4 if fisheye else ()
    assert camera.distortion == expected


@pytest.mark.parametrize(
    ("model", "distortion", "says"),
    [
        ("mei", (), "'mei' is not supported"),
        ("none", (0.1,), "D is not zero"),
        ("fisheye", (0.1,) * 5, "a fisheye has 4"),
        ("plumb_bob", (0.1,) * 7, "7 distortion coefficients"),
    ],
)
def test_models_that_contradict_themselves(model: str, distortion: tuple[float, ...], says: str) -> None:
    with pytest.raises(CameraError, match=says):
        camera_from_model(640, 480, model, FISHEYE.matrix, distortion)


@pytest.mark.parametrize(
    ("camera", "said"),
    [
        (Camera(640, 480, 500.0, 510.0, 300.0, 250.0), ""),
        (Camera(640, 480, 330.0, 330.0, 320.0, 240.0, (0.1, 0.1, 0.0, 0.0, 0.1, 0.2, 0.1, 0.0)), ""),
        (FISHEYE, ""),
        (Camera(640, 480, 500.0, 890.0, 320.0, 240.0), "fx 500 and fy 890 differ"),
        (Camera(640, 360, 500.0, 500.0, 180.0, 320.0), "cy 320 is far from the middle of 360 pixels"),
        (Camera(640, 480, 500.0, 500.0, 0.0, 0.0), "cx 0 is far"),
        (Camera(640, 480, 500.0, 500.0, 320.0, 240.0, (-5.0, 30.0, 0.1, 0.1, -90.0)), "folds"),
        (Camera(640, 480, 220.0, 218.0, 322.0, 238.0, (-0.5, 0.0, 0.0, 0.0), fisheye=True), "folds"),
        (camera_from_hfov(640, 480, np.radians(1.5)), "its field of view of 1.5 degrees is a telescope's"),
        (camera_from_hfov(640, 480, np.radians(5.0)), ""),
    ],
)
def test_calibrations_that_went_wrong_are_doubted(camera: Camera, said: str) -> None:
    assert camera.doubt.startswith(said) if said != "folds" else "folds" in camera.doubt
    assert bool(camera.doubt) == bool(said)


def test_looking_down_brings_the_ground_ahead_and_leaning_right_to_the_right() -> None:
    assert ground_below(1.4).down == pytest.approx([0, 1, 0])
    pitched, rolled = ground_below(1.4, pitch_rad=0.3), ground_below(1.4, roll_rad=0.2)
    assert pitched.down == pytest.approx([0, np.cos(0.3), np.sin(0.3)])
    assert rolled.down == pytest.approx([np.sin(0.2), np.cos(0.2), 0])
    # What a camera that looks down sees in its middle lies on the ground at h / sin(pitch).
    assert pitched.down @ np.array([0, 0, 1.4 / np.sin(0.3)]) == pytest.approx(1.4)


@pytest.mark.parametrize("pitch, roll", [(0.0, 0.0), (0.4, 0.1), (-0.2, -0.3), (1.57, 0.0)])
def test_axes_lie_along_the_ground_ahead_and_to_the_right(pitch: float, roll: float) -> None:
    ground = ground_below(1.0, pitch, roll)
    ahead, right = ground.level_axes
    axes = np.stack([right, ground.down, ahead])
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1)
    assert right[0] > 0.9


@pytest.mark.parametrize(
    "down, height, word",
    [((0, 1, 0), 0, "above"), ((0, 1, 0), np.nan, "finite"), ((0, 2, 0), 1, "unit"), ((0, np.inf, 0), 1, "finite")],
)
def test_what_is_no_ground_is_refused(down: tuple[float, float, float], height: float, word: str) -> None:
    with pytest.raises(GroundError, match=word):
        Ground(np.array(down, dtype=np.float64), height)


def test_settings_without_a_height_know_no_ground() -> None:
    assert GroundConfig(camera_pitch_rad=0.2).ground() is None
    ground = GroundConfig(camera_height_m=1.2, camera_pitch_rad=0.2).ground()
    assert ground is not None and ground.height_m == 1.2 and ground.down[2] == pytest.approx(np.sin(0.2))
