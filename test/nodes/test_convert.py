"""Messages to records and back."""

from array import array

import numpy as np
import pytest

from dualpose_ros.camera import Camera, CameraError, project
from dualpose_ros.heatmap import Heatmaps
from dualpose_ros.nodes.convert import (
    MessageError,
    camera_for_image,
    camera_from_info,
    camera_to_info,
    heatmaps_from_message,
    heatmaps_to_message,
    left_out_classes,
    ns_to_stamp,
    poses_from_message,
    poses_to_message,
    stamp_to_ns,
    tracks_from_message,
    tracks_to_message,
)
from dualpose_ros.people import Pose3D, Source, Track, TrackingState
from dualpose_ros.skeleton import H36M17
from support.people import random_person

from sensor_msgs.msg import CameraInfo  # isort: skip
from std_msgs.msg import Header  # isort: skip
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose  # isort: skip

CAMERA = Camera(640, 480, 520.0, 515.0, 321.5, 238.25)


def header() -> Header:
    made = Header(frame_id="camera_optical_frame")
    made.stamp.sec, made.stamp.nanosec = 12, 345_678_901
    return made


def pose(track_id: int = 3, seed: int = 0) -> Pose3D:
    told = {"state": TrackingState.COASTING, "source": Source.FUSED, "score": 0.75, "height_m": 1.25}
    box = np.array([10.0, 20.0, 110.0, 220.0])
    return random_person(np.random.default_rng(seed), track_id=track_id, box_px=box, height_stddev_m=0.03, **told)


def test_stamp() -> None:
    assert stamp_to_ns(header().stamp) == 12_345_678_901
    assert ns_to_stamp(12_345_678_901) == header().stamp


def test_poses_round_trip() -> None:
    poses = [pose(3, 0), pose(8, 1)]
    message = poses_to_message(poses, header(), (640, 480))
    assert message.header == header()
    assert (message.skeleton, tuple(message.joint_names)) == (H36M17.name, H36M17.joint_names)
    for back, sent in zip(poses_from_message(message), poses, strict=True):
        assert (back.track_id, back.state, back.source) == (sent.track_id, sent.state, sent.source)
        assert back.score == pytest.approx(sent.score)
        names = ("box_px", "joints_cam", "joint_scores", "joint_stddev", "keypoints_px", "root_velocity")
        for name in (*names, "height_m", "height_stddev_m"):
            np.testing.assert_allclose(getattr(back, name), getattr(sent, name), rtol=1e-6)


def test_box_is_clipped_to_the_image_and_rounded_outwards() -> None:
    changed = {**pose().__dict__, "box_px": np.array([-30.4, 10.6, 700.2, 99.2])}
    (person,) = poses_to_message([Pose3D(**changed)], header(), (640, 480)).persons
    roi = person.roi
    assert (roi.x_offset, roi.y_offset, roi.width, roi.height) == (0, 10, 640, 90)
    outside = {**pose().__dict__, "box_px": np.array([700.0, 10.0, 800.0, 90.0])}
    (person,) = poses_to_message([Pose3D(**outside)], header(), (640, 480)).persons
    assert person.roi.width == 0


def test_no_people_is_a_message_too() -> None:
    message = poses_to_message([], header(), (640, 480))
    assert poses_from_message(message) == []


def test_poses_of_another_skeleton_or_length_are_refused() -> None:
    message = poses_to_message([pose()], header(), (640, 480))
    message.persons[0].joint_scores = array("f", [1.0] * 16)
    with pytest.raises(MessageError, match="person 3 has 16 joint_scores instead of 17"):
        poses_from_message(message)
    message.skeleton = "coco17"
    with pytest.raises(MessageError, match="coco17"):
        poses_from_message(message)
    message = poses_to_message([pose()], header(), (640, 480))
    message.persons[0].tracking_state = 9
    with pytest.raises(MessageError, match="9"):
        poses_from_message(message)


def test_camera_round_trip_with_distortion() -> None:
    camera = Camera(640, 480, 520.0, 515.0, 321.5, 238.25, (-0.2, 0.05, 0.001, -0.002, 0.01))
    info = camera_to_info(camera, header())
    assert camera_from_info(info) == camera
    assert list(info.p) == [520.0, 0, 321.5, 0, 0, 515.0, 238.25, 0, 0, 0, 1, 0]
    assert camera_to_info(CAMERA, header()).header == header()


