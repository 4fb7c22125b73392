"""What the DDS tests run in processes of their own: `python dds_children.py ROLE [ARGUMENT ...] [--ros-args ...]`."""

import json
import sys
import time
from typing import Any

from random_messages import random_message, vga_image

from dualpose_ros import standalone
from dualpose_ros.standalone import arguments as command_line

standalone.install()

import rclpy  # noqa: E402
from rclpy.executors import ExternalShutdownException  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import String  # noqa: E402

TYPES = (
    "sensor_msgs/msg/Image",
    "sensor_msgs/msg/CameraInfo",
    "vision_msgs/msg/Detection2DArray",
    "dualpose_ros/msg/Heatmaps",
    "dualpose_ros/msg/MultiPersonPose3D",
    "visualization_msgs/msg/MarkerArray",
    "diagnostic_msgs/msg/DiagnosticArray",
    "std_msgs/msg/String",
    "tf2_msgs/msg/TFMessage",
)
LATCHED = QoSProfile(depth=3, durability=DurabilityPolicy.TRANSIENT_LOCAL)
RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)


def tell(**values: Any) -> None:
    print(json.dumps(values), flush=True)


def spin_until(node: Any, done: Any, limit_s: Any) -> Any:
    """Whether `done()` came true within the limit."""
    end = time.monotonic() + limit_s
    while not done() and time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.1)
    return done()


def message_type(typename: Any) -> Any:
    package, _, name = typename.split("/")
    return getattr(sys.modules[f"{package}.msg"], name)


def talk_types(node: Any) -> None:
    publishers = [
        node.create_publisher(message_type(name), f"types/n{index}", LATCHED) for index, name in enumerate(TYPES)
    ]
    for index, publisher in enumerate(publishers):
        for seed in range(3):
            publisher.publish(random_message(TYPES[index], seed))
    tell(ready=True)
    rclpy.spin(node)


def hear_types(node: Any) -> None:
    heard: dict[str, list[Any]] = {name: [] for name in TYPES}
    for index, name in enumerate(TYPES):
        node.create_subscription(message_type(name), f"types/n{index}", heard[name].append, LATCHED)
    spin_until(node, lambda: all(len(messages) == 3 for messages in heard.values()), 20)
    tell(
        **{
            name: [message == random_message(name, seed) for seed, message in enumerate(messages)]
            for name, messages in heard.items()
        }
    )


