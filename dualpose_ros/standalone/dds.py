"""One DDS participant a process, as rmw_cyclonedds makes it, and the ROS graph that it announces."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from dualpose_ros.standalone.dds_types import RosSample, sample_type
from dualpose_ros.standalone.errors import StandaloneError, require
from dualpose_ros.standalone.loopback import loopback_alone
from dualpose_ros.standalone.messages import Message, message_class
from dualpose_ros.standalone.typestore import type_hash

RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
_RMEM_MAX = Path("/proc/sys/net/core/rmem_max")

_WRITERS_AT_ONCE = 100

# Unicast discovery reaches this many processes on one machine and domain.
_MAX_PROCESSES = 60

_LOOPBACK = """
    <General>
      <Interfaces><NetworkInterface address="127.0.0.1"/></Interfaces>
      <AllowMulticast>false</AllowMulticast>
      {sizes}
    </General>
    <Discovery>
      <ParticipantIndex>auto</ParticipantIndex>
      <MaxAutoParticipantIndex>{processes}</MaxAutoParticipantIndex>
      <Peers><Peer Address="127.0.0.1"/></Peers>
    </Discovery>"""
_OPEN = "<General>{sizes}</General>"
_SIZES = "<MaxMessageSize>65500B</MaxMessageSize><FragmentSize>65000B</FragmentSize>"

# A high watermark above what our queues hold: a dead reader must not stall its writer until its lease runs out. The
# linger bounds how long a process that ends waits, for each writer, for readers that end at the same time.
_CONFIG = """<CycloneDDS>
  <Domain Id="any">{network}
    <Internal>
      <SocketReceiveBufferSize max="{buffer}B"/>
      <Watermarks><WhcHigh>64MB</WhcHigh></Watermarks>
      <WriterLingerDuration>200ms</WriterLingerDuration>
    </Internal>
  </Domain>
</CycloneDDS>"""


def domain_id(environment: dict[str, str] | None = None) -> int:
    """The domain id from ROS_DOMAIN_ID, 0 where unset. StandaloneError where it is not an integer in 0..232."""
    text = (os.environ if environment is None else environment).get("ROS_DOMAIN_ID", "").strip() or "0"
    if not text.isdecimal() or int(text) > 232:
        raise StandaloneError(f"ROS_DOMAIN_ID is {text!r}: set it to an integer in 0..232")
    return int(text)


def network_is_open(environment: dict[str, str] | None = None) -> bool:
    """Whether other machines may take part: only where ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET asks for it.

    StandaloneError for a value that is neither SUBNET nor LOCALHOST (nor unset or SYSTEM_DEFAULT, both loopback).
    """
    value = (os.environ if environment is None else environment).get("ROS_AUTOMATIC_DISCOVERY_RANGE", "").upper()
    if value not in ("", "SYSTEM_DEFAULT", "LOCALHOST", "SUBNET"):
        raise StandaloneError(f"ROS_AUTOMATIC_DISCOVERY_RANGE is {value!r}: without ROS 2, use LOCALHOST or SUBNET")
    return value == "SUBNET"


def cyclone_config(open_network: bool) -> str:
    """Cyclone's XML configuration where CYCLONEDDS_URI is unset: large fragments and buffers, loopback or open."""
    network = (_OPEN if open_network else _LOOPBACK).format(sizes=_SIZES, processes=_MAX_PROCESSES)
    return _CONFIG.format(network=network, buffer=RECEIVE_BUFFER_BYTES)


def check_configuration(environment: dict[str, str] | None = None) -> None:
    """StandaloneError where CYCLONEDDS_URI names files that can't be read: Cyclone's own error says nothing of it."""
    uri = (os.environ if environment is None else environment).get("CYCLONEDDS_URI", "")
    # A list of files and of XML, with commas between; XML may have commas of its own.
    for part in [] if "<" in uri else filter(None, (part.strip() for part in uri.split(","))):
        path = Path(part.removeprefix("file://"))
        if not path.is_file():
            raise StandaloneError(f"CYCLONEDDS_URI names {path}, which is no file: correct it, or unset it")


