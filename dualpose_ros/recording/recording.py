"""The output folder of a run while it is being written."""

from contextlib import AbstractContextManager
from pathlib import Path

from dualpose_ros.arrays import RgbImage
from dualpose_ros.recording.disk import Disk
from dualpose_ros.recording.frame_store import FrameStore
from dualpose_ros.recording.mcap_file import McapFile
from dualpose_ros.recording.pose_lines import PoseFrame, to_line
from dualpose_ros.recording.summary import PoseTimes

POSES_TYPE = "dualpose_ros/msg/MultiPersonPose3D"
STALE = ("overlay.mp4", "summary.json", "tracks.png", "depth.png")
"""What an earlier run left in the folder, and this one may not write anew."""

POSE_LINES = "poses.jsonl"

STAGES = ("top_down", "fused")
"""Stages before the end of the graph whose poses are kept as lines too."""


class Recording(AbstractContextManager["Recording"]):
    """Writes `poses.mcap`, `poses.jsonl` and a file of lines for each of `STAGES`, and keeps on disk the frames that
    poses arrived for.

    Everything is on disk as it arrives, but for the MCAP's last chunk and index: `close` writes
    those, and must be called however a run ends. Where the disk is full, `disk.is_full`, no more is taken in, and what
    was can still be closed. The frames outlive `close`: the overlay is drawn
    from them, then `frames.discard()` deletes them.
    """

    def __init__(self, directory: Path, *, keep_frames: bool = True, timed_by_stamps: bool = False) -> None:
        """`timed_by_stamps`: the MCAP's times are those of the images instead of when messages came."""
        directory.mkdir(parents=True, exist_ok=True)
        # In a folder that no run has been in they are somebody else's.
        for name in STALE if (directory / POSE_LINES).is_file() else ():
            (directory / name).unlink(missing_ok=True)
        self.directory = directory
        self.disk = Disk(directory)
        self.frames = FrameStore(directory / ".frames.partial", disk=self.disk)
        self.keeps_frames, self._timed_by_stamps = keep_frames, timed_by_stamps
        try:
            self._mcap = McapFile(directory / "poses.mcap", self.disk)
            self._lines = self.disk.open_text(self.pose_lines)
            self._stage_lines = {stage: self.disk.open_text(self.stage_lines(stage)) for stage in STAGES}
        except OSError:
            self.frames.discard()
            self.disk.close()
            raise
        self._stamps_ns: list[int] = []
        self._received_ns: list[int] = []
        self.latest: PoseFrame | None = None

    @property
    def times(self) -> PoseTimes:
        """Stamps and receptions of the poses so far."""
        return PoseTimes(self._stamps_ns, self._received_ns)

    @property
    def num_poses(self) -> int:
        """Pose messages received so far."""
        return len(self._stamps_ns)

    @property
    def pose_lines(self) -> Path:
        """The JSON lines file."""
        return self.directory / POSE_LINES

    def stage_lines(self, stage: str) -> Path:
        """The JSON lines file of what one of `STAGES` said."""
        return self.directory / f"{stage}.jsonl"

    def add_image(self, stamp_ns: int, image: RgbImage) -> None:
        """Take in an RGB frame (H, W, 3); it reaches the disk only if poses arrive for its stamp."""
        if self.keeps_frames and not self.disk.is_full:
            self.frames.add(stamp_ns, image)

    def add_poses(self, topic: str, frame: PoseFrame, cdr: bytes) -> None:
        """Record the people of one image, as record and as serialised message."""
        if self.disk.is_full:
            return
        self.add_message(topic, POSES_TYPE, cdr, stamp_ns=frame.stamp_ns, received_ns=frame.received_ns)
        self._lines.write(to_line(frame) + "\n")
        self._stamps_ns.append(frame.stamp_ns)
        self._received_ns.append(frame.received_ns)
        self.latest = frame
        if self.keeps_frames:
            self.frames.keep(frame.stamp_ns)

    def add_stage_poses(self, stage: str, topic: str, frame: PoseFrame, cdr: bytes) -> None:
        """Record what one of `STAGES` said of one image, as record and as serialised message."""
        if self.disk.is_full:
            return
        self.add_message(topic, POSES_TYPE, cdr, stamp_ns=frame.stamp_ns, received_ns=frame.received_ns)
        self._stage_lines[stage].write(to_line(frame) + "\n")

    def add_message(self, topic: str, type_name: str, cdr: bytes, *, stamp_ns: int, received_ns: int) -> None:
        """Record any other message: CDR bytes of type `pkg/msg/Type`."""
        if self.disk.is_full:
            return
        log_ns = max(stamp_ns, 0) if self._timed_by_stamps else received_ns
        self._mcap.write(topic, type_name, cdr, log_ns=log_ns, publish_ns=stamp_ns)

    def close(self) -> None:
        """Finish the MCAP and the lines; harmless when already closed."""
        self._lines.close()
        for stream in self._stage_lines.values():
            stream.close()
        self._mcap.close()
        self.disk.close()

    def __exit__(self, *_: object) -> None:
        self.close()
