"""One pose of every person from those of both branches: top_down/poses3d and bottom_up/poses3d -> fused/poses3d.

The branches are joined by exact stamp. Where one is late, has skipped the frame or is dead, the other's poses
are published alone. Of the detections only the stamps matter: they say since when a frame is being worked on.
"""

import math
import sys
import time
from dataclasses import dataclass
from typing import Any

from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from dualpose_ros.fusion.stage import FusionConfig, FusionStage
from dualpose_ros.msg import MultiPersonPose3D
from dualpose_ros.nodes.base import RELIABLE, NodeConfig, PipelineNode, run_node
from dualpose_ros.nodes.convert import stamp_to_ns
from dualpose_ros.nodes.joining.cuts import CUTS, CutTimes
from dualpose_ros.nodes.joining.fused import BOTTOM_UP, TOP_DOWN, FusedFrame, FusedFrames
from dualpose_ros.nodes.wire import header_of, poses_from_bytes, poses_to_bytes
from dualpose_ros.people import Pose3D
from dualpose_ros.settings import setting

_TICK_S = 0.02


@dataclass(frozen=True)
class FusionNodeConfig(NodeConfig):
    """Parameters of the node itself; those of the stage are the fields of FusionConfig."""

    max_wait_s: float = setting(0.2, "how long a frame waits for the other branch's poses", unit="s", above=0, most=10)
    give_up_after_frames: int = setting(
        2, "frames that wait in vain for a branch until none waits, until it returns", unit="frames", least=1, most=1000
    )


@dataclass(frozen=True)
class _Said:
    """What a branch said of a frame: the people, and the header to publish them with."""

    persons: list[Pose3D]
    header: Any


class FusionNode(PipelineNode):
    """MultiPersonPose3D of both branches in, MultiPersonPose3D out."""

    def __init__(self) -> None:
        super().__init__("fusion_node", FusionNodeConfig, FusionConfig)

    def configure(self) -> None:
        """Load the networks, and make what it publishes with."""
        self._stage = FusionStage(self.stage_configs[0])
        self._poses = self.create_publisher(MultiPersonPose3D, "dualpose/fused/poses3d", RELIABLE)

    def activate(self) -> None:
        """Take in what it works on."""
        every = self.config.every_frame
        self._frames = FusedFrames(
            math.inf if every else self.config.max_wait_s, sys.maxsize if every else self.config.give_up_after_frames
        )
        self._counts = {"fused": 0, "top_down_only": 0, "bottom_up_only": 0}
        self._cuts = CutTimes()
        self.take_stamps(Header, CUTS, self._cuts.add, RELIABLE)
        self._subscribe("dualpose/top_down/poses3d", TOP_DOWN)
        self._subscribe("dualpose/bottom_up/poses3d", BOTTOM_UP)
        self.take_stamps(
            Detection2DArray,
            "dualpose/detections",
            lambda stamp_ns: self._frames.announce(stamp_ns, time.monotonic()),
            RELIABLE,
        )
        # What would be overdue by the next tick is so now: `max_wait_s` is the most that a frame waits.
        self.create_timer(_TICK_S, self.guarded("frame", lambda: self._work(ahead_s=_TICK_S)))

    def _subscribe(self, topic: str, branch: str) -> None:
        def receive(poses: bytes) -> None:
            header = header_of(poses)
            if branch == TOP_DOWN and self.answers_again(header):
                return
            said = _Said(poses_from_bytes(poses, finite=True), header)
            self._frames.add(branch, stamp_to_ns(header.stamp), said, time.monotonic())
            self._work()

        self.take_poses(topic, receive)

    def _work(self, ahead_s: float = 0.0) -> None:
        while (frame := self._frames.take(time.monotonic() + ahead_s)) is not None:
            self._process(frame)

    def _process(self, frame: FusedFrame) -> None:
        said: list[_Said | None] = [frame.top_down, frame.bottom_up]
        header = next(one.header for one in said if one is not None)
        top_down, bottom_up = (None if one is None else one.persons for one in said)
        time_ns = self.time_of(header)
        stage_ns = self._cuts.stage_ns(stamp_to_ns(header.stamp), time_ns)
        result = self.diagnostics.timed(self._stage.process, stage_ns, top_down, bottom_up)
        self.answer(header, (self._poses, poses_to_bytes(result.persons, header)))
        self.diagnostics.frame(time_ns)
        self._counts[_kind(frame)] += 1
        counts = {name: str(count) for name, count in self._counts.items()}
        late = {f"late_{branch}": str(count) for branch, count in self._frames.late.items()}
        self.diagnostics.extra = {**counts, **late, "pairs": str(result.pairs), "persons": str(len(result.persons))}


def _kind(frame: FusedFrame) -> str:
    """Which of the branches' poses a frame is made of."""
    if frame.top_down is None:
        return "bottom_up_only"
    return "top_down_only" if frame.bottom_up is None else "fused"


def main() -> int:
    """Run the node; the exit code of its process."""
    return run_node(FusionNode)
