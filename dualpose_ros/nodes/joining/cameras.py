"""The camera that an image was taken with, for nodes that must not wait for a CameraInfo that may be lost."""

from __future__ import annotations

from dualpose_ros.camera import Camera
from dualpose_ros.nodes.stamps import StampRing


class RecentCameras:
    """Cameras by the stamp of their image; where a stamp's own is missing, the last of the same frame stands in.

    Intrinsics hardly ever change, so one image's are as good as the next one's. `capacity` cameras of each frame are
    kept; where time was set back, the last is the one that came since.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = StampRing[Camera](capacity).capacity
        self._cameras: dict[str, StampRing[Camera]] = {}
        self.borrowed = 0

    def add(self, stamp_ns: int, frame_id: str, camera: Camera) -> None:
        """Take in the camera of an image."""
        self._cameras.setdefault(frame_id, StampRing(self._capacity)).add(stamp_ns, camera)

    def find(self, stamp_ns: int, frame_id: str) -> Camera | None:
        """The camera of an image, or None if there was none of that frame yet; `borrowed` counts another image's."""
        ring = self._cameras.get(frame_id)
        if ring is None:
            return None
        own = ring.get(stamp_ns)
        self.borrowed += own is None
        return ring.last() if own is None else own
