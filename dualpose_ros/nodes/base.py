"""What every node shares: its settings as parameters, guarded callbacks, the main function."""

import contextlib
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import rclpy
from rclpy.exceptions import NameValidationException, ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from threadpoolctl import threadpool_limits

from dualpose_ros.inference.cpu import give_memory_back, keep_memory
from dualpose_ros.msg import MultiPersonPose3D
from dualpose_ros.nodes.composed.bus import Bus, LocalSubscription
from dualpose_ros.nodes.convert import stamp_to_ns
from dualpose_ros.nodes.diagnostics import Diagnostics
from dualpose_ros.nodes.inputs.said import LastInfo, stamp_of
from dualpose_ros.nodes.inputs.watch import NO_CLOCK, InputWatch
from dualpose_ros.nodes.joining.stamps import UNSET_NS, StampRing
from dualpose_ros.nodes.lifecycle.managed import ManagedNode, can_be_managed
from dualpose_ros.nodes.lifecycle.spinning import spin
from dualpose_ros.nodes.parameters import unused_qos_overrides, with_qos_overrides
from dualpose_ros.nodes.wire import ImageBytes
from dualpose_ros.settings import Settings, all_settings, setting
from dualpose_ros.standalone import stopping

RELIABILITY = {"best_effort": ReliabilityPolicy.BEST_EFFORT, "reliable": ReliabilityPolicy.RELIABLE}

RELIABLE = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.RELIABLE)
"""QoS of detections, heatmaps, poses and markers."""

SENSOR_DATA = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
"""QoS of the overlay, and of camera_info where no image goes with it: accepts any camera, holds nobody up."""

LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
NUMBERS = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""QoS of what was sent once, before anybody listened, and of frames' numbers, of which none may be lost."""

_LOOK_S, _TRIM_S = 1.0, 10.0
_KEPT_ANSWERS, _MOST_WARNINGS = 3, 8
"""Of the former as many as a source that waits for the graph has it work on at once."""

_BAD_INPUT = (ValueError, OSError, RuntimeError, ImportError, ParameterException, NameValidationException)
"""What a node's start ends with where a file, a library, a parameter or a name is wrong."""


class StartupError(ValueError):
    """Why a node cannot start; shown as one line, exit code 2."""


@dataclass(frozen=True)
class NodeConfig(Settings):
    """Parameters that every node has."""

    diagnostics_period_s: float = setting(
        1.0, "time between two messages on /diagnostics", unit="s", least=0.01, most=60
    )
    autostart: bool = setting(True, "configure and activate by itself; false: a lifecycle manager does (with ROS 2)")
    every_frame: bool = setting(
        False, "for files whose source waits for the graph: work on each frame, however long it takes"
    )


@dataclass(frozen=True)
class ImageNodeConfig(NodeConfig):
    """Parameters of nodes that take images."""

    image_reliability: str = setting(
        "best_effort",
        "QoS of images and camera_info: best_effort accepts any camera, reliable loses no frame",
        choices=RELIABILITY,
    )


def sync_queue_size(what: str, default: int = 30) -> int:
    """The setting of how many recent images, or the like, a node keeps."""
    return setting(default, f"recent {what}", unit="frames", least=1, most=1000)


def ground_frame() -> str:
    """The setting of nodes that take the ground from TF."""
    return setting(
        "", "frame whose x-y plane is the ground (base_footprint, map, ...), by TF at each image's stamp; '': none"
    )


def image_transport() -> str:
    """The setting of the form in which images come."""
    return setting(
        "raw",
        "form of the images: raw takes image_raw, compressed takes JPEG or PNG from image_raw/compressed",
        choices=("raw", "compressed"),
    )


def rectified() -> bool:
    """The setting of which of a camera's models holds."""
    return setting(False, "the image is rectified: use P of camera_info and no distortion")


def image_qos(config: ImageNodeConfig, depth: int) -> QoSProfile:
    """QoS of an image stream: the newest `depth` frames, reliability as configured; none lost with `every_frame`."""
    if config.every_frame:
        return RELIABLE
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=RELIABILITY[config.image_reliability])


def newest_qos(config: NodeConfig) -> QoSProfile:
    """QoS of what says which frame is next: the newest alone, but with `every_frame`."""
    if config.every_frame:
        return RELIABLE
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.RELIABLE)