def receive_buffer_warning(path: Path = _RMEM_MAX) -> str | None:
    """One line with the command that mends it where the kernel's receive buffer is too small for images, else None."""
    try:
        granted = int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    if granted >= RECEIVE_BUFFER_BYTES:
        return None
    return (
        f"net.core.rmem_max is {granted} bytes: large images will lose frames. "
        f"Mend it with: sudo sysctl -w net.core.rmem_max={RECEIVE_BUFFER_BYTES}"
    )


@dataclass
class _NodeEntities:
    namespace: str
    name: str
    readers: list[Any] = field(default_factory=list)
    writers: list[Any] = field(default_factory=list)


_domains: dict[int, Any] = {}
_warned: set[str] = set()


class Participant:
    """The process's DDS participant: makes writers and readers, and announces its nodes on ros_discovery_info."""

    def __init__(self, domain: int) -> None:
        cyclone = require("cyclonedds.domain")
        check_configuration()
        if not os.environ.get("CYCLONEDDS_URI") and domain not in _domains:
            is_open = network_is_open()
            with contextlib.nullcontext() if is_open else loopback_alone():
                _domains[domain] = cyclone.Domain(domain, cyclone_config(is_open))
        warning = receive_buffer_warning()
        if warning and warning not in _warned:
            _warned.add(warning)
            print(f"[WARN] [dualpose_ros.standalone]: {warning}", file=sys.stderr)
        self.domain = domain
        self.closed = False
        try:
            self.entity = cyclone.DomainParticipant(domain)
        except require("cyclonedds.core").DDSException as error:
            hint = "CYCLONEDDS_URI, " if os.environ.get("CYCLONEDDS_URI") else ""
            raise StandaloneError(
                f"Cyclone DDS can't join domain {domain} ({' '.join(str(error).split())}): check {hint}the network "
                f"interfaces, and that fewer than {_MAX_PROCESSES} processes are in the domain"
            ) from None
        self._topics: dict[tuple[str, str], Any] = {}
        self._publications: Any = None
        self._writers: dict[Any, tuple[str, Any]] = {}
        self._counting = threading.Lock()
        self._nodes: list[_NodeEntities] = []
        info = "rmw_dds_common/msg/ParticipantEntitiesInfo"
        qos = self._qos(info, depth=1, reliable=True, transient_local=True)
        self._discovery = self._make_writer(info, "ros_discovery_info", qos)

    def add_node(self, namespace: str, name: str) -> _NodeEntities:
        """Announce a node; its handle is what the other methods take."""
        node = _NodeEntities(namespace, name)
        self._nodes.append(node)
        self._announce()
        return node

    def remove_node(self, node: _NodeEntities) -> None:
        """Withdraw a node with all of its readers and writers."""
        node.readers.clear()
        node.writers.clear()
        if not self.closed:
            self._nodes = [kept for kept in self._nodes if kept is not node]
            self._announce()

    def make_writer(self, node: _NodeEntities, typename: str, topic: str, **qos: Any) -> Any:
        """A DataWriter of a ROS topic (absolute name). qos: see _qos."""
        writer = self._make_writer(typename, f"rt{topic}", self._qos(typename, **qos))
        node.writers.append(writer)
        self._announce()
        return writer

    def make_reader(self, node: _NodeEntities, typename: str, topic: str, **qos: Any) -> Any:
        """A DataReader of a ROS topic (absolute name). qos: see _qos."""
        sub = require("cyclonedds.sub")
        reader = sub.DataReader(self.entity, self._topic(typename, f"rt{topic}"), qos=self._qos(typename, **qos))
        node.readers.append(reader)
        self._announce()
        return reader

    def writers_of(self, topic: str) -> list[Any]:
        """DDS's quality of service of each writer of a ROS topic (absolute name) that is known, here and elsewhere."""
        builtin, alive = require("cyclonedds.builtin"), int(require("cyclonedds.core").InstanceState.Alive)
        with self._counting:
            # One reader, that is told each change once: a new one, and all that it reads, would leave memory behind.
            if self._publications is None:
                self._publications = builtin.BuiltinDataReader(self.entity, builtin.BuiltinTopicDcpsPublication)
            while writers := self._publications.take(N=_WRITERS_AT_ONCE):
                for writer in writers:
                    self._writers.pop(writer.key, None)
                    if writer.sample_info.valid_data and writer.sample_info.instance_state == alive:
                        self._writers[writer.key] = (writer.topic_name, writer.qos)
            return [qos for name, qos in self._writers.values() if name == f"rt{topic}"]

    def forget(self, node: _NodeEntities, entity: Any) -> None:
        """Withdraw one reader or writer; it is deleted with its last reference."""
        for group in (node.readers, node.writers):
            group[:] = [kept for kept in group if kept is not entity]
        if not self.closed:
            self._announce()

    def close(self) -> None:
        """Leave the domain, once the last reader and writer are let go."""
        self.closed = True
        self._nodes.clear()
        del self._discovery, self._publications
        self._topics.clear()
        del self.entity

    def _make_writer(self, typename: str, topic: str, qos: Any) -> Any:
        return require("cyclonedds.pub").DataWriter(self.entity, self._topic(typename, topic), qos=qos)

    def _topic(self, typename: str, name: str) -> Any:
        known = self._topics.get((name, typename))
        if known is None:
            known = require("cyclonedds.topic").Topic(self.entity, name, sample_type(typename))
            self._topics[name, typename] = known
        return known

    @staticmethod
    def _qos(typename: str, *, depth: int, reliable: bool, transient_local: bool, keep_all: bool = False) -> Any:
        """The policies that rmw_cyclonedds sets for a ROS profile and a message type.

        The type's hash goes into the user data (REP-2016): where it is missing, every process of Jazzy warns of it.
        """
        module = require("cyclonedds.qos")
        policy = module.Policy
        history = policy.History.KeepAll if keep_all else policy.History.KeepLast(max(depth, 1))
        policies = [
            policy.DataRepresentation(use_cdrv0_representation=True, use_xcdrv2_representation=False),
            policy.Reliability.Reliable(_BLOCKING_NS) if reliable else policy.Reliability.BestEffort,
            policy.Durability.TransientLocal if transient_local else policy.Durability.Volatile,
            history,
            policy.WriterDataLifecycle(autodispose=False),
            policy.Userdata(f"typehash={type_hash(typename)};".encode()),
        ]
        if transient_local:
            policies.append(policy.DurabilityService(0, history, -1, -1, -1))
        return module.Qos(*policies)

    def _announce(self) -> None:
        gid = message_class("rmw_dds_common/msg/Gid")
        entities = message_class("rmw_dds_common/msg/NodeEntitiesInfo")
        length = len(gid.CODECS["data"].default())

        def gids(of: Iterable[Any]) -> list[Message]:
            return [gid(data=list(entity.guid.bytes.ljust(length, b"\0"))) for entity in of]

        info = message_class("rmw_dds_common/msg/ParticipantEntitiesInfo")(
            gid=gids([self.entity])[0],
            node_entities_info_seq=[
                entities(
                    node_namespace=node.namespace,
                    node_name=node.name,
                    reader_gid_seq=gids(node.readers),
                    writer_gid_seq=gids(node.writers),
                )
                for node in self._nodes
            ],
        )
        write(self._discovery, info)


# How long a reliable write may wait for a slow reader; the nodes' queues are short and the next frame matters more.
_BLOCKING_NS = 200_000_000


def write(writer: Any, message: Message | bytes) -> bool:
    """Send a message, or the CDR bytes of one. False where a slow reliable reader held it up and it was dropped."""
    core, kind = require("cyclonedds.core"), writer.topic.data_type
    try:
        writer.write(kind(data=message) if isinstance(message, bytes) else kind(message))
    except core.DDSException as error:
        if error.code == core.DDSException.DDS_RETCODE_TIMEOUT:
            return False
        raise
    return True


def take(reader: Any) -> RosSample | None:
    """The oldest unread message of a reader, or None; notices without data are skipped."""
    while samples := reader.take(N=1):
        if isinstance(samples[0], reader.topic.data_type):
            return cast(RosSample, samples[0])
    return None
