"""How a camera sways, from pictures that were turned by known angles."""

import cv2
import numpy as np
import pytest

from dualpose_ros.arrays import Floats, RgbImage
from dualpose_ros.camera import Camera, camera_from_hfov
from dualpose_ros.top_down.sway import Sway, rotation

CAMERA = camera_from_hfov(640, 480, np.radians(65))
NOBODY = np.zeros((0, 4))
FRAME_NS = 100_000_000


def scenery(seed: int = 0, cell: int = 16) -> RgbImage:
    """A wall of blotches."""
    coarse = np.random.default_rng(seed).integers(0, 255, (480 // cell, 640 // cell, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC), np.uint8)


def turned(image: RgbImage, pitch_rad: float, roll_rad: float = 0.0, camera: Camera = CAMERA) -> RgbImage:
    """What the camera sees after it has pitched up and rolled clockwise."""
    k = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    seen = k @ rotation(pitch_rad, roll_rad).T @ np.linalg.inv(k)
    return np.asarray(cv2.warpPerspective(image, seen, (640, 480), borderMode=cv2.BORDER_REFLECT), np.uint8)


def pitch_of(turn: Floats) -> float:
    return float(np.arcsin(turn[2, 1]))


def test_what_is_turned_back_is_where_it_was() -> None:
    # A point on the axis lies below it once the camera has pitched up, and to the left of one above it if it rolls.
    ahead, above = np.array([0.0, 0.0, 5.0]), np.array([0.0, -1.0, 5.0])
    assert (rotation(0.1, 0).T @ ahead)[1] > 0.4
    assert (rotation(0, 0.1).T @ above)[0] < -0.09
    np.testing.assert_allclose(rotation(0.1, 0.2) @ rotation(0.1, 0.2).T, np.eye(3), atol=1e-12)


@pytest.mark.parametrize(("pitch", "roll"), [(0.02, 0.0), (-0.03, 0.01), (0.06, -0.03), (0.0, 0.0)])
def test_a_turn_between_two_frames_is_measured(pitch: float, roll: float) -> None:
    sway, image = Sway(), scenery()
    np.testing.assert_array_equal(sway.update(0, image, CAMERA, NOBODY), np.eye(3))
    turn = sway.update(FRAME_NS, turned(image, pitch, roll), CAMERA, NOBODY)
    np.testing.assert_allclose(turn, rotation(pitch, roll), atol=0.002)


def test_people_who_move_are_no_background() -> None:
    image, person = scenery(), scenery(1, 8)[:300, :260]
    frames, boxes = [], []
    for k in range(4):
        frame, top = image.copy(), 40 + 14 * k
        frame[top : top + 300, 200:460] = person
        frames.append(frame)
        boxes.append([200.0, top, 460, top + 300])
    sway = Sway()
    for k, (frame, box) in enumerate(zip(frames, boxes, strict=True)):
        turn = sway.update(k * FRAME_NS, frame, CAMERA, np.array([box]))
    assert abs(pitch_of(turn)) < 0.003


def test_a_camera_that_comes_nearer_pitches_little() -> None:
    image, sway = scenery(), Sway()
    for k in range(6):
        zoom = cv2.getRotationMatrix2D((CAMERA.cx, CAMERA.cy), 0, 1 + 0.02 * k)
        turn = sway.update(k * FRAME_NS, np.asarray(cv2.warpAffine(image, zoom, (640, 480)), np.uint8), CAMERA, NOBODY)
    assert abs(pitch_of(turn)) < 0.004


def room(z_m: float, pitch_rad: float) -> RgbImage:
    """What a camera 1 m above a blotchy floor sees, z_m ahead, of it and of a wall 9 m ahead."""
    x, y = np.meshgrid((np.arange(640) - CAMERA.cx) / CAMERA.fx, (np.arange(480) - CAMERA.cy) / CAMERA.fy)
    rays = np.stack([x, y, np.ones_like(x)], axis=-1) @ rotation(pitch_rad, 0.0).T
    floor_m = np.where(rays[..., 1] > 1e-6, 1.0 / np.maximum(rays[..., 1], 1e-6), np.inf)
    wall_m = (9.0 - z_m) / rays[..., 2]
    far = np.minimum(floor_m, wall_m)
    deep = np.where(floor_m < wall_m, rays[..., 2] * far + z_m, 20 + rays[..., 1] * far)
    places = (np.stack([rays[..., 0] * far, deep], axis=-1) * 60).astype(np.float32)
    wrapped = places % np.array([640, 480], np.float32)
    return np.asarray(cv2.remap(scenery(4, 10), wrapped[..., 0], wrapped[..., 1], cv2.INTER_LINEAR), np.uint8)


def test_driving_over_a_floor_is_no_pitching_where_the_horizon_is_known() -> None:
    down = -0.2
    pitched = {}
    for horizon in (0.0, float(np.tan(down))):
        sway = Sway()
        for k in range(15):
            turn = sway.update(k * FRAME_NS, room(0.08 * k, down), CAMERA, NOBODY, horizon)
        pitched[horizon] = abs(pitch_of(turn))
    assert pitched[np.tan(down)] < 0.006 < 0.02 < pitched[0.0]


def test_plain_pictures_say_nothing_and_two_scenes_neither() -> None:
    sway = Sway()
    for k, image in enumerate((np.full((480, 640, 3), 90, np.uint8),) * 2 + (scenery(2), scenery(3))):
        turn = sway.update(k * FRAME_NS, np.asarray(image, np.uint8), CAMERA, NOBODY)
        assert abs(pitch_of(turn)) < 0.01


def test_frames_are_compared_twenty_times_a_second_at_most() -> None:
    sway = Sway()
    assert sway.is_due(0)
    sway.update(FRAME_NS, scenery(), CAMERA, NOBODY)
    due = [sway.is_due(FRAME_NS + round(1e9 * seconds)) for seconds in (0.0, 0.02, 0.05, 3.0, -1.0)]
    assert due == [False, False, True, True, True]


def test_a_new_attitude_becomes_the_mean_one_and_a_gap_ends_it() -> None:
    sway, image = Sway(), scenery()
    sway.update(0, image, CAMERA, NOBODY)
    after = turned(image, 0.04)
    pitches = [pitch_of(sway.update(k * FRAME_NS, after, CAMERA, NOBODY)) for k in range(1, 62)]
    assert pitches[0] == pytest.approx(0.04, rel=0.05)
    assert pitches[20] == pytest.approx(0.04 / np.e, rel=0.1) and pitches[60] < 0.003
    for stamp_ns in (20 * 10**9, 0):
        np.testing.assert_array_equal(sway.update(stamp_ns, image, CAMERA, NOBODY), np.eye(3))
    other = camera_from_hfov(320, 200, np.radians(65))
    np.testing.assert_array_equal(sway.update(FRAME_NS, image[:200, :320], other, NOBODY), np.eye(3))
