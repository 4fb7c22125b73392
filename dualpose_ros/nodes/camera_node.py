"""A video file, a folder of images, a camera device or a stream as image_raw and camera_info.

Images are stamped with the node's clock when they are published. With `every_frame` they are stamped with their time in
the file, a second added, and each is held back until the graph has put out poses of those before, or a run has recorded
them. At the end of a file the node stays, and its diagnostic status says "finished" with the number of frames sent.
"""

import math
import time
from dataclasses import dataclass

from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from dualpose_ros.arrays import RgbImage
from dualpose_ros.camera import Camera, camera_from_hfov
from dualpose_ros.msg import MultiPersonPose3D
from dualpose_ros.nodes.base import (
    NUMBERS,
    RELIABILITY,
    RELIABLE,
    ImageNodeConfig,
    PipelineNode,
    StartupError,
    image_qos,
    run_node,
)
from dualpose_ros.nodes.convert import camera_to_info, ns_to_stamp
from dualpose_ros.nodes.joining.numbers import FRAME_NUMBER
from dualpose_ros.nodes.joining.pacing import RECORDED, AnsweredFrames
from dualpose_ros.nodes.wire import image_to_bytes, stamp_ns_of
from dualpose_ros.paths import user_path
from dualpose_ros.settings import setting
from dualpose_ros.sources.calibration import load_calibration
from dualpose_ros.sources.frames import FrameSource, open_source
from dualpose_ros.sources.source import ends_early, printable

FIRST_STAMP_NS = 1_000_000_000
"""Stamp of the first frame of a file whose every frame is worked on; zero would mean that there is none."""

_FRAMES_IN_WORK = 3
_ANSWER_TIMEOUT_S = 15.0
_LIVE_PERIOD_S, _WAIT_PERIOD_S, _ANSWER_PERIOD_S = 1e-3, 0.02, 0.2
_NO_WAIT_S, _LOOK_AFTER_S = 0.1, 0.3
"""A frame in work for less shows that all nodes are there, for one that died is not back so soon."""
_ENDS = ("dualpose/fused/poses3d", "humans/poses3d")


