"""Who is who by their poses: a person keeps one id though several tracks follow them in turn.

A detector that sees one person as two boxes makes two tracks, and which of them is matched changes from
frame to frame; the pose that comes out is the same. So a pose from a track without a past, that goes on where
the pose of another id stopped, gets that id. A track that nobody was seen on for seconds has stayed behind somebody who
left, and whoever comes to it next is somebody else. K joints; image pixels.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.grouping import assign
from dualpose_ros.pace import FramePeriod
from dualpose_ros.people import Pose2D, oks
from dualpose_ros.skeleton import H36M17

FIRST_STRANGER = 1 << 30
"""Ids from here on are of people whose id is no track's."""

MIN_COMMON_JOINTS = 3
_TRACK_VALUE = 0.3
"""What it is worth, in likeness, that a pose comes from the track that had the id."""

_MOST = 1 + _TRACK_VALUE
_NAME_MEMORY_NS = 60_000_000_000


@dataclass(frozen=True)
class _Last:
    """When an id last had a pose, which one, and in how many frames without a longer break."""

    stamp_ns: int
    pose: Pose2D
    frames: int


def likeness(pose: Pose2D, last: Pose2D) -> Floats:
    """How much poses are like earlier ones, 0..1: an OKS that a few frames' motion does not spoil.

    Its area is four times that of the earlier pose's extent; zero with fewer than three joints in common. Of one pose
    and one earlier one, or with axes before theirs that go together: (...,).
    """
    seen = last.scores > 0
    common = (pose.scores > 0) & seen
    low, high = (np.where(seen[..., None], last.joints_px, empty) for empty in (np.inf, -np.inf))
    area = 4 * (high.max(axis=-2) - low.min(axis=-2)).prod(axis=-1)
    alike = oks(pose.joints_px, last.joints_px, area, H36M17.oks_sigmas, common.astype(np.float64))
    return np.where(common.sum(axis=-1) >= MIN_COMMON_JOINTS, alike, 0.0)


def stacked(poses: Sequence[Pose2D]) -> Pose2D:
    """Poses with an axis before theirs."""
    return Pose2D(np.stack([pose.joints_px for pose in poses]), np.stack([pose.scores for pose in poses]))


