"""The whole graph over DDS, started by the command line: to its end, through the death of nodes, and interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import psutil
import pytest
from mcap.reader import make_reader

from dualpose_ros.datasets.clip import load_clip_truth
from dualpose_ros.lab.evaluation.demo.measures import EstimatedFrame, evaluate_demo
from dualpose_ros.recording.pose_lines import read_pose_lines
from dualpose_ros.recording.recording import STAGES
from dualpose_ros.recording.video import VideoWriter
from dualpose_ros.refinement.config import RefinementConfig
from dualpose_ros.runs.refinement_settings import FILE, kept_refinement_settings
from dualpose_ros.sources.frames import images_of, open_source
from dualpose_ros.weights import WeightsError, verify_weights


def missing_weights() -> str:
    """What the shipped weights lack for the graph to run, or an empty string."""
    try:
        problems = verify_weights()
    except WeightsError as error:
        return str(error)
    wanted = ("detector", "top_down", "gcn", "lifting", "bottom_up", "fusion")
    return "; ".join(problems.get(name, f"no network {name}") or "" for name in wanted).strip("; ")


pytestmark = pytest.mark.skipif(bool(missing_weights()), reason=f"shipped weights are not there: {missing_weights()}")


def write_clip(path: Path, seconds: float, fps: int = 10) -> int:
    """A drawn clip: two figures that move over a gradient; gives its number of frames."""
    y, x = np.mgrid[0:240, 0:320]
    ground = np.stack([x * 0.5, y * 0.6, 120 + 0 * x], axis=-1).astype(np.uint8)
    count = round(seconds * fps)
    with VideoWriter(path) as video:
        for index in range(count):
            image = ground.copy()
            for person in range(2):
                left = int(60 + 120 * person + 40 * np.sin(index / 20 + person))
                image[80:200, left : left + 36] = (200 - 90 * person, 60, 60 + 90 * person)
                image[56:80, left + 8 : left + 28] = (224, 180, 150)
            video.write(image, index * 10**9 // fps)
    return count


def wait_for(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true value of a condition; fails if that takes longer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    pytest.fail(f"waited {seconds} s for {what}")


class Run:
    """A command of `dualpose` as a process, with its output folder."""

    def __init__(self, out: Path, *command: str) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "ROS_DOMAIN_ID"}
        self.out = out
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dualpose_ros.cli", *command, "--out", str(out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment, "COLUMNS": "200"},
        )

    def pid_of(self, node: str) -> int | None:
        """Process id of a running node."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                words = [word.strip() for word in child.cmdline()]
                # The process that nodes are forked by names all of them.
                if "dualpose_ros.standalone.run_node" in words and any(word.endswith(f".{node}") for word in words):
                    return child.pid
            except psutil.Error:
                continue
        return None

    def frames(self) -> list[dict[str, Any]]:
        """The lines of poses.jsonl that are complete by now."""
        path = self.out / "poses.jsonl"
        text = path.read_text() if path.is_file() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def finish(self, seconds: float) -> tuple[int, str]:
        """Exit code and stderr, once it has ended by itself."""
        _, errors = self.process.communicate(timeout=seconds)
        return self.process.returncode, errors


def run_on(source: Path) -> tuple[str, ...]:
    """`dualpose run` on a clip."""
    return ("run", "--source", str(source), "--hfov", "60")


@contextmanager
def running(out: Path, *command: str) -> Iterator[Run]:
    """The command while it runs; killed afterwards if it still does."""
    run = Run(out, *command)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.process.kill()
            run.process.communicate()


def write_truth(folder: Path, frames: int, fps: int = 10) -> None:
    """Ground truth and calibration for a drawn clip: one person who walks to the right, 3 m away, always in view."""
    joints = np.zeros((frames, 1, 17, 3))
    joints[..., 2] = 3.0
    joints[:, 0, :, 0] = np.linspace(-0.5, 0.5, frames)[:, None]
    np.savez(
        folder / "truth.npz",
        stamps_s=np.arange(frames) / fps,
        fps=np.float64(fps),
        ids=np.ones((frames, 1), np.int32),
        joints_cam=joints,
        joints_px=np.zeros((frames, 1, 17, 2)),
        boxes_px=np.tile([60.0, 60, 100, 200], (frames, 1, 1)),
        visibility=np.full((frames, 1, 17), 2, np.uint8),
        visible_fraction=np.ones((frames, 1)),
        present=np.ones((frames, 1), bool),
        intrinsics=np.array([280.0, 280, 159.5, 119.5, 320, 240]),
    )
    (folder / "camera.yaml").write_text(
        "image_width: 320\nimage_height: 240\ndistortion_model: plumb_bob\n"
        "camera_matrix: {rows: 3, cols: 3, data: [280, 0, 159.5, 0, 280, 119.5, 0, 0, 1]}\n"
        "distortion_coefficients: {rows: 1, cols: 5, data: [0, 0, 0, 0, 0]}\n"
    )


