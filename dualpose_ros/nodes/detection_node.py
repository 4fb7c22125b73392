"""Finds and tracks people: image_raw -> dualpose/detections.

Only the newest image is processed, never a backlog: the subscription keeps one frame, and
what arrives while the detector runs replaces it. So this node decides which frames the
whole graph works on, and passes their images on; it listens to the graph's output, and starts no more than the graph
keeps up with.
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from dualpose_ros.detection.stage import DetectionConfig, DetectionStage, create_detector
from dualpose_ros.nodes.base import (
    RELIABLE,
    SENSOR_DATA,
    ImageNodeConfig,
    PipelineNode,
    image_qos,
    image_transport,
    run_node,
)
from dualpose_ros.nodes.convert import image_size_of, stamp_to_ns, tracks_to_message
from dualpose_ros.nodes.image_codec import decode_image
from dualpose_ros.nodes.inputs.alone import OnePublisher
from dualpose_ros.nodes.inputs.worked import PassedOn
from dualpose_ros.nodes.joining.cuts import CUTS
from dualpose_ros.nodes.joining.pacing import AUTO, Pacer
from dualpose_ros.nodes.joining.stamps import UNSET_NS
from dualpose_ros.nodes.wire import stamp_ns_of
from dualpose_ros.settings import setting
from dualpose_ros.sources.pictures import IntensityRange

# How soon a frame that has timed out makes room for another, where no image comes to ask.
_TICK_S = 0.05
_MOST_PIXELS = 1 << 26
_STAMPS_STAND = 10
"""So many images in a row are no copies that came late: their sender's stamps stand still, or go backwards."""


@dataclass(frozen=True)
class DetectionNodeConfig(ImageNodeConfig):
    """Parameters of the node itself; those of the stage are the fields of DetectionConfig."""

    image_transport: str = image_transport()
    max_rate_hz: float = setting(
        0.0,
        "most frames a second that the graph works on; 0: as many as it can",
        unit="Hz",
        least=0,
        most=1000,
        live=True,
    )
    max_frames_in_flight: int = setting(
        AUTO,
        "most frames that the graph has in work at once; -1: as many as raise the frame rate, 0: as many as come",
        unit="frames",
        least=AUTO,
        most=1000,
    )
    in_flight_timeout_s: float = setting(
        0.5, "time without any output until the graph is not waited for, until some comes", unit="s", above=0, most=600
    )
    cuts: str = setting(
        "auto",
        "start everything anew where a film cuts to another shot; auto: in files that `dualpose run` or "
        "`demo.launch.py` plays, not for cameras and topics",
        choices=("auto", "always", "never"),
    )


class RateLimit:
    """Lets through at most `rate` frames a second by their stamps; all of them for rate 0."""

    # A stream at exactly the limit must pass whole although its stamps jitter.
    _SLACK = 0.1

    def __init__(self, rate: float) -> None:
        self._last_ns: int | None = None
        self.set_rate(rate)

    def set_rate(self, rate: float) -> None:
        """Change the rate from now on."""
        self._period_ns = 1e9 / rate if rate else 0.0

    def admits(self, stamp_ns: int) -> bool:
        """Whether the frame stamped `stamp_ns` is to be processed; time set back starts anew."""
        if self._last_ns is not None:
            elapsed = stamp_ns - self._last_ns
            if 0 <= elapsed < self._period_ns * (1 - self._SLACK):
                return False
        self._last_ns = stamp_ns
        return True


class DetectionNode(PipelineNode):
    """Image in, Detection2DArray with track ids out; the graph's MultiPersonPose3D says when there is room."""

    def __init__(self) -> None:
        super().__init__("detection_node", DetectionNodeConfig, DetectionConfig)

    def configure(self) -> None:
        """Load the networks, and make what it publishes with."""
        cuts = self.config.cuts
        watches_cuts = cuts == "always" or (cuts == "auto" and self.config.every_frame)
        self._detector = create_detector(self.stage_configs[0])
        self._stage = DetectionStage(self.stage_configs[0], self._detector, watches_cuts)
        self._publisher = self.create_publisher(Detection2DArray, "dualpose/detections", RELIABLE)
        self._cuts_publisher = self.create_publisher(Header, CUTS, RELIABLE) if watches_cuts else None
        self._num_cuts = 0
        self._passed_on = PassedOn(self)

    def activate(self) -> None:
        """Take in what it works on."""
        self._limit = RateLimit(self.config.max_rate_hz)
        every = self.config.every_frame
        self._pacer = Pacer(0 if every else self.config.max_frames_in_flight, self.config.in_flight_timeout_s)
        self._intensities = IntensityRange()
        self.take_images(self._on_image, image_qos(self.config, depth=1))
        OnePublisher(self, self._image_topic(), "several cameras' images are taken for one's; give each its topic")
        topic = "camera_info"
        self._infos: Any = self.create_subscription(CameraInfo, topic, self.guarded(topic, self._on_info), SENSOR_DATA)
        if self.config.max_frames_in_flight and not every:
            self.take_poses("humans/poses3d", self._on_output)
            self.create_timer(_TICK_S, self.guarded("image", self._work))

    def reconfigured(self) -> None:
        """A new rate holds from the next image on."""
        super().reconfigured()
        if self.state == "active":
            self._limit.set_rate(self.config.max_rate_hz)

    def _on_info(self, info: Any) -> None:
        """One without a stamp says before any image how large they will be, so that none waits for a network's plan."""
        if self._infos is None:
            return
        self.destroy_subscription(self._infos)
        self._infos = None
        width, height = image_size_of(info)
        if stamp_to_ns(info.header.stamp) == UNSET_NS and 0 < width * height <= _MOST_PIXELS:
            self._detector(np.zeros((height, width, 3), np.uint8))

    def _on_image(self, message: Any) -> None:
        if self.config.every_frame:
            if not self.answers_again(message.header):
                self._process(message)
            return
        self._pacer.offer(stamp_to_ns(message.header.stamp), message)
        if (late := self._pacer.late_in_a_row) >= _STAMPS_STAND:
            self.report(
                f"{late} images in a row are stamped no later than one before: left out, as copies of it would be"
            )
        self._work()

    def _on_output(self, poses: bytes) -> None:
        self._pacer.came_out(stamp_ns_of(poses), time.monotonic())
        self._work()

    def _work(self) -> None:
        message = self._pacer.take(time.monotonic())
        if message is not None and self._limit.admits(self.time_of(message.header)):
            # First, for those behind take it in while people are looked for.
            self._passed_on.send(message)
            self._process(message)

    def _process(self, message: Any) -> None:
        time_ns = self.time_of(message.header)
        tracks = self.diagnostics.timed(self._stage.process, decode_image(message, self._intensities), time_ns)
        self._pacer.started(stamp_to_ns(message.header.stamp), time.monotonic())
        if self._cuts_publisher is not None and self._stage.is_cut:
            # First: whoever takes detections should know by then.
            self.answer(message.header, (self._cuts_publisher, message.header))
            self._num_cuts += 1
        self.answer(message.header, (self._publisher, tracks_to_message(tracks, message.header)))
        self.diagnostics.frame(time_ns)
        counts = {"timed_out": self._pacer.timed_out, "late_images": self._pacer.late}
        counts |= {"max_frames_in_flight": self._pacer.limit, "cuts": self._num_cuts}
        self.diagnostics.extra = {name: str(count) for name, count in counts.items()}


def main() -> int:
    """Run the node; the exit code of its process."""
    return run_node(DetectionNode)
