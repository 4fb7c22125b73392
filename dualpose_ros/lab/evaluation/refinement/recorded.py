"""What a run recorded beside poses: the messages of its MCAP, and its cameras."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dualpose_ros.camera import Camera
from dualpose_ros.errors import InputError
from dualpose_ros.runs.refinement_settings import kept_refinement_settings
from dualpose_ros.sources.calibration import load_calibration

RUN = "poses.mcap"
INFO = "sensor_msgs/msg/CameraInfo"


@dataclass(frozen=True)
class Cameras:
    """The cameras of a run's images, by their stamps in order."""

    stamps_ns: tuple[int, ...]
    cameras: tuple[Camera, ...]

    def at(self, stamp_ns: int) -> Camera:
        """The camera of an image; of one that has none of its own the one before it, else the first."""
        return self.cameras[max(bisect_right(self.stamps_ns, stamp_ns) - 1, 0)]


def messages_of(path: Path, topic: str) -> Iterator[bytes]:
    """The CDR bytes of the messages of a run's MCAP of a topic, in their order; InputError if it can't be read."""
    from mcap.reader import make_reader

    try:
        with path.open("rb") as stream:
            for schema, _, message in make_reader(stream).iter_messages(topics=topic):
                if schema is not None:
                    yield message.data
    except Exception as error:  # mcap lets through what its decoders raise
        raise InputError(f"{path} can't be read ({type(error).__name__}: {' '.join(str(error).split())})") from None


def cameras_of(run: Path, calibration: Path | None = None) -> Cameras:
    """The cameras of a run's images.

    run: its MCAP; calibration: the camera where not the recorded ones, rescaled to their images' sizes, where the MCAP
    tells those.
    InputError where there is none, CameraError as `load_calibration`.
    """
    try:
        recorded = recorded_cameras(run)
    except InputError as error:
        if calibration is None:
            raise InputError(f"{error}; name a camera with --calibration") from None
        return Cameras((0,), (load_calibration(calibration),))
    if calibration is None:
        return recorded
    sizes = {(camera.width, camera.height) for camera in recorded.cameras}
    named: Mapping[tuple[int, int], Camera] = {size: load_calibration(calibration, size) for size in sizes}
    return replace(recorded, cameras=tuple(named[camera.width, camera.height] for camera in recorded.cameras))


def recorded_cameras(run: Path) -> Cameras:
    """The cameras by a run's camera_info, as its nodes understood them; InputError if one can't be used, or none is."""
    from dualpose_ros.nodes.convert import camera_from_info
    from dualpose_ros.nodes.wire import stamp_ns_of
    from dualpose_ros.standalone.typestore import typestore

    node, _ = kept_refinement_settings(run.parent)
    found: dict[int, Camera] = {}
    known: dict[bytes, Camera] = {}
    for cdr in messages_of(run, "/camera_info"):
        try:
            stamp_ns, said = stamp_ns_of(cdr), cdr[12:]
            if said not in known:
                known[said] = camera_from_info(typestore().deserialize_cdr(cdr, INFO), node.rectified)
        except Exception as error:  # of bytes that are no such message, whatever rosbags raises
            raise InputError(f"{run} gives no camera ({type(error).__name__}: {error})") from None
        found[stamp_ns] = known[said]
    if not found:
        raise InputError(f"{run} holds no camera_info")
    return Cameras(tuple(sorted(found)), tuple(found[stamp_ns] for stamp_ns in sorted(found)))
