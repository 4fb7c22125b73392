"""Poses of everybody in the whole image: image, camera_info, detections and heatmaps -> poses3d.

Images, detections and heatmaps are joined by exact stamp, and the newest camera_info serves. Of the detections only
the stamps matter: they say which frames the graph works on. Where heatmaps are late it does without, and where the
detector is silent it takes the newest image by itself. It never queues: the newest frame wins.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vision_msgs.msg import Detection2DArray

from dualpose_ros.bottom_up.stage import BottomUpConfig, BottomUpStage
from dualpose_ros.msg import Heatmaps, MultiPersonPose3D
from dualpose_ros.nodes.base import (
    RELIABLE,
    ImageNodeConfig,
    PipelineNode,
    image_qos,
    image_transport,
    newest_qos,
    rectified,
    run_node,
    sync_queue_size,
)
from dualpose_ros.nodes.convert import (
    MessageError,
    camera_for_image,
    camera_from_info,
    camera_text,
    heatmaps_from_message,
    stamp_to_ns,
)
from dualpose_ros.nodes.image_codec import decode_image
from dualpose_ros.nodes.inputs.worked import WorkedImages
from dualpose_ros.nodes.joining.cameras import RecentInfos
from dualpose_ros.nodes.joining.guided import DETECTIONS, HEATMAPS, IMAGE, GuidedFrame, GuidedFrames
from dualpose_ros.nodes.wire import poses_to_bytes
from dualpose_ros.settings import setting
from dualpose_ros.skeleton import H36M17
from dualpose_ros.sources.pictures import IntensityRange

# Long enough for messages that came during a frame's work to be served before anything counts as overdue.
_TICK_S = 0.05
# An overloaded machine lacks heatmaps every few seconds.
_TELL_S = 30.0


@dataclass(frozen=True)
class BottomUpNodeConfig(ImageNodeConfig):
    """Parameters of the node itself; those of the stage are the fields of BottomUpConfig."""

    image_transport: str = image_transport()
    sync_queue_size: int = sync_queue_size("images kept until their detections and heatmaps arrive")
    rectified: bool = rectified()
    max_wait_s: float = setting(
        0.15, "how long, after its detections, a frame waits while no heatmaps come", unit="s", above=0, most=10
    )
    give_up_after_frames: int = setting(
        3, "frames in a row without heatmaps until none waits, until some come", unit="frames", least=1, most=1000
    )
    detector_timeout_s: float = setting(
        1.0, "time without detections after which it takes the newest images by itself", unit="s", above=0, most=600
    )
    max_rate_without_detector_hz: float = setting(
        5.0, "most frames a second that it takes by itself", unit="Hz", above=0, most=1000
    )


class BottomUpNode(PipelineNode):
    """Image, CameraInfo, Detection2DArray and Heatmaps in; MultiPersonPose3D out."""

    def __init__(self) -> None:
        super().__init__("bottom_up_node", BottomUpNodeConfig, BottomUpConfig)

    def configure(self) -> None:
        """Load the networks, and make what it publishes with."""
        self._stage = BottomUpStage(self.stage_configs[0])
        self._poses = self.create_publisher(MultiPersonPose3D, "dualpose/bottom_up/poses3d", RELIABLE)

    def activate(self) -> None:
        """Take in what it works on."""
        c = self.config
        self._frames = GuidedFrames(
            c.sync_queue_size,
            c.max_wait_s,
            c.detector_timeout_s,
            c.max_rate_without_detector_hz,
            time.monotonic(),
            c.give_up_after_frames,
            c.every_frame,
        )
        self._cameras = RecentInfos(c.sync_queue_size)
        self._is_prepared = False
        self._counts = {"guided": 0, "unguided": 0}
        self._without = 0
        images = image_qos(c, depth=min(c.sync_queue_size, 10))
        newest = newest_qos(self.config)
        self._intensities = IntensityRange()
        WorkedImages(self, self._receiver(IMAGE), images)
        self.take_camera_info(self._on_info, images.reliability)
        self.take_stamps(Detection2DArray, "dualpose/detections", lambda stamp: self._add(DETECTIONS, stamp), newest)
        topic = "dualpose/top_down/heatmaps"
        receive = self._receiver(HEATMAPS, _joint_heatmaps)
        self.create_subscription(Heatmaps, topic, self.guarded(topic, receive), newest)
        self._timer = self.create_timer(_TICK_S, self.guarded("frame", lambda: self._work(overdue=True)))

    def _receiver(self, name: str, read: Callable[[Any], Any] = lambda message: message) -> Callable[[Any], None]:
        def receive(message: Any) -> None:
            if name == HEATMAPS and self.answers_again(message.header):
                return
            self._add(name, stamp_to_ns(message.header.stamp), read(message))

        return receive

    def _add(self, name: str, stamp_ns: int, item: Any = None) -> None:
        self._frames.add(name, stamp_ns, item, time.monotonic())
        self._work(overdue=False)

    def _on_info(self, stamp_ns: int, info: Any) -> None:
        self._cameras.add_info(stamp_ns, info)
        if not self._is_prepared:
            self._is_prepared = True
            camera = camera_from_info(info, self.config.rectified)
            self._stage.prepare(camera.width, camera.height)

    def _work(self, overdue: bool) -> None:
        frame = self._frames.take(time.monotonic(), overdue)
        if frame is None:
            return
        try:
            self._process(frame)
        finally:
            self._timer.reset()

    def _process(self, frame: GuidedFrame) -> None:
        header = frame.image.header
        info = self._cameras.of_image(frame.stamp_ns, header.frame_id)
        if info is None:
            return
        time_ns = self.time_of(header)
        image = decode_image(frame.image, self._intensities)
        camera = camera_for_image(info, image, self.config.rectified)
        result = self.diagnostics.timed(self._stage.process, image, time_ns, camera, frame.heatmaps)
        self.answer(header, (self._poses, poses_to_bytes(result.persons, header, (camera.width, camera.height))))
        self.diagnostics.frame(time_ns)
        self._counts["guided" if result.guided else "unguided"] += 1
        self._tell_of_guidance(result.guided, "no heatmaps" if frame.asked else "no detections")
        counts = {name: str(count) for name, count in self._counts.items()}
        late = str(self._frames.late_heatmaps)
        self.diagnostics.extra = {**counts, "late_heatmaps": late, "persons": str(len(result.persons))}
        self.diagnostics.extra["camera"] = camera_text(camera)

    def _tell_of_guidance(self, guided: bool, why: str) -> None:
        """Say when heatmaps are gone for good, and when they are back; a busy machine lacks some now and then."""
        limit = self.config.give_up_after_frames
        if guided and self._without >= limit:
            self.get_logger().info("heatmaps come again", throttle_duration_sec=_TELL_S)
        self._without = 0 if guided else self._without + 1
        if self._without == limit:
            text = f"{why} for {limit} frames in a row: works without heatmaps until some come"
            self.get_logger().warning(text, throttle_duration_sec=_TELL_S)


def _joint_heatmaps(message: Any) -> Any:
    """Heatmaps of a message; MessageError if their channels are not the skeleton's joints."""
    heatmaps = heatmaps_from_message(message)
    if heatmaps.channels != H36M17.joint_names:
        raise MessageError(f"Heatmaps has the channels {', '.join(heatmaps.channels)}; needed are {H36M17.name}'s")
    return heatmaps


def main() -> int:
    """Run the node; the exit code of its process."""
    return run_node(BottomUpNode)
