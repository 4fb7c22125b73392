"""One run of the graph: its nodes as processes, their output into a folder, until the source ends."""

import fcntl
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Any, cast

from rich.console import Console

from dualpose_ros.camera import Camera
from dualpose_ros.errors import InputError
from dualpose_ros.paths import claimed
from dualpose_ros.recording.node_log import NodeLog
from dualpose_ros.recording.progress import RunProgress
from dualpose_ros.recording.recording import Recording
from dualpose_ros.runs.refinement_settings import REFINEMENT, keep_refinement_settings
from dualpose_ros.standalone.launcher import Launcher, NodeSpec, NodeState, check_sections
from dualpose_ros.standalone.process import BAD_INPUT, NodeUsage, RestartPolicy
from dualpose_ros.standalone.stopping import stop_signals

CAMERA, DETECTION, VISUALIZATION = "camera_node", "detection_node", "visualization_node"
TOP_DOWN, BOTTOM_UP, FUSION = "top_down_node", "bottom_up_node", "fusion_node"
COMPOSED, VIEW = "composed", "view_node"
IMPORT_AHEAD = ("dualpose_ros.inference.load",)
"""What nodes need beside their modules."""
# Who takes images: the detector and both branches, which the source waits for as for our own recorder and the view,
# where those take some.
_IMAGE_SUBSCRIBERS = 3
_START_LIMIT_S = 90.0
_SILENCE_LIMIT_S = 90.0
_DRAIN_LIMIT_S = 5.0
_QUIET_S = 1.0
# Long enough for the nodes of another graph to be found.
_DISCOVERY_S = 0.7
# Higher ids put DDS's ports among those that Linux hands out to anybody.
_LARGEST_DOMAIN = 101