@dataclass(frozen=True)
class CameraNodeConfig(ImageNodeConfig):
    """Parameters of the camera node."""

    image_reliability: str = setting(
        "reliable", "QoS offered for image_raw and camera_info; reliable suits any subscriber", choices=RELIABILITY
    )
    source: str = setting(
        "", "video file, directory of images, camera device (index or /dev/videoN), stream (rtsp://, http://), pipeline"
    )
    calibration: str = setting("", "calibration file, camera_calibration's or another; this or hfov_deg is needed")
    hfov_deg: float = setting(
        0.0,
        "horizontal field of view of the first image, where there is no calibration",
        unit="degrees",
        least=0,
        below=180,
    )
    frame_id: str = setting("camera_optical_frame", "optical frame of the images (x right, y down, z forward)")
    fps: float = setting(
        0.0, "frame rate of the source; 0: what it states (a directory: 30)", unit="frames/s", least=0, most=1000
    )
    playback_rate: float = setting(
        1.0, "1: the source's own pace, 2: twice as fast, 0: as fast as it decodes", least=0, most=1000
    )
    loop: bool = setting(False, "start again at the end of a file")
    max_frames: int = setting(0, "frames after which it is finished; 0: all", unit="frames", least=0)
    wait_for_subscribers: int = setting(
        0, "hold the first frame until image_raw has this many subscribers", unit="subscribers", least=0, most=1000
    )
    wait_for_recorder: bool = setting(
        False, "with every_frame: a frame is done when a run has recorded its poses, not when they are published"
    )
    start_delay_s: float = setting(
        0.0, "how long to wait once there are enough subscribers", unit="s", least=0, most=3600
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.calibration and self.hfov_deg:
            raise ValueError("both calibration and hfov_deg are given; give one of them")


def camera_of(config: CameraNodeConfig, size: tuple[int, int], first: tuple[int, int] | None = None) -> Camera:
    """The camera of images of a width and height: by calibration file, rescaled where that is for another size, or by
    hfov, which is that of the source's first images.

    The camera of a portrait among landscapes, or the other way round, was turned: its hfov is then upright.
    """
    if config.calibration:
        return load_calibration(user_path(config.calibration), size)
    if config.hfov_deg:
        (width, height), (first_width, first_height) = size, first or size
        is_turned = (width - height) * (first_width - first_height) < 0
        if not is_turned:
            return camera_from_hfov(width, height, math.radians(config.hfov_deg))
        lying = camera_from_hfov(height, width, math.radians(config.hfov_deg))
        return Camera(width, height, lying.fx, lying.fy, lying.cy, lying.cx)
    raise StartupError("the camera is unknown: give a calibration file or hfov_deg, the horizontal field of view")


@dataclass(frozen=True)
class _Ready:
    """A file's image that was read, its time in the file, its own file's name where it is a picture, and how many
    before it could not be had."""

    image: RgbImage
    at_ns: int
    file: str
    left_out: int


class CameraNode(PipelineNode):
    """Publishes Image and CameraInfo at the source's pace, or at the graph's."""

    def __init__(self) -> None:
        super().__init__("camera_node", CameraNodeConfig)

    def configure(self) -> None:
        """Open the source, and make what it publishes with."""
        c: CameraNodeConfig = self.config
        self._source: FrameSource = open_source(c.source)
        self._shown, info = printable(c.source), self._source.info
        self.diagnostics.hardware_id = c.frame_id
        self._cameras = {(info.width, info.height): camera_of(c, (info.width, info.height))}
        self._fps = c.fps or info.fps
        self._images = self.create_publisher(Image, "image_raw", image_qos(c, depth=5))
        self._infos = self.create_publisher(CameraInfo, "camera_info", image_qos(c, depth=5))
        self._numbers = self.create_publisher(Header, FRAME_NUMBER, NUMBERS)
        camera = next(iter(self._cameras.values()))
        self.get_logger().info(
            f"{self._shown}: {info.width}x{info.height} at {self._fps:g} frames/s, "
            f"horizontal field of view {math.degrees(camera.hfov):.1f} degrees"
        )

    def activate(self) -> None:
        """Wait for subscribers, then play."""
        self._sent = self._read = self._left_out = 0
        self._offset_ns = self._offset_number = 0
        self._ready: _Ready | None = None
        self._started = 0.0
        self._in_work: AnsweredFrames | None = None
        self._listeners, self._node_is_back = 0, False
        if self.config.every_frame and not self._source.info.live:
            self._in_work = AnsweredFrames(_FRAMES_IN_WORK, _ANSWER_TIMEOUT_S)
            # A recorder that does not get to run for a while would lose what the graph goes on to publish.
            recorded = self.config.wait_for_recorder
            kind, topic = (Header, RECORDED) if recorded else (MultiPersonPose3D, "humans/poses3d")
            self.create_subscription(kind, topic, self.guarded(topic, self._on_answer), RELIABLE, raw=True)
        self._matched_at: float | None = None
        self._timer = self.create_timer(_WAIT_PERIOD_S, self._wait_for_subscribers)
        self._set_state("waiting for subscribers")

    def release(self) -> None:
        """Close the source."""
        source: FrameSource | None = getattr(self, "_source", None)
        if source is not None:
            source.close()

    def _wait_for_subscribers(self) -> None:
        count = self._images.get_subscription_count()
        ends = _ENDS if self._in_work is not None else ()
        if count < self.config.wait_for_subscribers or not all(self._count_of(topic) for topic in ends):
            self._matched_at = None
            self.get_logger().info(
                f"waiting for subscribers: {count} of {self.config.wait_for_subscribers}", throttle_duration_sec=5.0
            )
            return
        if self._matched_at is None:
            self._matched_at = time.monotonic()
            if self.config.start_delay_s:
                self._announce()
        if time.monotonic() - self._matched_at >= self.config.start_delay_s:
            self.destroy_timer(self._timer)
            self._play()

    def _announce(self) -> None:
        """Say the images' size ahead, without a stamp: nodes make what they need for it while the first is held."""
        camera = next(iter(self._cameras.values()))
        self._infos.publish(camera_to_info(camera, Header(frame_id=self.config.frame_id)))

    def _count_of(self, topic: str) -> int:
        """How many publish a topic: rclpy counts by the name as it is given, which may be remapped."""
        return int(self.count_publishers(self.resolve_topic_name(topic)))

    def _play(self) -> None:
        self._set_state("playing")
        self._prefetch()
        self._started = time.monotonic()
        if self._source.info.live:
            self._timer = self.create_timer(_LIVE_PERIOD_S, self.guarded("source", self._tick_live))
        elif self._in_work is not None:
            self._timer = self.create_timer(_ANSWER_PERIOD_S, self.guarded("source", self._send_what_fits))
            self._send_what_fits()
        else:
            self._timer = self.create_timer(_LIVE_PERIOD_S, self.guarded("source", self._tick_file))

    def _prefetch(self) -> None:
        """Decode a file's next frame ahead, so that decoding doesn't shift the pace."""
        self._ready = None
        if self._source.info.live or self._is_enough():
            return
        self._ready = self._next_readable()
        if self._ready is None and self.config.loop:
            self._offset_ns += self._source.time_ns + round(1e9 / self._fps)
            self._offset_number = self._read + self._left_out
            self._source.rewind()
            self._ready = self._next_readable()

    def _is_enough(self) -> bool:
        return bool(self.config.max_frames) and self._read >= self.config.max_frames

    def _next_readable(self) -> _Ready | None:
        """The next image that has a camera, past those that can't be had."""
        while True:
            try:
                image = self._source.read()
                if image is None:
                    return None
                self._camera_for(image)
            except ValueError as error:
                self._left_out += 1
                self.report(str(error))
                continue
            number = self._offset_number + self._source.number
            if (lost := number - self._read - self._left_out) > 0:
                self._left_out += lost
                self.report(f"{self._shown}: {self._left_out} frames can't be decoded so far, the last before {number}")
            at_ns = round(number * 1e9 / self._fps) if self.config.fps else self._offset_ns + self._source.time_ns
            self._read += 1
            return _Ready(image, at_ns, self._source.file, self._left_out)

    def _camera_for(self, image: RgbImage) -> Camera:
        height, width = image.shape[:2]
        if (width, height) not in self._cameras:
            self._cameras[width, height] = camera_of(self.config, (width, height), next(iter(self._cameras)))
        return self._cameras[width, height]

    def _tick_live(self) -> None:
        image = None if self._is_enough() else self._source.read()
        if image is None:
            self._finish()
            return
        self._read += 1
        self._publish(image, self.diagnostics.now_ns())

    def _tick_file(self) -> None:
        if self._ready is None:
            self._finish()
            return
        self._publish_next(self._ready, self.diagnostics.now_ns())
        self._prefetch()
        rate = self.config.playback_rate
        wait_s = 0.0
        if self._ready is not None and rate:
            wait_s = self._started + self._ready.at_ns * 1e-9 / rate - time.monotonic()
            # Behind by more than a frame, it does not run to catch up.
            if wait_s < -1 / (self._fps * rate):
                self._started -= wait_s
        self._timer.timer_period_ns = max(round(wait_s * 1e9), 1_000)
        self._timer.reset()

    def _send_what_fits(self) -> None:
        """Every frame in order, as many at once as the graph can be at work on."""
        assert self._in_work is not None
        now = time.monotonic()
        is_back = self._has_node_returned(now)
        for stamp_ns, image in self._in_work.all_again(now) if is_back else self._in_work.to_send_again(now):
            why = "a node is back, and the frame" if is_back else "no poses of the frame"
            self.report(f"{why} at {(stamp_ns - FIRST_STAMP_NS) * 1e-9:.3f} s{'' if is_back else ': it'} is sent again")
            self._publish(image, stamp_ns, again=True)
        while self._ready is not None and self._in_work.has_room(FIRST_STAMP_NS + self._ready.at_ns):
            stamp_ns = FIRST_STAMP_NS + self._ready.at_ns
            self._in_work.sent(stamp_ns, self._ready.image, time.monotonic())
            self._publish_next(self._ready, stamp_ns)
            self._prefetch()
        if self._ready is None and not len(self._in_work):
            self._finish()

    def _has_node_returned(self, now: float) -> bool:
        """Whether, while answers are waited for, a node was started: said a period later, when all have found it."""
        assert self._in_work is not None
        waited_s = self._in_work.longest_wait_s(now)
        if _NO_WAIT_S <= waited_s < _LOOK_AFTER_S:
            return False
        # Who takes images or camera_info, and fusion, which takes neither: those that died count until they are missed.
        count = self._images.get_subscription_count() + self._infos.get_subscription_count()
        count += self._count_of(_ENDS[0])
        returned = self._node_is_back and waited_s >= _LOOK_AFTER_S
        self._node_is_back = waited_s >= _LOOK_AFTER_S and count > self._listeners > 0
        self._listeners = count
        return returned

    def _on_answer(self, cdr: bytes) -> None:
        assert self._in_work is not None
        self._in_work.answered(stamp_ns_of(cdr))
        self.diagnostics.extra["frames_lost"] = str(self._in_work.lost)
        if self.diagnostics.state == "playing":
            self._send_what_fits()

    def _publish_next(self, ready: _Ready, stamp_ns: int) -> None:
        """A file's next frame, its number first."""
        said = f"{self._sent + ready.left_out} {ready.file}".rstrip()
        self._numbers.publish(Header(stamp=ns_to_stamp(stamp_ns), frame_id=said))
        self._publish(ready.image, stamp_ns)

    def _publish(self, image: RgbImage, stamp_ns: int, again: bool = False) -> None:
        header = Header(stamp=ns_to_stamp(stamp_ns), frame_id=self.config.frame_id)
        self._infos.publish(camera_to_info(self._camera_for(image), header))
        self._images.publish(image_to_bytes(image, header))
        self._sent += not again
        self.diagnostics.extra.update(frames_sent=str(self._sent), frames_left_out=str(self._left_out))
        self.diagnostics.frame(stamp_ns)

    def _finish(self) -> None:
        self.destroy_timer(self._timer)
        if not self._is_enough() and not self._source.info.live and ends_early(self._source):
            expected = self._source.info.count
            self.report(f"{self._shown} ended after {self._sent} of {expected} frames: the file is damaged")
        self._source.close()
        self._set_state("finished")
        left_out = f", {self._left_out} left out" if self._left_out else ""
        self.get_logger().info(f"finished: {self._sent} frames sent{left_out}")

    def _set_state(self, state: str) -> None:
        self.diagnostics.state = state
        self.diagnostics.extra.update(state=state, frames_sent=str(self._sent), frames_left_out=str(self._left_out))
        self.diagnostics.publish()


def main() -> int:
    """Run the node; the exit code of its process."""
    return run_node(CameraNode)
