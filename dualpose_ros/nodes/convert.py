"""Messages to and from the records that stages exchange.

N people, K joints of `skeleton.H36M17`; pixels of the image, metres in the camera frame.
"""

import zlib
from array import array
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

from dualpose_ros.arrays import AnyArray, Floats
from dualpose_ros.camera import (
    Camera,
    CameraError,
    camera_from_matrix,
    camera_from_model,
    cropped_and_binned,
    cropped_and_binned_size,
)
from dualpose_ros.heatmap import Heatmaps
from dualpose_ros.msg import Heatmaps as HeatmapsMessage
from dualpose_ros.msg import MultiPersonPose3D
from dualpose_ros.nodes.wire import MOST_PERSONS, MessageError, poses_from_bytes, poses_to_bytes
from dualpose_ros.people import Pose3D, Track, TrackingState

PERSON_CLASS = "person"
STATE_PREFIX = "state:"


def stamp_to_ns(stamp: Any) -> int:
    """Nanoseconds of a builtin_interfaces/Time."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def ns_to_stamp(stamp_ns: int) -> Time:
    """A builtin_interfaces/Time of nanoseconds."""
    return Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)


def camera_from_info(info: Any, rectified: bool = False) -> Camera:
    """Camera of the image that a CameraInfo describes, its binning and region of interest applied.

    `rectified` takes P without distortion, for images that image_proc has rectified; otherwise
    K and D. CameraError if they are unusable or the distortion model is unknown.
    """
    width, height = int(info.width), int(info.height)
    p = np.asarray(info.p, dtype=np.float64).reshape(3, 4)
    if rectified:
        if not np.any(p):
            raise CameraError("P is all zero: the camera is not calibrated; give it a calibration file")
        camera = camera_from_matrix(width, height, p[:, :3])
    else:
        if not np.any(info.k) and p[0, 0] > 0 and p[1, 1] > 0:
            raise CameraError(
                "K is all zero, but P is not: where the images are rectified, set the parameter 'rectified' to true"
            )
        camera = camera_from_model(width, height, info.distortion_model, info.k, info.d)
    return cropped_and_binned(camera, *_part_of(info))


def image_size_of(info: Any) -> tuple[int, int]:
    """Width and height of the images that a CameraInfo describes: its own are those of the whole sensor."""
    return cropped_and_binned_size((int(info.width), int(info.height)), *_part_of(info))


def _part_of(info: Any) -> tuple[list[int], list[int]]:
    """The region of the sensor that images show, of no size for all of it, and its binning."""
    roi = info.roi
    region = [int(value) for value in (roi.x_offset, roi.y_offset, roi.width, roi.height)]
    return region, [int(info.binning_x), int(info.binning_y)]


def camera_for_image(info: Any, image: AnyArray, rectified: bool = False) -> Camera:
    """`camera_from_info`, checked against the size of the image (H, W, ...) that it came with."""
    camera = camera_from_info(info, rectified)
    height, width = image.shape[:2]
    if (camera.width, camera.height) != (width, height):
        raise CameraError(
            f"CameraInfo is for {camera.width}x{camera.height} but the image is {width}x{height}: "
            "they do not belong together; remap camera_info or resize both"
        )
    return camera


def camera_text(camera: Camera) -> str:
    """A camera in a line: size, focal lengths and principal point in pixels."""
    return f"{camera.width}x{camera.height} fx {camera.fx:.1f} fy {camera.fy:.1f} cx {camera.cx:.1f} cy {camera.cy:.1f}"


def camera_to_info(camera: Camera, header: Any) -> Any:
    """sensor_msgs/CameraInfo of a camera, unrectified (R the identity, P = [K | 0])."""
    count = len(camera.distortion)
    info = CameraInfo()
    info.header = header
    info.width, info.height = int(camera.width), int(camera.height)
    info.distortion_model = "plumb_bob" if count <= 5 else "rational_polynomial"
    if camera.fisheye:
        info.distortion_model = "equidistant"
    info.d = array("d", camera.distortion or (0.0,) * (4 if camera.fisheye else 5))
    info.k = [float(v) for v in camera.matrix.reshape(-1)]
    info.r = [float(v) for v in np.eye(3).reshape(-1)]
    info.p = [float(v) for v in np.hstack([camera.matrix, np.zeros((3, 1))]).reshape(-1)]
    return info


def tracks_to_message(tracks: Iterable[Track], header: Any) -> Any:
    """vision_msgs/Detection2DArray of tracks.

    `id` is the track id. The first hypothesis is class "person" with the score, the second
    "state:tentative", "state:confirmed" or "state:coasting" with score 1.
    """
    message = Detection2DArray()
    message.header = header
    message.detections = [_track_to_detection(track, header) for track in tracks]
    return message


def _track_to_detection(track: Track, header: Any) -> Any:
    x0, y0, x1, y1 = (float(v) for v in track.box_px)
    detection = Detection2D()
    detection.header = header
    detection.id = str(track.track_id)
    detection.bbox.center.position.x, detection.bbox.center.position.y = (x0 + x1) / 2, (y0 + y1) / 2
    detection.bbox.size_x, detection.bbox.size_y = x1 - x0, y1 - y0
    detection.results = [
        _hypothesis(PERSON_CLASS, float(track.score)),
        _hypothesis(STATE_PREFIX + track.state.name.lower(), 1.0),
    ]
    return detection


def _hypothesis(class_id: str, score: float) -> Any:
    result = ObjectHypothesisWithPose()
    result.hypothesis.class_id, result.hypothesis.score = class_id, score
    return result


def tracks_from_message(message: Any, person_classes: Collection[str] = (PERSON_CLASS,)) -> list[Track]:
    """Tracks of the people in a Detection2DArray from any detector and tracker.

    Detections whose best class is not one of `person_classes` are left out; without a
    "state:" hypothesis a track counts as confirmed. Ids that are no number become a stable
    31-bit hash. MessageError for a person without an id or with a box that is not finite.
    """
    if len(message.detections) > MOST_PERSONS:
        number = len(message.detections)
        raise MessageError(f"Detection2DArray has {number} detections; at most {MOST_PERSONS} are taken")
    found = (_track_from_detection(detection, person_classes) for detection in message.detections)
    return [track for track in found if track is not None]


def _track_from_detection(detection: Any, person_classes: Collection[str]) -> Track | None:
    state, classes = TrackingState.CONFIRMED, []
    for result in detection.results:
        name = result.hypothesis.class_id
        if not name.startswith(STATE_PREFIX):
            classes.append((float(result.hypothesis.score), name))
            continue
        try:
            state = TrackingState[name[len(STATE_PREFIX) :].upper()]
        except KeyError:
            raise MessageError(f"detection {detection.id} has the unknown tracking state '{name}'") from None
    if not classes:
        return None
    score, best = max(classes)
    if best not in person_classes:
        return None
    if not detection.id:
        raise MessageError("a detected person has no id: put a tracker between the detector and this node")
    return Track(_track_id(detection.id), state, _box_of(detection), score)


def left_out_classes(message: Any, person_classes: Collection[str]) -> list[str]:
    """The classes of a Detection2DArray's detections, where none is a person's: one may be its sender's word for it."""
    names = {result.hypothesis.class_id for detection in message.detections for result in detection.results}
    return [] if names & set(person_classes) else sorted(name for name in names if not name.startswith(STATE_PREFIX))