def test_rectified_takes_p_without_distortion() -> None:
    info = camera_to_info(Camera(640, 480, 520.0, 515.0, 321.5, 238.25, (-0.2, 0.05, 0, 0, 0)), header())
    info.p = [500.0, 0.0, 320.0, 0.0, 0.0, 501.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    assert camera_from_info(info, rectified=True) == Camera(640, 480, 500.0, 501.0, 320.0, 240.0)
    info.p = [0.0] * 12
    with pytest.raises(CameraError, match="P is all zero"):
        camera_from_info(info, rectified=True)


def test_roi_and_binning_move_pixels_as_the_sensor_does() -> None:
    info = camera_to_info(CAMERA, header())
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 100, 40, 400, 300
    info.binning_x = info.binning_y = 2
    camera = camera_from_info(info)
    assert (camera.width, camera.height) == (200, 150)
    points = np.array([[0.1, -0.2, 3.0], [-0.5, 0.3, 2.0]])
    full = project(CAMERA, points)
    # A binned pixel covers two sensor pixels: its centre is between theirs.
    expected = (full - (100, 40) + 0.5) / 2 - 0.5
    np.testing.assert_allclose(project(camera, points), expected)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"k": [0.0] * 9}, "K is all zero, but P is not.*'rectified'"),
        ({"k": [0.0] * 9, "p": [0.0] * 12}, "K is all zero: the camera is not calibrated"),
        ({"k": [float("nan"), 0.0, 320.0, 0.0, 500.0, 240.0, 0.0, 0.0, 1.0]}, "not finite"),
        ({"k": [1e9, 0.0, 320.0, 0.0, 1e9, 240.0, 0.0, 0.0, 1.0]}, "absurd"),
        ({"distortion_model": "mei"}, "'mei' is not supported.*rectif"),
        ({"d": array("d", [0.1, 0.2])}, "2 distortion coefficients"),
        ({"width": 0}, "not positive"),
    ],
)
def test_unusable_camera_infos(change: dict[str, object], says: str) -> None:
    info = camera_to_info(CAMERA, header())
    for name, value in change.items():
        setattr(info, name, value)
    with pytest.raises(CameraError, match=says):
        camera_from_info(info)


@pytest.mark.parametrize(
    ("model", "d", "fisheye"),
    [("plumb_bob", [-0.1, 0.02, 0, 0, 0, 0.1, 0.1, 0.1], False), ("none", [0.0] * 5, False),
     ("equidistant", [0.02, -0.01, 0.003, -0.0004], True)],
)  # fmt: skip
def test_models_that_cameras_publish(model: str, d: list[float], fisheye: bool) -> None:
    info = camera_to_info(CAMERA, header())
    info.distortion_model, info.d = model, array("d", d)
    camera = camera_from_info(info)
    assert camera.fisheye is fisheye and camera.distortion == (tuple(d) if any(d) else ())
    again = camera_from_info(camera_to_info(camera, header()))
    assert again == camera


def test_an_uncalibrated_driver_sends_defaults() -> None:
    info = CameraInfo()
    info.width, info.height = 640, 480
    with pytest.raises(CameraError, match="not calibrated"):
        camera_from_info(info)


def test_camera_must_belong_to_the_image() -> None:
    info = camera_to_info(CAMERA, header())
    assert camera_for_image(info, np.zeros((480, 640, 3), np.uint8)) == CAMERA
    with pytest.raises(CameraError, match="640x480 but the image is 320x240"):
        camera_for_image(info, np.zeros((240, 320, 3), np.uint8))


def tracks() -> list[Track]:
    return [
        Track(i, state, np.array([10.0 * i, 5.0, 10.0 * i + 30.5, 77.25]), 0.5 + i / 10)
        for i, state in enumerate(TrackingState, start=1)
    ]


def test_tracks_round_trip() -> None:
    message = tracks_to_message(tracks(), header())
    assert message.header == header()
    for back, sent in zip(tracks_from_message(message), tracks(), strict=True):
        assert (back.track_id, back.state) == (sent.track_id, sent.state)
        assert back.score == pytest.approx(sent.score)
        np.testing.assert_allclose(back.box_px, sent.box_px)


def test_first_hypothesis_is_the_person() -> None:
    detection = tracks_to_message(tracks(), header()).detections[2]
    assert detection.id == "3"
    assert [result.hypothesis.class_id for result in detection.results] == ["person", "state:coasting"]
    assert detection.results[0].hypothesis.score == pytest.approx(0.8)


