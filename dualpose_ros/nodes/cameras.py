"""The camera that an image was taken with, for nodes that must not wait for a CameraInfo that may be lost."""

from __future__ import annotations

from collections import OrderedDict

from dualpose_ros.camera import Camera


class RecentCameras:
    """Cameras by the stamp of their image; where a stamp's own is missing, the newest of the same frame stands in.

    Intrinsics hardly ever change, so one image's are as good as the next one's.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"a memory of cameras needs a capacity of at least 1, not {capacity}")
        self._cameras: OrderedDict[tuple[str, int], Camera] = OrderedDict()
        self._newest: dict[str, Camera] = {}
        self._capacity = capacity
        self.borrowed = 0

    def add(self, stamp_ns: int, frame_id: str, camera: Camera) -> None:
        """Take in the camera of an image."""
        self._newest[frame_id] = camera
        self._cameras[frame_id, stamp_ns] = camera
        self._cameras.move_to_end((frame_id, stamp_ns))
        if len(self._cameras) > self._capacity:
            self._cameras.popitem(last=False)

    def find(self, stamp_ns: int, frame_id: str) -> Camera | None:
        """The camera of an image, or None if there was none of that frame yet; `borrowed` counts another image's."""
        camera = self._cameras.get((frame_id, stamp_ns))
        if camera is not None:
            return camera
        camera = self._newest.get(frame_id)
        self.borrowed += camera is not None
        return camera