class PoseIdentities:
    """Ids of people from the tracks' and from their last poses; called once a frame, in the order of stamps.

    recent_s: how long an id's last pose counts; alike: likeness from which a pose goes on with another's id; empty_s:
    how long a track shows nobody until it is nobody's; new_ids: those of whom such a track shows next.
    """

    def __init__(
        self, recent_s: float = 0.6, alike: float = 0.5, empty_s: float = 3.0, new_ids: Iterator[int] | None = None
    ) -> None:
        self._recent_ns, self._alike, self._empty_ns = int(recent_s * 1e9), alike, int(empty_s * 1e9)
        self._new_ids = new_ids if new_ids is not None else itertools.count(FIRST_STRANGER)
        self._names: dict[int, tuple[int, int]] = {}
        self._shown_ns: dict[int, int] = {}
        self._last: dict[int, _Last] = {}
        self._alias: dict[int, int] = {}
        self._pace = FramePeriod()

    def begin(self, stamp_ns: int, track_ids: Sequence[int]) -> list[Pose2D | None]:
        """Each track's pose of the frame before, None where there is none. Poses from the future are forgotten."""
        before_ns = self._pace.last_ns
        # However seldom frames come, poses are recent until the next one.
        limit_ns = max(self._recent_ns, int(1.5e9 * self._pace.see(stamp_ns)))
        self._last = {k: v for k, v in self._last.items() if 0 <= stamp_ns - v.stamp_ns <= limit_ns}
        self._rename(stamp_ns, track_ids, max(self._empty_ns, limit_ns))
        track_ids = self._named(track_ids)
        alive = set(track_ids) | self._last.keys()
        self._alias = {k: v for k, v in self._alias.items() if k in alive}
        found = [self._last.get(self._alias.get(track_id, track_id)) for track_id in track_ids]
        # Where somebody was earlier, somebody else may be by now.
        return [last.pose if last is not None and last.stamp_ns == before_ns else None for last in found]

    def _rename(self, stamp_ns: int, track_ids: Sequence[int], limit_ns: int) -> None:
        """Give tracks that are there and showed nobody for longer than a limit names without a past."""
        # A track that was away may have been found again by its tracker, who knows more.
        shown = {track_id: self._shown_ns.get(track_id, stamp_ns) for track_id in track_ids}
        empty = [track_id for track_id, when in shown.items() if not 0 <= stamp_ns - when <= limit_ns]
        self._shown_ns = shown | dict.fromkeys(empty, stamp_ns)
        self._names |= {track_id: (next(self._new_ids), stamp_ns) for track_id in empty if shown[track_id] < stamp_ns}
        self._names |= {k: (v[0], stamp_ns) for k, v in self._names.items() if k in shown}
        self._names = {k: v for k, v in self._names.items() if 0 <= stamp_ns - v[1] <= _NAME_MEMORY_NS}

    def _named(self, track_ids: Sequence[int]) -> list[int]:
        return [self._names[track_id][0] if track_id in self._names else track_id for track_id in track_ids]

    def seniority(self, poses: Sequence[tuple[int, Pose2D]]) -> Floats:
        """In how many frames the person of each (track id, pose) was seen so far; 0 where the pose goes on with
        another's: a track whose person is hidden has the pose of who is in front."""
        frames = np.zeros(len(poses))
        if not poses or not self._last:
            return frames
        place = {identity: column for column, identity in enumerate(self._last)}
        names = self._named([track_id for track_id, _ in poses])
        new, last = stacked([pose for _, pose in poses]), list(self._last.values())
        alike = likeness(Pose2D(new.joints_px[:, None], new.scores[:, None]), stacked([one.pose for one in last]))
        for row, name in enumerate(names):
            own = place.get(self._alias.get(name, name))
            if own is not None and alike[row, own] >= alike[row].max():
                frames[row] = last[own].frames
        return frames

    def assign(self, stamp_ns: int, poses: Sequence[tuple[int, Pose2D]]) -> list[int]:
        """One id for each (track id, pose) of a frame, no id twice.

        Ids go to poses by likeness to each id's last pose and by the tracks that had them, at the most in total. A pose
        that goes on with its own track's gets no id that was seen last before that.
        """
        tracks = self._named([track_id for track_id, _ in poses])
        self._shown_ns |= {track_id: stamp_ns for track_id, _ in poses}
        usual = [self._alias.get(track_id, track_id) for track_id in tracks]
        known = sorted(self._last.keys() | set(usual))
        value = np.zeros((len(poses), len(known)))
        seen = [column for column, identity in enumerate(known) if identity in self._last]
        if poses and seen:
            new = stacked([pose for _, pose in poses])
            last = stacked([self._last[known[column]].pose for column in seen])
            value[:, seen] = likeness(Pose2D(new.joints_px[:, None], new.scores[:, None]), last)
        own = (np.array(usual)[:, None] == np.array(known)[None, :]).reshape(value.shape)
        ages = np.array([stamp_ns - self._last[i].stamp_ns if i in self._last else np.inf for i in known])
        followed = np.where(own & (value >= self._alike), ages, np.inf).min(axis=1, initial=np.inf)
        value[ages > followed[:, None]] = 0.0
        value += _TRACK_VALUE * own
        chosen = assign(_MOST - np.where(value >= self._alike, value, -np.inf), _MOST - self._alike)
        ids = [known[column] if column >= 0 else None for column in chosen]
        free = [track_id for track_id in tracks if track_id not in ids]
        result = []
        for track_id, (_, pose), identity in zip(tracks, poses, ids, strict=True):
            if identity is None:
                # There are as many track ids as poses, so one is left for each pose without an id.
                identity = track_id if track_id in free else free[0]
                free.remove(identity)
            frames = self._last[identity].frames if identity in self._last else 0
            self._alias[track_id], self._last[identity] = identity, _Last(stamp_ns, pose, frames + 1)
            result.append(identity)
        return result
