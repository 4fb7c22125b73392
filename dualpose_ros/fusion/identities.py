"""Who is who after fusion: one id for a person, whichever branch sees them at the moment.

A person has the id of the top-down track that they were first seen with. Somebody whom only the bottom-up branch
sees gets the next free one. Where tracks don't tell, people are known by where their last pose would be by now.
K joints of `skeleton.H36M17`; metres in the camera's optical frame.
"""

from collections import defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.grouping import assign
from dualpose_ros.pace import FramePeriod
from dualpose_ros.people import low_passed_velocity
from dualpose_ros.settings import Settings, setting
from dualpose_ros.skeleton import H36M17

LAST_ID = 999
"""Ids are from 1 to this one, in turn; a track's own is kept where it is one of these and free."""

_TRACK_MEMORY_NS = 60_000_000_000
_VELOCITY_S = 0.3
_FASTEST_M_S = 4.0
_NEAREST_M = 0.2


@dataclass(frozen=True)
class IdentityConfig(Settings):
    """How people are known again."""

    max_lost_s: float = setting(
        1.0, "how long somebody unseen can be known again by where they were", unit="s", above=0, most=60
    )
    confirm_frames: int = setting(
        3, "frames in a row that confirm whom only the bottom-up branch sees", unit="frames", least=1, most=1000
    )
    max_distance_m: float = setting(
        0.5, "mean distance of joints from where they should be, up to which it is the same person", unit="m", above=0
    )
    max_distance_growth_m_s: float = setting(
        0.5, "by how much max_distance_m grows while somebody is unseen", unit="m/s", least=0
    )
    max_depth_difference: float = setting(
        0.4, "difference in distance from the camera, as a share, up to which it is the same person", above=0
    )


@dataclass(frozen=True)
class Sighting:
    """Somebody in a frame: joints_cam (K, 3); the top-down track, None where that branch has none; whether that
    track is sure to be a person."""

    joints_cam: Floats
    track_id: int | None = None
    confirmed: bool = False


@dataclass(frozen=True)
class Identity:
    """A person's id, whether they are confirmed, and the velocity (3,) of their root in m/s."""

    person_id: int
    confirmed: bool
    velocity: Floats = field(default_factory=lambda: np.zeros(3))


@dataclass(frozen=True)
class _Person:
    """The last of somebody: when, where, how fast, with which track, in how many frames in a row."""

    stamp_ns: int
    joints_cam: Floats
    velocity: Floats
    track_id: int | None
    hits: int
    confirmed: bool

    def predicted(self, stamp_ns: int) -> Floats:
        """Joints (K, 3) as they would be by now, the whole body moved with its root."""
        speed = float(np.linalg.norm(self.velocity))
        velocity = self.velocity * min(1.0, _FASTEST_M_S / max(speed, 1e-9))
        return self.joints_cam + velocity * (stamp_ns - self.stamp_ns) * 1e-9


