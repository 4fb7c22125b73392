"""What `run` and `demo` share: look at the input first, run the graph, write the output folder."""

import math
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dualpose_ros.camera import GroundConfig
from dualpose_ros.errors import InputError
from dualpose_ros.metrics.goals import Goal
from dualpose_ros.paths import share_dir, user_path, version
from dualpose_ros.people import SEEN
from dualpose_ros.recording.overlay import write_overlay
from dualpose_ros.recording.pose_lines import read_pose_lines
from dualpose_ros.recording.recording import STALE
from dualpose_ros.recording.summary import write_summary
from dualpose_ros.runs.refinement_settings import REFINEMENT, ground_parameters, refinement_settings, stated_ground
from dualpose_ros.runs.session import (
    BOTTOM_UP,
    CAMERA,
    DETECTION,
    FUSION,
    TOP_DOWN,
    VIEW,
    VISUALIZATION,
    GraphError,
    GraphOptions,
    GraphResult,
    Watch,
    run_graph,
)
from dualpose_ros.settings import with_values
from dualpose_ros.sources.frames import open_source, path_of
from dualpose_ros.sources.source import SourceInfo, printable
from dualpose_ros.standalone.arguments import in_force, parameter_of, read_parameter_file
from dualpose_ros.standalone.process import RestartPolicy
from dualpose_ros.standalone.stopping import stop_signals
from dualpose_ros.view.page import check_ports, check_rerun, page_url
from dualpose_ros.weights import list_weights, weights_path

ASSUMED_HFOV_DEG = 60.0
NETWORKS = {
    "top_down": (TOP_DOWN, "weights"), "gcn": (TOP_DOWN, "gcn_weights"), "lifting": (TOP_DOWN, "lifting_weights"),
    "bottom_up": (BOTTOM_UP, "weights"), "fusion": (FUSION, "weights"),
}  # fmt: skip
"""Networks that ship, and which parameter of which node says that it is another."""


@dataclass(frozen=True)
class LiveOptions:
    """What the user asked for; see the options of `dualpose run`. `every_frame` None: where the source is no camera.

    fps, rate, max_frames, browser, view_port: None is what the parameter file says; of the lens see `with_file`.
    calibrated_ground: where no height is given, the ground is the one that the calibration file says.
    """

    source: str
    out: Path
    detector: str | None = None
    hfov_deg: float | None = None
    calibration: Path | None = None
    camera_height_m: float | None = None
    camera_pitch_deg: float = 0.0
    camera_roll_deg: float = 0.0
    calibrated_ground: bool = True
    fps: float | None = None
    rate: float | None = None
    every_frame: bool | None = False
    max_rate: float | None = None
    max_frames: int | None = None
    params_file: Path | None = None
    domain_id: int | None = None
    overlay: bool = True
    verbose: bool = False
    composed: bool = False
    view: bool = False
    browser: bool | None = None
    view_port: int | None = None
    hung_s: float = RestartPolicy.hung_s


