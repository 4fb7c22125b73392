"""The command line: complete help, exit codes, one-line errors, and the commands that need no graph."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import typer

from dualpose_ros import cli
from dualpose_ros.paths import version
from dualpose_ros.recording.video import VideoWriter
from dualpose_ros.runs.session import GraphError
from support.command_line import refused
from support.data import ROOT

NETWORKS = ("detector", "top_down", "gcn", "lifting", "bottom_up", "fusion")


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group of the command line with the words that lead to it."""
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


ALL_COMMANDS = list(commands(typer.main.get_command(cli.app())))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A short drawn video, 96 x 64."""
    path = tmp_path / "clip.mp4"
    with VideoWriter(path) as video:
        for index in range(5):
            video.write(np.full((64, 96, 3), 40 * index, np.uint8), index * 100_000_000)
    return path


@pytest.mark.parametrize(("path", "command"), ALL_COMMANDS, ids=[" ".join(p) or "dualpose" for p, _ in ALL_COMMANDS])
def test_help_is_complete(path: tuple[str, ...], command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*path, "--help"]) == 0
    shown = capsys.readouterr().out
    assert command.help
    for parameter in command.params:
        assert parameter.help, f"{' '.join(path)}: {parameter.name} has no help"
        if parameter.param_type_name == "option":
            assert parameter.opts[0] in shown


def test_the_commands_of_the_contract_are_there() -> None:
    names = {path[0] for path, _ in ALL_COMMANDS if path}
    assert {"demo", "run", "train", "export", "eval", "bench", "synth", "weights"} <= names


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.split() == [version()]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_an_output_that_is_full_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-m", "dualpose_ros.cli", "weights", "list"], stdout=full,
                              stderr=subprocess.PIPE, text=True, cwd=ROOT)  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["dualpose: output: No space left on device"]


@pytest.mark.parametrize("after_s", [0.01, 0.1, 0.25, 0.5])
def test_ctrl_c_at_the_start_leaves_no_traceback(after_s: float, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((48, 64, 3), np.uint8))
    code = (
        "import os, signal, sys, threading\n"
        "from dualpose_ros import cli\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # until the command has begun\n"
        "threading.Timer(float(sys.argv[1]), os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "app, unblock = cli.app, lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])\n"
        "cli.app = lambda: (unblock(), app())[1]\n"
        "sys.exit(cli.main(['run', '--source', sys.argv[2], '--out', sys.argv[2] + '/out', '--no-overlay']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(after_s), str(tmp_path)], cwd=ROOT, timeout=60,
                          capture_output=True, text=True)  # fmt: skip
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr, done.stderr
    assert done.returncode in (0, 130)


def test_help_needs_neither_torch_nor_ros() -> None:
    code = (
        "import sys; from dualpose_ros import cli; cli.main(['run', '--help']);"
        "heavy = {'torch', 'rclpy', 'onnxruntime', 'numba', 'matplotlib'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["top-down", "--data", "nowhere"], "`dualpose eval top-down` needs numba"),
        (["bottom-up", "--data", "nowhere"], "`dualpose eval bottom-up` needs numba"),
        (["fusion", "--data", "nowhere"], "`dualpose eval fusion` needs numba"),
        (["refinement", "--data", "nowhere"], "`dualpose eval refinement` needs numba"),
        (["trajectory", "--data", "nowhere"], "--data nowhere holds no motion capture"),
    ],
)
def test_evaluations_on_a_base_install_say_what_they_need(args: list[str], said: str) -> None:
    code = (
        "import sys; sys.modules['numba'] = None; from dualpose_ros import cli;"
        "sys.exit(cli.main(['eval', *sys.argv[1:]]))"
    )
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith(f"dualpose: {said}") and done.stderr.count("\n") == 1


def test_as_a_program(tmp_path: Path) -> None:
    missing = tmp_path / "missing.mp4"
    done = subprocess.run(
        [sys.executable, "-m", "dualpose_ros.cli", "run", "--source", str(missing)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"dualpose: source {missing} does not exist\n"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["fly"], "fly"),
        (["run"], "--source"),
        (["run", "--source", "x", "--speed", "2"], "--speed"),
        (["run", "--source", "x", "--hfov", "wide"], "--hfov"),
        (["run", "--source", "x", "--hfov", "200"], "175"),
        (["train", "everything", "--out", "x"], "everything"),
        (["export", "everything", "--run", "x"], "top-down"),
        (["train", "detector", "--out", "x"], "dualpose synth frames"),
        (["synth", "patches", "--out", "x", "--count", "0"], "--count"),
    ],
)
def test_wrong_arguments(args: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in refused(capsys, *args)


OUTPUTS = [
    (path, parameter.opts[0])
    for path, command in ALL_COMMANDS
    for parameter in command.params
    if parameter.name in ("out", "json_file", "save", "pictures", "predictions")
    or (path[-1:] == ("ablation",) and parameter.name == "recordings")
]


@pytest.mark.parametrize(("path", "option"), OUTPUTS, ids=[" ".join((*path, option)) for path, option in OUTPUTS])
def test_what_can_not_be_written_is_refused_first(
    path: tuple[str, ...], option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    words = (*path, *(["patches"] if path == ("synth",) else []))
    assert f"{tmp_path / 'file'} is a file" in refused(capsys, *words, option, tmp_path / "file" / "out")


def test_outputs_of_the_wrong_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    assert "is a folder; name a file" in refused(capsys, "bench", "stages", "--json", tmp_path)
    assert "is a file, no folder" in refused(capsys, "synth", "patches", "--out", tmp_path / "file")
    assert "is a link to nothing" in refused(capsys, "demo", "--out", tmp_path / "link" / "out")
    assert "after --out" in refused(capsys, "demo", "--out", "")


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
    ("spec", "said"), [("retina", "must be centre"), ("yolox", "yolox:FILE.onnx"), ("yolox:no.onnx", "no.onnx")]
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
    assert "would overwrite the source" in refused(capsys, "run", "--source", overlay, "--out", tmp_path / "." / "")
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
    assert detector_of(LiveOptions(source="", out=tmp_path, params_file=params, detector="centre")) == "centre"
    assert detector_of(LiveOptions(source="", out=tmp_path)) == "centre"


def test_demo_without_its_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "dualpose synth clip" in refused(capsys, "demo", "--clip", tmp_path, "--out", tmp_path / "out")


def test_photographs_without_annotations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "person_keypoints.json" in refused(capsys, "eval", "photographs", "--root", tmp_path)


def test_the_top_down_tables_without_motion_capture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("numba", reason="the synthetic world needs numba")
    assert "motion/*.npz" in refused(capsys, "eval", "top-down", "--data", tmp_path)


def test_the_data_folder_is_an_option_or_a_variable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DUALPOSE_DATA", raising=False)
    for what in ("top-down", "bottom-up", "fusion", "refinement", "trajectory"):
        line = refused(capsys, "eval", what)
        assert "--data" in line and "DUALPOSE_DATA" in line
    monkeypatch.setenv("DUALPOSE_DATA", str(tmp_path))
    assert f"{tmp_path} holds no motion capture" in refused(capsys, "eval", "trajectory")


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


@pytest.mark.parametrize(
    ("words", "every_frame", "rate"),
    [
        ((), None, 1.0),
        (("--rate", "0"), None, 0.0),
        (("--rate", "2"), False, 2.0),
        (("--live",), False, 1.0),
        (("--every-frame",), True, 1.0),
    ],
)
def test_the_pace_of_a_file(
    words: tuple[str, ...], every_frame: bool | None, rate: float, monkeypatch: pytest.MonkeyPatch, clip: Path
) -> None:
    from dualpose_ros.runs import live

    given: list[Any] = []
    monkeypatch.setattr(live, "run_and_write", lambda options, console: given.append(options))
    assert cli.main(["run", "--source", str(clip), *words]) == 0
    assert (given[0].every_frame, given[0].rate) == (every_frame, rate)


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize(("words", "fps"), [((), None), (("--fps", "0.1"), 0.1)])
def test_frames_a_second_may_be_said(
    words: tuple[str, ...], fps: float | None, monkeypatch: pytest.MonkeyPatch, clip: Path, tmp_path: Path
) -> None:
    from dualpose_ros.runs import live

    given: list[Any] = []

    def run_graph(graph: Any, *_: Any) -> Any:
        given.append(graph)
        raise GraphError("enough")

    monkeypatch.setattr(live, "run_graph", run_graph)
    assert cli.main(["run", "--source", str(clip), "--out", str(tmp_path / "out"), *words]) == 1
    assert given[0].camera.get("fps") == fps


def test_a_pace_that_contradicts_itself(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--source", str(clip), "--every-frame", "--rate", "2"]) == 2
    assert "leave out --rate" in capsys.readouterr().err


@pytest.mark.usefixtures("weights")
def test_folder_of_images_is_a_source(tmp_path: Path) -> None:
    from dualpose_ros.runs.live import LiveOptions, check_input

    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(3):
        cv2.imwrite(str(folder / f"{index}.png"), np.zeros((48, 64, 3), np.uint8))
    assert check_input(LiveOptions(source=str(folder), out=tmp_path / "out")).count == 3


def test_help_names_the_networks_that_the_nodes_run(capsys: pytest.CaptureFixture[str]) -> None:
    from dualpose_ros.weights import BASELINE, INT8, shipped_networks

    assert cli.main(["weights", "install", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    names = [name for name in shipped_networks() if not name.endswith(INT8)]
    assert len(names) == 6
    assert all(f"`{name}`" in text or f" {name}" in text for name in (*names, BASELINE))


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_makefile_uses_what_is_installed(tmp_path: Path) -> None:
    """With both stamps newer than the packaging files nothing would be installed: that is what works offline."""
    for name in ("Makefile", "setup.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    venv = tmp_path / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").write_text("")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}

    def plan(target: str) -> str:
        command = ["make", "--dry-run", "--no-print-directory", target]
        return subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True).stdout

    assert "pip install" in plan("test") and "pip install" in plan("demo")
    for stamp in (".installed-base", ".installed-test"):
        (venv / stamp).write_text("")
    assert "pip" not in plan("test") + plan("demo")
    assert "-m pytest" in plan("test") and "-m mypy" in plan("test") and "-m ruff" in plan("test")
    assert "dualpose demo" in plan("demo")
