"""Takes what the graph publishes into a recording: poses, markers, camera_info, images, diagnostics.

Unlike the other nodes it runs inside the process that asked for the run. What is recorded as it came is taken as CDR
bytes, which are decoded where their content matters.
"""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import cv2
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TransformStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from dualpose_ros.camera import Camera, CameraError
from dualpose_ros.inference.cpu import keep_memory
from dualpose_ros.msg import MultiPersonPose3D
from dualpose_ros.nodes.base import NUMBERS
from dualpose_ros.nodes.convert import camera_from_info
from dualpose_ros.nodes.image_codec import decode_image
from dualpose_ros.nodes.joining.numbers import FRAME_NUMBER, FrameNumbers
from dualpose_ros.nodes.joining.pacing import RECORDED
from dualpose_ros.nodes.joining.stamps import UNSET_NS, StampRing
from dualpose_ros.nodes.wire import ImageBytes, header_of, poses_from_bytes, stamp_ns_of
from dualpose_ros.recording.pose_lines import PoseFrame
from dualpose_ros.recording.recording import POSES_TYPE, STAGES, Recording
from dualpose_ros.sources.pictures import IntensityRange

# Deep enough that nothing is lost while a frame is compressed; shallow enough for images not to pile up.
_POSES_DEPTH, _IMAGE_DEPTH = 50, 5
# Frames whose poses may still be on their way.
_MOST_NUMBERED = 1000

BODY_FRAME = "camera_link"
"""The frame in which the layouts of RViz and Foxglove show the people."""

_FIRST_AT, _AFTER_STAMP = 8, 12
"""Where the bytes of a list have the stamp of its first message, behind the count; where those of others go on after
their stamp."""