class GraphError(RuntimeError):
    """A node that could not be started, or died too often; the message has its last words.

    `exit_code` is what the command should end with: 2 where a node refused its input, else 1.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class GraphOptions:
    """What to run: `camera` are parameters of the camera node, `overrides` of other nodes by name.

    `composed`: all nodes in one process, instead of each in its own.
    `domain_id` None picks one at random, so that the run meets no other graph on this machine.
    `every_frame`: the graph sets the pace of the source, and nothing is dropped.
    `view`: parameters of the live view; None: there is none.
    `hung_s`: see RestartPolicy.
    """

    out: Path
    camera: dict[str, Any]
    overrides: dict[str, dict[str, Any]] = field(default_factory=dict)
    params_file: Path | None = None
    domain_id: int | None = None
    every_frame: bool = False
    total_frames: int | None = None
    keep_frames: bool = True
    verbose: bool = False
    composed: bool = False
    view: dict[str, Any] | None = None
    hung_s: float = RestartPolicy.hung_s


@dataclass(frozen=True)
class GraphResult:
    """What a run left: the (closed) recording, the stamps of all frames sent, and what each node took."""

    recording: Recording
    camera: Camera | None
    frames_sent: int
    frames_left_out: int
    seconds: float
    every_frame: bool
    interrupted: bool
    domain_id: int
    usage: tuple[NodeUsage, ...]
    errors: dict[str, str]


def node_specs(options: GraphOptions) -> list[NodeSpec]:
    """The nodes of the graph, from the source to its output."""
    view = [] if options.view is None else [NodeSpec(VIEW, f"dualpose_ros.nodes.watching.{VIEW}", options.view)]
    takers = _IMAGE_SUBSCRIBERS + options.keep_frames + len(view)
    camera = {"wait_for_subscribers": takers, "start_delay_s": 0.5, **options.camera}
    camera["wait_for_recorder"] = options.every_frame
    parameters = {CAMERA: camera, **options.overrides}
    names = (CAMERA, DETECTION, TOP_DOWN, BOTTOM_UP, FUSION, REFINEMENT, VISUALIZATION)
    if options.every_frame:
        parameters = {name: {"every_frame": True, **parameters.get(name, {})} for name in names}
    if options.composed:
        named = {f"{node}:{name}": value for node, given in parameters.items() for name, value in given.items()}
        return [NodeSpec(COMPOSED, "dualpose_ros.nodes.composed.graph", named, nodes=names), *view]
    return [*(NodeSpec(name, f"dualpose_ros.nodes.{name}", parameters.get(name, {})) for name in names), *view]


Watch = Callable[[Recording, Sequence[NodeState]], None]


def run_graph(options: GraphOptions, console: Console, watch: Watch | None = None) -> GraphResult:
    """Run the graph until its source ends or the user stops it.

    `watch` is called some times a second with what was recorded so far and how the nodes are.
    GraphError if a node fails for good, with everything recorded until then finished and in place.
    """
    with claimed_domain(options.domain_id) as domain_id:
        os.environ["ROS_DOMAIN_ID"] = str(domain_id)
        return _run_in(domain_id, options, console, watch)


def _run_in(domain_id: int, options: GraphOptions, console: Console, watch: Watch | None) -> GraphResult:
    specs = node_specs(options)
    if options.params_file is not None:
        # Before what an earlier run left in the folder is written over.
        check_sections(options.params_file, specs)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        keep_refinement_settings(options.out, options.params_file, options.overrides.get(REFINEMENT, {}))
        log = NodeLog(options.out / "nodes.log", echo=options.verbose)
        recording = Recording(options.out, keep_frames=options.keep_frames, timed_by_stamps=options.every_frame)
    except OSError as error:
        raise InputError(f"--out {options.out} can't be written: {error.strerror or error}") from None
    launcher = Launcher(
        specs,
        params_file=options.params_file,
        restart=RestartPolicy(hung_s=options.hung_s),
        output=cast("IO[str]", log),
        import_ahead=IMPORT_AHEAD,
    )
    try:
        with stop_signals(stop := _StopFlag()):
            run = _Run(options, launcher, log, recording, console, stop, watch)
            return run.go(domain_id)
    except BaseException:
        recording.frames.discard()
        raise
    finally:
        launcher.stop()
        recording.close()
        log.close()


@contextmanager
def claimed_domain(domain_id: int | None) -> Iterator[int]:
    """A ROS domain that no other run on this machine is in: the one asked for, or a random one for None.

    GraphError where another run is in it.
    """
    random_ids = random.SystemRandom().sample(range(1, _LARGEST_DOMAIN + 1), _LARGEST_DOMAIN)
    for number in random_ids if domain_id is None else [domain_id]:
        stream = (Path(tempfile.gettempdir()) / f"dualpose_ros.{os.getuid()}.domain_{number}.lock").open("w")
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            yield number
            return
    raise GraphError(
        f"another run is in domain {domain_id}, and the two would mix: choose another --domain-id, or none", BAD_INPUT
    )


@contextmanager
def claimed_folder(out: Path) -> Iterator[None]:
    """The folder of a run, made if it isn't there, which no other run writes into until it is done with it.

    InputError where another does, or it can't be made.
    """
    is_new = not out.exists()
    with ExitStack() as stack:
        try:
            out.mkdir(parents=True, exist_ok=True)
            is_ours = stack.enter_context(claimed(out))
        except OSError as error:
            raise InputError(f"--out {out} can't be written: {error.strerror or error}") from None
        if not is_ours:
            raise InputError(f"another run writes into --out {out}: name another folder")
        try:
            yield
        finally:
            with suppress(OSError):
                # Where the input was refused it is empty.
                if is_new:
                    out.rmdir()


def _last_words(state: NodeState, log: NodeLog) -> str:
    """Why a node ended; what it printed last has nothing to do with a signal."""
    code = state.returncode or 0
    if code == -signal.SIGKILL:
        return "it was killed (SIGKILL), as systems do where memory runs out"
    if code < 0:
        return f"it died of {signal.Signals(-code).name}"
    return log.last_words(state.name) or f"exit code {code}"


class _StopFlag:
    """Set by the signals that end a run; a second Ctrl-C is not waited for politely."""

    def __init__(self) -> None:
        self.told = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.told and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.told = True


class _Run:
    """The state of a run while it goes on."""

    def __init__(
        self,
        options: GraphOptions,
        launcher: Launcher,
        log: NodeLog,
        recording: Recording,
        console: Console,
        stop: _StopFlag,
        watch: Watch | None,
    ) -> None:
        self._watch = watch
        self._options, self._launcher, self._log = options, launcher, log
        self._recording, self._console, self._stop = recording, console, stop
        self._started = time.monotonic()
        self._ended: float | None = None
        self._last_poses = (0, 0.0)

    def go(self, domain_id: int) -> GraphResult:
        """Start everything, spin until the end, and collect what there is."""
        # Here, not at the top: importing the node puts rclpy, or what stands for it, in place.
        from dualpose_ros.nodes.recorder import RecorderNode, spinning

        with spinning(lambda: RecorderNode(self._recording, self._options.every_frame)) as (recorder, spin_once):
            if self._options.domain_id is not None:
                spin_once(_DISCOVERY_S)
                if recorder.count_publishers("humans/poses3d"):
                    raise GraphError(
                        f"a graph in domain {domain_id} publishes humans/poses3d already, and the two would mix: "
                        "choose another --domain-id, or none",
                        BAD_INPUT,
                    )
            self._launcher.start()
            with RunProgress(self._console, self._options.total_frames) as progress:
                while not self._is_over(recorder):
                    spin_once(0.05)
                    self._check_nodes()
                    self._show(progress, recorder)
            self._launcher.stop()
            stamps_seen = {*recorder.info_stamps_ns, *self._recording.times.stamps_ns}
            return GraphResult(
                recording=self._recording,
                camera=recorder.camera,
                frames_sent=max(int(recorder.status(CAMERA, "frames_sent") or 0), len(stamps_seen)),
                frames_left_out=int(recorder.status(CAMERA, "frames_left_out") or 0),
                seconds=time.monotonic() - self._started,
                every_frame=self._options.every_frame,
                interrupted=self._stop.told,
                domain_id=domain_id,
                usage=self._launcher.usage(),
                errors=dict(recorder.errors),
            )

    def _is_over(self, recorder: Any) -> bool:
        """Whether the source has ended (or the user, or a full disk, ended it) and the last poses have come through."""
        if self._stop.told or self._recording.disk.is_full:
            return True
        now, frames, poses = time.monotonic(), len(recorder.info_stamps_ns), self._recording.num_poses
        if self._ended is None and recorder.status(CAMERA, "state") == "finished":
            self._ended = now
        if poses != self._last_poses[0] or not frames:
            self._last_poses = (poses, now)
        if self._ended is None:
            log = self._options.out / "nodes.log"
            if not frames and now - self._started > _START_LIMIT_S:
                raise GraphError(f"no frame came within {_START_LIMIT_S:.0f} s; see {log}")
            # A source that waits for the graph would try each frame three times, for hours.
            waits = self._options.every_frame and frames > poses
            if waits and now - self._last_poses[1] > _SILENCE_LIMIT_S:
                why = "; ".join(f"{name}: {text}" for name, text in recorder.errors.items() if name != CAMERA)
                raise GraphError(f"no poses came for {_SILENCE_LIMIT_S:.0f} s ({why or 'no node says why'}); see {log}")
            return False
        if now - self._ended > _DRAIN_LIMIT_S:
            return True
        return now - max(self._ended, self._last_poses[1]) > _QUIET_S

    def _check_nodes(self) -> None:
        states = self._launcher.poll()
        if self._watch is not None:
            self._watch(self._recording, states)
        for state in states:
            if state.status == "failed" or (state.status == "finished" and state.name != CAMERA):
                why = _last_words(state, self._log)
                raise GraphError(
                    f"{state.name} stopped for good: {why} (see {self._options.out / 'nodes.log'})",
                    exit_code=BAD_INPUT if state.returncode == BAD_INPUT else 1,
                )

    def _show(self, progress: RunProgress, recorder: Any) -> None:
        state = "stopping" if self._ended else recorder.status(CAMERA, "state") or "starting"
        latest = self._recording.latest
        progress.show(
            state,
            len(recorder.info_stamps_ns),
            self._recording.num_poses,
            0 if latest is None else len(latest.persons),
            self._recording.times.recent_fps(),
            None if latest is None or self._options.every_frame else latest.latency_ms,
        )
