"""Detections of each frame joined into people with lasting ids.

Association goes by confidence: strong detections first, then weak ones only to continue
tracks that already exist, as an occluded person's box gets weak before it disappears (the
idea of Zhang et al., "ByteTrack", ECCV 2022). Time is the stamps', so frames may come at
irregular intervals.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import numpy as np

from dualpose_ros.arrays import AnyFloats, Float32s, Indices, Mask
from dualpose_ros.detection.appearance import appearance_distances
from dualpose_ros.detection.association import overlap_cost, size_ratios
from dualpose_ros.detection.detections import Detections
from dualpose_ros.detection.kalman import (
    BoxStates,
    MotionNoise,
    middle_distances,
    predict_states,
    replace_states,
    start_states,
    update_states,
)
from dualpose_ros.grouping import assign
from dualpose_ros.pace import FramePeriod
from dualpose_ros.people import Track, TrackingState, box_area, box_iou
from dualpose_ros.settings import SettingError, Settings, setting, share

_log = logging.getLogger(__name__)

CLEAR_VIEW_IOU = 0.15
"""Where boxes overlap more, colours are partly somebody else's and aren't learned from."""
APPEARANCE_S = 1.0
"""Time constant of a track's running mean of histograms."""
UNLIKE = 0.55
"""A detection too weak to start a track, and in clear view, whose colours differ more is not the track's: people's own
differ by less than 0.45 in a second, those of what is behind them when they leave by 0.6 and more."""
WEAK_DOUBT = 2.0
"""How many times further off the box of a weak detection is taken to be."""

STILL_INSIDE = 0.5
"""Share of a coasting box that has to lie in the image: less, and the person has most likely left."""


