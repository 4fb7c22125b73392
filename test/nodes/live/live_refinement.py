"""Scenarios of test_live_nodes.py for the refinement node; see live_nodes.py. `python live_refinement.py SCENARIO`."""

import json
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from live_nodes import CAMERA, Rig, header, person
from scipy.spatial.transform import Rotation

from dualpose_ros.camera import Camera, Ground, GroundAccuracy
from dualpose_ros.nodes import refinement_node
from dualpose_ros.nodes.base import LATCHED, RELIABLE
from dualpose_ros.nodes.convert import camera_to_info, poses_from_message, poses_to_message, stamp_to_ns
from dualpose_ros.people import Pose3D, Source, TrackingState
from dualpose_ros.refinement.config import RefinementConfig
from dualpose_ros.refinement.ground.standing import GroundFound
from dualpose_ros.refinement.stage import RefinedFrame

from geometry_msgs.msg import Quaternion, TransformStamped  # isort: skip
from sensor_msgs.msg import CameraInfo  # isort: skip
from tf2_msgs.msg import TFMessage  # isort: skip

from dualpose_ros.msg import MultiPersonPose3D  # isort: skip

FUSED, OUTPUT = "dualpose/fused/poses3d", "/humans/poses3d"


class Stage:
    """Moves everybody a metre away for each call since it was reset, and adds person 9, who has vanished."""

    def __init__(self, config: RefinementConfig) -> None:
        self.lag, self.focals = config.lag_frames, list[list[float]]()
        self.grounds: list[Ground | None] = []
        self.ground_found: GroundFound | None = None
        self.reset()

    def reset(self) -> None:
        self.calls, self.waiting = 0, deque[RefinedFrame]()

    def process(
        self, stamp_ns: int, camera: Camera | None, persons: Sequence[Pose3D], ground: Ground | None
    ) -> tuple[RefinedFrame, ...]:
        self.grounds.append(ground)
        number = stamp_ns // 10_000_000 - 10_000
        time.sleep(0.002)
        if camera is None:
            self.waiting.append(RefinedFrame(stamp_ns, None, tuple(persons)))
        else:
            self.focals.append([number, camera.fx])
            self.calls += 1
            if number == 13:
                raise ArithmeticError("the equations have fallen over")
            shift = np.nan if number == 14 else float(self.calls)
            moved = [replace(p, joints_cam=p.joints_cam + np.array([0, 0, shift])) for p in persons]
            gone = replace(person(9), state=TrackingState.COASTING)
            self.waiting.append(RefinedFrame(stamp_ns, camera, (*moved, gone)))
        return (self.waiting.popleft(),) if len(self.waiting) > self.lag else ()

    def flush(self) -> tuple[RefinedFrame, ...]:
        return tuple(self.waiting.popleft() for _ in range(len(self.waiting)))


def start(*parameters: str) -> Rig:
    refinement_node.RefinementStage = Stage  # type: ignore[misc, assignment]
    words = [word for parameter in parameters for word in ("-p", parameter)]
    return Rig(refinement_node.RefinementNode, {FUSED: MultiPersonPose3D, "camera_info": CameraInfo},
               {OUTPUT: MultiPersonPose3D}, "--ros-args", *words)  # fmt: skip


def number_of(message: Any) -> int:
    return stamp_to_ns(message.header.stamp) // 10_000_000 - 10_000


def send(rig: Rig, number: int, frame: str = "eye", spoilt: bool = False, outputs: int = 1) -> None:
    """The poses of a frame, then wait until something has become of them."""
    before, errors = len(rig.received[OUTPUT]), rig.node.diagnostics.log.total_errors
    stamped = header(number)
    stamped.frame_id = frame
    message = poses_to_message([replace(person(3), source=Source.FUSED)], stamped, (64, 48))
    if spoilt:
        message.persons[0].joints[2].x = float("inf")
    rig.publish(FUSED, message)
    if spoilt:
        rig.spin(lambda: rig.node.diagnostics.log.total_errors > errors, 3)
    else:
        rig.spin(lambda: len(rig.received[OUTPUT]) >= before + outputs, 3 if outputs else 0.3)


def last_error(rig: Rig) -> str:
    return rig.node.diagnostics.health().values["last_error"]


def send_info(rig: Rig, number: int, focal: float = 60.0) -> None:
    info = camera_to_info(replace(CAMERA, fx=focal or 60.0, fy=focal or 60.0), header(number))
    if not focal:
        info.k = [0.0] * 9
    rig.publish("camera_info", info)
    rig.spin(seconds=0.15)


