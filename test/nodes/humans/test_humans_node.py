"""People in another frame, as frames and as REP-155's topics, against places worked out by hand."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("cyclonedds")

from dualpose_ros.nodes.humans import humans_node
from dualpose_ros.nodes.humans.bodies import body_pose, in_frame
from dualpose_ros.nodes.inputs.transforms import Pose
from dualpose_ros.nodes.refinement_node import _with_ids_from
from dualpose_ros.nodes.wire import header_of, poses_from_bytes, poses_to_bytes
from dualpose_ros.people import Pose3D, Source, TrackingState
from dualpose_ros.skeleton import H36M17

from geometry_msgs.msg import TransformStamped  # isort: skip
from sensor_msgs.msg import CameraInfo, RegionOfInterest  # isort: skip
from std_msgs.msg import Header  # isort: skip
from tf2_msgs.msg import TFMessage  # isort: skip

OPTICAL = Rotation.from_matrix([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
"""Of a camera's optical frame that looks along x."""


def facing(track_id: int = 3, state: TrackingState = TrackingState.CONFIRMED) -> Pose3D:
    """Somebody 4 m before the camera who looks at it: their left is at the image's right."""
    joints = np.tile([0.5, 0.0, 4.0], (17, 1))
    joints[H36M17.index("left_hip")] += [0.15, 0, 0]
    joints[H36M17.index("right_hip")] -= [0.15, 0, 0]
    joints[H36M17.index("thorax")] += [0.02, -0.5, 0]
    pixels = np.tile([480.0, 240.0], (17, 1))
    pixels[H36M17.index("left_knee")] = [700.0, 240.0]
    return Pose3D(track_id, state, Source.FUSED, 0.9, np.array([320.0, 120.0, 640.0, 480.0]), joints,
                  np.full(17, 0.8), np.full(17, 0.05), pixels, np.array([0.0, 0.0, -1.0]))  # fmt: skip


def header(seconds: int) -> Any:
    message = Header(frame_id="eye")
    message.stamp.sec = seconds
    return message


def transform(seconds: int, x: float) -> Any:
    item = TransformStamped(header=Header(frame_id="map"), child_frame_id="eye")
    item.header.stamp.sec = seconds
    item.transform.translation.x = x
    turn = item.transform.rotation
    turn.x, turn.y, turn.z, turn.w = OPTICAL.as_quat().tolist()
    return TFMessage(transforms=[item])


def test_a_body_looks_along_x_with_its_head_at_z() -> None:
    pose = body_pose(facing().joints_cam)
    assert pose is not None
    np.testing.assert_allclose(pose.translation, [0.5, 0, 4])
    x, y, z = pose.rotation.as_matrix().T
    np.testing.assert_allclose(x, [0, 0, -1], atol=1e-12)
    np.testing.assert_allclose(y, [1, 0, 0], atol=0.05)
    np.testing.assert_allclose(z, [0, -1, 0], atol=0.05)
    assert np.linalg.det(pose.rotation.as_matrix()) == pytest.approx(1)


@pytest.mark.parametrize("joint", ["left_hip", "thorax"])
def test_a_body_without_a_direction_has_no_frame(joint: str) -> None:
    joints = facing().joints_cam.copy()
    joints[H36M17.index(joint)] = np.nan
    assert body_pose(joints) is None
    assert body_pose(np.tile([0.5, 0.0, 4.0], (17, 1))) is None


def test_joints_and_velocity_turn_and_pixels_stay() -> None:
    there = in_frame(facing(), Pose(OPTICAL, np.array([10.0, 0.0, 1.5])))
    np.testing.assert_allclose(there.joints_cam[0], [14.0, -0.5, 1.5])
    np.testing.assert_allclose(there.root_velocity, [-1, 0, 0], atol=1e-12)
    np.testing.assert_array_equal(there.keypoints_px, facing().keypoints_px)