def check_recording(out: Path) -> dict[str, Any]:
    """Every file of a finished run is whole and they agree; gives the summary."""
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    frames = [json.loads(line) for line in (out / "poses.jsonl").read_text().splitlines()]
    with (out / "poses.mcap").open("rb") as stream:
        contents = make_reader(stream).get_summary()
    assert contents is not None and contents.statistics is not None
    counts = {contents.channels[key].topic: count for key, count in contents.statistics.channel_message_counts.items()}
    assert counts["/humans/poses3d"] == len(frames) == summary["frames_published"]
    assert counts["/humans/markers"] > 0
    assert counts["/dualpose/bottom_up/poses3d"] > 0
    for stage in ("top_down", "fused"):
        assert counts[f"/dualpose/{stage}/poses3d"] == len((out / f"{stage}.jsonl").read_text().splitlines()) > 0
    assert counts["/camera_info"] > 0
    assert (out / FILE).exists() and kept_refinement_settings(out)[1] == RefinementConfig()
    with av.open(str(out / "overlay.mp4")) as container:
        assert len(list(container.decode(video=0))) == summary["overlay_frames"]
    # An image may be lost on its way to the recorder; its poses then have no picture.
    assert 0.8 * len(frames) <= summary["overlay_frames"] <= len(frames)
    assert not list(out.glob("*.partial")) + list(out.glob(".*"))
    return summary


@pytest.mark.timeout(240)
def test_a_clip_runs_to_its_end(tmp_path: Path) -> None:
    count = write_clip(tmp_path / "clip.mp4", 4.0)
    with running(tmp_path / "out", *run_on(tmp_path / "clip.mp4")) as run:
        code, errors = run.finish(150)
    assert code == 0, errors
    summary = check_recording(tmp_path / "out")
    assert summary["frames_sent"] == count == summary["frames_published"]
    assert [frame["frame"] for frame in run.frames()] == list(range(count))
    # Stamps are those of the file, a second on, and so are the recording's times: it plays as it was filmed.
    stamps = [frame["stamp_ns"] for frame in run.frames()]
    assert stamps == [10**9 + round(index * 1e9 / 10) for index in range(count)]
    with (tmp_path / "out" / "poses.mcap").open("rb") as stream:
        assert [m.log_time for _, _, m in make_reader(stream).iter_messages(["/humans/poses3d"])] == stamps
    assert summary["interrupted"] is False and summary["latency_ms"]["p50"] is None
    assert [node["restarts"] for node in summary["nodes"]] == [0] * 7
    assert len({node["pid"] for node in summary["nodes"]}) == 7
    assert all(node["cpu_s"] > 0 and node["max_rss_mb"] > 10 for node in summary["nodes"])


@pytest.mark.timeout(300)
def test_killed_nodes_return_and_a_stopped_run_is_usable(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", 150.0)
    others = ("camera_node", "fusion_node", "refinement_node", "visualization_node")
    with running(tmp_path / "out", *run_on(tmp_path / "clip.mp4"), "--live") as run:
        wait_for(lambda: len(run.frames()) > 5, 90, "the first poses")
        untouched = {name: run.pid_of(name) for name in others}
        for victim in ("top_down_node", "bottom_up_node", "detection_node"):
            pid = run.pid_of(victim)
            assert pid is not None
            killed_ns = time.time_ns()
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: run.pid_of(victim) not in (None, pid), 30, f"{victim} to return")  # noqa: B023
            wait_for(
                lambda: sum(frame["stamp_ns"] > killed_ns + 10**9 for frame in run.frames()) > 5,  # noqa: B023
                60,
                f"poses of frames taken after {victim} was killed",
            )
            assert {name: run.pid_of(name) for name in others} == untouched
        # As a terminal does that is closed; Ctrl-C and `kill` take the same way.
        run.process.send_signal(signal.SIGHUP)
        code, errors = run.finish(90)
    assert code == 0, errors
    summary = check_recording(tmp_path / "out")
    assert summary["interrupted"] is True
    assert 0 < summary["latency_ms"]["p50"] <= summary["latency_ms"]["p95"]
    restarts = {node["name"]: node["restarts"] for node in summary["nodes"]}
    killed = {"detection_node": 1, "top_down_node": 1, "bottom_up_node": 1}
    assert restarts == {**dict.fromkeys(others, 0), **killed}
    assert {node["name"]: node["pid"] for node in summary["nodes"] if node["name"] in others} == untouched
    stamps = [frame["stamp_ns"] for frame in run.frames()]
    assert stamps == sorted(set(stamps))


