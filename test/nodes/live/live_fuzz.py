"""Every callback of every node on messages whose fields are whatever a sender may have put there.

`python live_fuzz.py NODE COUNT [SEED]`: twice so many messages to each callback, and the errors that are none of the
package's own; used by test_fuzz.py. What a message is joined with is in order, and stages that need networks are
replaced.
"""

import contextlib
import gc
import json
import random
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
from live_nodes import CAMERA, header, person

from dualpose_ros.bottom_up.stage import BottomUpResult
from dualpose_ros.camera import back_project, check_image
from dualpose_ros.heatmap import Heatmaps
from dualpose_ros.nodes import base, bottom_up_node, detection_node, top_down_node
from dualpose_ros.nodes.convert import camera_to_info, heatmaps_to_message, poses_to_message, tracks_to_message
from dualpose_ros.nodes.fusion_node import FusionNode
from dualpose_ros.nodes.image_codec import ENCODINGS, encode_image
from dualpose_ros.nodes.recorder import RecorderNode
from dualpose_ros.nodes.refinement_node import RefinementNode
from dualpose_ros.nodes.visualization_node import VisualizationNode
from dualpose_ros.people import Persons, Track, TrackingState
from dualpose_ros.recording.recording import Recording
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.stage import TopDownResult

import rclpy  # isort: skip
from rclpy.serialization import serialize_message  # isort: skip
from rclpy.node import Node  # isort: skip
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue  # isort: skip
from sensor_msgs.msg import CompressedImage  # isort: skip
from visualization_msgs.msg import Marker, MarkerArray  # isort: skip

NAN, INF = float("nan"), float("inf")
FLOATS = (NAN, INF, -INF, 0.0, -1.0, 1e-300, 1e300, 3.4e38, 1.0, 100.0)
TEXTS = ("", "eye", "person", "state:confirmed", "state:", "x" * 5000, "\0", "ü世", "-1", "99999999999", "h36m17",
         "equidistant", "plumb_bob", "rational_polynomial", "none", "jpeg", *ENCODINGS)  # fmt: skip
SEQUENCES = ((), (0,), (255,) * 7, (0,) * 100)
MB = 1 << 20


class Detection:
    def __init__(self, config: Any, detector: Any, watches_cuts: bool) -> None:
        pass

    def process(self, image: Any, stamp_ns: int) -> list[Track]:
        check_image(image)
        return []


class TopDown:
    def __init__(self, config: Any) -> None:
        pass

    def warm_up(self) -> None:
        pass

    def process(self, image: Any, stamp_ns: int, camera: Any, tracks: list[Track], when_seen: Any) -> TopDownResult:
        check_image(image, camera)
        for track in tracks:
            back_project(camera, track.box_px.reshape(2, 2), np.ones(2))
        maps = Heatmaps(("a",), np.zeros((1, 2, 3), np.uint8), np.eye(2, 3), 1.0)
        when_seen(maps)
        return TopDownResult(Persons.of([]), maps)


class BottomUp:
    def __init__(self, config: Any) -> None:
        pass

    def prepare(self, width: int, height: int) -> None:
        pass

    def process(self, image: Any, stamp_ns: int, camera: Any, heatmaps: Heatmaps | None) -> BottomUpResult:
        check_image(image, camera)
        return BottomUpResult(Persons.of([person(-1)]), heatmaps is not None)


