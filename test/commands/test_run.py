"""What `dualpose run` refuses before any process starts, and what it makes of its options."""

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dualpose_ros import cli
from dualpose_ros.recording.video import VideoWriter
from dualpose_ros.runs.session import GraphError
from dualpose_ros.sources.source import SourceInfo
from support.command_line import refused

NETWORKS = ("detector", "top_down", "gcn", "lifting", "bottom_up", "fusion")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A short drawn video, 96 x 64."""
    path = tmp_path / "clip.mp4"
    with VideoWriter(path) as video:
        for index in range(5):
            video.write(np.full((64, 96, 3), 40 * index, np.uint8), index * 100_000_000)
    return path


def test_missing_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, "run", "--source", tmp_path / "no.mp4", "--out", tmp_path / "out")
    assert str(tmp_path / "no.mp4") in line and "does not exist" in line
    assert not (tmp_path / "out").exists()


def test_unreadable_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "noise.mp4"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    line = refused(capsys, "run", "--source", path, "--out", tmp_path / "out")
    assert str(path) in line and "cannot be read" in line


def test_folder_without_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert "no images" in refused(capsys, "run", "--source", tmp_path / "empty")


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ("[0, 0, 0, 0, 0, 0, 0, 0, 0]", "not calibrated"),
        ("[1, 2, 3]", "3 values"),
        ("[.nan, 0, 48, 0, 90, 32, 0, 0, 1]", "not finite"),
    ],
)
def test_unusable_calibration(
    matrix: str, said: str, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(
        f"image_width: 96\nimage_height: 64\ncamera_matrix: {{rows: 3, cols: 3, data: {matrix}}}\n"
        "distortion_model: plumb_bob\ndistortion_coefficients: {rows: 1, cols: 5, data: [0, 0, 0, 0, 0]}\n"
    )
    line = refused(capsys, "run", "--source", clip, "--calibration", path)
    assert str(path) in line and said in line


def test_calibration_that_is_missing_or_not_the_only_camera(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "camera.yaml"
    assert f"{path} does not exist" in refused(capsys, "run", "--source", clip, "--calibration", path)
    path.write_text("image_width: [")
    assert "cannot be read" in refused(capsys, "run", "--source", clip, "--calibration", path)
    assert "--hfov" in refused(capsys, "run", "--source", clip, "--calibration", path, "--hfov", 60)


def test_a_ground_without_a_height_or_below_the_camera(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ("run", "--source", clip, "--hfov", 60)
    assert "--camera-height" in refused(capsys, *run, "--camera-pitch", 12)
    assert "above the ground" in refused(capsys, *run, "--camera-height", 0)
    assert "camera_height_m" in refused(capsys, *run, "--camera-height", 1000)


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize(
    ("spec", "said"), [("retina", "must be own"), ("yolox", "yolox:FILE.onnx"), ("yolox:no.onnx", "no.onnx")]
)
def test_unusable_detector(spec: str, said: str, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in refused(capsys, "run", "--source", clip, "--detector", spec)


@pytest.mark.parametrize("name", NETWORKS)
def test_damaged_weights_stop_a_run_before_it_starts(
    name: str, clip: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = weights / f"{name}.onnx"
    data = bytearray(path.read_bytes())
    data[7] ^= 1
    path.write_bytes(data)
    line = refused(capsys, "run", "--source", clip, "--hfov", 60, "--out", tmp_path / "out")
    assert str(path) in line and "sha256" in line
    path.unlink()
    assert f"{path} is missing" in refused(capsys, "run", "--source", clip, "--hfov", 60, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("weights")
def test_unusable_folders_and_files(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert f"{file} is a file" in refused(capsys, "run", "--source", clip, "--out", file)
    overlay = clip.rename(clip.with_name("overlay.mp4"))
    for source in (overlay, overlay.as_uri()):
        assert "would overwrite the source" in refused(capsys, "run", "--source", source, "--out", tmp_path / "." / "")
    assert overlay.stat().st_size
    clip = overlay.rename(clip)
    no_yaml = tmp_path / "no.yaml"
    assert f"{no_yaml} is no file" in refused(capsys, "run", "--source", clip, "--params-file", no_yaml)


@pytest.mark.usefixtures("weights")
def test_the_detector_may_come_from_the_parameter_file(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dualpose_ros.runs.live import LiveOptions, detector_of

    params = tmp_path / "params.yaml"
    params.write_text("detection_node: {ros__parameters: {detector: 'yolox:gone.onnx'}}\n")
    assert "gone.onnx" in refused(capsys, "run", "--source", clip, "--params-file", params)
    assert detector_of(LiveOptions(source="", out=tmp_path, params_file=params, detector="own")) == "own"
    assert detector_of(LiveOptions(source="", out=tmp_path)) == "own"


def test_networks_of_others_are_of_an_unknown_domain(tmp_path: Path) -> None:
    from dualpose_ros.runs.live import LiveOptions, training_domain

    params = tmp_path / "params.yaml"
    params.write_text(
        "/**: {ros__parameters: {gcn_weights: ''}}\ntop_down_node: {ros__parameters: {weights: 'movenet:m.onnx'}}\n"
    )
    ours = training_domain(LiveOptions("", tmp_path)).split("+")
    assert "unknown" not in ours
    for options in (LiveOptions("", tmp_path, params_file=params), LiveOptions("", tmp_path, "yolox:y.onnx")):
        assert training_domain(options).split("+") == sorted({*ours, "unknown"})


@pytest.mark.parametrize(
    ("words", "every_frame", "rate"),
    [
        ((), None, None),
        (("--rate", "0"), None, 0.0),
        (("--rate", "2"), False, 2.0),
        (("--live",), False, None),
        (("--every-frame",), True, None),
    ],
)
def test_the_pace_of_a_file(
    words: tuple[str, ...], every_frame: bool | None, rate: float | None, monkeypatch: pytest.MonkeyPatch, clip: Path
) -> None:
    from dualpose_ros.runs import live

    given: list[Any] = []
    monkeypatch.setattr(live, "run_and_write", lambda options, console: given.append(options))
    assert cli.main(["run", "--source", str(clip), *words]) == 0
    assert (given[0].every_frame, given[0].rate) == (every_frame, rate)


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What graphs `dualpose run` would run, each of which fails at once."""
    from dualpose_ros.runs import live

    given: list[Any] = []

    def run_graph(graph: Any, *_: Any) -> Any:
        given.append(graph)
        raise GraphError("enough")

    monkeypatch.setattr(live, "run_graph", run_graph)
    return given


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize(("words", "fps"), [((), None), (("--fps", "0.1"), 0.1)])
def test_frames_a_second_may_be_said(
    words: tuple[str, ...], fps: float | None, graphs: list[Any], clip: Path, tmp_path: Path
) -> None:
    assert cli.main(["run", "--source", str(clip), "--out", str(tmp_path / "out"), *words]) == 1
    assert graphs[0].camera.get("fps") == fps


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize(
    ("words", "camera", "ground"),
    [
        ((), {"hfov_deg": 40.0}, (1.5, 0.2)),
        (("--hfov", "50"), {"hfov_deg": 50.0}, (1.5, 0.2)),
        (("--rate", "2", "--fps", "9", "--max-frames", "2", "--camera-height", "2"),
         {"hfov_deg": 40.0, "playback_rate": 2.0, "fps": 9.0, "max_frames": 2}, (2.0, 0.0)),
    ],
)  # fmt: skip
def test_what_a_parameter_file_says_of_camera_and_ground_holds_where_no_option_does(
    words: tuple[str, ...], camera: dict[str, Any], ground: tuple[float, float], graphs: list[Any], clip: Path,
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    params = tmp_path / "params.yaml"
    params.write_text(
        "camera_node: {ros__parameters: {hfov_deg: 40, fps: 7.0, max_frames: 3, playback_rate: 0.5}}\n"
        "refinement_node: {ros__parameters: {ground: {camera_height_m: 1.5, camera_pitch_rad: 0.2}}}\n"
    )
    command = ["run", "--source", str(clip), "--out", str(tmp_path / "out"), "--params-file", str(params)]
    assert cli.main([*command, *words]) == 1
    assert "camera is unknown" not in capsys.readouterr().out
    (graph,) = graphs
    assert graph.camera == {"source": str(clip), "calibration": "", **camera}
    assert graph.total_frames == camera.get("max_frames", 3)
    said = graph.overrides["refinement_node"]
    assert (said["ground.camera_height_m"], said["ground.camera_pitch_rad"]) == ground


def test_what_a_parameter_file_says_of_the_page_holds_where_no_option_does(tmp_path: Path) -> None:
    from dualpose_ros.runs.live import LiveOptions, view_parameters, view_port

    params = tmp_path / "params.yaml"
    params.write_text("view_node: {ros__parameters: {web_port: 9191, open_browser: false}}\n")
    by_file = LiveOptions("", tmp_path, params_file=params, view=True)
    assert view_port(by_file) == 9191 and "open_browser" not in (view_parameters(by_file) or {})
    said = view_parameters(replace(by_file, view_port=9292, browser=True))
    assert said == {"web_port": 9292, "open_browser": True, "save_to": str(tmp_path / "view.rrd")}
    assert view_port(LiveOptions("", tmp_path)) == 9090


@pytest.mark.usefixtures("weights")
def test_a_demo_is_of_its_whole_clip_whatever_the_parameter_file_says(graphs: list[Any], tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("camera_node: {ros__parameters: {hfov_deg: 40, fps: 7.0, max_frames: 3, playback_rate: 0.5}}\n")
    assert cli.main(["demo", "--out", str(tmp_path / "out"), "--params-file", str(params)]) == 1
    camera, said = graphs[0].camera, {"hfov_deg": 0.0, "fps": 0.0, "max_frames": 0, "playback_rate": 1.0}
    assert said.items() <= camera.items() and camera["calibration"].endswith("camera.yaml")
    assert graphs[0].total_frames > 100


@pytest.mark.usefixtures("weights")
def test_a_parameter_file_whose_values_would_be_lost_is_refused(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = tmp_path / "params.yaml"
    command = ("run", "--source", clip, "--hfov", 60, "--out", tmp_path / "out", "--params-file", params)
    for section, meant in {
        "detecton_node": "detection_node",
        "/topdown_node": "top_down_node",
        "fusion": "fusion_node",
    }.items():
        params.write_text(f"{section}: {{ros__parameters: {{min_score: 0.5}}}}\n")
        line = refused(capsys, *command)
        assert not (tmp_path / "out").exists(), "what an earlier run left there stays"
        assert f"{params}: section '/{section.strip('/')}' is no node's: did you mean {meant}?" in line
    params.write_text(
        "detection_node: {ros__parameters: {cuts: never}}\ndetection_node: {ros__parameters: {detector: none}}\n"
    )
    assert "'detection_node' is there twice" in refused(capsys, *command)
    params.write_text("/**: {ros__parameters: {engine: {thread: 2}, patch_scalee: 1.2, other_packages_rate: 3}}\n")
    assert f"--params-file {params}: no node has 'engine.thread': did you mean engine.threads?" in refused(
        capsys, *command
    )
    params.write_text("my_driver: {ros__parameters: {hfov_deg: 3}}\nhumans_node: {ros__parameters: {cuts: 3}}\n"
                      "camera_node: {ros__parameters: {hfov_deg: 400}}\n")  # fmt: skip
    line = refused(capsys, *command[:3], *command[5:])
    assert f"--params-file {params}: hfov_deg is 400.0; it must be >= 0, < 180 degrees" in line
    for text, said in (
        ("detection_node: {ros__parameters: {tracker: {low_score: .nan}}}", "detection_node: tracker.low_score is nan"),
        ("/**: {ros__parameters: {max_people: 0, alien: 1}}", "max_people is 0; it must be"),
        (
            "fusion_node: {ros__parameters: {max_wait: 1}}",
            "fusion_node: parameter unknown: 'max_wait': it is now called",
        ),
        ("view_node: {ros__parameters: {web_port: [1]}}", "view_node: web_port is [1]; a whole number is needed"),
    ):
        params.write_text(text)
        line = refused(capsys, *command)
        assert f"--params-file {params}: " in line and said in line
        assert not (tmp_path / "out").exists()
    params.write_text("camera_node: {ros__parameters: {max_frames: many}}\n")
    assert f"--params-file {params}: max_frames is 'many'; a whole number is needed" in refused(capsys, *command)


def test_a_pace_that_contradicts_itself(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--source", str(clip), "--every-frame", "--rate", "2"]) == 2
    assert "leave out --rate" in capsys.readouterr().err


def test_a_camera_has_a_pace_of_its_own_and_every_frame_no_limit(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dualpose_ros.runs import live

    run = ("run", "--source", clip, "--out", tmp_path / "out")
    for live_source, words, said in (
        (True, ("--fps", 5), "leave out --fps"),
        (True, ("--rate", 2), "leave out --rate"),
        (False, ("--max-rate", 5), "--max-rate does nothing where every frame is worked on"),
    ):
        monkeypatch.setattr(live, "check_input", lambda _, is_live=live_source: SourceInfo(64, 48, 30, None, is_live))
        assert said in refused(capsys, *run, *words)


@pytest.mark.usefixtures("weights")
def test_folder_of_images_is_a_source(tmp_path: Path) -> None:
    from dualpose_ros.runs.live import LiveOptions, check_input

    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(3):
        cv2.imwrite(str(folder / f"{index}.png"), np.zeros((48, 64, 3), np.uint8))
    assert check_input(LiveOptions(source=str(folder), out=tmp_path / "out")).count == 3


def test_errors_that_are_ours_are_not_dressed_up(
    monkeypatch: pytest.MonkeyPatch, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dualpose_ros.runs import live

    def fail(error: Exception) -> Any:
        def raises(*_: Any) -> None:
            raise error

        return raises

    monkeypatch.setattr(live, "check_input", fail(KeyError("a bug")))
    assert cli.main(["run", "--source", str(clip)]) == 1
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setattr(live, "check_input", fail(GraphError("top_down_node stopped for good: why")))
    assert cli.main(["run", "--source", str(clip)]) == 1
    assert capsys.readouterr().err == "dualpose: top_down_node stopped for good: why\n"
    monkeypatch.setattr(live, "check_input", fail(GraphError("camera_node stopped for good: why", exit_code=2)))
    assert cli.main(["run", "--source", str(clip)]) == 2
    capsys.readouterr()
    missing = ModuleNotFoundError("No module named 'cv2.dnn'", name="cv2.dnn")
    monkeypatch.setattr(live, "check_input", fail(missing))
    assert "pip install opencv-python-headless" in refused(capsys, "run", "--source", clip)
    monkeypatch.setattr(live, "check_input", fail(OSError(errno.EMFILE, "Too many open files")))
    assert cli.main(["run", "--source", str(clip)]) == 1
    assert capsys.readouterr().err == "dualpose: raise the limit (`ulimit -n 1024`): Too many open files\n"
