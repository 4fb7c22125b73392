"""`dualpose demo`: the graph on the clip that ships with the package, measured against its ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from dualpose_ros.commands.run import (
    DetectorOption,
    DomainOption,
    MaxRateOption,
    OutOption,
    OverlayOption,
    ParamsOption,
    RateOption,
    VerboseOption,
)
from dualpose_ros.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from dualpose_ros.datasets.clip import ClipTruth
    from dualpose_ros.lab.evaluation.demo.measures import EstimatedFrame
    from dualpose_ros.runs.session import GraphResult


def demo(
    out: OutOption = Path("demo_out"),
    clip: Annotated[
        Path | None,
        typer.Option("--clip", help="Folder that `dualpose synth clip` made, instead of the clip that ships with it."),
    ] = None,
    detector: DetectorOption = None,
    rate: RateOption = 1.0,
    max_rate: MaxRateOption = None,
    params_file: ParamsOption = None,
    domain_id: DomainOption = None,
    overlay: OverlayOption = True,
    verbose: VerboseOption = False,
) -> None:
    """Run the graph on a rendered clip of four people who cross and hide each other, and say how right it was.

    Each node is a process of its own, speaking ROS 2 over DDS. Writes what `dualpose run` writes, the
    accuracy against the exact truth in `summary.json`, `tracks.png`, true and estimated tracks from above, and
    `depth.png`, one joint's depth over time, before and after refinement.
    """
    from dualpose_ros.datasets.clip import load_clip_truth
    from dualpose_ros.lab.evaluation.demo.pictures import draw_depth, draw_tracks
    from dualpose_ros.metrics.goals import goals_of
    from dualpose_ros.paths import share_dir
    from dualpose_ros.recording.recording import STAGES
    from dualpose_ros.recording.summary import ACCURACY_GOALS, LIVE_GOALS, write_summary
    from dualpose_ros.runs.live import LiveOptions, draw_overlay, live_figures, print_run, run_live

    console = Console(stderr=True)
    folder = clip or share_dir() / "demo"
    for name in ("clip.mp4", "camera.yaml", "truth.npz"):
        if not (folder / name).is_file():
            raise InputError(f"{folder} has no {name}: make a clip with `dualpose synth clip --out {folder}`")
    truth = load_clip_truth(folder / "truth.npz")
    options = LiveOptions(
        source=str(folder / "clip.mp4"),
        calibration=folder / "camera.yaml",
        out=out,
        detector=detector,
        rate=rate,
        max_rate=max_rate,
        params_file=params_file,
        domain_id=domain_id,
        overlay=overlay,
        verbose=verbose,
    )
    result = run_live(options, console)
    with result.recording.frames:
        frames = estimated_frames(result, truth, rate)
        stages = {stage: estimated_frames(result, truth, rate, result.recording.stage_lines(stage)) for stage in STAGES}
        figures = {**live_figures(options, result), **accuracy(frames, truth)}
        figures |= {stage: accuracy(found, truth) for stage, found in stages.items()}
        goals = goals_of(figures, (*LIVE_GOALS, *ACCURACY_GOALS))
        # Before the pictures, which take a while: whoever stops those has the figures.
        write_summary(out / "summary.json", figures, goals)
        draw_tracks(out / "tracks.png", truth, frames)
        draw_depth(out / "depth.png", truth, stages["fused"], frames)
        if overlay:
            figures["overlay_frames"] = draw_overlay(result, console)
            write_summary(out / "summary.json", figures, goals)
    print_run(console, figures, goals, out)
    console.print(stages_table(figures))


def stages_table(figures: Mapping[str, Any]) -> Table:
    """The accuracy of the graph's output, of the poses before refinement and of the top-down branch, side by side."""
    from rich.table import Table

    table = Table("accuracy", "/humans/poses3d", "before refinement", "top-down alone")
    for name in figures["top_down"]:
        values = (figures[name], figures["fused"][name], figures["top_down"][name])
        table.add_row(name, *("-" if value is None else f"{value:.3g}" for value in values))
    return table


def estimated_frames(
    result: GraphResult, truth: ClipTruth, rate: float, lines: Path | None = None
) -> list[EstimatedFrame]:
    """The recorded poses of the graph's output, or those of a file of lines, each with its frame of the clip."""
    import numpy as np

    from dualpose_ros.lab.evaluation.demo.measures import EstimatedFrame, frame_indices
    from dualpose_ros.people import TrackingState
    from dualpose_ros.recording.pose_lines import read_pose_lines
    from dualpose_ros.skeleton import H36M17

    published = list(read_pose_lines(lines or result.recording.pose_lines))
    if result.frames_sent > truth.num_frames:
        raise InputError(
            f"{result.frames_sent} frames were sent of a clip whose ground truth has {truth.num_frames}: "
            "clip.mp4 and truth.npz do not belong together, or the camera node was started again"
        )
    # At pace 0 frames come as fast as they decode, and gaps say nothing about how many are missing.
    pace = rate or 1e3
    period_ns = 1e9 / (truth.fps * pace)
    stamps = [frame.stamp_ns for frame in published]
    indices = frame_indices(stamps, result.info_stamps_ns, result.frames_sent, period_ns)
    return [
        EstimatedFrame(
            index,
            np.array([person.track_id for person in frame.persons], dtype=np.int64),
            np.array([person.joints_cam for person in frame.persons]).reshape(-1, H36M17.num_joints, 3),
            # In the time of the clip, where that is known.
            np.array([person.root_velocity for person in frame.persons]).reshape(-1, 3) / pace if rate else None,
            np.array([person.state is TrackingState.COASTING for person in frame.persons], dtype=bool),
        )
        for index, frame in zip(indices, published, strict=True)
    ]


def accuracy(frames: list[EstimatedFrame], truth: ClipTruth) -> dict[str, float | int | None]:
    """The accuracy part of the summary."""
    from dataclasses import asdict

    from dualpose_ros.lab.evaluation.demo.measures import evaluate_demo
    from dualpose_ros.lab.evaluation.demo.steadiness import measure_steadiness

    figures = asdict(evaluate_demo(truth, frames))
    names = (
        "recall",
        "precision",
        "coasting",
        "pck150_rel",
        "pck150_rel_all",
        "pck150_abs",
        "mpjpe_rel_mm",
        "root_depth_rel_err",
        "id_switches",
    )
    steadiness = asdict(measure_steadiness(truth, frames))
    return {name: _rounded(value) for name, value in {**{n: figures[n] for n in names}, **steadiness}.items()}


def _rounded(value: float | int | None) -> float | int | None:
    return round(value, 4) if isinstance(value, float) else value
