"""A DDS peer that shares no code with ours: Cyclone's own Python types and its own CDR."""

# No postponed annotations here: Cyclone does not resolve them.
import json
import time
from dataclasses import dataclass
from typing import Any

from cyclonedds.domain import Domain, DomainParticipant
from cyclonedds.idl import IdlStruct
from cyclonedds.idl.types import float64, int32, uint32
from cyclonedds.pub import DataWriter
from cyclonedds.qos import Policy, Qos
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic

from dualpose_ros.standalone.dds import cyclone_config, domain_id


@dataclass
class Time(IdlStruct, typename="builtin_interfaces.msg.dds_.Time_"):
    sec: int32
    nanosec: uint32


@dataclass
class Header(IdlStruct, typename="std_msgs.msg.dds_.Header_"):
    stamp: Time
    frame_id: str


@dataclass
class Point(IdlStruct, typename="geometry_msgs.msg.dds_.Point_"):
    x: float64
    y: float64
    z: float64


@dataclass
class PointStamped(IdlStruct, typename="geometry_msgs.msg.dds_.PointStamped_"):
    header: Header
    point: Point


def main() -> None:
    domain = Domain(domain_id(), cyclone_config(False))
    participant = DomainParticipant(domain_id())
    qos = Qos(
        Policy.Reliability.Reliable(10**9),
        Policy.Durability.TransientLocal,
        Policy.History.KeepLast(3),
        Policy.DurabilityService(0, Policy.History.KeepLast(3), -1, -1, -1),
        Policy.DataRepresentation(use_cdrv0_representation=True, use_xcdrv2_representation=False),
    )
    writer = DataWriter(participant, Topic(participant, "rt/points", PointStamped), qos=qos)
    reader = DataReader(participant, Topic(participant, "rt/back", PointStamped), qos=qos)
    sent = [
        PointStamped(Header(Time(index, 5), f"frame_{'x' * index}"), Point(1.0, index / 4, 3.0)) for index in range(3)
    ]
    for point in sent:
        writer.write(point)
    back: list[Any] = []
    end = time.monotonic() + 15
    while len(back) < 3 and time.monotonic() < end:
        back += reader.take(N=3)
        time.sleep(0.05)
    print(json.dumps({"back": [point == expected for point, expected in zip(back, sent, strict=False)]}))
    del domain


if __name__ == "__main__":
    main()
