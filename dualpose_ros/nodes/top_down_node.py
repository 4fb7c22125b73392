"""Poses from patches around tracked people: image, camera_info and detections -> poses3d, heatmaps.

Image and detections are joined by exact stamp, and the newest camera_info serves. Only the newest detections are
waited for, so a node that falls behind skips frames instead of lagging.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

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
    PERSON_CLASS,
    camera_for_image,
    camera_text,
    heatmaps_to_message,
    left_out_classes,
    stamp_to_ns,
    tracks_from_message,
)
from dualpose_ros.nodes.image_codec import decode_image
from dualpose_ros.nodes.inputs.alone import OnePublisher
from dualpose_ros.nodes.inputs.worked import WorkedImages
from dualpose_ros.nodes.joining.cameras import RecentInfos
from dualpose_ros.nodes.joining.cuts import CUTS, CutTimes
from dualpose_ros.nodes.joining.join import StampJoin
from dualpose_ros.nodes.wire import poses_to_bytes
from dualpose_ros.settings import SettingError, setting
from dualpose_ros.sources.pictures import IntensityRange
from dualpose_ros.top_down.stage import TopDownConfig, TopDownStage

_WARM_UP_S = 0.5


@dataclass(frozen=True)
class TopDownNodeConfig(ImageNodeConfig):
    """Parameters of the node itself; those of the stage are the fields of TopDownConfig."""

    image_transport: str = image_transport()
    sync_queue_size: int = sync_queue_size("images kept until their detections arrive")
    rectified: bool = rectified()
    person_classes: tuple[str, ...] = setting((PERSON_CLASS,), "class ids of detections that are people", live=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.person_classes:
            raise SettingError("person_classes", "is empty; nobody would be a person")


class TopDownNode(PipelineNode):
    """Image, CameraInfo and Detection2DArray in; MultiPersonPose3D and Heatmaps out."""

    def __init__(self) -> None:
        super().__init__("top_down_node", TopDownNodeConfig, TopDownConfig)

    def configure(self) -> None:
        """Load the networks, and make what it publishes with."""
        self._stage = TopDownStage(self.stage_configs[0])
        self._poses = self.create_publisher(MultiPersonPose3D, "dualpose/top_down/poses3d", RELIABLE)
        self._heatmaps = self.create_publisher(Heatmaps, "dualpose/top_down/heatmaps", RELIABLE)

    def activate(self) -> None:
        """Take in what it works on."""
        self._join = StampJoin(("image", "detections"), self.config.sync_queue_size)
        self._cameras = RecentInfos(self.config.sync_queue_size)
        images = image_qos(self.config, depth=min(self.config.sync_queue_size, 10))
        newest = newest_qos(self.config)
        self._cuts = CutTimes()
        self.take_stamps(Header, CUTS, self._cuts.add, RELIABLE)
        self._intensities = IntensityRange()
        WorkedImages(self, self._receiver("image"), images)
        self.take_camera_info(self._cameras.add_info, images.reliability)
        topic = "dualpose/detections"
        self.create_subscription(Detection2DArray, topic, self.guarded(topic, self._receiver("detections")), newest)
        OnePublisher(self, topic, "tracks of both mix; autostart: false of detection_node leaves ours out")
        self._warming = self.create_timer(_WARM_UP_S, self.guarded("warm-up", self._warm_up))

    def _warm_up(self) -> None:
        """A little at a time, after the first frames: a node that was started again should answer at once."""
        if not self._stage.warm_up():
            self.destroy_timer(self._warming)

    def _receiver(self, name: str) -> Callable[[Any], None]:
        def receive(message: Any) -> None:
            if name == "detections" and self.answers_again(message.header):
                return
            joined = self._join.add(name, stamp_to_ns(message.header.stamp), message)
            if joined is not None:
                self._on_frame(joined["image"], joined["detections"])

        return receive

    def _on_frame(self, image_message: Any, detections: Any) -> None:
        header = image_message.header
        info = self._cameras.of_image(stamp_to_ns(header.stamp), header.frame_id)
        if info is None:
            return
        time_ns = self.time_of(header)
        stage_ns = self._cuts.stage_ns(stamp_to_ns(header.stamp), time_ns)
        image = decode_image(image_message, self._intensities)
        camera = camera_for_image(info, image, self.config.rectified)
        people = self.config.person_classes
        tracks = tracks_from_message(detections, people)
        if others := left_out_classes(detections, people):
            told = f"detections are of class {', '.join(others)}, none of {', '.join(people)}: all are left out"
            self._warn_once(f"{told}; person_classes says what people are called")

        def send(heatmaps: Any) -> None:
            """At once: the bottom-up branch waits for them, and works while poses are read here."""
            if self.config.every_frame or self._heatmaps.get_subscription_count():
                self.answer(header, (self._heatmaps, heatmaps_to_message(heatmaps, header)))

        result = self.diagnostics.timed(self._stage.process, image, stage_ns, camera, tracks, send)
        self.answer(header, (self._poses, poses_to_bytes(result.persons, header, (camera.width, camera.height))))
        self.diagnostics.frame(time_ns)
        self.diagnostics.extra = {"late_inputs": str(self._join.late), "persons": str(len(result.persons))}
        self.diagnostics.extra["camera"] = camera_text(camera)


def main() -> int:
    """Run the node; the exit code of its process."""
    return run_node(TopDownNode)