def run_live(options: LiveOptions, console: Console, watch: Watch | None = None) -> GraphResult:
    """Check the input, run the graph and record it; the kept frames are still there for the overlay.

    `watch`: see `run_graph`.
    Errors name what is wrong before any process is started: source, calibration, weights, parameters.
    """
    if path_of(options.source).resolve() in {(options.out / name).resolve() for name in STALE}:
        raise InputError(f"--out {options.out} would overwrite the source {options.source}: name another folder")
    source = check_input(options)
    every_frame = not source.live if options.every_frame is None else options.every_frame
    if every_frame and source.live:
        raise InputError(f"{options.source} is live, and waits for no graph: leave out --every-frame")
    if source.live and (options.fps or options.rate not in (None, 1)):
        raise InputError(
            f"{options.source} is live, and has its own pace: leave out --{'fps' if options.fps else 'rate'}"
        )
    if every_frame and options.max_rate:
        raise InputError("--max-rate does nothing where every frame is worked on: add --live")
    given = {"playback_rate": options.rate, "fps": options.fps, "max_frames": options.max_frames}
    camera = {"source": options.source, **{name: value for name, value in given.items() if value is not None}}
    camera |= lens_parameters(options)
    asked = file_parameter(options, CAMERA, "max_frames", 0) if options.max_frames is None else options.max_frames
    known = (source.count, asked or None)
    if options.calibration is None and options.hfov_deg is None:
        console.print(
            f"The camera is unknown: a horizontal field of view of {ASSUMED_HFOV_DEG:g} degrees is assumed, and "
            "depths are off as far as that is. Give --hfov or --calibration."
        )
    detection: dict[str, Any] = {}
    if options.detector is not None:
        detection["detector"] = options.detector
    if options.max_rate is not None:
        detection["max_rate_hz"] = options.max_rate
    if not source.live and file_parameter(options, DETECTION, "cuts", "auto") == "auto":
        detection["cuts"] = "always"
    graph = GraphOptions(
        out=options.out,
        camera=camera,
        overrides={DETECTION: detection, REFINEMENT: ground_parameters(ground_of(options))},
        params_file=options.params_file or default_params(),
        domain_id=options.domain_id,
        every_frame=every_frame,
        total_frames=min((count for count in known if count is not None), default=None),
        keep_frames=options.overlay,
        verbose=options.verbose,
        composed=options.composed,
        view=view_parameters(options),
        hung_s=options.hung_s,
    )
    if options.view:
        console.print(f"live view: {page_url(view_port(options))}", soft_wrap=True)
    return run_graph(graph, console, watch)


def with_file(options: LiveOptions) -> LiveOptions:
    """The options, and where they don't say what camera it is, what the parameter file says.

    InputError for values that the camera node would refuse.
    """
    from dualpose_ros.nodes.camera_node import CameraNodeConfig

    path, is_said = options.params_file, options.calibration is not None or options.hfov_deg is not None
    if path is None or not path.is_file():
        return options
    said = in_force(read_parameter_file(path), f"/{CAMERA}")
    try:
        config = with_values(CameraNodeConfig(), {name: override.value for name, override in said.items()})
    except ValueError as error:
        raise InputError(f"--params-file {path}: {error}") from None
    calibration = user_path(config.calibration) if config.calibration else None
    return options if is_said else replace(options, calibration=calibration, hfov_deg=config.hfov_deg or None)


def lens_parameters(options: LiveOptions) -> dict[str, Any]:
    """Parameters of the camera node: both, or that of the parameter file would stand beside the other one."""
    calibration = str(options.calibration or "")
    return {"calibration": calibration, "hfov_deg": 0.0 if calibration else options.hfov_deg or ASSUMED_HFOV_DEG}


def ground_of(options: LiveOptions) -> GroundConfig | None:
    """The ground before the camera, by the options or the parameter file; None where nobody says.

    InputError or CameraError names what is wrong.
    """
    told = options.calibration if options.calibrated_ground else None
    ground = stated_ground(options.camera_height_m, options.camera_pitch_deg, options.camera_roll_deg, told)
    if ground is None and options.params_file is not None:
        try:
            ground = refinement_settings(options.params_file)[1].ground
        except ValueError as error:
            raise InputError(f"--params-file {options.params_file}: {error}") from None
    return ground if ground is not None and ground.camera_height_m else None


def view_parameters(options: LiveOptions) -> dict[str, Any] | None:
    """Parameters of the view node, None where there is no view. It shows the ground even if the graph is not told."""
    if not options.view:
        return None
    shown: dict[str, Any] = {"web_port": view_port(options), "save_to": str(options.out / "view.rrd")}
    if options.browser is not None:
        shown["open_browser"] = options.browser
    return {**shown, **ground_parameters(ground_of(replace(options, calibrated_ground=True)))}