def leaves(message: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to each field of a message that is none itself, and to whole lists of messages."""
    for name in message.get_fields_and_field_types():
        value = getattr(message, name)
        if hasattr(value, "get_fields_and_field_types"):
            yield from leaves(value, (*path, name))
            continue
        yield (*path, name)
        if isinstance(value, list) and value and hasattr(value[0], "get_fields_and_field_types"):
            yield from leaves(value[0], (*path, name, 0))


def spoil(message: Any, path: tuple[Any, ...], pick: int) -> None:
    """Put one of the values that its type allows into a field; what the message class refuses stays as it was."""
    *way, last = path
    for step in way:
        items = message if isinstance(step, int) else getattr(message, step)
        if isinstance(step, int):
            if not items:
                return
            items = items[step]
        message = items
    before = getattr(message, last)
    if isinstance(before, bool):
        values: Any = (not before,)
    elif isinstance(before, int):
        values = (0, 1, 2, 3, 5, 8, 255, 2**16, 2**31 - 1, 2**32 - 1, -1, -(2**31), before)
    elif isinstance(before, float):
        values = FLOATS
    elif isinstance(before, str):
        values = TEXTS
    elif isinstance(before, array):
        kind = float if before.typecode in "fd" else int
        values = [array(before.typecode, map(kind, part)) for part in SEQUENCES] + [before[:-1], before + before]
        if kind is float and len(before):
            values += [array(before.typecode, [value] * len(before)) for value in FLOATS[:5]]
    elif isinstance(before, np.ndarray):
        values = [np.full_like(before, value) for value in (FLOATS if before.dtype.kind == "f" else (0, 1, 255))]
    elif isinstance(before, list) and before and not isinstance(before[0], str):
        values = ([], before[:-1], before * 2, before * 200)
    else:
        values = ([], ["a"], before)
    with contextlib.suppress(AssertionError, OverflowError):
        setattr(message, last, values[pick % len(values)])


def fuzz(what: str, good: Callable[[int], Any], receive: Callable[[Any], None], before: Callable[[int], None],
         count: int, seed: int) -> dict[str, Any]:  # fmt: skip
    """So many messages, some of their fields spoilt, to a callback; the errors of strangers, and memory in MB."""
    strange: Counter[str] = Counter()
    samples: dict[str, str] = {}
    paths = list(leaves(good(1)))
    tick, chance = 0, random.Random(f"{seed} {what}")

    def run() -> None:
        for _ in range(count):
            changes = [(chance.choice(paths), chance.randrange(31)) for _ in range(chance.randrange(5))]
            one(changes, chance.randrange(4))

    def one(changes: list[tuple[tuple[Any, ...], int]], skip: int) -> None:
        nonlocal tick
        tick += skip
        message = good(tick)
        # Classes of a real rclpy take what no message can hold, and which so never comes.
        with contextlib.suppress(AttributeError, SystemError):
            for path, pick in changes:
                spoil(message, path, pick)
            serialize_message(message)
            check(message, changes)

    def check(message: Any, changes: Any) -> None:
        try:
            before(tick)
            receive(message)
        except Exception as error:
            if not type(error).__module__.startswith("dualpose_ros."):
                frame = error.__traceback__
                while frame is not None and frame.tb_next is not None:
                    frame = frame.tb_next
                where = f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}" if frame else ""
                key = f"{type(error).__name__} {where}"
                strange[key] += 1
                samples.setdefault(key, f"{error} after {changes}")

    run()
    gc.collect()
    rss = psutil.Process().memory_info().rss / MB
    run()
    gc.collect()
    growth = psutil.Process().memory_info().rss / MB - rss
    return {"what": what, "strange": dict(strange), "samples": samples, "growth_mb": growth}


def main(name: str, count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Fuzz each callback of a node in turn."""
    detection_node.create_detector = lambda config: lambda image, far=True: None  # type: ignore[assignment, misc]
    detection_node.DetectionStage = Detection  # type: ignore[misc, assignment]
    top_down_node.TopDownStage = TopDown  # type: ignore[misc, assignment]
    bottom_up_node.BottomUpStage = BottomUp  # type: ignore[misc, assignment]
    # The callbacks as they are: what guards them would hide what is looked for.
    base.PipelineNode.guarded = lambda self, what, callback: callback  # type: ignore[method-assign]
    callbacks: dict[str, Callable[[Any], None]] = {}
    create = Node.create_subscription

    def keep(self: Any, kind: Any, topic: str, callback: Any, qos: Any, **options: Any) -> Any:
        takes_bytes = options.get("raw")
        callbacks[topic.removeprefix("/")] = (lambda m: callback(serialize_message(m))) if takes_bytes else callback
        return create(self, kind, topic, callback, qos, **options)

    Node.create_subscription = keep
    given = {"visualization": "overlay:=always", "compressed": "image_transport:=compressed"}.get(name)
    # Nobody reads a log of so many errors.
    rclpy.init(args=["probe", "--ros-args", "--log-level", "fatal", *(["-p", given] if given else [])])
    RecorderNode._survive = lambda self, callback: callback  # type: ignore[method-assign]
    with TemporaryDirectory() as folder, Recording(Path(folder)) as recording, recording.frames:
        nodes: dict[str, Callable[[], Any]] = {
            "detection": detection_node.DetectionNode, "top_down": top_down_node.TopDownNode,
            "compressed": top_down_node.TopDownNode, "bottom_up": bottom_up_node.BottomUpNode, "fusion": FusionNode,
            "refinement": RefinementNode, "visualization": VisualizationNode,
            "recorder": lambda: RecorderNode(recording),
        }  # fmt: skip
        nodes[name]()
        return [
            fuzz(f"{name} {topic}", GOOD[topic], receive, _others(callbacks, topic), count, seed)
            for topic, receive in list(callbacks.items())
            if topic in GOOD
        ]


def _others(callbacks: dict[str, Callable[[Any], None]], topic: str) -> Callable[[int], None]:
    """Good messages to the other callbacks, of the same stamp."""
    rest = [(other, receive) for other, receive in callbacks.items() if other != topic and other in GOOD]

    def feed(tick: int) -> None:
        for other, receive in rest:
            receive(GOOD[other](tick))

    return feed


def _picture(tick: int) -> Any:
    small = CAMERA.resized(8, 6)
    return encode_image(np.zeros((small.height, small.width, 3), np.uint8), header(tick))


def _compressed(tick: int) -> Any:
    import cv2

    data = cv2.imencode(".png", np.zeros((6, 8, 3), np.uint8))[1].tobytes()
    return CompressedImage(header=header(tick), format="png", data=array("B", data))


def _detections(tick: int) -> Any:
    box = np.array([1.0, 1, 6, 5])
    tracks = [Track(n, TrackingState.CONFIRMED, box + n / 10, 0.8) for n in (1, 2)]
    return tracks_to_message(tracks, header(tick))


def _poses(tick: int) -> Any:
    return poses_to_message([person(1), person(2)], header(tick), (64, 48))


def _heatmaps(tick: int) -> Any:
    maps = Heatmaps(H36M17.joint_names, np.full((17, 2, 3), 9, np.uint8), np.eye(2, 3), 1 / 255)
    return heatmaps_to_message(maps, header(tick))


def _status(tick: int) -> Any:
    values = [KeyValue(key="state", value="playing")]
    return DiagnosticArray(header=header(tick), status=[DiagnosticStatus(name="camera_node: pipeline", values=values)])


GOOD: dict[str, Callable[[int], Any]] = {
    "image_raw": _picture,
    "image_raw/compressed": _compressed,
    "camera_info": lambda tick: camera_to_info(CAMERA.resized(8, 6), header(tick)),
    "dualpose/detections": _detections,
    "dualpose/top_down/heatmaps": _heatmaps,
    "dualpose/top_down/poses3d": _poses,
    "dualpose/bottom_up/poses3d": _poses,
    "dualpose/fused/poses3d": _poses,
    "humans/poses3d": _poses,
    "humans/markers": lambda tick: MarkerArray(markers=[Marker(header=header(tick))]),
    "diagnostics": _status,
}

if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
