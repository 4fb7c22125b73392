"""The live view while it runs: what is logged goes into view.rrd and to whoever has the page open."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rerun as rr

from dualpose_ros.arrays import RgbImage
from dualpose_ros.camera import Camera, Ground
from dualpose_ros.errors import InputError
from dualpose_ros.people import Pose3D
from dualpose_ros.view import scene
from dualpose_ros.view.page import HOST, Page, check_ports, page_url

_KEPT_FOR_LATECOMERS = "256MiB"


class LiveView:
    """A recording of what is seen, served while it is made. Times are the images' stamps."""

    def __init__(
        self, web_port: int | None, save_to: Path | None, ground: Ground | None = None, save_limit_mb: float = np.inf
    ) -> None:
        """Serve the page at a port and its data at the next one, and write the file `save_to`; either may be None.

        A file that has reached `save_limit_mb` is finished, and `full` from then on; the page goes on.
        InputError for a port that is taken, or a file that can't be written.
        """
        self.full = False
        self._file, self._limit = save_to, save_limit_mb * 1e6
        self.url = ""
        self._page: Page | None = None
        self._tracks: set[int] = set()
        self._camera: Camera | None = None
        # One for the page and one for the file, so that either ends by itself.
        self._recordings: list[rr.RecordingStream] = []
        if web_port is not None:
            # rerun reports a taken port only in its log.
            check_ports(web_port)
            self._page = Page(web_port)
            self._record(rr.GrpcServerSink(HOST, web_port + 1, server_memory_limit=_KEPT_FOR_LATECOMERS))
            self.url = page_url(web_port)
        try:
            if save_to is not None:
                save_to.parent.mkdir(parents=True, exist_ok=True)
                self._record(rr.FileSink(save_to))
        except (OSError, RuntimeError) as error:
            self._end_page()
            raise InputError(f"{save_to} can't be written: {error}") from None
        self._log(scene.axes(), static=True)
        if ground is not None:
            self._log(scene.ground_grid(ground), static=True)

    def _record(self, sink: rr.FileSink | rr.GrpcServerSink) -> None:
        recording = rr.RecordingStream("dualpose_ros")
        recording.set_sinks(sink, default_blueprint=scene.layout())
        self._recordings.append(recording)

    def add_people(self, stamp_ns: int, poses: Sequence[Pose3D], min_score: float) -> None:
        """Show the people of an image; see `scene.people`."""
        self._at(stamp_ns)
        for pose in poses:
            if pose.track_id not in self._tracks:
                self._tracks.add(pose.track_id)
                self._log(scene.depth_curve(pose.track_id), static=True)
        self._log(scene.people(poses, min_score))

    def add_image(self, stamp_ns: int, pixels: RgbImage, jpeg_quality: int) -> None:
        """Show an image."""
        self._at(stamp_ns)
        self._log(scene.image(pixels, jpeg_quality))
        if self._file is not None and not self.full and self._file.stat().st_size > self._limit:
            self.full = True
            _finish(self._recordings.pop())

    def add_camera(self, stamp_ns: int, camera: Camera) -> None:
        """Show the camera's frustum, where it is another than before."""
        if camera != self._camera:
            self._camera = camera
            self._at(stamp_ns)
            self._log(scene.camera(camera))

    def add_ground(self, stamp_ns: int, ground: Ground) -> None:
        """Show where the ground is from then on."""
        self._at(stamp_ns)
        self._log(scene.ground_grid(ground))

    def add_latencies(self, stamp_ns: int, node: str, values: dict[str, str]) -> None:
        """Show how long a node takes; see `scene.latencies`."""
        self._at(stamp_ns)
        self._log(scene.latencies(node, values))

    def close(self) -> None:
        """Finish the file, and serve no longer."""
        while self._recordings:
            _finish(self._recordings.pop())
        self._end_page()

    def _end_page(self) -> None:
        if self._page is not None:
            self._page.close()

    def _at(self, stamp_ns: int) -> None:
        for recording in self._recordings:
            recording.set_time(scene.TIMELINE, timestamp=np.datetime64(stamp_ns, "ns"))

    def _log(self, found: scene.Archetypes, *, static: bool = False) -> None:
        for path, archetype in found.items():
            for recording in self._recordings:
                recording.log(path, archetype, static=static)


def _finish(recording: rr.RecordingStream) -> None:
    recording.flush()
    recording.disconnect()
