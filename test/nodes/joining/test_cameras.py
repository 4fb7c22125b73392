"""Which camera an image without a CameraInfo of its own gets."""

from types import SimpleNamespace

import pytest

from dualpose_ros.camera import Camera, CameraError
from dualpose_ros.nodes.joining.cameras import RecentCameras, RecentInfos


def camera(focal: float) -> Camera:
    return Camera(64, 48, focal, focal, 31.5, 23.5)


def test_an_image_gets_its_own_camera_and_else_the_newest() -> None:
    cameras = RecentCameras[Camera](3)
    assert cameras.find(10, "eye") is None
    for stamp in (30, 40, 50):
        cameras.add(stamp, "eye", camera(stamp))
    assert [cameras.find(stamp, "eye") for stamp in (30, 40, 50)] == [camera(30), camera(40), camera(50)]
    assert cameras.borrowed == 0
    assert cameras.find(45, "eye") == camera(50) and cameras.find(99, "eye") == camera(50)
    assert cameras.borrowed == 2


def test_a_driver_may_name_the_frames_of_image_and_info_differently_but_of_two_cameras_each_has_its_own() -> None:
    cameras = RecentCameras[Camera](3)
    cameras.add(10, "left", camera(50))
    assert cameras.find(10, "left_optical") == camera(50)
    cameras.add(5, "right", camera(60))
    assert cameras.find(10, "right") == camera(60) and cameras.find(10, "left") == camera(50)
    assert cameras.find(10, "left_optical") is None
    assert cameras.borrowed == 1


def test_an_image_whose_frame_no_camera_info_has_is_told_of() -> None:
    """Once nobody knows whose it is: before, nothing came out and nothing was said."""
    infos = RecentInfos(3)
    assert infos.of_image(10, "eye") is None, "none has come: the node's inputs are told of"
    infos.add_info(10, SimpleNamespace(header=SimpleNamespace(frame_id="left")))
    assert infos.of_image(10, "eye") is not None
    infos.add_info(10, SimpleNamespace(header=SimpleNamespace(frame_id="right")))
    with pytest.raises(CameraError, match="image's frame 'eye', but of 'left', 'right'"):
        infos.of_image(10, "eye")


def test_frames_are_bounded() -> None:
    cameras = RecentCameras[Camera](3)
    for number in range(1000):
        cameras.add(number, f"frame {number}", camera(50))
    assert len(cameras._cameras) <= 8 and cameras.find(999, "frame 999") is not None


def test_time_set_back_makes_the_newest_the_last_that_came() -> None:
    cameras = RecentCameras[Camera](2)
    for stamp in (100, 200, 30):
        cameras.add(stamp, "eye", camera(stamp))
    assert cameras.find(31, "eye") == camera(30)
    assert cameras.find(100, "eye") == camera(30), "the oldest was forgotten"
    assert cameras.find(200, "eye") == camera(200)


def test_a_capacity_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        RecentCameras(0)
