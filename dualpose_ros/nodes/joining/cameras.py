"""What is known of the camera that an image was taken with, without waiting for the image's own CameraInfo."""

from collections import OrderedDict
from typing import Any, Generic, TypeVar

from dualpose_ros.camera import CameraError
from dualpose_ros.nodes.joining.stamps import StampRing

Item = TypeVar("Item")

_MOST_FRAMES = 8


class RecentCameras(Generic[Item]):
    """Cameras (or CameraInfos) by the stamp of their image; without one of its own, an image gets the newest.

    Intrinsics hardly ever change, so one image's are as good as the next one's, whenever they were sent. `capacity` of
    each frame are kept. An image of a frame that has none gets those of the only frame that has some: drivers name the
    frames of the two messages differently. Where time was set back, the newest is the one that came since.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = StampRing[Item](capacity).capacity
        self._cameras: OrderedDict[str, StampRing[Item]] = OrderedDict()
        self.borrowed = 0

    def add(self, stamp_ns: int, frame_id: str, camera: Item) -> None:
        """Take in the camera of an image."""
        self._cameras.setdefault(frame_id, StampRing(self._capacity)).add(stamp_ns, camera)
        self._cameras.move_to_end(frame_id)
        if len(self._cameras) > _MOST_FRAMES:
            self._cameras.popitem(last=False)

    def find(self, stamp_ns: int, frame_id: str) -> Item | None:
        """The camera of an image, or None if there was none yet; `borrowed` counts those that were another's."""
        ring = self._cameras.get(frame_id)
        if ring is None and len(self._cameras) == 1:
            ring = next(iter(self._cameras.values()))
        if ring is None:
            return None
        own = ring.get(stamp_ns)
        self.borrowed += own is None
        return ring.last() if own is None else own


class RecentInfos(RecentCameras[Any]):
    """CameraInfos as they come."""

    def of_image(self, stamp_ns: int, frame_id: str) -> Any | None:
        """As `find`, None where none has come yet, which is told of elsewhere; CameraError where all are of others."""
        info = self.find(stamp_ns, frame_id)
        if info is None and self._cameras:
            frames = ", ".join(f"'{name}'" for name in self._cameras)
            raise CameraError(f"no camera_info is of the image's frame '{frame_id}', but of {frames}: name them alike")
        return info

    def add_info(self, stamp_ns: int, info: Any) -> None:
        """Take in a CameraInfo of an image of this stamp."""
        self.add(stamp_ns, info.header.frame_id, info)