class RecorderNode(Node):  # type: ignore[misc, unused-ignore]
    """Writes every message of interest into a `Recording`, and keeps what the run has to know.

    `camera` is the camera of the newest CameraInfo, `statuses` the newest diagnostic values of each node of its
    namespace by its name.
    """

    def __init__(self, recording: Recording, every_frame: bool = False) -> None:
        """`every_frame`: the source waits for the graph, so that no image has to be lost."""
        super().__init__("recorder")
        self._recording = recording
        self._intensities = IntensityRange()
        self._numbers = FrameNumbers(are_said=every_frame)
        self.camera: Camera | None = None
        self._camera_said = b""
        self.statuses: dict[str, dict[str, str]] = {}
        self.errors: dict[str, str] = {}
        wanted = ReliabilityPolicy.RELIABLE if every_frame else ReliabilityPolicy.BEST_EFFORT
        images, infos = _qos(_IMAGE_DEPTH, wanted), _qos(_POSES_DEPTH, wanted)
        reliable = _qos(_POSES_DEPTH, ReliabilityPolicy.RELIABLE)
        self._take_bytes(CameraInfo, "camera_info", self._on_camera_info, infos)
        if recording.keeps_frames:
            self._take_bytes(Image, "image_raw", self._on_image, images)
        self._take_bytes(Header, FRAME_NUMBER, self._on_frame_number, NUMBERS)
        self._recorded = self.create_publisher(Header, RECORDED, reliable)
        record = functools.partial(recording.add_poses, "/humans/poses3d")
        said = self._recorded.publish if every_frame else None
        self._take_poses("humans/poses3d", record, reliable, every_frame, said)
        for stage in STAGES:
            topic = f"dualpose/{stage}/poses3d"
            record = functools.partial(recording.add_stage_poses, stage, f"/{topic}")
            self._take_poses(topic, record, reliable, every_frame)
        self._take_bytes(MultiPersonPose3D, "dualpose/bottom_up/poses3d", self._on_bottom_up_poses, reliable)
        self._take_bytes(MarkerArray, "humans/markers", self._on_markers, reliable)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._survive(self._on_diagnostics), reliable)

    @property
    def info_stamps_ns(self) -> list[int]:
        """Stamps of all CameraInfos in their order."""
        return self._numbers.stamps_ns

    def status(self, node: str, key: str) -> str:
        """Newest diagnostic value of a node; an empty string where it has said nothing of it."""
        return self.statuses.get(node, {}).get(key, "")

    def _take_poses(
        self,
        topic: str,
        record: Callable[[PoseFrame, bytes], None],
        qos: QoSProfile,
        once: bool,
        said: Callable[[Any], None] | None = None,
    ) -> None:
        """Record a topic's poses; `once`: the first of each stamp. Where a node is back, a source that waits for the
        graph sends again what is in work, and some of it is answered twice. `said` takes the header of each, be
        it recorded or not."""
        taken = StampRing[bool](_MOST_NUMBERED)

        def receive(cdr: bytes) -> None:
            try:
                frame = self._pose_frame(cdr)
                if not (once and taken.get(frame.stamp_ns)):
                    taken.add(frame.stamp_ns, True)
                    self._numbers.when_said(frame.stamp_ns, lambda: record(self._numbered(frame), cdr))
            finally:
                if said is not None:
                    said(header_of(cdr))

        self._take_bytes(MultiPersonPose3D, topic, receive, qos)

    def _take_bytes(self, kind: type[Any], topic: str, receive: Callable[[bytes], None], qos: QoSProfile) -> None:
        self.create_subscription(kind, topic, self._survive(receive), qos, raw=True)

    def _survive(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        """The callback, with a message that makes no sense logged instead of ending the recording."""

        def run(message: Any) -> None:
            try:
                callback(message)
            except OSError:
                # Nothing can be written any more.
                raise
            except Exception as error:
                self.get_logger().error(f"{type(error).__name__}: {error}", throttle_duration_sec=5.0)

        return run

    def _on_camera_info(self, cdr: bytes) -> None:
        stamp_ns = stamp_ns_of(cdr)
        if stamp_ns == UNSET_NS:
            # Said ahead of all images.
            return
        self._record("/camera_info", "sensor_msgs/msg/CameraInfo", cdr, stamp_ns)
        self._numbers.come(stamp_ns)
        said = cdr[_AFTER_STAMP:]
        if said == self._camera_said:
            return
        is_first, self._camera_said = not self._camera_said, said
        try:
            info = deserialize_message(cdr, CameraInfo)
            if is_first:
                self._record("/tf_static", "tf2_msgs/msg/TFMessage", serialize_message(_upright(info.header)), stamp_ns)
            self.camera = camera_from_info(info)
        except CameraError as error:
            self.get_logger().error(str(error), throttle_duration_sec=5.0)

    def _on_frame_number(self, cdr: bytes) -> None:
        self._numbers.said(stamp_ns_of(cdr), header_of(cdr).frame_id)

    def _on_image(self, cdr: bytes) -> None:
        self._recording.add_image(stamp_ns_of(cdr), decode_image(ImageBytes.of(cdr), self._intensities))

    def _on_bottom_up_poses(self, cdr: bytes) -> None:
        self._record("/dualpose/bottom_up/poses3d", POSES_TYPE, cdr, stamp_ns_of(cdr))

    def _on_markers(self, cdr: bytes) -> None:
        now_ns = time.time_ns()
        stamp_ns = stamp_ns_of(cdr, _FIRST_AT) if len(cdr) >= _FIRST_AT + 8 else now_ns
        self._record("/humans/markers", "visualization_msgs/msg/MarkerArray", cdr, stamp_ns or now_ns)

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            namespace, _, name = f"/{status.name.partition(':')[0]}".rpartition("/")
            if namespace != self.get_namespace().rstrip("/"):
                continue
            self.statuses[name] = {entry.key: entry.value for entry in status.values}
            if self.statuses[name].get("last_error"):
                self.errors[name] = self.statuses[name]["last_error"]

    def _pose_frame(self, cdr: bytes) -> PoseFrame:
        """The people of a message that has just arrived."""
        received_ns, header, stamp_ns = time.time_ns(), header_of(cdr), stamp_ns_of(cdr)
        return PoseFrame(stamp_ns, received_ns, header.frame_id, tuple(poses_from_bytes(cdr)))

    def _numbered(self, frame: PoseFrame) -> PoseFrame:
        number, file = self._numbers.of(frame.stamp_ns)
        return replace(frame, number=number, file=file)

    def destroy_node(self) -> None:
        """As rclpy's; what still waits for its number is recorded first."""
        self._numbers.wait_no_longer()
        super().destroy_node()

    def _record(self, topic: str, type_name: str, cdr: bytes, stamp_ns: int) -> None:
        self._recording.add_message(topic, type_name, cdr, stamp_ns=stamp_ns, received_ns=time.time_ns())


def _upright(header: Any) -> Any:
    """Where an optical frame is in a camera's body frame, x forward and z up: players show people upright in that."""
    transform = TransformStamped(header=Header(stamp=header.stamp, frame_id=BODY_FRAME), child_frame_id=header.frame_id)
    turn = transform.transform.rotation
    turn.x, turn.y, turn.z, turn.w = -0.5, 0.5, -0.5, 0.5
    return TFMessage(transforms=[transform])


def _qos(depth: int, reliability: Any) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability)


_Spun = TypeVar("_Spun", bound=Node)


@contextmanager
def spinning(make: Callable[[], _Spun]) -> Iterator[tuple[_Spun, Callable[[float], None]]]:
    """A node in a context of its own process: gives it, and a function that serves it for some seconds.

    The process keeps its own signal handlers. The domain is that of ROS_DOMAIN_ID.
    """
    keep_memory()
    # Beside a graph that fills the cores, threads that wait for each other cost several times an image's work.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    executor = SingleThreadedExecutor()
    node = None
    try:
        node = make()
        executor.add_node(node)

        def serve(seconds: float) -> None:
            deadline = time.monotonic() + seconds
            while (left := deadline - time.monotonic()) > 0:
                executor.spin_once(timeout_sec=left)

        yield node, serve
    finally:
        executor.shutdown()
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
        cv2.setNumThreads(threads)
