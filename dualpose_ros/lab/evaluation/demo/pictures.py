"""Pictures of results: tracks from above, the depth of a joint over time."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dualpose_ros.arrays import Floats
from dualpose_ros.camera import Camera
from dualpose_ros.datasets.clip import ClipTruth
from dualpose_ros.drawing import write_figure
from dualpose_ros.lab.evaluation.demo.measures import EstimatedFrame, match_clip, people_to_find
from dualpose_ros.lab.evaluation.depth_picture import Curve, draw_curves
from dualpose_ros.skeleton import H36M17

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999933", "#882255")
"""Colours that most people can tell apart (Okabe and Ito 2008, extended)."""


def draw_tracks(path: Path, truth: ClipTruth, frames: Sequence[EstimatedFrame]) -> None:
    """Write a picture (PNG, by the suffix) of true and estimated roots seen from above, camera at the bottom.

    True paths are lines in each person's colour, faint where the person is hidden; estimates are dots in the colour of
    the person they were matched to, crosses where they match nobody; rings mark where a person's track id changed.
    Below, each person's depth over time. Raises ValueError as `demo.measures.match_clip` does.
    """
    # on the object interface alone: no global state, no display
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 10.0), dpi=110, layout="constrained")
    above, over_time = figure.subplots(2, 1, height_ratios=(2.4, 1.0))
    figure.suptitle("Tracks from above: truth as lines, estimates as dots")
    _draw_truth(above, over_time, truth)
    _draw_estimates(above, over_time, truth, frames)
    limit = _reach(truth)
    _draw_view(above, truth.camera, limit)
    above.set(xlabel="x, right of the camera (m)", ylabel="z, ahead of the camera (m)", ylim=(-0.3, limit))
    above.set_aspect("equal", adjustable="datalim")
    over_time.set(xlabel="time (s)", ylabel="depth z (m)", xlim=(truth.stamps_s[0], truth.stamps_s[-1] + 1e-3))
    for axes in (above, over_time):
        axes.grid(alpha=0.25)
    above.legend(loc="upper right", fontsize=8)
    write_figure(path, figure)


def _colour(person: int) -> str:
    return _COLOURS[person % len(_COLOURS)]


def _reach(truth: ClipTruth) -> float:
    """The depth up to which is drawn: a little beyond whoever is farthest."""
    depths = truth.joints_cam[truth.present][:, H36M17.root, 2]
    return 1.1 * float(depths.max()) if depths.size else 5.0


def _draw_truth(above: Axes, over_time: Axes, truth: ClipTruth) -> None:
    seen = people_to_find(truth)
    for person in range(truth.num_people):
        root = truth.joints_cam[:, person, H36M17.root]
        for shown, alpha, label in ((truth.present, 0.3, None), (seen, 1.0, f"person {truth.ids[person]}")):
            path = np.where(shown[:, person, None], root, np.nan)
            above.plot(path[:, 0], path[:, 2], color=_colour(person), alpha=alpha, linewidth=1.4, label=label)
            over_time.plot(truth.stamps_s, path[:, 2], color=_colour(person), alpha=alpha, linewidth=1.4)


def _draw_estimates(above: Axes, over_time: Axes, truth: ClipTruth, frames: Sequence[EstimatedFrame]) -> None:
    matches = {(match.frame, match.row): match for match in match_clip(truth, frames)}
    dots: dict[int | None, list[tuple[float, float, float]]] = defaultdict(list)
    switches = []
    for frame in frames:
        for row, joints in enumerate(np.asarray(frame.joints_cam, dtype=np.float64)):
            x, _, z = joints[H36M17.root]
            match = matches.get((frame.index, row))
            dots[match.person if match else None].append((x, z, truth.stamps_s[frame.index]))
            if match and match.is_switch:
                switches.append((x, z))
    for person, points in dots.items():
        x, z, t = np.array(points, dtype=np.float64).T
        if person is None:
            above.scatter(x, z, s=14, marker="x", linewidths=0.7, color="#444444", label="matches nobody")
            over_time.scatter(t, z, s=8, marker="x", linewidths=0.6, color="#444444")
        else:
            above.scatter(x, z, s=5, color=_colour(person), alpha=0.5, linewidths=0)
            over_time.scatter(t, z, s=4, color=_colour(person), alpha=0.6, linewidths=0)
    if switches:
        x, z = np.array(switches, dtype=np.float64).T
        above.scatter(x, z, s=90, facecolors="none", edgecolors="black", linewidths=1.0, label="id switch")


def _draw_view(above: Axes, camera: Camera, reach_m: float) -> None:
    """The camera and the edges of what it sees at the height of its axis."""
    left, right = (0 - camera.cx) / camera.fx, (camera.width - 1 - camera.cx) / camera.fx
    for slope in (left, right):
        length = reach_m / math.hypot(1, slope)
        above.plot([0, slope * length], [0, length], color="#888888", linestyle="--", linewidth=0.8)
    above.plot(0, 0, marker="^", color="black", markersize=8)


def draw_depth(path: Path, truth: ClipTruth, raw: Sequence[EstimatedFrame], refined: Sequence[EstimatedFrame]) -> None:
    """Write a picture (PNG, by the suffix) of a wrist's depth over time, raw, refined and true, and of their errors.

    It is that of the person who was found in most frames, before and after refinement; the truth is faint where they
    are hidden, the RMS errors are those of the frames that both have. Raises ValueError as `demo.measures.match_clip`
    does.
    """
    at = H36M17.index("right_wrist")
    depths = [_depths(truth, frames, at) for frames in (raw, refined)]
    person = int(np.argmax(np.isfinite(depths[0]).sum(axis=0) + np.isfinite(depths[1]).sum(axis=0)))
    true_depth = np.where(truth.present[:, person], truth.joints_cam[:, person, at, 2], np.nan)
    both = np.isfinite(depths[0][:, person]) & np.isfinite(depths[1][:, person])
    curves = []
    for values, (name, colour, size) in zip(depths, _STAGES, strict=True):
        error = values[both, person] - true_depth[both]
        rms = f"error {1000 * np.sqrt(np.mean(error**2)):.0f} mm RMS" if both.any() else "not found"
        curves.append(Curve(f"{name}: {rms}", colour, truth.stamps_s, values[:, person], size))
    title = f"Depth of the right wrist of person {truth.ids[person]}"
    draw_curves(path, title, truth.stamps_s, true_depth, curves, people_to_find(truth)[:, person])


_STAGES = (("raw (fused)", "#e69f00", 2.5), ("refined", "#0072b2", 2.0))


def _depths(truth: ClipTruth, frames: Sequence[EstimatedFrame], joint: int) -> Floats:
    """Depth (T, N) of a joint as estimated for each person; NaN where they were not found."""
    joints_of = {frame.index: frame.joints_cam for frame in frames}
    depths = np.full((truth.num_frames, truth.num_people), np.nan)
    for match in match_clip(truth, frames):
        depths[match.frame, match.person] = joints_of[match.frame][match.row, joint, 2]
    return depths