class FusedIdentities:
    """Ids of people from tracks and last poses; called once a frame, in the order of stamps."""

    def __init__(self, config: IdentityConfig | None = None) -> None:
        self.config = config if config is not None else IdentityConfig()
        self._people: dict[int, _Person] = {}
        self._tracks: dict[int, tuple[int, int]] = {}
        self._given: dict[int, int] = {}
        self._pace = FramePeriod()
        self._last_id = 0

    def assign(self, stamp_ns: int, sightings: Sequence[Sighting], complete: bool = True) -> list[Identity]:
        """One identity for each person of a frame, no id twice.

        stamp_ns: of the frame; sightings: the people in it; complete: whether the bottom-up branch saw this frame.
        """
        self._forget(stamp_ns)
        ids = self._by_track(stamp_ns, sightings)
        ids = self._by_nearness(stamp_ns, sightings, ids)
        taken = {i for i in ids if i is not None}
        result = []
        for sighting, known in zip(sightings, ids, strict=True):
            person_id = known if known is not None else self._new_id(sighting.track_id, taken)
            taken.add(person_id)
            result.append(self._see(stamp_ns, person_id, sighting))
        if complete:
            for person_id in self._people.keys() - taken:
                self._people[person_id] = replace(self._people[person_id], hits=0)
        return result

    def _forget(self, stamp_ns: int) -> None:
        """Drop people and tracks of long ago, and all if time went backwards."""
        # However seldom frames come, people are remembered until the next one.
        limit_ns = int(max(self.config.max_lost_s, 1.5 * self._pace.see(stamp_ns)) * 1e9)
        self._people = {k: v for k, v in self._people.items() if 0 < stamp_ns - v.stamp_ns <= limit_ns}
        self._tracks = {k: v for k, v in self._tracks.items() if 0 < stamp_ns - v[1] <= _TRACK_MEMORY_NS}
        self._given = {k: v for k, v in self._given.items() if 0 < stamp_ns - v <= _TRACK_MEMORY_NS}

    def _by_track(self, stamp_ns: int, sightings: Sequence[Sighting]) -> list[int | None]:
        """Ids of those whose track is known; of several tracks that had one id, the last to have it keeps it."""
        claims: dict[int, list[int]] = defaultdict(list)
        for row, sighting in enumerate(sightings):
            if sighting.track_id is not None and sighting.track_id in self._tracks:
                claims[self._tracks[sighting.track_id][0]].append(row)
        ids: list[int | None] = [None] * len(sightings)
        for person_id, rows in claims.items():
            ids[min(rows, key=lambda row: self._claim(stamp_ns, person_id, sightings[row]))] = person_id
        return ids

    def _claim(self, stamp_ns: int, person_id: int, sighting: Sighting) -> tuple[bool, int, float]:
        """Sorts first whoever has the best claim to an id."""
        person = self._people.get(person_id)
        track_id = -1 if sighting.track_id is None else sighting.track_id
        gap = 0.0 if person is None else self._gap(stamp_ns, person, sighting)
        return person is None or person.track_id != track_id, -self._tracks[track_id][1], gap

    def _by_nearness(self, stamp_ns: int, sightings: Sequence[Sighting], ids: Sequence[int | None]) -> list[int | None]:
        """The ids given, and for those without one the id of somebody else who should be there by now."""
        free = [row for row, known in enumerate(ids) if known is None]
        lost = sorted(self._people.keys() - set(ids))
        gaps = [[self._gap(stamp_ns, self._people[k], sightings[row]) for k in lost] for row in free]
        chosen = assign(np.array(gaps, dtype=np.float64).reshape(len(free), len(lost)), 1.0)
        found = list(ids)
        for row, column in zip(free, chosen, strict=True):
            found[row] = lost[column] if column >= 0 else None
        return found

    def _gap(self, stamp_ns: int, person: _Person, sighting: Sighting) -> float:
        """How far somebody is from where a person should be: up to 1 it may be them."""
        expected, joints = person.predicted(stamp_ns), sighting.joints_cam
        depth, expected_depth = (max(float(j[H36M17.root, 2]), _NEAREST_M) for j in (joints, expected))
        # Depths differ more between frames and branches than directions do.
        across = np.linalg.norm(joints * (expected_depth / depth) - expected, axis=1).mean()
        reach = self.config.max_distance_m + self.config.max_distance_growth_m_s * (stamp_ns - person.stamp_ns) * 1e-9
        along = abs(depth - expected_depth) / (self.config.max_depth_difference * expected_depth)
        return float(np.hypot(across / reach, along))

    def _new_id(self, track_id: int | None, taken: Set[int]) -> int:
        """The track's id, or the next one where there is no track, its id is large or somebody had it lately."""
        lately = taken | self._people.keys() | self._given.keys()
        if track_id is None or not 0 <= track_id <= LAST_ID or track_id in lately:
            order = [*range(self._last_id + 1, LAST_ID + 1), *range(1, self._last_id + 1)]
            # Where all were given lately, the one that was so first.
            free = [i for i in order if i not in lately]
            track_id = (free or sorted(set(order) - taken, key=lambda i: self._given.get(i, 0)))[0]
        self._last_id = track_id
        return track_id

    def _see(self, stamp_ns: int, person_id: int, sighting: Sighting) -> Identity:
        """Remember a person as seen now."""
        last = self._people.get(person_id)
        velocity = np.zeros(3)
        hits, confirmed = 1, sighting.confirmed
        if last is not None:
            elapsed = (stamp_ns - last.stamp_ns) * 1e-9
            moved = sighting.joints_cam[H36M17.root] - last.joints_cam[H36M17.root]
            velocity = low_passed_velocity(last.velocity, moved, elapsed, _VELOCITY_S)
            hits, confirmed = last.hits + 1, confirmed or last.confirmed
        confirmed = confirmed or hits >= self.config.confirm_frames
        track_id = sighting.track_id
        if track_id is not None:
            self._tracks[track_id] = (person_id, stamp_ns)
        elif last is not None:
            track_id = last.track_id
        self._given[person_id] = stamp_ns
        self._people[person_id] = _Person(stamp_ns, sighting.joints_cam, velocity, track_id, hits, confirmed)
        return Identity(person_id, confirmed, velocity)
