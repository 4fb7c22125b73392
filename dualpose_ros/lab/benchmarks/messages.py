"""The messages between the nodes: made, turned into bytes and back, and read, each step timed; `bench transport`."""

from collections.abc import Callable, Sequence
from typing import Any

from dualpose_ros.arrays import RgbImage
from dualpose_ros.camera import Camera
from dualpose_ros.heatmap import Heatmaps
from dualpose_ros.lab.benchmarks.stopwatch import Stopwatch
from dualpose_ros.people import Pose3D, Track

IMAGE_TAKERS = ("detection", "top-down", "bottom-up")


class Wire:
    """Carries what the stages exchange as the nodes do where each is a process of its own."""

    def __init__(self, camera: Camera) -> None:
        # Here, not at the top: importing anything from nodes puts rclpy, or what stands for it, in place.
        from dualpose_ros.nodes import convert, image_codec, wire
        from dualpose_ros.nodes.markers import MarkerStyle, SkeletonMarkers
        from dualpose_ros.standalone import messages

        from std_msgs.msg import Header  # isort: skip

        self._convert, self._codec, self._messages, self._bytes = convert, image_codec, messages, wire
        self._size, self._header = (camera.width, camera.height), Header(frame_id="camera")
        self._markers = SkeletonMarkers(MarkerStyle())

    def _carried(self, watch: Stopwatch, sender: str, takers: Sequence[str], what: str, message: Any) -> list[Any]:
        """What the takers get of a message of a sender."""
        data = watch.call(f"{sender}: {what} to bytes", lambda: self._messages.serialize(message))
        read: Callable[[], Any] = lambda: self._messages.deserialize(data, message.TYPE)  # noqa: E731
        return [watch.call(f"{taker}: {what} from bytes", read) for taker in takers]

    def image(self, watch: Stopwatch, frame: RgbImage) -> list[RgbImage]:
        """An image as each of IMAGE_TAKERS gets it."""
        cdr = watch.call("camera: image to bytes", lambda: self._bytes.image_to_bytes(frame, self._header))
        read: Callable[[], RgbImage] = lambda: self._codec.decode_image(self._bytes.ImageBytes.of(cdr))  # noqa: E731
        return [watch.call(f"{taker}: image from bytes", read) for taker in IMAGE_TAKERS]

    def tracks(self, watch: Stopwatch, tracks: list[Track]) -> list[Track]:
        """Tracks from the detector to the top-down node."""
        message = watch.call(
            "detection: tracks to message", lambda: self._convert.tracks_to_message(tracks, self._header)
        )
        (came,) = self._carried(watch, "detection", ("top-down",), "tracks", message)
        return watch.call("top-down: tracks from message", lambda: self._convert.tracks_from_message(came))

    def heatmaps(self, watch: Stopwatch, heatmaps: Heatmaps) -> Heatmaps:
        """Heatmaps from the top-down node to the bottom-up node."""
        convert = self._convert
        message = watch.call(
            "top-down: heatmaps to message", lambda: convert.heatmaps_to_message(heatmaps, self._header)
        )
        (came,) = self._carried(watch, "top-down", ("bottom-up",), "heatmaps", message)
        return watch.call("bottom-up: heatmaps from message", lambda: convert.heatmaps_from_message(came))

    def poses(self, watch: Stopwatch, sender: str, taker: str, poses: Sequence[Pose3D]) -> list[Pose3D]:
        """Poses from one node to the next."""
        codec, size = self._bytes, self._size
        data = watch.call(f"{sender}: poses to bytes", lambda: codec.poses_to_bytes(poses, self._header, size))
        return watch.call(f"{taker}: poses from bytes", lambda: codec.poses_from_bytes(data, finite=True))

    def markers(self, watch: Stopwatch, poses: Sequence[Pose3D]) -> None:
        """Markers of poses, as they are published."""
        watch.call("visualization: markers to bytes", lambda: self._markers.update(poses, self._header))