def talk_images(node: Any, count: Any) -> None:
    publisher = node.create_publisher(Image, "image", RELIABLE)
    spin_until(node, lambda: publisher.get_subscription_count() == 2, 20)
    # Each listener has to find the publisher too, which this side can't see.
    spin_until(node, lambda: False, 1.0)
    images = [vga_image(index) for index in range(int(count))]
    sent: list[Any] = []

    def send() -> None:
        image = images[len(sent)]
        image.header.stamp = node.get_clock().now().to_msg()
        start = time.perf_counter()
        publisher.publish(image)
        sent.append(time.perf_counter() - start)

    timer = node.create_timer(1 / 30, send)
    spin_until(node, lambda: len(sent) == len(images), 30)
    timer.cancel()
    spin_until(node, lambda: False, 1.0)
    tell(median_ms=1e3 * sorted(sent)[len(sent) // 2], dropped=publisher.dropped)


def hear_images(node: Any, reliability: Any, count: Any) -> None:
    frames, late_ms = {}, []

    def take(message: Any) -> None:
        index = int(message.header.frame_id)
        stamp = rclpy.time.Time.from_msg(message.header.stamp)
        late_ms.append((node.get_clock().now().nanoseconds - stamp.nanoseconds) / 1e6)
        frames[index] = message.data == vga_image(index).data

    node.create_subscription(Image, "image", take, RELIABLE if reliability == "reliable" else qos_profile_sensor_data)
    spin_until(node, lambda: len(frames) == int(count), 8 + int(count) / 30)
    tell(frames=len(frames), right=all(frames.values()), median_ms=sorted(late_ms)[len(late_ms) // 2])


def timers(node: Any) -> None:
    calls: dict[str, list[float]] = {"fast": [], "slow": [], "cancelled": [], "blocked": []}
    made = [
        node.create_timer(period, lambda name=name: calls[name].append(time.monotonic()))
        for name, period in (("fast", 0.02), ("slow", 0.1), ("cancelled", 0.05))
    ]
    made[2].cancel()
    spin_until(node, lambda: False, 2.05)
    for timer in made:
        node.destroy_timer(timer)
    # A first callback that takes 2.5 periods costs a call, but the pace stays on the grid.
    start = time.monotonic()

    def block() -> None:
        calls["blocked"].append(time.monotonic() - start)
        if len(calls["blocked"]) == 1:
            time.sleep(0.25)

    node.create_timer(0.1, block)
    spin_until(node, lambda: len(calls["blocked"]) == 4, 5)
    tell(**{name: len(times) for name, times in calls.items() if name != "blocked"}, blocked=calls["blocked"])


def names(node: Any) -> None:
    node.declare_parameter("rate", 1.0)
    publisher = node.create_publisher(String, "chatter", 1)
    private = node.create_publisher(String, "~/debug", 1)
    tell(
        name=node.get_name(),
        namespace=node.get_namespace(),
        full=node.get_fully_qualified_name(),
        chatter=publisher.topic_name,
        debug=private.topic_name,
        rate=node.get_parameter("rate").value,
    )


def stay(node: Any) -> None:
    node.declare_parameter("rate", 1.0)
    node.get_logger().info("here I am")
    node.create_subscription(String, "x", lambda message: None, 1)
    tell(ready=True)
    rclpy.spin(node)


def graph(node: Any, talker: Any) -> None:
    """What others can see of the talker: its entry in ros_discovery_info, its lines on /rosout, its topics."""
    from cyclonedds import builtin, core
    from cyclonedds.sub import DataReader
    from cyclonedds.topic import Topic
    from rcl_interfaces.msg import Log

    from dualpose_ros.standalone import dds, dds_types

    participant = node.context.participant
    kind = dds_types.sample_type("rmw_dds_common/msg/ParticipantEntitiesInfo")
    topic = Topic(participant.entity, "ros_discovery_info", kind)
    qos = participant._qos(kind.typename, depth=100, reliable=True, transient_local=True)
    reader = DataReader(participant.entity, topic, qos=qos)
    subscriptions = builtin.BuiltinDataReader(participant.entity, builtin.BuiltinTopicDcpsSubscription)
    publications = builtin.BuiltinDataReader(participant.entity, builtin.BuiltinTopicDcpsPublication)
    topic_of_x = f"rt{talker.rpartition('/')[0]}/x"
    lines: list[Any] = []
    entries: dict[str, tuple[int, int]] = {}

    def alive(endpoints: Any) -> list[Any]:
        mask = core.ReadCondition(endpoints, core.ViewState.Any | core.SampleState.Any | core.InstanceState.Alive)
        return list(endpoints.read(N=10_000, condition=mask))

    def count(endpoints: Any, name: str) -> int:
        return sum(endpoint.topic_name == name for endpoint in alive(endpoints))

    node.create_subscription(Log, "/rosout", lines.append, LATCHED)

    def look() -> Any:
        while sample := dds.take(reader):
            message: Any = sample.message
            for item in message.node_entities_info_seq:
                full = f"{item.node_namespace.rstrip('/')}/{item.node_name}"
                entries[full] = (len(item.reader_gid_seq), len(item.writer_gid_seq))
        heard = [line for line in lines if line.name == talker[1:].replace("/", ".")]
        return bool(heard) and entries.get(talker, (0, 0)) == (1, 1) and count(subscriptions, topic_of_x) == 1

    spin_until(node, look, 15)
    tell(
        entries=entries,
        lines=[[line.name, line.level, line.msg] for line in lines],
        subscribers=count(subscriptions, topic_of_x),
        publishers=count(publications, "rt/rosout"),
        user_data={
            endpoint.topic_name: next((p.data.decode() for p in endpoint.qos if hasattr(p, "data")), "")
            for endpoint in (*alive(subscriptions), *alive(publications))
        },
    )


def hear_points(node: Any) -> None:
    from geometry_msgs.msg import PointStamped

    heard = []
    publisher = node.create_publisher(PointStamped, "back", LATCHED)

    def answer(message: Any) -> None:
        heard.append(message)
        publisher.publish(message)

    node.create_subscription(PointStamped, "points", answer, LATCHED)
    spin_until(node, lambda: len(heard) == 3, 15)
    tell(points=[[message.header.stamp.sec, message.header.frame_id, message.point.y] for message in heard])
    spin_until(node, lambda: False, 2)


def main() -> None:
    role, *arguments = command_line.parse(sys.argv).others[1:]
    rclpy.init()
    node = Node(role)
    try:
        globals()[role](node, *arguments)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    tell(ended=True)


if __name__ == "__main__":
    main()