def recorded(node: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """What the node publishes, by topic, whatever publishers it makes later too."""
    sent: dict[str, list[Any]] = {}
    real = node.create_publisher

    def watch(publisher: Any) -> Any:
        into = sent.setdefault(publisher.topic_name, [])
        monkeypatch.setattr(publisher, "publish", into.append)
        return publisher

    monkeypatch.setattr(node, "create_publisher", lambda *args: watch(real(*args)))
    for publisher in node.publishers_:
        watch(publisher)
    return sent


@pytest.mark.usefixtures("stand_in")
def test_poses_wait_for_the_transform_at_their_stamp(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    node = started(humans_node.HumansNode, "-p", "target_frame:=map", "-p", "rep155:=never")
    sent = recorded(node, monkeypatch)["/humans/poses3d_in_frame"]
    now = [100.0]
    monkeypatch.setattr(humans_node, "time", SimpleNamespace(monotonic=lambda: now[0]))
    node._transforms.add(transform(1, 10.0))
    for second in (2, 3):
        node._on_poses(poses_to_bytes([facing()], header(second)))
    assert not sent, "no transform of these stamps yet"
    node._transforms.add(transform(2, 20.0))
    now[0] += 0.1
    node._work()
    assert [header_of(poses).stamp.sec for poses in sent] == [2] and header_of(sent[0]).frame_id == "map"
    np.testing.assert_allclose(poses_from_bytes(sent[0])[0].joints_cam[0], [24.0, -0.5, 0.0])
    now[0] += 0.15
    node._work()
    node._transforms.add(transform(4, 30.0))
    node._on_poses(poses_to_bytes([facing()], header(4)))
    assert [header_of(poses).stamp.sec for poses in sent] == [2, 4], "the third was given up, and nobody waits for it"
    values = node.diagnostics.extra
    assert (values["in_frame"], values["without_transform"]) == ("2", "1")
    assert "'eye' with 'map'" in node.diagnostics.health().message


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    "info",
    [
        CameraInfo(width=640, height=480),
        CameraInfo(width=1280, height=960, binning_x=2, binning_y=2),
        CameraInfo(width=1920, height=1080, roi=RegionOfInterest(x_offset=64, y_offset=8, width=640, height=480)),
    ],
)
def test_frames_and_topics_of_everybody_confirmed(
    started: Any, monkeypatch: pytest.MonkeyPatch, info: CameraInfo
) -> None:
    """Shares of the image, which may be a part of the sensor that camera_info is of."""
    node = started(humans_node.HumansNode, "-r", "__ns:=/robot1")
    sent = recorded(node, monkeypatch)
    people = [facing(3), facing(8, TrackingState.TENTATIVE), facing(500, TrackingState.COASTING)]
    node._on_poses(poses_to_bytes(people, header(1)))
    bodies = "/robot1/humans/bodies"
    assert [message.ids for message in sent[f"{bodies}/tracked"]] == [["p3", "p500"]]
    assert not sent[f"{bodies}/p3/roi"], "the image's size is not known yet"
    node._on_info(info)
    node._on_poses(poses_to_bytes([facing(3)], header(2)))
    (frames, again) = sent["/tf"]
    assert [item.child_frame_id for item in frames.transforms] == ["body_p3", "body_p500"]
    assert frames.transforms[0].header.frame_id == "eye" and len(again.transforms) == 1
    at, speed = sent[f"{bodies}/p3/position"][-1].point, sent[f"{bodies}/p3/velocity"][-1].twist.linear
    assert (at.x, at.y, at.z, speed.z) == (0.5, 0.0, 4.0, -1.0)
    (roi,) = sent[f"{bodies}/p3/roi"]
    assert (roi.xmin, roi.ymin, roi.xmax, roi.ymax) == (0.5, 0.25, 1.0, 1.0)
    (skeleton,) = sent[f"{bodies}/p3/skeleton2d"]
    neck, nose, knee = (skeleton.skeleton[index] for index in (1, 0, 12))
    assert len(skeleton.skeleton) == 18 and (neck.x, neck.y) == (0.75, 0.5) and neck.c == pytest.approx(0.8)
    assert nose.c == 0 and knee.c == 0, "we have no nose; the left knee is outside the image"
    names = {publisher.topic_name for publisher in node.publishers_}
    assert f"{bodies}/p3/roi" in names and not any("p500" in name for name in names)
    assert len(node._made[False]) < 10, "publishers of those who went are not kept"


def test_rep155_where_it_is_asked_for_and_not_there(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(humans_node, "hri_msgs", lambda: None)
    with pytest.raises(humans_node.StartupError, match="hri_msgs"):
        started(humans_node.HumansNode, "-p", "rep155:=always")


@pytest.mark.usefixtures("stand_in")
def test_without_hri_msgs_frames_are_broadcast_alone(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(humans_node, "hri_msgs", lambda: None)
    node = started(humans_node.HumansNode)
    sent = recorded(node, monkeypatch)
    node._on_poses(poses_to_bytes([dataclasses.replace(facing(), track_id=7)], header(1)))
    assert [len(message.transforms) for message in sent["/tf"]] == [1]
    assert not [name for name in sent if "bodies" in name]


def test_ids_are_moved_and_the_message_that_came_in_stays() -> None:
    """So that people of several cameras are told apart."""
    came = poses_to_bytes([facing(3), facing(-1)], header(1))
    assert _with_ids_from(0, came) is came
    moved = _with_ids_from(10_000, came)
    (person, nobody), (before, _) = poses_from_bytes(moved), poses_from_bytes(came)
    assert (person.track_id, nobody.track_id, before.track_id) == (10_003, -1, 3)
    assert header_of(moved) == header_of(came) and (person.box_px == before.box_px).all()
