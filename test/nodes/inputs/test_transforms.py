"""Frames by TF against rotations worked out by hand: chains, both ways, between stamps, gaps, loops of time."""

from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("rosbags")

from dualpose_ros.nodes.inputs.transforms import KEPT_NS, TransformError, Transforms

from geometry_msgs.msg import Quaternion, TransformStamped, Vector3  # isort: skip
from tf2_msgs.msg import TFMessage  # isort: skip

SECOND = 1_000_000_000


def tf(parent: str, child: str, stamp_ns: int, yaw: float, *place: float) -> Any:
    item = TransformStamped(child_frame_id=child)
    item.header.frame_id = parent
    item.header.stamp.sec, item.header.stamp.nanosec = divmod(stamp_ns, SECOND)
    x, y, z, w = Rotation.from_euler("z", yaw).as_quat().tolist()
    item.transform.rotation, item.transform.translation = (
        Quaternion(x=x, y=y, z=z, w=w),
        Vector3(**dict(zip("xyz", place, strict=False))),
    )
    return TFMessage(transforms=[item])


@pytest.fixture
def robot() -> Transforms:
    """map -> odom (static) -> base, which drives along x and turns -> eye and arm (static)."""
    known = Transforms()
    known.add(tf("map", "odom", 0, np.pi / 2, 1.0, 2.0, 0.0), is_static=True)
    known.add(tf("base", "eye", 0, 0.0, 0.2, 0.0, 1.5), is_static=True)
    known.add(tf("base", "arm", 0, 0.0, 0.0, 0.5, 1.0), is_static=True)
    for n in (0, 2, 1):
        known.add(tf("/odom", "/base", n * SECOND, 0.2 * n, 4.0 * n, 0.0, 0.0))
    return known


def test_a_chain_between_two_stamps(robot: Transforms) -> None:
    pose = robot.look_up("odom", "eye", SECOND // 2)
    assert pose.rotation.as_euler("xyz")[2] == pytest.approx(0.1)
    expected = np.array([2.0, 0, 0]) + Rotation.from_euler("z", 0.1).apply([0.2, 0, 1.5])
    np.testing.assert_allclose(pose.translation, expected, atol=1e-12)
    in_map = robot.look_up("map", "eye", SECOND // 2)
    np.testing.assert_allclose(in_map.translation, [1 - expected[1], 2 + expected[0], 1.5], atol=1e-12)


def test_the_other_way_and_between_branches(robot: Transforms) -> None:
    there, back = robot.look_up("map", "eye", SECOND), robot.look_up("eye", "map", SECOND)
    both = there @ back
    np.testing.assert_allclose(both.rotation.as_matrix(), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(both.translation, 0, atol=1e-12)
    # Branches that meet below a moving edge need not know where that is.
    np.testing.assert_allclose(robot.look_up("arm", "eye", 50 * SECOND).translation, [0.2, -0.5, 0.5], atol=1e-12)


@pytest.mark.parametrize("stamp", [-1, 2 * SECOND + 1])
def test_nothing_is_known_before_the_first_or_after_the_last(robot: Transforms, stamp: int) -> None:
    with pytest.raises(TransformError, match="'eye' with 'map'"):
        robot.look_up("map", "eye", stamp)


def test_what_is_unknown_or_absurd_is_no_transform(robot: Transforms) -> None:
    broken = tf("map", "ghost", 0, 0.0, np.nan, 0.0, 0.0)
    unturned = tf("map", "ghost", 0, 0.0, 0.0, 0.0, 0.0)
    unturned.transforms[0].transform.rotation = Quaternion(x=0.0, y=0.0, z=0.0, w=0.0)
    for message in (broken, unturned):
        robot.add(message, is_static=True)
        with pytest.raises(TransformError):
            robot.look_up("map", "ghost", 0)
    robot.add(tf("eye", "map", 0, 0.0, 0.0, 0.0, 0.0), is_static=True)
    with pytest.raises(TransformError):
        robot.look_up("nowhere", "eye", SECOND)


def test_old_transforms_go_and_a_bag_may_start_again(robot: Transforms) -> None:
    late = KEPT_NS + 2 * SECOND
    robot.add(tf("odom", "base", late, 0.0, 9.0, 0.0, 0.0))
    with pytest.raises(TransformError):
        robot.look_up("odom", "eye", SECOND)
    for stamp in (0, SECOND):
        robot.add(tf("odom", "base", stamp, 0.0, 3.0, 0.0, 0.0))
    assert robot.look_up("odom", "eye", SECOND // 2).translation[0] == pytest.approx(3.2)


def test_of_one_stamp_the_last_transform_is_kept(robot: Transforms) -> None:
    for n in range(1000):
        robot.add(tf("odom", "base", 0, 0.0, float(n), 0.0, 0.0))
    assert len(robot._edges["base"].samples) == 3
    assert robot.look_up("odom", "base", 0).translation[0] == 999.0
