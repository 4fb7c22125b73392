"""Commands that make data and networks: what they ask for, refuse and leave behind."""

import json
import sys
from pathlib import Path

import pytest

from dualpose_ros import cli
from support.command_line import refused

NETWORKS = ("detector", "top_down", "gcn", "lifting", "bottom_up", "fusion")


def test_what_a_network_does_not_learn_from_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "errors.npz"
    file.write_bytes(b"0")
    assert "--errors" in refused(capsys, "train", "detector", "--out", tmp_path / "run", "--errors", file)
    assert "--gcn" in refused(capsys, "train", "gcn", "--out", tmp_path / "run", "--gcn", file)
    assert "no file" in refused(capsys, "train", "gcn", "--out", tmp_path / "run", "--errors", tmp_path / "none.npz")
    assert "--init" in refused(capsys, "train", "gcn", "--out", tmp_path / "run", "--init", tmp_path / "none.pt")


@pytest.mark.parametrize("network", ["gcn", "lifting"])
def test_a_body_that_is_none_leaves_nothing_behind(
    network: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    pytest.importorskip("numba", reason="the synthetic world needs numba")
    (tmp_path / "body.npz").write_bytes(b"none")
    line = refused(capsys, "train", network, "--out", tmp_path / "run", "--body", tmp_path / "body.npz")
    assert "body.npz" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--calibration FILE", "--calibration does nothing without --video"),
        ("--held-out FILE", "--held-out does nothing without --video"),
        ("--video FILE --first FILE", "--first does nothing with --video"),
        ("--first FILE", "--first does nothing with row `none`"),
        ("--init FILE", "--init does nothing"),
    ],
)
def test_what_a_training_of_two_networks_makes_nothing_of(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    given = words.replace("FILE", str(tmp_path / "file")).split()
    out = ("--out", tmp_path / "run", "--data", tmp_path)
    assert said in refused(capsys, "train", "semi-supervised", *out, *given)


def test_what_fusion_learns_from_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
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
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "without torchrun" in refused(capsys, "train", "semi-supervised", *out, "--data", tmp_path)


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
    settings = {
        "gcn": "  network: {channels: 8, layers: 1}\n",
        "lifting": "  network: {channels: 16, hidden: 16, window: 9}\n",
    }
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
