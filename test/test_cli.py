"""The command line: complete help, exit codes, one-line errors, and the commands that need no graph."""

from __future__ import annotations

import json
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
from dualpose_ros import weights as weights_module
from dualpose_ros.lab.evaluation.report import report
from dualpose_ros.recording.video import VideoWriter
from dualpose_ros.runs.session import GraphError

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = ("detector", "top_down", "gcn", "lifting", "bottom_up", "fusion")


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group of the command line with the words that lead to it."""
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


ALL_COMMANDS = list(commands(typer.main.get_command(cli.app)))


def refused(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    """Run a command that must be refused with exit code 2 and one line on stderr; gives the line."""
    capsys.readouterr()
    code = cli.main([str(arg) for arg in args])
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert code == 2, captured.err
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("dualpose: ")
    return lines[0]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A short drawn video, 96 x 64."""
    path = tmp_path / "clip.mp4"
    with VideoWriter(path) as video:
        for index in range(5):
            video.write(np.full((64, 96, 3), 40 * index, np.uint8), index * 100_000_000)
    return path


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights folder whose files are not networks but match the manifest, in the shipped one's place."""
    folder = tmp_path / "share" / "weights"
    folder.mkdir(parents=True)
    networks = {}
    for name in NETWORKS:
        (folder / f"{name}.onnx").write_bytes(name.encode() * 50)
        networks[name] = {
            "file": f"{name}.onnx",
            "sha256": weights_module.sha256_of(folder / f"{name}.onnx"),
            "bytes": (folder / f"{name}.onnx").stat().st_size,
            "domain": "synthetic",
            "trained_on": "nothing",
            "command": "none",
        }
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "networks": networks}))
    monkeypatch.setattr(weights_module, "share_dir", lambda: tmp_path / "share")
    return folder


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