def run_and_write(options: LiveOptions, console: Console) -> None:
    """Run the graph, write `summary.json` and the overlay, and print what came of it.

    Errors are those of `run_live`; InputError besides where no frame came, and GraphError where no poses did.
    """
    out, options = options.out, with_file(options)
    result = run_live(options, console)
    with result.recording.frames:
        figures = live_figures(options, result)
        # Before the overlay, which takes a while: whoever stops that has the figures.
        write_summary(out / "summary.json", figures, [])
        is_full = result.recording.disk.is_full
        if options.overlay and not is_full:
            if result.recording.frames.is_full:
                console.print("overlay.mp4 ends early: the frames that were kept for it have reached 2 GB")
            figures["overlay_frames"] = draw_overlay(options, result, console)
            write_summary(out / "summary.json", figures, [])
    print_run(console, figures, [], out)
    if is_full:
        raise GraphError(f"no space is left for {out}: the run ended there, and what it had recorded is finished")
    if result.frames_sent == 0 and not result.interrupted:
        raise InputError(f"no frame came from {printable(options.source)}; see {out / 'nodes.log'}")
    if result.recording.num_poses == 0 and not result.interrupted:
        raise GraphError(f"no poses came of {result.frames_sent} frames; see {out / 'nodes.log'}")


def view_port(options: LiveOptions) -> int:
    """The port of the live view's page."""
    said = file_parameter(options, VIEW, "web_port", 9090)
    # What is no number the node refuses, and says so.
    return options.view_port or (said if isinstance(said, int) else 9090)


def check_input(options: LiveOptions) -> SourceInfo:
    """Look at everything that the nodes will need; what the source is."""
    # Here, not at the top: importing anything from nodes puts rclpy, or what stands for it, in place.
    from dualpose_ros.nodes.camera_node import CameraNodeConfig, camera_of
    from dualpose_ros.runs.parameter_lists import check_values

    if options.params_file is not None and not options.params_file.is_file():
        raise InputError(f"--params-file {options.params_file} is no file")
    if options.params_file is not None:
        check_values(options.params_file)
    if options.calibration is not None and options.hfov_deg is not None:
        raise InputError("both --calibration and --hfov are given; give one of them")
    source = open_source(options.source)
    source.close()
    config = CameraNodeConfig(source=options.source, **lens_parameters(options))
    camera_of(config, (source.info.width, source.info.height))
    ground_of(options)
    if options.view:
        check_rerun()
        check_ports(view_port(options))
    if options.params_file is None:
        for name in NETWORKS:
            weights_path(name)
    check_detector(detector_of(options))
    return source.info


def detector_of(options: LiveOptions) -> str:
    """The detector of a run: as asked for, or as the parameter file says."""
    return (
        options.detector if options.detector is not None else str(file_parameter(options, DETECTION, "detector", "own"))
    )


def file_parameter(options: LiveOptions, node: str, name: str, default: Any) -> Any:
    """What the parameter file of a run says of a node, `default` where it says nothing."""
    return parameter_of(options.params_file or default_params(), node, name, default)


def default_params() -> Path:
    """The parameters that come with the package."""
    return share_dir() / "config" / "pipeline.yaml"


def check_detector(spec: str) -> None:
    """Refuse a detector that is unknown, or whose file is missing or damaged."""
    from dualpose_ros.detection.stage import DetectionConfig, existing_file

    try:
        config = DetectionConfig(detector=spec)
    except ValueError as error:
        raise InputError(str(error)) from None
    kind, _, name = config.detector.partition(":")
    if name:
        existing_file(name)
    elif kind == "own":
        weights_path("detector")