def _track_id(text: str) -> int:
    """A track id as int32: the number itself, or else a hash of the text."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    return number if 0 <= number < 2**31 else zlib.crc32(text.encode()) & 0x7FFFFFFF


def _box_of(detection: Any) -> Floats:
    """Upright box (4,) around a BoundingBox2D, which may be turned by theta."""
    center, theta = detection.bbox.center.position, float(detection.bbox.center.theta)
    size = np.array([detection.bbox.size_x, detection.bbox.size_y], dtype=np.float64)
    cos, sin = abs(np.cos(theta)), abs(np.sin(theta))
    half = np.array([cos * size[0] + sin * size[1], sin * size[0] + cos * size[1]]) / 2
    middle = np.array([center.x, center.y], dtype=np.float64)
    box = np.concatenate([middle - half, middle + half])
    if not np.all(np.isfinite(box)) or np.any(size <= 0):
        raise MessageError(f"detection {detection.id} has an empty or non-finite box")
    return box


def poses_to_message(poses: Iterable[Pose3D], header: Any, image_size: tuple[int, int] | None = None) -> Any:
    """dualpose_ros/MultiPersonPose3D of poses; `image_size` is (width, height), to clip the boxes where known."""
    return deserialize_message(poses_to_bytes(poses, header, image_size), MultiPersonPose3D)


def poses_from_message(message: Any) -> list[Pose3D]:
    """Poses of a MultiPersonPose3D; MessageError if its skeleton or array lengths are not ours."""
    return poses_from_bytes(serialize_message(message))


def heatmaps_to_message(heatmaps: Heatmaps, header: Any) -> Any:
    """dualpose_ros/Heatmaps of the combined heatmaps of an image."""
    data = np.ascontiguousarray(heatmaps.data, dtype=np.uint8)
    message = HeatmapsMessage()
    message.header = header
    message.channels = list(heatmaps.channels)
    message.height, message.width = int(data.shape[1]), int(data.shape[2])
    message.to_image = np.asarray(heatmaps.to_image, dtype=np.float32).reshape(6)
    message.scale = float(heatmaps.scale)
    message.data = array("B", data.tobytes())
    return message


_SMALLEST_CELL_PX, _FARTHEST_PX = 1e-3, 1e6


def heatmaps_from_message(message: Any) -> Heatmaps:
    """Heatmaps of a message, sharing its data; MessageError if its numbers contradict each other or make no sense."""
    shape: Sequence[int] = (len(message.channels), int(message.height), int(message.width))
    data = np.frombuffer(message.data, dtype=np.uint8)
    if data.size != int(np.prod(shape)):
        raise MessageError(f"Heatmaps holds {data.size} cells; channels x height x width is {tuple(shape)}")
    to_image = np.asarray(message.to_image, dtype=np.float64).reshape(2, 3)
    is_finite = bool(np.isfinite(to_image).all()) and np.abs(to_image).max() <= _FARTHEST_PX
    cell_px = float(np.sqrt(abs(np.linalg.det(to_image[:, :2])))) if is_finite else 0.0
    if not cell_px >= _SMALLEST_CELL_PX or not 0 < message.scale <= 1:
        raise MessageError(f"Heatmaps has cells of {cell_px:g} pixels and a scale of {message.scale:g}: that is absurd")
    return Heatmaps(tuple(message.channels), data.reshape(shape), to_image, float(message.scale))
