"""A video file, a directory of images or a camera device as image_raw and camera_info.

Images are stamped with the node's clock when they are published. At the end of a file the
node stays, and its diagnostic status says "finished" with the number of frames sent.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from dualpose_ros.arrays import RgbImage
from dualpose_ros.camera import Camera, camera_from_hfov
from dualpose_ros.nodes.base import RELIABILITY, ImageNodeConfig, PipelineNode, StartupError, image_qos, run_node
from dualpose_ros.nodes.convert import camera_to_info, stamp_to_ns
from dualpose_ros.nodes.image_codec import encode_image
from dualpose_ros.settings import setting
from dualpose_ros.sources.calibration import load_calibration
from dualpose_ros.sources.frames import FrameSource, SourceError, SourceInfo, open_source


@dataclass(frozen=True)
class CameraNodeConfig(ImageNodeConfig):
    """Parameters of the camera node."""

    image_reliability: str = setting(
        "reliable", "QoS offered for image_raw and camera_info; reliable suits any subscriber", choices=RELIABILITY
    )
    source: str = setting("", "video file, directory of images, or camera device (index or /dev/videoN)")
    calibration: str = setting("", "calibration YAML in camera_calibration's format; this or hfov_deg is needed")
    hfov_deg: float = setting(
        0.0, "horizontal field of view, where there is no calibration", unit="degrees", least=0, below=180
    )
    frame_id: str = setting("camera_optical_frame", "optical frame of the images (x right, y down, z forward)")
    fps: float = setting(
        0.0, "frame rate of the source; 0: what it states (a directory: 30)", unit="frames/s", least=0, most=1000
    )
    playback_rate: float = setting(
        1.0, "1: the source's own pace, 2: twice as fast, 0: as fast as it decodes", least=0, most=1000
    )
    loop: bool = setting(False, "start again at the end of a file")
    wait_for_subscribers: int = setting(
        0, "hold the first frame until image_raw has this many subscribers", unit="subscribers", least=0, most=1000
    )
    start_delay_s: float = setting(
        0.0, "how long to wait once there are enough subscribers", unit="s", least=0, most=3600
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.calibration and self.hfov_deg:
            raise ValueError("both calibration and hfov_deg are given; give one of them")


def camera_of(config: CameraNodeConfig, info: SourceInfo) -> Camera:
    """The source's camera: by calibration file, rescaled if the image has another resolution, or by hfov."""
    if config.calibration:
        camera = load_calibration(Path(config.calibration).expanduser())
        if (camera.width, camera.height) == (info.width, info.height):
            return camera
        if abs(camera.width * info.height - camera.height * info.width) > 0.01 * camera.width * info.height:
            raise StartupError(
                f"calibration {config.calibration} is for {camera.width}x{camera.height}; "
                f"the source has {info.width}x{info.height}, another aspect ratio"
            )
        return camera.resized(info.width, info.height)
    if config.hfov_deg:
        return camera_from_hfov(info.width, info.height, math.radians(config.hfov_deg))
    raise StartupError("the camera is unknown: give a calibration file or hfov_deg, the horizontal field of view")


class CameraNode(PipelineNode):
    """Publishes Image and CameraInfo at the source's pace."""

    def __init__(self) -> None:
        super().__init__("camera_node", CameraNodeConfig)
        self._source: FrameSource = open_source(self.config.source)
        info = self._source.info
        self._camera = camera_of(self.config, info)
        self._fps = self.config.fps or info.fps
        self._images = self.create_publisher(Image, "image_raw", image_qos(self.config, depth=5))
        self._infos = self.create_publisher(CameraInfo, "camera_info", image_qos(self.config, depth=5))
        self._sent = 0
        self._ready: RgbImage | None = None
        self._matched_at: float | None = None
        self._poll = self.create_timer(0.02, self._wait_for_subscribers)
        self._ticks = None
        self._set_state("waiting for subscribers")
        self.get_logger().info(
            f"{self.config.source}: {info.width}x{info.height} at {self._fps:g} frames/s, "
            f"horizontal field of view {math.degrees(2 * math.atan2(info.width / 2, self._camera.fx)):.1f} degrees"
        )

    def _wait_for_subscribers(self) -> None:
        count = self._images.get_subscription_count()
        if count < self.config.wait_for_subscribers:
            self._matched_at = None
            self.get_logger().info(
                f"waiting for subscribers: {count} of {self.config.wait_for_subscribers}", throttle_duration_sec=5.0
            )
            return
        if self._matched_at is None:
            self._matched_at = time.monotonic()
        if time.monotonic() - self._matched_at >= self.config.start_delay_s:
            self.destroy_timer(self._poll)
            self._play()

    def _play(self) -> None:
        self._set_state("playing")
        self._prefetch()
        live = self._source.info.live
        unpaced = live or self.config.playback_rate == 0
        period_s = 1e-3 if unpaced else 1 / (self._fps * self.config.playback_rate)
        self._ticks = self.create_timer(period_s, self._tick)

    def _prefetch(self) -> None:
        """Decode a file's next frame ahead, so that decoding doesn't shift the pace."""
        if self._source.info.live:
            return
        self._ready = self._next_readable()
        if self._ready is None and self.config.loop:
            self._source.rewind()
            self._ready = self._next_readable()

    def _next_readable(self) -> RgbImage | None:
        """The next image, past those that can't be read; None at the end."""
        while True:
            try:
                return self._source.read()
            except SourceError as error:
                self.report(str(error))

    def _tick(self) -> None:
        image = self._source.read() if self._source.info.live else self._ready
        if image is None:
            self._finish()
            return
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self.config.frame_id)
        self._infos.publish(camera_to_info(self._camera, header))
        self._images.publish(encode_image(image, header))
        self._sent += 1
        self.diagnostics.extra["frames_sent"] = str(self._sent)
        self.diagnostics.frame(stamp_to_ns(header.stamp))
        self._prefetch()

    def _finish(self) -> None:
        self.destroy_timer(self._ticks)
        expected = self._source.info.count
        if self._source.info.live:
            self.report(f"camera device {self.config.source} gives no more images")
        elif expected is not None and not self.config.loop and self._sent < 0.9 * expected:
            self.report(f"{self.config.source} ended after {self._sent} of {expected} frames: the file is damaged")
        self._source.close()
        self._set_state("finished")
        self.get_logger().info(f"finished: {self._sent} frames sent")

    def _set_state(self, state: str) -> None:
        self.diagnostics.state = state
        self.diagnostics.extra.update(state=state, frames_sent=str(self._sent))
        self.diagnostics.publish()


def main(args: Sequence[str] | None = None) -> int:
    """Run the node; the exit code of its process."""
    return run_node(CameraNode, args)


if __name__ == "__main__":
    sys.exit(main())