@dataclass(frozen=True)
class TrackerConfig(Settings):
    """How tracks start, continue and end."""

    low_score: float = share(
        0.05, "score from which detections count; weak ones, below high_score, only continue tracks"
    )
    high_score: float = share(0.15, "score from which detections are strong: they are matched first", live=True)
    new_track_score: float = share(0.25, "score from which a detection starts a track", live=True)
    max_match_cost: float = setting(
        1.35,
        "highest cost of a match, 1 - DIoU: 0 for the same box, 1 for one that just touches",
        least=0,
        most=2,
        live=True,
    )
    max_weak_match_cost: float = setting(
        0.7, "highest cost of a match with a weak detection", least=0, most=2, live=True
    )
    gate_sigmas: float = setting(
        4.0,
        "farthest middle of a match, in deviations of the prediction, unless boxes overlap well",
        least=0,
        most=1000,
        live=True,
    )
    max_size_ratio: float = setting(
        1.8,
        "largest change from prediction to detection of the box's side that changes less",
        least=1,
        most=1000,
        live=True,
    )
    appearance_weight: float = setting(
        2.0, "what a difference in colours costs; 0: motion alone", least=0, most=1000, live=True
    )
    confirm_hits: int = setting(2, "detections until a track is confirmed", least=1, most=1000, live=True)
    max_tentative_gap_s: float = setting(
        0.3, "how long a track that is not confirmed may lack a detection", unit="s", least=0, most=60, live=True
    )
    max_coast_s: float = setting(
        0.6,
        "how long a confirmed track without detection is put out, at its predicted box",
        unit="s",
        least=0,
        most=60,
        live=True,
    )
    max_lost_s: float = setting(
        3.0, "how long a confirmed track can be found again with the same id", unit="s", least=0, most=600, live=True
    )
    duplicate_iou: float = share(0.85, "tracks whose boxes overlap this much for duplicate_s are one person", live=True)
    duplicate_s: float = setting(
        0.5, "how long tracks overlap until they are taken for one person", unit="s", least=0, most=60, live=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        ordered = (("low_score", "high_score"), ("high_score", "new_track_score"), ("max_coast_s", "max_lost_s"))
        for least, most in ordered:
            low, high = getattr(self, least), getattr(self, most)
            if low > high:
                raise SettingError(most, f"is {high}; it must be at least {least}, which is {low}")


@dataclass
class _Life:
    """What a track is besides its filter; times in seconds."""

    track_id: int
    score: float
    last_seen: float
    appearance: Float32s | None
    hits: int = 1
    is_confirmed: bool = False
    overlapped: float = 0.0

    def see(self, now: float, score: float, confirm_hits: int) -> None:
        self.last_seen, self.score, self.hits = now, score, self.hits + 1
        self.is_confirmed = self.is_confirmed or self.hits >= confirm_hits


class Tracker:
    """Multi-person tracker; `update` once a frame. Ids start at 1 and are never given twice."""

    def __init__(self, config: TrackerConfig | None = None, noise: MotionNoise | None = None) -> None:
        self.config = config if config is not None else TrackerConfig()
        self._noise = noise if noise is not None else MotionNoise()
        self._next_id = 1
        self.reset()

    def reset(self) -> None:
        """Forget all tracks; later ones get fresh ids."""
        self._states: BoxStates = BoxStates.empty()
        self._lives: list[_Life] = []
        self._pace = FramePeriod()
        self._stamp_ns: int | None = None
        self._detected_s: float | None = None

    @property
    def has_tentative(self) -> bool:
        """Whether somebody is followed who is not confirmed yet."""
        return any(not life.is_confirmed for life in self._lives)

    def predict(self, stamp_ns: int, image_size: tuple[int, int] | None = None) -> list[Track]:
        """Tracks at a frame that no detector has looked at: those of the last one that it did, where they are by now.

        Arguments as of `update`.
        """
        return self._put_out(self._advance(stamp_ns), image_size)

    def update(
        self,
        detections: Detections,
        stamp_ns: int,
        appearance: AnyFloats | None = None,
        image_size: tuple[int, int] | None = None,
    ) -> list[Track]:
        """Tracks after a frame's detections, oldest first. A stamp before the last one starts anew (a looped video).

        detections: M of them; stamp_ns: of the frame; appearance: (M, B), each detection's histogram, if known;
        image_size: (width, height); boxes put out are clipped to it, and a track that left it is not put out.
        ValueError for shapes that don't fit.
        """
        if appearance is not None and len(appearance) != len(detections):
            raise ValueError(f"{len(appearance)} appearances for {len(detections)} detections")
        now = self._advance(stamp_ns)
        since = 0.0 if self._detected_s is None else now - self._detected_s
        self._detected_s = now
        seen = self._associate(detections, appearance, now)
        self._learn_appearance(detections, appearance, seen, since)
        self._start(detections, appearance, seen, now)
        self._drop_duplicates(now, since)
        return self._put_out(now, image_size)

    def _advance(self, stamp_ns: int) -> float:
        """Predict to the stamp and forget who is gone too long; returns the stamp in seconds."""
        if self._stamp_ns is not None and stamp_ns < self._stamp_ns:
            back = (self._stamp_ns - stamp_ns) / 1e9
            _log.warning("stamp went back by %.3f s (a looped video?): tracking starts anew", back)
            self.reset()
        dt = 0.0 if self._stamp_ns is None else (stamp_ns - self._stamp_ns) / 1e9
        self._stamp_ns = stamp_ns
        self._period_s = self._pace.see(stamp_ns)
        now = stamp_ns / 1e9
        # However seldom frames come, a track lives until the next one.
        budget = (
            max(self.config.max_tentative_gap_s, 1.5 * self._period_s),
            max(self.config.max_lost_s, 2 * self._period_s),
        )
        self._keep([now - life.last_seen <= budget[life.is_confirmed] + 1e-6 for life in self._lives])
        self._states = predict_states(self._states, dt, self._noise)
        return now

    def _keep(self, is_kept: list[bool]) -> None:
        self._states = self._states[np.array(is_kept, dtype=bool)]
        self._lives = [life for life, kept in zip(self._lives, is_kept, strict=True) if kept]

    def _associate(self, detections: Detections, appearance: AnyFloats | None, now: float) -> Indices:
        """Match and update in three rounds; returns for each detection its track's row or -1."""
        config = self.config
        seen = np.full(len(detections), -1, dtype=np.intp)
        strong = np.flatnonzero(detections.scores >= config.high_score)
        weak = np.flatnonzero((detections.scores >= config.low_score) & (detections.scores < config.high_score))
        confirmed = np.array([i for i, life in enumerate(self._lives) if life.is_confirmed], dtype=np.intp)
        tentative = np.array([i for i, life in enumerate(self._lives) if not life.is_confirmed], dtype=np.intp)

        left, strong = self._match(confirmed, strong, detections, appearance, config.max_match_cost, seen)
        recent = [i for i in left if now - self._lives[i].last_seen <= max(config.max_coast_s, 1.5 * self._period_s)]
        recent_rows = np.array(recent, dtype=np.intp)
        self._match(recent_rows, weak, detections, appearance, config.max_weak_match_cost, seen, is_weak=True)
        self._match(tentative, strong, detections, appearance, config.max_match_cost, seen)

        columns = np.flatnonzero(seen >= 0)
        rows = seen[columns]
        doubt = np.where(detections.scores[columns] < config.high_score, WEAK_DOUBT, 1.0)
        updated = update_states(self._states[rows], detections.boxes_px[columns], self._noise, doubt)
        self._states = replace_states(self._states, rows, updated)
        for row, column in zip(rows, columns, strict=True):
            self._lives[row].see(now, float(detections.scores[column]), config.confirm_hits)
        # An extrapolated change of size would soon be absurd, unlike an extrapolated path.
        coasting = np.setdiff1d(np.arange(len(self._lives)), rows)
        self._states.mean[coasting, 2:, 1] = 0.0
        return seen

    def _match(
        self,
        rows: Indices,
        columns: Indices,
        detections: Detections,
        appearance: AnyFloats | None,
        limit: float,
        seen: Indices,
        is_weak: bool = False,
    ) -> tuple[Indices, Indices]:
        """Assign tracks `rows` to detections `columns`, write `seen`; returns the rows and columns left over."""
        states, boxes = self._states[rows], detections.boxes_px[columns]
        cost = overlap_cost(states.boxes_px, boxes)
        overlaps = box_iou(states.boxes_px, boxes)
        is_near = (middle_distances(states, boxes, self._noise) <= self.config.gate_sigmas) | (overlaps >= 0.3)
        is_alike = size_ratios(states.boxes_px, boxes) <= self.config.max_size_ratio
        if appearance is not None and self.config.appearance_weight > 0:
            unknown = np.full(appearance.shape[1], np.nan, np.float32)
            known = [life.appearance if life.appearance is not None else unknown for life in self._looked_up(rows)]
            table = np.array(known, dtype=np.float32).reshape(len(rows), appearance.shape[1])
            distances = appearance_distances(table, appearance[columns])
            # The box of somebody partly hidden shows others' colours; beside nobody it shows their own.
            is_sure = detections.scores >= self.config.new_track_score
            is_alike &= (distances <= UNLIKE) | (is_sure | _beside(detections, is_sure))[columns]
            if not is_weak:
                # Centred, so that an unknown colour speaks neither for nor against.
                cost = cost + self.config.appearance_weight * (distances - 0.5)
        partner = assign(np.where(is_near & is_alike, cost, np.inf), limit)
        matched = partner >= 0
        seen[columns[partner[matched]]] = rows[matched]
        return rows[~matched], np.delete(columns, partner[matched])

    def _looked_up(self, rows: Indices) -> list[_Life]:
        return [self._lives[i] for i in rows]

    def _learn_appearance(
        self, detections: Detections, appearance: AnyFloats | None, seen: Indices, since: float
    ) -> None:
        """Move matched tracks' colours toward what is seen of them, where nobody overlaps them; `since` as below."""
        if appearance is None or len(detections) == 0:
            return
        rate = 1 - math.exp(-since / APPEARANCE_S)
        is_sure = (seen >= 0) & (detections.scores >= self.config.high_score)
        for column in np.flatnonzero(is_sure & _in_clear_view(detections) & np.isfinite(appearance[:, 0])):
            life, new = self._lives[seen[column]], appearance[column].astype(np.float32)
            old = life.appearance
            life.appearance = new if old is None else old + rate * (new - old)

    def _start(self, detections: Detections, appearance: AnyFloats | None, seen: Indices, now: float) -> None:
        """Begin tracks from strong detections that nobody claims and that repeat no matched box."""
        free = np.flatnonzero((seen < 0) & (detections.scores >= self.config.new_track_score))
        taken = self._states[seen[seen >= 0]].boxes_px
        repeats = np.max(box_iou(detections.boxes_px[free], taken), axis=1, initial=0)
        free = free[repeats < self.config.duplicate_iou]
        is_clear = _in_clear_view(detections)
        self._states = BoxStates.concatenate([self._states, start_states(detections.boxes_px[free], self._noise)])
        for column in free:
            knows = appearance is not None and is_clear[column] and np.isfinite(appearance[column, 0])
            colours = appearance[column].astype(np.float32) if knows and appearance is not None else None
            life = _Life(self._next_id, float(detections.scores[column]), now, colours)
            life.is_confirmed = self.config.confirm_hits <= 1
            self._lives.append(life)
            self._next_id += 1

    def _drop_duplicates(self, now: float, since: float) -> None:
        """Of two tracks seen at one place for `duplicate_s`, the younger goes; `since` the detections before, seconds.

        A coasting track keeps its life there (the person may be behind the other) but is hidden.
        """
        overlaps = np.triu(box_iou(self._states.boxes_px, self._states.boxes_px), k=1) > self.config.duplicate_iou
        is_seen = np.array([life.last_seen == now for life in self._lives], dtype=bool)
        # Tracks are kept oldest first: column j overlaps an older seen track, or, coasting, any seen one.
        under = (overlaps & is_seen[:, None]).any(axis=0)
        under |= ~is_seen & (overlaps & is_seen[None, :]).any(axis=1)
        for life, is_under in zip(self._lives, under, strict=True):
            life.overlapped = life.overlapped + since if is_under else 0.0
        self._keep([not (seen and self._is_duplicate(life)) for life, seen in zip(self._lives, is_seen, strict=True)])

    def _is_duplicate(self, life: _Life) -> bool:
        return life.overlapped > self.config.duplicate_s

    def _put_out(self, now: float, image_size: tuple[int, int] | None) -> list[Track]:
        tracks = []
        for life, box in zip(self._lives, self._states.boxes_px, strict=True):
            is_seen = life.last_seen == self._detected_s
            if not is_seen and (now - life.last_seen > self.config.max_coast_s + 1e-6 or self._is_duplicate(life)):
                continue
            if not is_seen and not life.is_confirmed:
                continue
            if image_size is not None:
                whole = box_area(box)
                box = np.clip(box, 0, np.tile(np.array(image_size, dtype=np.float64), 2))
                if box_area(box) < (STILL_INSIDE * whole if not is_seen else 1.0):
                    continue
            state = TrackingState.TENTATIVE
            if life.is_confirmed:
                state = TrackingState.CONFIRMED if is_seen else TrackingState.COASTING
            tracks.append(Track(life.track_id, state, box, life.score))
        return tracks


def _in_clear_view(detections: Detections) -> Mask:
    """Which detections (M,) no other one overlaps much."""
    return ~_beside(detections, np.ones(len(detections), dtype=bool))


def _beside(detections: Detections, others: Mask) -> Mask:
    """Which detections (M,) one of `others` (M,), not themselves, overlaps much."""
    overlaps = box_iou(detections.boxes_px, detections.boxes_px)
    np.fill_diagonal(overlaps, 0)
    return np.asarray(np.max(overlaps[:, others], axis=1, initial=0) > CLEAR_VIEW_IOU)