def refinement() -> dict[str, Any]:
    """Without a camera, with an image's own, with another's; a frame that fails; input that makes no sense."""
    rig = start()
    send(rig, 1)
    send_info(rig, 2, focal=0.0)
    send(rig, 2)
    send_info(rig, 4, focal=70.0)
    send_info(rig, 5, focal=80.0)
    for number in (4, 5, 6):
        send(rig, number)
    send_info(rig, 7, focal=0.0)
    said = [last_error(rig)]
    for number in (7, 13, 14, 15):
        send(rig, number)
        said.append(last_error(rig))
    rig.node._cameras.add(0, "third eye", CAMERA)
    send(rig, 16, frame="other eye")
    said.append(last_error(rig))
    send(rig, 17, spoilt=True)
    said.append(last_error(rig))
    send(rig, 18)
    rig.spin(seconds=1.2)
    values = {v.key: v.value for m in rig.received["/diagnostics"][-1:] for s in m.status for v in s.values}
    people = {number_of(m): poses_from_message(m) for m in rig.received[OUTPUT]}
    return {
        "published": [number_of(m) for m in rig.received[OUTPUT]],
        "frame_ids": sorted({m.header.frame_id for m in rig.received[OUTPUT]}),
        "ids": {number: [p.track_id for p in persons] for number, persons in people.items()},
        "states": [p.state.name for p in people[4]],
        "source": people[4][0].source.name,
        "depths": {number: persons[0].joints_cam[0, 2] for number, persons in people.items()},
        "focals": rig.node._stage.focals,
        "errors": [rig.errors()[0], *dict.fromkeys(said)],
        "total_errors": rig.node.diagnostics.log.total_errors,
        "values": values,
    }


def tf(parent: str, child: str, number: int, pitch: float = 0.0, up: float = 0.0) -> Any:
    """tf2_msgs/TFMessage of a camera that looks down by so much (an optical frame), or of a frame that is higher."""
    message = TransformStamped(header=header(number), child_frame_id=child)
    message.header.frame_id = parent
    turn = Rotation.from_matrix([[0, 0, 1], [-1, 0, 0], [0, -1, 0]]) * Rotation.from_euler("x", -pitch)
    x, y, z, w = turn.as_quat() if child == "eye" else (0.0, 0.0, 0.0, 1.0)
    message.transform.rotation = Quaternion(x=x, y=y, z=z, w=w)
    message.transform.translation.z = up
    return TFMessage(transforms=[message])


def ground() -> dict[str, Any]:
    """A camera on a robot that sways: TF of before and after an image, of none, of a robot that is upside down."""
    rig = start("ground_frame:=base")
    fixed, moving = (rig.driver.create_publisher(TFMessage, *of) for of in (("/tf_static", LATCHED), ("/tf", RELIABLE)))
    rig.spin(lambda: fixed.get_subscription_count() > 0 and moving.get_subscription_count() > 0)
    send_info(rig, 1)
    send(rig, 1)
    fixed.publish(tf("base", "mast", 0, up=1.25))
    off, stddev = np.array([0.0, np.radians(1.8), 0.0]), np.array([0.01, np.radians(0.3), 0.005])
    rig.node._stage.ground_found = GroundFound(off, stddev, GroundAccuracy(), ())
    warnings: list[str] = []
    rig.node.get_logger().warning = lambda text, **throttle: warnings.append(f"{text} {throttle}")
    for number, pitch in ((4, 0.1), (8, 0.2)):
        moving.publish(tf("mast", "eye", number, pitch))
    rig.spin(seconds=0.2)
    send(rig, 6)
    send(rig, 9)
    moving.publish(tf("mast", "eye", 10, up=-2.0))
    rig.spin(seconds=0.2)
    send(rig, 10)
    return {
        "grounds": [None if g is None else [*g.down.tolist(), g.height_m] for g in rig.node._stage.grounds],
        "published": [number_of(m) for m in rig.received[OUTPUT]],
        "diagnostics": [rig.node.diagnostics.extra[name] for name in ("ground", "ground_off")],
        "errors": rig.node.diagnostics.log.total_errors,
        "warnings": [text for text in warnings if "off from what was said" in text],
    }


def disabled() -> dict[str, Any]:
    """Everything passes through, camera or not."""
    rig = start("enabled:=false")
    for number in (1, 2):
        send(rig, number)
    depths = [float(poses_from_message(m)[0].joints_cam[0, 2]) for m in rig.received[OUTPUT]]
    extra = rig.node.diagnostics.extra
    return {"depths": depths, "focals": rig.node._stage.focals, "extra": extra, "errors": rig.errors()}


def lagging() -> dict[str, Any]:
    """With a lag, each message carries the header of the frame that its poses are of; one frame fails; then a rest."""
    rig = start("lag_frames:=2")
    send_info(rig, 40)
    for number in (40, 41):
        send(rig, number, outputs=0)
    early = len(rig.received[OUTPUT])
    for number, outputs in ((42, 1), (13, 3), (50, 0), (51, 0)):
        send(rig, number, outputs=outputs)
    before_rest = len(rig.received[OUTPUT])
    rig.spin(lambda: len(rig.received[OUTPUT]) >= 6, 3)
    published = [(number_of(m), len(m.persons), float(m.persons[0].joints[0].z) - 2) for m in rig.received[OUTPUT]]
    return {"early": early, "before_rest": before_rest, "published": published}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]]()))
