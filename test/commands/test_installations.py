"""Installations of the package: with all networks, with those of robots alone, without the lab."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dualpose_ros import cli
from support.command_line import refused

NETWORKS = ("detector", "top_down", "gcn", "lifting", "bottom_up", "fusion")


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