@pytest.mark.timeout(400)
def test_no_frame_is_lost_with_a_node_that_dies(tmp_path: Path) -> None:
    """Each frame of a file is answered once, as soon as the node is back, with the ids that it had."""
    count = write_clip(tmp_path / "clip.mp4", 8.0)
    victims = ("detection_node", "top_down_node", "bottom_up_node", "fusion_node", "refinement_node")
    with running(tmp_path / "out", *run_on(tmp_path / "clip.mp4"), "--no-overlay") as run:
        for number, victim in enumerate(victims):
            wait_for(lambda: len(run.frames()) > 3 + 12 * number, 90, f"poses before {victim} dies")  # noqa: B023
            pid = run.pid_of(victim)
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        code, errors = run.finish(200)
    assert code == 0, errors
    frames = run.frames()
    assert [frame["frame"] for frame in frames] == list(range(count))
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert {node["name"]: node["restarts"] for node in summary["nodes"] if node["restarts"]} == dict.fromkeys(
        victims, 1
    )
    # However busy the machine: those in work were sent again because the node was back.
    assert "a node is back" in (tmp_path / "out" / "nodes.log").read_text()


@pytest.mark.timeout(240)
def test_demo_measures_itself_against_the_truth(tmp_path: Path) -> None:
    folder, out = tmp_path / "clip", tmp_path / "out"
    folder.mkdir()
    count = write_clip(folder / "clip.mp4", 4.0)
    write_truth(folder, count)
    with running(out, "demo", "--clip", str(folder)) as run:
        code, errors = run.finish(150)
    assert code == 0, errors
    summary = check_recording(out)
    # The figures are those of the files that lie beside them.
    truth, published = load_clip_truth(folder / "truth.npz"), list(read_pose_lines(out / "poses.jsonl"))
    found = [
        EstimatedFrame(f.number or 0, np.array([p.track_id for p in f.persons], dtype=np.int64),
                       np.array([p.joints_cam for p in f.persons]).reshape(-1, 17, 3))
        for f in published
    ]  # fmt: skip
    assert found and summary["recall"] == round(evaluate_demo(truth, found).recall, 4)
    assert {"pck150_rel", "pck150_abs", "mpjpe_rel_mm", "root_depth_rel_err", "id_switches"} <= summary.keys()
    for stage in ("top_down", "fused"):
        assert {"recall", "pck150_rel", "accel_error", "coasting"} <= summary[stage].keys() <= summary.keys()
    goals = {goal["name"]: goal for goal in summary["goals"]}
    assert {"fps", "latency_ms.p95", "recall", "pck150_rel", "root_depth_rel_err", "id_switches"} == goals.keys()
    assert goals["recall"]["met"] is (summary["recall"] >= 0.9)
    assert goals["fps"]["value"] == summary["fps"]
    assert summary["hfov_assumed"] is False
    assert summary["camera"]["fx"] == 280
    assert summary["domain"]
    assert all((out / name).stat().st_size > 1000 for name in ("tracks.png", "depth.png"))


@pytest.mark.timeout(200)
def test_max_frames_are_answered_all_and_a_second_run_says_the_same(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    write_clip(tmp_path / "clip.mp4", 2.0)
    for index, image in enumerate(images_of(open_source(str(tmp_path / "clip.mp4")))):
        cv2.imwrite(str(pictures / f"IMG {index}.png"), image[..., ::-1])
    (pictures / "IMG 4.png").write_bytes(b"damaged")
    said = []
    for name in ("first", "second"):
        out = tmp_path / name
        with running(out, *run_on(pictures), "--max-frames", "10", "--no-overlay") as run:
            code, errors = run.finish(100)
        assert code == 0, errors
        summary = json.loads((out / "summary.json").read_text())
        assert summary["frames_sent"] == summary["frames_published"] == 10 and summary["frames_left_out"] == 1
        assert not (out / "overlay.mp4").exists()
        said.append([{k: v for k, v in frame.items() if k != "received_ns"} for frame in run.frames()])
        stages = [(out / f"{stage}.jsonl").read_text().splitlines() for stage in STAGES]
        for lines in (run.frames(), *([json.loads(line) for line in each] for each in stages)):
            named = sorted((frame["frame"], frame["file"]) for frame in lines)
            assert named == [(index, f"IMG {index}.png") for index in range(11) if index != 4]
    assert said[0] == said[1]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("section", "parameter"), [("detection_node", "detecter: centre"), ("top_down_node", "max_people: many")]
)
def test_a_wrong_parameter_in_yaml_is_named(tmp_path: Path, section: str, parameter: str) -> None:
    write_clip(tmp_path / "clip.mp4", 2.0)
    params = tmp_path / "params.yaml"
    params.write_text(f"{section}:\n  ros__parameters:\n    {parameter}\n")
    with running(tmp_path / "out", *run_on(tmp_path / "clip.mp4"), "--params-file", str(params)) as run:
        code, errors = run.finish(100)
    assert code == 2
    last = errors.strip().splitlines()[-1]
    assert section in last and parameter.split(":")[0] in last
    assert "Traceback" not in errors