class PipelineNode(ManagedNode):
    """A node whose parameters are its settings, and whose callbacks survive errors; see ManagedNode.

    `_stage`, where it has one, takes the live settings among those of `stage_configs`. Where its process has a `bus`,
    nodes there hand each other messages without sending them.
    """

    bus: Bus | None = None

    def __init__(self, name: str, node_config: type[Any], *stage_configs: type[Any]) -> None:
        """Declare every setting as a parameter, and bring the node up unless somebody else is to.

        The settings, with the values given by file or command line, are in `self.config` and `self.stage_configs`.
        SettingError for a parameter that is unknown, of the wrong type, or out of its range; else what `configure` and
        `activate` raise.
        """
        super().__init__(name, *(config() for config in (node_config, *stage_configs)))
        self.diagnostics = Diagnostics(self, self.config.diagnostics_period_s)
        self.create_timer(_TRIM_S, give_memory_back)
        self._answers: StampRing[Any] = StampRing(_KEPT_ANSWERS)
        self._watch_inputs()
        engines = {item.name: item.value for group in self.stage_configs for item in all_settings(group)}
        self.diagnostics.fixed = {name: str(value) for name, value in engines.items() if name.startswith("engine.")}
        if self.config.autostart:
            self.bring_up()
            for name in unused_qos_overrides(self):
                self.get_logger().warning(f"{name} is given, but the node has no such topic")
            self.get_logger().info("ready")
        elif can_be_managed():
            self.get_logger().info("waits to be configured and activated")
        else:
            raise StartupError("autostart: false needs ROS 2: without it nobody can activate the node")

    @property
    def config(self) -> Any:
        """The node's own settings."""
        return self.settings[0]

    @property
    def stage_configs(self) -> list[Any]:
        """The settings of its stage."""
        return self.settings[1:]

    def reconfigured(self) -> None:
        """Give the stage its settings; it reads those that are live with every frame."""
        stage = getattr(self, "_stage", None)
        if stage is not None:
            stage.config = self.stage_configs[0]

    def transition_failed(self, transition: str, error: Exception) -> None:
        """Say why where a manager sees only that it failed; at a start of its own the node's last line says it."""
        self.diagnostics.error(f"{transition} failed: {_describe(error)}")
        if not self.is_starting:
            self.get_logger().error(f"{transition} failed: {_describe(error)}")

    def _take_down(self, all_of_it: bool) -> None:
        super()._take_down(all_of_it)
        self._watch_inputs()

    def _watch_inputs(self) -> None:
        """Ask after no input but those that are subscribed to from now on."""
        self._inputs = InputWatch(time.monotonic())
        self._when_latched: dict[str, Callable[[], Any]] = {}
        self._looks: Any = None
        self._warned: set[str] = set()

    def create_publisher(self, msg_type: type[Any], topic: str, qos_profile: QoSProfile | int, **options: Any) -> Any:
        """As a node's, by the process's bus where it has one."""
        qos_profile = self._overridden(topic, qos_profile, "publisher")
        publisher = super().create_publisher(msg_type, topic, qos_profile, **options)
        # rclpy's own, of parameter events and logs, come before there are settings.
        if self.bus is None or not hasattr(self, "config"):
            return publisher
        return self.bus.publisher(self.resolve_topic_name(topic), publisher)

    def create_subscription(
        self, msg_type: type[Any], topic: str, callback: Callable[[Any], None], qos_profile: QoSProfile | int, **kw: Any
    ) -> Any:
        """As a node's, by the process's bus where it has one."""
        qos_profile = self._overridden(topic, qos_profile, "subscription")
        if self.bus is None or not hasattr(self, "config"):
            return super().create_subscription(msg_type, topic, callback, qos_profile, **kw)
        name = self.resolve_topic_name(topic)
        return self._keep(
            self.destroy_subscription, self.bus.subscribe(self, msg_type, name, callback, qos_profile, **kw)
        )

    def _overridden(self, topic: str, qos: QoSProfile | int, entity: str) -> QoSProfile | int:
        """The profile as parameters have it; topics that come and go, and ROS's own, have a depth alone and keep it.

        What a latched topic has kept comes to a reliable subscription alone, beside the usual one of that topic.
        """
        if not isinstance(qos, QoSProfile) or not hasattr(self, "settings") or qos is LATCHED:
            return qos
        return with_qos_overrides(self, self.resolve_topic_name(topic), qos, entity)

    def destroy_subscription(self, subscription: Any) -> bool:
        """As a node's."""
        if isinstance(subscription, LocalSubscription):
            return self.bus is not None and self.bus.forget(self._drop(subscription))
        return bool(super().destroy_subscription(subscription))

    def take_in(
        self, kind: type[Any], topic: str, callback: Callable[[Any], None], qos: QoSProfile, *, once: bool = False
    ) -> Any:
        """Subscribe to what the camera sends; a log line and the diagnostics say so where it does not come.

        `once`: one message serves until the next, and one that was sent before the node started is asked for. Of images
        the bytes are taken, and of camera_info too but in a composed graph.
        """
        raw = kind is Image or (kind is CameraInfo and self.bus is None)
        name = self.resolve_topic_name(topic)
        reliability = "best effort" if qos.reliability == ReliabilityPolicy.BEST_EFFORT else "reliable"
        words = f"{reliability}, depth {qos.depth}" + (", or transient local" if once else "")
        type_name = f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"
        self._inputs.expect(name, type_name, words, time.monotonic(), once=once)

        def receive(message: Any) -> None:
            self._inputs.came(name, time.monotonic())
            callback(message)

        served = self.guarded(topic, receive)
        if once:
            self._when_latched[name] = lambda: self.create_subscription(kind, topic, served, LATCHED, raw=raw)
        if self._looks is None:
            self._looks = self.create_timer(_LOOK_S, self.guarded("inputs", self._look_for_missing))
        return self.create_subscription(kind, topic, served, qos, raw=raw)

    def take_poses(self, topic: str, callback: Callable[[bytes], None]) -> None:
        """Subscribe to people's poses, as the bytes that `wire` reads."""
        self.create_subscription(MultiPersonPose3D, topic, self.guarded(topic, callback), RELIABLE, raw=True)

    def take_images(self, callback: Callable[[Any], None], qos: QoSProfile) -> Any:
        """Subscribe to image_raw in the form that the parameter `image_transport` says."""
        if self.config.image_transport != "raw":
            return self.take_in(CompressedImage, self._image_topic(), callback, qos)
        return self.take_in(Image, self._image_topic(), lambda cdr: callback(ImageBytes.of(cdr)), qos)

    def _image_topic(self) -> str:
        if self.config.image_transport == "raw":
            return "image_raw"
        # As image_transport names it: by the topic that image_raw is remapped to.
        return f"{self.resolve_topic_name('image_raw')}/compressed"

    def leave_out_images(self, subscription: Any) -> None:
        """End the subscription of `take_images`."""
        self._inputs.forget(self.resolve_topic_name(self._image_topic()))
        self.destroy_subscription(subscription)

    def take_stamps(self, kind: type[Any], topic: str, callback: Callable[[int], None], qos: QoSProfile) -> None:
        """Subscribe to what says by its stamp alone, in nanoseconds, which frames are worked on."""
        served = self.guarded(topic, lambda message: callback(stamp_of(message)))
        self.create_subscription(kind, topic, served, qos, raw=self.bus is None)

    def take_camera_info(self, callback: Callable[[int, Any], None], reliability: ReliabilityPolicy) -> None:
        """Subscribe to camera_info, be it sent with each image, now and then, or once before the node began: its stamp
        in nanoseconds, and the message, as long as nothing else changes that of before (see LastInfo)."""
        qos, last = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10, reliability=reliability), LastInfo()
        self.take_in(CameraInfo, "camera_info", lambda said: callback(stamp_of(said), last.read(said)), qos, once=True)

    def _look_for_missing(self) -> None:
        if self.diagnostics.clock_stands():
            return
        now = time.monotonic()
        self._inputs.looked(now)
        for name, subscribe in list(self._when_latched.items()):
            # Of those that latch nothing ROS 2 complains, at both ends.
            infos = self.get_publishers_info_by_topic(name) if self._inputs.last_s(name) is None else []
            if any(info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for info in infos):
                subscribe()
                del self._when_latched[name]
        missing, text = self._inputs.missing(now), self._inputs.losses(now)
        # A source that waits for the graph says itself what it waits for.
        if missing is not None and not self.config.every_frame:
            text = self._inputs.describe(missing, self.count_publishers(missing.topic), now)
        text = text if self.diagnostics.now_ns() else NO_CLOCK
        if text and not self.diagnostics.missing:
            self.get_logger().warning(text)
        self.diagnostics.missing, self.diagnostics.inputs_hz = text, self._inputs.rates_hz

    def time_of(self, header: Any) -> int:
        """Nanoseconds at which a frame is: its stamp, or the present where its sender set none."""
        stamp_ns = stamp_to_ns(header.stamp)
        self.diagnostics.hardware_id = header.frame_id
        if not header.frame_id:
            self._warn_once("messages name no frame (frame_id): TF and RViz can't place people; the driver sets it")
        if stamp_ns != UNSET_NS:
            return stamp_ns
        self._warn_once(
            f"messages of frame '{header.frame_id}' have no stamp: they are joined, and timed, as they arrive"
        )
        return self.diagnostics.now_ns()

    def _warn_once(self, text: str) -> None:
        if text not in self._warned and len(self._warned) < _MOST_WARNINGS:
            self._warned.add(text)
            self.get_logger().warning(text)

    def answer(self, header: Any, *answers: tuple[Any, Any]) -> None:
        """Publish what came of a frame, all at once or one after the other: pairs of a publisher and its message."""
        for publisher, message in answers:
            publisher.publish(message)
        if self.config.every_frame:
            stamp_ns = stamp_to_ns(header.stamp)
            self._answers.add(stamp_ns, (*(self._answers.get(stamp_ns) or ()), *answers))

    def answers_again(self, header: Any) -> bool:
        """Publish anew what came of a frame that was answered before: False for one that was not.

        A source that waits for the graph sends a frame again where a node down the graph has died with it.
        """
        answers = self._answers.get(stamp_to_ns(header.stamp)) if self.config.every_frame else None
        for publisher, message in answers or ():
            publisher.publish(message)
        return answers is not None

    def guarded(self, what: str, callback: Callable[..., None]) -> Callable[..., None]:
        """The callback, with any error turned into a throttled log line and a diagnostic."""

        def run(*args: Any) -> None:
            try:
                callback(*args)
            except Exception as error:
                self.report(f"{what}: {_describe(error)}")

        return run

    def report(self, message: str) -> None:
        """Log an error that the node survives, throttled, and show it in the diagnostics."""
        # A signal ends the context while a callback runs; what the callback then can't do is no fault.
        if self.context.ok():
            self.get_logger().error(message, throttle_duration_sec=5.0)
            self.diagnostics.error(message)