def draw_overlay(options: LiveOptions, result: GraphResult, console: Console) -> int:
    """Draw overlay.mp4 from the frames that were kept; the number of frames drawn.

    Ctrl-C ends the drawing early: the video then holds what was drawn so far.
    """
    recording = result.recording
    columns = (TextColumn("overlay"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    done = 0
    try:
        with Progress(*columns, console=console, transient=True) as bar, stop_signals(signal.default_int_handler):
            task = bar.add_task("overlay", total=len(recording.frames))

            def progress(count: int, total: int) -> None:
                nonlocal done
                done = count
                bar.update(task, completed=count)

            path = recording.directory / "overlay.mp4"
            path.unlink(missing_ok=True)
            least = float(file_parameter(options, VISUALIZATION, "min_joint_score", SEEN))
            return write_overlay(path, recording.pose_lines, recording.frames, result.camera, progress, least)
    except KeyboardInterrupt:
        console.print(f"overlay.mp4 ends after {done} frames: stopped by a signal")
    except OSError as error:
        console.print(f"overlay.mp4 can't be written beyond frame {done}: {error.strerror or error}")
    return done


def live_figures(options: LiveOptions, result: GraphResult) -> dict[str, Any]:
    """The figures that every run has, as `summary.json` holds them."""
    times = result.recording.times
    tracks: dict[int, int] = {}
    most = 0
    for frame in read_pose_lines(result.recording.pose_lines):
        most = max(most, len(frame.persons))
        for person in frame.persons:
            tracks[person.track_id] = tracks.get(person.track_id, 0) + 1
    camera, ground = result.camera, ground_of(options)
    return {
        "version": version(),
        "source": printable(options.source),
        "every_frame": result.every_frame,
        "detector": detector_of(options),
        "camera": camera and {"width": camera.width, "height": camera.height, "fx": camera.fx, "fy": camera.fy},
        "hfov_deg": camera and round(math.degrees(camera.hfov), 2),
        "hfov_assumed": options.calibration is None and options.hfov_deg is None,
        "camera_height_m": ground and ground.camera_height_m,
        "camera_pitch_deg": ground and round(math.degrees(ground.camera_pitch_rad), 2),
        "camera_roll_deg": ground and round(math.degrees(ground.camera_roll_rad), 2),
        "frames_sent": result.frames_sent,
        "frames_left_out": result.frames_left_out,
        "frames_published": result.recording.num_poses,
        "seconds": round(result.seconds, 2),
        "fps": round(times.fps(), 2),
        # Frames of a file whose pace the graph sets are stamped with their time in it.
        "latency_ms": {"p50": None, "p95": None} if result.every_frame else times.latency_ms(),
        "tracks": len(tracks),
        "most_people_at_once": most,
        "interrupted": result.interrupted,
        "domain": training_domain(options),
        "ros_domain_id": result.domain_id,
        "cpu_count": os.cpu_count(),
        "nodes": [
            {
                "name": usage.name,
                "pid": usage.pid,
                "pids": list(usage.pids),
                "cpu_s": round(usage.cpu_s, 2),
                "max_rss_mb": round(usage.max_rss_mb, 1),
                "restarts": usage.restarts,
            }
            for usage in result.usage
        ],
        "node_errors": {name: text for name, text in result.errors.items() if name != CAMERA or text},
    }


def training_domain(options: LiveOptions) -> str:
    """What the networks of a run were trained on, by the manifest: one word, or several joined by a plus."""
    overrides = () if options.params_file is None else read_parameter_file(options.params_file)
    said = {name: in_force(overrides, f"/{node}").get(key) for name, (node, key) in NETWORKS.items()}
    used = [name if override is None else str(override.value) for name, override in said.items()]
    detector = detector_of(options)
    domains = {entry.name: entry.domain for entry in list_weights()}
    used.append("detector" if detector == "own" else detector)
    return "+".join(sorted({domains.get(name, "unknown") for name in used if name}))


def print_run(console: Console, figures: dict[str, Any], goals: Sequence[Goal], out: Path) -> None:
    """The result in the terminal: rates, nodes, goals, and where everything is."""
    latency = figures["latency_ms"]
    spread = "" if latency["p50"] is None else f", latency {latency['p50']:.0f} ms (p95 {latency['p95']:.0f} ms)"
    left_out = f" ({count} more were left out)" if (count := figures["frames_left_out"]) else ""
    console.print(
        f"{figures['frames_published']} of {figures['frames_sent']} frames with poses{left_out}, "
        f"{figures['fps']:.1f} fps{spread}"
    )
    nodes = Table("node", "pid", "CPU s", "memory MB", "restarts")
    for node in figures["nodes"]:
        nodes.add_row(*(str(node[key]) for key in ("name", "pid", "cpu_s", "max_rss_mb", "restarts")))
    console.print(nodes)
    if goals:
        table = Table("figure", "value", "goal", "met")
        for goal in goals:
            record = goal.record()
            value = "-" if goal.value is None else f"{goal.value:.3g}"
            table.add_row(goal.name, value, record["goal"], "yes" if goal.met else "no")
        console.print(table)
    for name, text in figures["node_errors"].items():
        console.print(f"{name}: {text}", style="yellow")
    console.print(f"written to {out}: {', '.join(sorted(p.name for p in out.iterdir() if not p.name.startswith('.')))}")