def foreign(identity: str, *classes: tuple[str, float], size: float = 20.0, theta: float = 0.0) -> Detection2DArray:
    """What another detector might send."""
    detection = Detection2D()
    detection.id = identity
    detection.bbox.center.position.x = detection.bbox.center.position.y = 100.0
    detection.bbox.center.theta = theta
    detection.bbox.size_x, detection.bbox.size_y = size, 2 * size
    results = []
    for name, score in classes:
        result = ObjectHypothesisWithPose()
        result.hypothesis.class_id, result.hypothesis.score = name, score
        results.append(result)
    detection.results = results
    message = Detection2DArray()
    message.detections = [detection]
    return message


def test_detections_of_another_detector() -> None:
    (track,) = tracks_from_message(foreign("17", ("dog", 0.2), ("person", 0.7)))
    assert (track.track_id, track.state, track.score) == (17, TrackingState.CONFIRMED, 0.7)
    assert tracks_from_message(foreign("17", ("dog", 0.8), ("person", 0.7))) == []
    assert tracks_from_message(foreign("17")) == []
    assert len(tracks_from_message(foreign("17", ("0", 0.8)), person_classes=("0",))) == 1


def test_detections_none_of_which_is_called_a_person_are_named() -> None:
    """Many detectors give numbers: without a word, nobody was followed."""
    assert left_out_classes(foreign("17", ("0", 0.8), ("16", 0.1), ("state:confirmed", 1.0)), ("person",)) == [
        "0",
        "16",
    ]
    assert left_out_classes(foreign("17", ("dog", 0.8), ("person", 0.1)), ("person",)) == []
    assert left_out_classes(foreign("17", ("0", 0.8)), ("0",)) == []
    assert left_out_classes(Detection2DArray(), ("person",)) == []


def test_ids_that_are_no_numbers_are_stable_and_fit_int32() -> None:
    first, again, other = (tracks_from_message(foreign(i, ("person", 1.0)))[0].track_id for i in ("a7f", "a7f", "b"))
    assert first == again != other
    (huge,) = tracks_from_message(foreign(str(2**40), ("person", 1.0)))
    assert 0 <= first < 2**31 and 0 <= huge.track_id < 2**31


def test_turned_box_gives_the_upright_box_around_it() -> None:
    (track,) = tracks_from_message(foreign("1", ("person", 1.0), theta=np.pi / 2))
    np.testing.assert_allclose(track.box_px, [80, 90, 120, 110])


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (foreign("", ("person", 1.0)), "no id.*tracker"),
        (foreign("1", ("person", 1.0), size=float("nan")), "detection 1.*box"),
        (foreign("1", ("person", 1.0), size=0.0), "detection 1.*box"),
        (foreign("1", ("person", 1.0), ("state:asleep", 1.0)), "state:asleep"),
    ],
)
def test_bad_detections(message: Detection2DArray, says: str) -> None:
    with pytest.raises(MessageError, match=says):
        tracks_from_message(message)


def test_heatmaps_round_trip() -> None:
    data = np.random.default_rng(0).integers(0, 256, (3, 5, 7), np.uint8)
    sent = Heatmaps(("a", "b", "c"), data, np.array([[4.0, 0.0, 1.5], [0.0, 4.0, -2.5]]), 1 / 255)
    message = heatmaps_to_message(sent, header())
    assert message.header == header() and isinstance(message.data, array)
    back = heatmaps_from_message(message)
    assert back.channels == sent.channels and back.scale == pytest.approx(sent.scale)
    assert np.array_equal(back.data, data)
    np.testing.assert_allclose(back.to_image, sent.to_image)
    message.width = 8
    with pytest.raises(MessageError, match="105 cells"):
        heatmaps_from_message(message)
    message.width = 7
    for to_image, scale in (([0.0] * 6, 0.5), ([np.nan] * 6, 0.5), ([1e-5, 0, 0, 0, 1e-5, 0], 0.5), ([1e9] * 6, 0.5),
                            ([4.0, 0, 0, 0, 4, 0], np.nan), ([4.0, 0, 0, 0, 4, 0], 0.0)):  # fmt: skip
        message.to_image, message.scale = np.array(to_image, np.float32), float(scale)
        with pytest.raises(MessageError, match="absurd"):
            heatmaps_from_message(message)
