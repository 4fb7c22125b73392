"""The command line: complete help, exit codes, one-line errors, and the commands that need no graph."""

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
from dualpose_ros.weights import weights_path
from support.command_line import refused
from support.data import ROOT


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group of the command line with the words that lead to it."""
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


ALL_COMMANDS = list(commands(typer.main.get_command(cli.app())))


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


def test_a_signal_while_libraries_unload_shows_nothing() -> None:
    child = (
        "import atexit, os, signal, sys\n"
        "from dualpose_ros.cli import main\n"
        "atexit.register(lambda: [os.kill(os.getpid(), signal.SIGINT), print('unloaded')])\n"
        "sys.exit(main())\n"
    )
    command = [sys.executable, "-c", child, "weights", "no such"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (2, "unloaded\n")
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("dualpose: ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_an_output_that_is_full_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-m", "dualpose_ros.cli", "weights", "list"], stdout=full,
                              stderr=subprocess.PIPE, text=True, cwd=ROOT)  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["dualpose: output: No space left on device"]


SIGNAL = "[os.kill(os.getpid(), signal.SIGINT), *range(99)] and [n for n in range(99)]"


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


@pytest.mark.parametrize(
    ("module", "on_import"),
    [
        ("torch", f"try:\n    {SIGNAL}\nexcept BaseException:\n    pass\nraise RuntimeError('half')\n"),
        # As dataclasses are made: Python itself would end by the signal, whatever the exit code.
        ("dacite", f"exec({SIGNAL!r})\n"),
        # As modules in C do.
        ("dacite", f"try:\n    {SIGNAL}\nexcept BaseException:\n    raise ImportError('initialization failed')\n"),
    ],
)
def test_ctrl_c_within_an_import_ends_it_with_a_line(module: str, on_import: str, tmp_path: Path) -> None:
    (tmp_path / "torch.py").touch()
    (tmp_path / f"{module}.py").write_text(f"import os, signal\n{on_import}")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
    done = subprocess.run([sys.executable, "-m", "dualpose_ros.cli", "train", "gcn", "--out", str(tmp_path / "run")],
                          cwd=ROOT, env=environment, timeout=60, capture_output=True, text=True)  # fmt: skip
    assert (done.returncode, done.stderr) == (130, "dualpose: stopped by a signal\n")


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


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ("bench stages --body x.npz", "--body does nothing with `dualpose bench stages`"),
        ("bench pipeline --seed 0", "--seed does nothing with `dualpose bench pipeline`"),
        ("eval detector --root . --seed 1", "--seed does nothing with --root"),
        ("bench soak --no-faults --repeats 9", "--repeats does nothing with `dualpose bench soak`"),
        ("bench page --json x.json", "--json does nothing with `dualpose bench page`"),
        ("synth frames --out x --makehuman y", "--makehuman does nothing with `dualpose synth frames`"),
        ("synth patches --out x --enlarge 1", "--enlarge does nothing with `dualpose synth patches`"),
        ("synth clip --out x --workers 2", "--workers does nothing with `dualpose synth clip`"),
        ("refine x --steps 5", "--steps does nothing with --method ours"),
        ("export gcn --precision fp16 --storage fp32", "--storage does nothing without --run"),
        ("export gcn --precision fp16 --calibration x", "--calibration does nothing without --precision int8"),
        ("export gcn --run x --shapes image=1", "--shapes does nothing without --engine tensorrt"),
        ("export gcn --run x --out y", "--out does nothing with --precision fp32"),
        ("export gcn --engine tensorrt --out y", "--out does nothing with --engine tensorrt"),
        ("data import lsp --root x --out y --joint a.b=pelvis", "--joint does nothing with `dualpose data import lsp`"),
        ("run --source x --no-browser", "--browser does nothing without --view"),
        ("demo --view-port 80", "--view-port does nothing without --view"),
        ("eval scores --data x --every-split", "--every-split does nothing without --root"),
        ("eval detector --data x --pictures y", "--pictures does nothing without --root"),
        ("eval ablation --data x --table 6 --recordings y", "--recordings does nothing with --table 6"),
        ("eval coco --root x --predictions y --stored-only --stage fused", "--stage does nothing with --stored-only"),
        ("eval coco --root x --out y", "--out does nothing with coco, which has no PCK curve"),
        ("eval jta --root x --out y", "--out does nothing with jta"),
        ("run --source x --source=y", "--source is given twice, and takes one value"),
        ("train lifting --data x --data y --out z", "--data is given twice"),
    ],
)
def test_an_option_that_does_nothing_is_refused(args: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in refused(capsys, *args.split())


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_network_of_another_kind_is_not_converted(
    precision: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("export", "top-down", "--precision", precision, "--out", tmp_path / "out.onnx")
    (tmp_path / "text.onnx").write_text("no network")
    for file, said in (
        (tmp_path / "none.onnx", "none.onnx is not there"),
        (tmp_path / "text.onnx", "text.onnx"),
        (weights_path("gcn"), "is no top-down network: it takes joints, view, not patches"),
        (weights_path("top_down_int8"), "computes in int8 already"),
    ):
        assert said in refused(capsys, *words, "--weights", file)
    assert not (tmp_path / "out.onnx").exists()


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
