"""The graph on a rendered clip whose ground truth is known, as `dualpose demo` runs it, and how right it was."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from dualpose_ros.datasets.clip import ClipTruth, load_clip_truth
from dualpose_ros.errors import InputError
from dualpose_ros.lab.evaluation.demo.measures import EstimatedFrame, evaluate_demo
from dualpose_ros.lab.evaluation.demo.pictures import draw_depth, draw_tracks
from dualpose_ros.lab.evaluation.demo.steadiness import measure_steadiness
from dualpose_ros.metrics.goals import goals_of
from dualpose_ros.paths import share_dir
from dualpose_ros.people import TrackingState
from dualpose_ros.recording.pose_lines import read_pose_lines
from dualpose_ros.recording.recording import STAGES
from dualpose_ros.recording.summary import ACCURACY_GOALS, LIVE_GOALS, write_summary
from dualpose_ros.runs.live import LiveOptions, draw_overlay, live_figures, print_run, run_live
from dualpose_ros.runs.session import GraphResult
from dualpose_ros.skeleton import H36M17


def run_demo(
    options: LiveOptions, console: Console, clip: Path | None = None, given: Mapping[str, Any] | None = None
) -> None:
    """Run the graph on a clip, write and print how it compares with the truth.

    options: of the run; its source and calibration are the clip's, whatever they say. console: to print to; clip:
    folder that `dualpose synth clip` made, instead of the clip that ships with the package; given: the options as the
    summary is to name them.
    InputError where the folder lacks a file, or its files do not belong together; others as of `run_live`.
    """
    folder = clip or share_dir() / "demo"
    for name in ("clip.mp4", "camera.yaml", "truth.npz"):
        if not (folder / name).is_file():
            raise InputError(f"{folder} has no {name}: make a clip with `dualpose synth clip --out {folder}`")
    truth = load_clip_truth(folder / "truth.npz")
    options = replace(options, source=str(folder / "clip.mp4"), calibration=folder / "camera.yaml")
    # Of the clip as it is, all frames: otherwise those that a parameter file leaves out would count as missed.
    options = replace(options, fps=0.0, max_frames=0)
    rate, out = 1.0 if options.rate is None else options.rate, options.out
    result = run_live(options, console)
    with result.recording.frames:
        frames = estimated_frames(result, truth, rate)
        stages = {stage: estimated_frames(result, truth, rate, result.recording.stage_lines(stage)) for stage in STAGES}
        figures = {**live_figures(options, result), **accuracy(frames, truth)}
        figures |= {stage: accuracy(found, truth) for stage, found in stages.items()}
        figures["options"] = dict(given or {})
        goals = goals_of(figures, (*LIVE_GOALS, *ACCURACY_GOALS))
        # Before the pictures, which take a while: whoever stops those has the figures.
        write_summary(out / "summary.json", figures, goals)
        draw_tracks(out / "tracks.png", truth, frames)
        draw_depth(out / "depth.png", truth, stages["fused"], frames)
        if options.overlay:
            figures["overlay_frames"] = draw_overlay(options, result, console)
            write_summary(out / "summary.json", figures, goals)
    print_run(console, figures, goals, out)
    console.print(stages_table(figures))


def stages_table(figures: Mapping[str, Any]) -> Table:
    """The accuracy of the graph's output, of the poses before refinement and of the top-down branch, side by side."""
    table = Table("accuracy", "/humans/poses3d", "before refinement", "top-down alone")
    for name in figures["top_down"]:
        values = (figures[name], figures["fused"][name], figures["top_down"][name])
        table.add_row(name, *("-" if value is None else f"{value:.3g}" for value in values))
    return table


def estimated_frames(
    result: GraphResult, truth: ClipTruth, rate: float, lines: Path | None = None
) -> list[EstimatedFrame]:
    """The recorded poses of the graph's output, or those of a file of lines, each with its frame of the clip."""
    if result.frames_sent > truth.num_frames:
        raise InputError(
            f"{result.frames_sent} frames were sent of a clip whose ground truth has {truth.num_frames}: "
            "clip.mp4 and truth.npz do not belong together, or the camera node was started again"
        )
    return [
        EstimatedFrame(
            frame.number,
            np.array([person.track_id for person in frame.persons], dtype=np.int64),
            np.array([person.joints_cam for person in frame.persons]).reshape(-1, H36M17.num_joints, 3),
            # In the time of the clip, where that is known.
            np.array([person.root_velocity for person in frame.persons]).reshape(-1, 3) / rate if rate else None,
            np.array([person.state is TrackingState.COASTING for person in frame.persons], dtype=bool),
        )
        for frame in read_pose_lines(lines or result.recording.pose_lines)
        if frame.number is not None
    ]


def accuracy(frames: list[EstimatedFrame], truth: ClipTruth) -> dict[str, float | int | None]:
    """The accuracy part of the summary."""
    figures = {**asdict(evaluate_demo(truth, frames)), **asdict(measure_steadiness(truth, frames))}
    return {name: _rounded(value) for name, value in figures.items() if name not in ("frames", "people", "found")}


def _rounded(value: float | int | None) -> float | int | None:
    return round(value, 4) if isinstance(value, float) else value
