"""Semi-supervised networks on recordings (paper, Table 4): tracks lifted anew, fused anew, and what that is worth.

Numpy and ONNX only. F frames, M top-down estimates, N tracks of up to T of them, K joints; metres, camera frame.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dualpose_ros.arrays import Float32s, Floats, Ints, Mask
from dualpose_ros.datasets.recordings import Estimates, Recordings
from dualpose_ros.fusion.integrate import NetworkIntegrator
from dualpose_ros.inference.engine import Engine, EngineError
from dualpose_ros.lab.evaluation.fusion.measures import COLUMNS, Fuse, RecordedFrame, pose_row, recorded_frames, staged
from dualpose_ros.skeleton import K
from dualpose_ros.top_down.lifting.completion import LONGEST_GAP_S, NUM_FEATURES, CompletedPoses, complete, time_feature
from dualpose_ros.top_down.lifting.lifter import ANSWERS, empty_memory, lookahead_frames, place_people


@dataclass(frozen=True)
class TrackInput:
    """rows (N, T): the top-down estimate of each frame that a track was seen in, -1 after its last; people: of all
    N * T, flattened; features (N, T, F) of a lifting network."""

    rows: Ints
    people: CompletedPoses
    features: Float32s

    @property
    def there(self) -> Mask:
        """Which entries are estimates: (N, T)."""
        return self.rows >= 0


def track_rows(recordings: Recordings) -> Ints:
    """The top-down estimates of each track in the order of their frames, -1 behind the last: (N, T).

    A track not seen for LONGEST_GAP_S starts anew, as in the live stage.
    """
    estimates, frames = recordings.top_down, recordings.frames
    sequence, stamp = frames.sequence[estimates.frame], frames.stamp_s[estimates.frame]
    order = np.lexsort((estimates.frame, estimates.track, sequence))
    if not len(order):
        return np.zeros((0, 1), dtype=np.int64)
    apart = (np.diff(sequence[order]) != 0) | (np.diff(estimates.track[order]) != 0)
    apart |= np.diff(stamp[order]) > LONGEST_GAP_S
    parts = np.split(order, np.flatnonzero(apart) + 1)
    rows = np.full((len(parts), max(len(part) for part in parts)), -1, dtype=np.int64)
    for row, part in zip(rows, parts, strict=True):
        row[: len(part)] = part
    return rows


def ray_of(recordings: Recordings, estimates: Estimates) -> Floats:
    """The joints of estimates (M) on the image as normalised rays: (M, K, 2)."""
    fx, fy, cx, cy = (recordings.frames.camera[estimates.frame, i].astype(np.float64) for i in range(4))
    scale, centre = np.stack([fx, fy], axis=1)[:, None], np.stack([cx, cy], axis=1)[:, None]
    return np.asarray((estimates.keypoints_px - centre) / scale)


def track_input(recordings: Recordings, rows: Ints | None = None, gcn: Engine | None = None) -> TrackInput:
    """What a lifting network is told of the tracks, completed by a GCN if there is one."""
    rows = track_rows(recordings) if rows is None else rows
    index, there = np.maximum(rows, 0), rows >= 0
    estimates = recordings.top_down
    rays = np.where(there[..., None, None], ray_of(recordings, estimates)[index], 0.0)
    scores = np.where(there[..., None], estimates.joint_scores[index], 0.0)
    stamps = recordings.frames.stamp_s[estimates.frame[index]]
    return lifting_input(rows, rays, scores, elapsed(stamps, there), gcn)


def elapsed(stamps_s: Floats, there: Mask) -> Floats:
    """Seconds since a track's frame before, LONGEST_GAP_S at its birth: (N, T)."""
    first = np.full((len(stamps_s), 1), LONGEST_GAP_S)
    return np.where(there, np.concatenate([first, np.diff(stamps_s, axis=1)], axis=1), LONGEST_GAP_S)


def lifting_input(rows: Ints, rays: Floats, scores: Floats, seconds: Floats, gcn: Engine | None = None) -> TrackInput:
    """The same of rays (N, T, K, 2), found with scores (N, T, K), and the time since the frame before (N, T)."""
    people = complete(rays.reshape(-1, K, 2), scores.reshape(-1, K), gcn)
    features = people.features.reshape(*rows.shape, NUM_FEATURES).copy()
    features[..., -1] = time_feature(seconds)
    return TrackInput(rows, people, features)


def relifted(recordings: Recordings, engine: Engine, gcn: Engine | None = None) -> Recordings:
    """The recordings with the top-down poses that another lifting network makes of the same 2D joints.

    EngineError if it is no lifting network, or looks ahead.
    """
    tracks = track_input(recordings, gcn=gcn)
    memory = empty_memory(engine, len(tracks.rows))
    if late := lookahead_frames(engine):
        raise EngineError(f"this lifting network looks {late} frames ahead; recordings are lifted as live ones are")
    if not len(tracks.rows):
        return recordings
    answer = engine.run({"features": tracks.features, **memory})
    there = tracks.there.ravel()
    people = tracks.people[there]
    placed = place_people(people, {name: answer[name].reshape(-1, *answer[name].shape[2:])[there] for name in ANSWERS})
    estimates, rows = recordings.top_down, tracks.rows.ravel()[there]
    along = placed.depth_stddev * np.linalg.norm(placed.root_cam, axis=1)
    joints, stddev = estimates.joints_cam.copy(), estimates.joint_stddev.copy()
    joints[rows] = placed.joints_rel + placed.root_cam[:, None]
    stddev[rows] = np.hypot(placed.stddev, along[:, None])
    return replace(recordings, top_down=replace(estimates, joints_cam=joints, joint_stddev=stddev))


def semi_supervised_rows(recordings: Recordings, networks: Mapping[str, tuple[Engine, Engine]]) -> list[dict[str, Any]]:
    """Table 4: figures of each lifting and integration network by name, over the unlabelled domain.

    EngineError if an engine is another network.
    """
    chosen = ~recordings.frames.level
    return [pose_row(name, *fused(recordings, pair, chosen)) for name, pair in networks.items()]


def fused(
    recordings: Recordings, pair: tuple[Engine, Engine], chosen: Mask, gcn: Engine | None = None
) -> tuple[list[RecordedFrame], Fuse]:
    """The `chosen` frames (F,) as the lifting network of a pair lifts them, and live fusion with the other network."""
    lifted = recorded_frames(relifted(recordings, pair[0], gcn))
    kept = [frame for frame, wanted in zip(lifted, chosen, strict=True) if wanted]
    return kept, staged(NetworkIntegrator(pair[1]))


def gap_closed(rows: Sequence[Mapping[str, Any]], name: str) -> dict[str, float | None]:
    """How much of the gap between the rows `none` and `full` another one closes, by column; None without one."""
    by_name = {row["row"]: row for row in rows}
    shares: dict[str, float | None] = {}
    for column in COLUMNS:
        least, most, own = (by_name[row][column] for row in ("none", "full", name))
        measured = None not in (least, most, own) and most > least
        shares[column] = (own - least) / (most - least) if measured else None
    return shares