def _describe(error: Exception) -> str:
    """One line for an error; where it came from too, if it is none of the expected kinds."""
    text = " ".join(str(error).split()) or "no details"
    if isinstance(error, (ValueError, OSError)) or type(error).__module__.startswith("dualpose_ros."):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{where}"


def run_node(make: Callable[[], Any], args: Sequence[str] | None = None, spin: Callable[[Any], None] = spin) -> int:
    """Start a node, spin it until it is told to stop, and give the exit code of its process.

    0 after an ordinary stop, by SIGINT or SIGTERM at any moment too; 2, with one line on stderr, where the node could
    not start (missing file, bad weights, wrong parameter).
    """
    node = None
    stopping.take_over()
    try:
        keep_memory()
        rclpy.init(args=list(args) if args is not None else None)
        node = make()
        # The nodes' matrices are small: BLAS threads that wait for each other cost many times the work.
        threadpool_limits(1, user_api="blas")
        cv2.setNumThreads(1)
        # A signal from before rclpy.init has ended no context.
        if not stopping.told():
            spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception as error:
        # Of a context that a signal has ended, rclpy's calls raise errors of many kinds.
        if not stopping.told():
            if node is not None or not isinstance(error, _BAD_INPUT):
                raise
            print(f"{make.__name__}: cannot start: {_describe(error)}", file=sys.stderr, flush=True)
            return 2
    finally:
        with contextlib.suppress(*((Exception,) if stopping.told() else ())):
            if node is not None:
                node.destroy_node()
            rclpy.try_shutdown()
    return 0