def test_weights_are_listed_and_verified(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["weights", "verify"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{name}: ok" for name in sorted(NETWORKS)]
    assert cli.main(["weights", "list", "--dir", str(weights)]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in NETWORKS)
    (weights / "lifting.onnx").write_bytes(b"")
    assert f"1 of {len(NETWORKS)}" in refused(capsys, "weights", "verify")


def test_networks_left_out_are_told_of(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = json.loads((weights / "manifest.json").read_text())
    manifest["networks"]["baseline_d3"] = {**manifest["networks"]["fusion"], "file": "baselines/d3.onnx"}
    (weights / "manifest.json").write_text(json.dumps(manifest))
    for command in ("list", "verify"):
        assert cli.main(["weights", command]) == 0
        assert "1 not installed: " in capsys.readouterr().out
    (weights / "baselines").mkdir()
    assert "baseline_d3" in refused(capsys, "weights", "verify")


WITHOUT_LAB = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("dualpose_ros.lab"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

sys.meta_path.insert(0, Absent())
from dualpose_ros import cli
sys.exit(cli.main(sys.argv[1:]))
"""
"""The command line of a ROS installation, which has no lab."""


def without_lab(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_LAB, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("args", [("--help",), ("run", "--help"), ("eval", "--help"), ("weights", "verify")])
def test_what_a_robot_runs_works_without_the_lab(args: tuple[str, ...]) -> None:
    result = without_lab(*args)
    assert result.returncode == 0, result.stderr


def test_commands_of_the_lab_say_that_it_is_left_out(tmp_path: Path) -> None:
    result = without_lab("demo", "--out", tmp_path)
    assert result.returncode == 2 and "leaves out (dualpose_ros.lab)" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_weights_without_a_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "manifest" in refused(capsys, "weights", "list", "--dir", tmp_path)


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


def test_what_a_network_does_not_learn_from_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "errors.npz"
    file.write_bytes(b"0")
    assert "--errors" in refused(capsys, "train", "detector", "--out", tmp_path / "run", "--errors", file)
    assert "--gcn" in refused(capsys, "train", "gcn", "--out", tmp_path / "run", "--gcn", file)
    assert "no file" in refused(capsys, "train", "gcn", "--out", tmp_path / "run", "--errors", tmp_path / "none.npz")
    assert "--init" in refused(capsys, "train", "gcn", "--out", tmp_path / "run", "--init", tmp_path / "none.pt")


def test_what_fusion_learns_from_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    pytest.importorskip("numba", reason="the synthetic world needs numba")
    out = ("--out", tmp_path / "run")
    for network in ("fusion", "semi-supervised"):
        assert "dualpose synth recordings" in refused(capsys, "train", network, *out)
        assert "recordings_*.npz" in refused(capsys, "train", network, *out, "--data", tmp_path)
    line = refused(capsys, "train", "semi-supervised", *out, "--data", tmp_path, "--row", "reb")
    assert "reb" in line and "rep_mp_dis" in line
    assert "'none'" in refused(capsys, "train", "semi-supervised", *out, "--data", tmp_path, "--row", "rep")
    assert "train semi-supervised" in refused(capsys, "export", "semi-supervised", "--run", tmp_path)
    assert "best.pt" in refused(capsys, "export", "fusion", "--run", tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run: {max_minutes: 1, learning: 3}", "learning"),
        ("run: {max_minutes: -1}", "max_minutes"),
        ("run: {max_minutes: 1}\ntask: {colour: red}", "colour"),
        ("walk: {}", "walk"),
        ("- run", "mappings"),
        ("run: [", "can't be read"),
    ],
)
def test_wrong_training_settings(text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    config = tmp_path / "config.yaml"
    config.write_text(text)
    assert said in refused(capsys, "train", "lifting", "--out", tmp_path / "run", "--config", config)
    assert not (tmp_path / "run").exists()


def test_export_of_a_run_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="export needs torch")
    assert "best.pt" in refused(capsys, "export", "lifting", "--run", tmp_path)


@pytest.mark.parametrize("package", ["torch", "dacite", "onnx"])
def test_what_training_needs_is_asked_for(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [
        name for name in sys.modules if name.startswith(("dualpose_ros.lab", "dualpose_ros.inference.export"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    line = refused(capsys, "train", "lifting", "--out", tmp_path / "run")
    assert package in line and "dualpose_ros[train]" in line


def test_training_writes_what_the_manifest_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    config = tmp_path / "config.yaml"
    data = "  data: {sequences: 4, frames: 12, chunks: 2, validation_chunks: 2, bank: {motions: 4, bodies: 3}}\n"
    settings = {"gcn": "  network: {channels: 8, layers: 1}\n", "lifting": "  network: {channels: 16, hidden: 16}\n"}
    target = tmp_path / "weights"
    for name, network in settings.items():
        run = tmp_path / name
        head = "run: {epochs: 1, batch_size: 1, validations: 1, bf16: false, workers: 0}\ntask:\n"
        config.write_text(head + data + network)
        train = ["train", name, "--out", str(run), "--config", str(config)]
        train += ["--gcn", str(target / "gcn.onnx")] if name == "lifting" else []
        assert cli.main(train) == 0
        capsys.readouterr()
        assert (run / "curves.png").stat().st_size > 0
        report_file = run / "report.json"
        install = ["--report", str(report_file), "--name", name, "--dir", str(target)]
        assert cli.main(["weights", "install", str(run / f"{name}.onnx"), *install]) == 0
        assert "--resume" in refused(capsys, *train)
        assert cli.main(["export", name, "--run", str(run), "--config", str(config)]) == 0
    manifest = json.loads((target / "manifest.json").read_text())["networks"]
    assert manifest["lifting"]["trained_on"] == "procedural motion"
    assert manifest["gcn"]["figures"]
    assert cli.main(["weights", "verify", "--dir", str(target)]) == 0


def test_synth_goes_on_where_it_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("numba", reason="the synthetic world needs numba")
    out = tmp_path / "patches"
    args = ["synth", "patches", "--out", str(out), "--count", "3", "--seed", "5", "--workers", "1"]
    assert cli.main(args) == 0
    assert "3 patches made" in capsys.readouterr().out
    shard = out / "shard_00000.npz"
    first = shard.read_bytes()
    assert cli.main(args) == 0
    assert "0 patches made" in capsys.readouterr().out
    shard.unlink()
    assert cli.main(args) == 0
    assert shard.read_bytes() == first
    assert "--body" in refused(capsys, *args, "--body", tmp_path / "no.npz")


def test_report_has_the_form_of_the_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    goals = [{"name": "x", "value": 1.5, "goal": ">= 2", "met": False}]
    unknown = (None, float("nan"))
    rows = [{"joint": f"j{index}", "error": index / 3, "unknown": unknown[index % 2]} for index in range(40)]
    report({"what": "w", "seconds": 2.5, "tables": {"t": rows}, "goals": goals}, tmp_path / "deep" / "r.json", seed=9)
    record = json.loads((tmp_path / "deep" / "r.json").read_text())
    assert list(record) == ["what", "version", "seed", "seconds", "networks", "tables", "goals"]
    assert (record["what"], record["seed"], record["seconds"]) == ("w", 9, 2.5)
    assert record["tables"]["t"] == [{**row, "unknown": None} for row in rows]
    assert record["goals"] == goals
    shown = capsys.readouterr().out
    assert "j23" in shown and "j24" not in shown and "16 more rows" in shown


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


@pytest.mark.usefixtures("weights")
def test_folder_of_images_is_a_source(tmp_path: Path) -> None:
    from dualpose_ros.runs.live import LiveOptions, check_input

    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(3):
        cv2.imwrite(str(folder / f"{index}.png"), np.zeros((48, 64, 3), np.uint8))
    assert check_input(LiveOptions(source=str(folder), out=tmp_path / "out")) == 3


def test_help_names_the_networks_that_the_nodes_run(capsys: pytest.CaptureFixture[str]) -> None:
    from dualpose_ros.weights import BASELINE, shipped_networks

    assert cli.main(["weights", "install", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert len(shipped_networks()) >= 6
    assert all(f"`{name}`" in text or f" {name}" in text for name in (*shipped_networks(), BASELINE))


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
