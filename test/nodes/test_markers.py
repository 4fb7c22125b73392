"""Skeleton markers: stable ids, lifetimes, deletion of the gone."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from dualpose_ros.nodes.markers import BONES, JOINTS, LABEL, MarkerStyle, SkeletonMarkers
from dualpose_ros.people import SEEN, Pose3D, Source, TrackingState
from dualpose_ros.skeleton import H36M17
from dualpose_ros.standalone import messages

from std_msgs.msg import Header  # isort: skip
from visualization_msgs.msg import Marker  # isort: skip


def pose(track_id: int, z: float = 3.0) -> Pose3D:
    k = H36M17.num_joints
    joints = np.random.default_rng(track_id).normal((0, 0, z), 0.4, (k, 3))
    joints[H36M17.root, 2] = z
    return Pose3D(track_id, TrackingState.CONFIRMED, Source.TOP_DOWN, 0.9, np.zeros(4), joints, np.ones(k),
                  np.zeros(k), np.zeros((k, 2)))  # fmt: skip


def read(cdr: bytes) -> Any:
    """The message of such bytes, which are those that its class makes."""
    message = messages.deserialize(cdr, "visualization_msgs/msg/MarkerArray")
    assert messages.serialize(message) == cdr
    return message


def by_key(cdr: bytes) -> dict[tuple[str, int], Any]:
    markers = read(cdr).markers
    keys = [(marker.ns, marker.id) for marker in markers]
    assert len(set(keys)) == len(keys)
    return dict(zip(keys, markers, strict=True))


def test_geometry_header_and_lifetime() -> None:
    header = Header(frame_id="eye")
    sent = pose(7, 4.2)
    markers = by_key(SkeletonMarkers(MarkerStyle(lifetime_s=1.25)).update([sent], header))
    assert set(markers) == {(BONES, 7), (JOINTS, 7), (LABEL, 7)}
    for marker in markers.values():
        assert (marker.action, marker.header.frame_id) == (Marker.ADD, "eye")
        assert (marker.lifetime.sec, marker.lifetime.nanosec) == (1, 250_000_000)
        assert marker.pose.orientation.w == 1.0 and marker.color.a == 1.0
    points = [(p.x, p.y, p.z) for p in markers[BONES, 7].points]
    expected = [sent.joints_cam[joint] for bone in H36M17.bones for joint in bone]
    np.testing.assert_allclose(points, expected)
    assert len(markers[JOINTS, 7].points) == 17
    assert markers[LABEL, 7].text == "#7 4.2 m"
    assert markers[LABEL, 7].pose.position.y < sent.joints_cam[:, 1].min()


def test_lifetime_never_has_a_second_of_nanoseconds() -> None:
    markers = by_key(SkeletonMarkers(MarkerStyle(lifetime_s=0.9999999999)).update([pose(1)], Header()))
    lifetime = markers[BONES, 1].lifetime
    assert (lifetime.sec, lifetime.nanosec) == (1, 0)


def test_the_gone_are_deleted_once_and_the_others_keep_ids_and_colours() -> None:
    skeletons = SkeletonMarkers(MarkerStyle())
    first = by_key(skeletons.update([pose(1), pose(2)], Header()))
    second = by_key(skeletons.update([pose(2)], Header()))
    assert {key: m.action for key, m in second.items() if key[1] == 1} == {
        (ns, 1): Marker.DELETE for ns in (BONES, JOINTS, LABEL)
    }
    assert all(m.action == Marker.ADD for key, m in second.items() if key[1] == 2)
    assert first[BONES, 2].color == second[BONES, 2].color != first[BONES, 1].color
    assert {key[1] for key in by_key(skeletons.update([pose(2)], Header()))} == {2}
    assert all(m.action == Marker.DELETE for m in by_key(skeletons.update([], Header())).values())
    assert read(skeletons.update([], Header())).markers == []


def test_missing_joints_leave_their_bones_out() -> None:
    holed = pose(4)
    joints = holed.joints_cam.copy()
    joints[H36M17.index("left_knee")] = np.nan
    markers = by_key(SkeletonMarkers(MarkerStyle()).update([dataclasses.replace(holed, joints_cam=joints)], Header()))
    assert len(markers[JOINTS, 4].points) == 16
    # The knee ends one bone and starts another.
    assert len(markers[BONES, 4].points) == 2 * (len(H36M17.bones) - 2)


def test_guessed_joints_and_their_bones_are_not_shown() -> None:
    scores = np.where(np.isin(H36M17.joint_names, ("right_knee", "right_ankle")), SEEN - 0.01, SEEN)
    markers = by_key(
        SkeletonMarkers(MarkerStyle()).update([dataclasses.replace(pose(4), joint_scores=scores)], Header())
    )
    assert len(markers[JOINTS, 4].points) == 15
    assert len(markers[BONES, 4].points) == 2 * (len(H36M17.bones) - 2)
    lenient = SkeletonMarkers(MarkerStyle(), min_joint_score=0.1)
    everything = by_key(lenient.update([dataclasses.replace(pose(4), joint_scores=scores)], Header()))
    assert len(everything[JOINTS, 4].points) == 17


def test_someone_without_any_joint_counts_as_gone() -> None:
    skeletons = SkeletonMarkers(MarkerStyle())
    skeletons.update([pose(5)], Header())
    empty = dataclasses.replace(pose(5), joints_cam=np.full((17, 3), np.nan))
    assert all(m.action == Marker.DELETE for m in read(skeletons.update([empty], Header())).markers)


def test_coasting_people_are_fainter() -> None:
    coasting = dataclasses.replace(pose(6), state=TrackingState.COASTING)
    markers = by_key(SkeletonMarkers(MarkerStyle()).update([coasting], Header()))
    assert markers[BONES, 6].color.a < 1


@pytest.mark.parametrize("frame_id", ["", "a", "ab", "abc", "abcd", "abcdefgh"])
@pytest.mark.parametrize("namespace", ["/", "/left"])
def test_bytes_are_those_of_the_message_wherever_they_begin(frame_id: str, namespace: str) -> None:
    skeletons = SkeletonMarkers(MarkerStyle(), namespace)
    alone = dataclasses.replace(pose(3), joint_scores=np.eye(17)[0])
    assert len(by_key(skeletons.update([pose(1), alone, pose(20)], Header(frame_id=frame_id)))) == 8
    assert len(by_key(skeletons.update([pose(20)], Header(frame_id=frame_id)))) == 9
