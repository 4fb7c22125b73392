import hashlib
import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest

import dualpose_ros.weights as weights_module
from dualpose_ros.weights import (
    WeightsError,
    install_weights,
    list_weights,
    network_file,
    portable_command,
    verify_weights,
    weights_path,
)

REPORT = {
    "command": "dualpose train detector --out runs/a",
    "trained_on": "4000 rendered images",
    "figures": {"ap50": 0.9, "recall": 0.95},
    "seconds": 12.5,
    "seed": 3,
    "parameters": 4,
    "data": {"training_samples": 10},
}


def network(path: Any, factor: float = 2.0) -> Any:
    tensor, helper = onnx.TensorProto, onnx.helper
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "factor"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", tensor.FLOAT, ["N"])],
        [helper.make_tensor_value_info("y", tensor.FLOAT, ["N"])],
        [helper.make_tensor("factor", tensor.FLOAT, [1], [factor])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    source = network(tmp_path / "trained.onnx")
    install_weights(source, REPORT, "detector", tmp_path / "weights")
    return tmp_path / "weights"


def test_install_then_find(folder: Path, tmp_path: Path) -> None:
    path = weights_path("detector", folder)
    assert path == folder / "detector.onnx"
    assert path.read_bytes() == (tmp_path / "trained.onnx").read_bytes()
    (entry,) = list_weights(folder)
    assert entry.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert entry.bytes == path.stat().st_size and entry.domain == "synthetic"
    for key, value in REPORT.items():
        assert getattr(entry, key) == value
    assert verify_weights(folder) == {"detector": None}


def test_install_keeps_the_others_and_replaces_its_own(folder: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    report.write_text(json.dumps({**REPORT, "domain": "mocap"}))
    install_weights(network(tmp_path / "b.onnx", 3.0), report, "lifting", folder)
    before = list_weights(folder)[0].sha256
    weights_path("detector", folder)
    install_weights(network(tmp_path / "c.onnx", 4.0), REPORT, "detector", folder, domain="office")
    names = {entry.name: entry for entry in list_weights(folder)}
    assert set(names) == {"detector", "lifting"} and names["lifting"].domain == "mocap"
    assert names["detector"].domain == "office" and names["detector"].sha256 != before
    assert weights_path("detector", folder).is_file() and weights_path("lifting", folder).is_file()


def test_a_missing_file_says_what_to_do(folder: Path) -> None:
    (folder / "detector.onnx").unlink()
    with pytest.raises(WeightsError, match=r"detector\.onnx is missing; .*dualpose train detector"):
        weights_path("detector", folder)
    fault = verify_weights(folder)["detector"]
    assert fault is not None and "is missing" in fault


@pytest.fixture
def compared(folder: Path, tmp_path: Path) -> Path:
    """The folder with a network more, which only evaluations compare with."""
    install_weights(tmp_path / "trained.onnx", REPORT, "baseline_window_9", folder)
    return folder


def test_networks_for_comparison_may_be_left_out(compared: Path) -> None:
    assert weights_path("baseline_window_9", compared) == compared / "baselines" / "window_9.onnx"
    shutil.rmtree(compared / "baselines")
    assert verify_weights(compared) == {"detector": None}
    with pytest.raises(WeightsError, match=r"not installed: .*weights/baselines of the source repository; copy"):
        weights_path("baseline_window_9", compared)


def test_one_missing_among_those_that_are_there_is_a_fault(compared: Path) -> None:
    (compared / "baselines" / "window_9.onnx").rename(compared / "baselines" / "window_8.onnx")
    assert "is missing" in str(verify_weights(compared)["baseline_window_9"])


def test_a_truncated_file_is_refused(folder: Path) -> None:
    path = folder / "detector.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="is damaged"):
        weights_path("detector", folder)


def test_another_file_of_the_same_size_is_refused_even_after_a_good_one_was_seen(folder: Path) -> None:
    path = weights_path("detector", folder)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))
    with pytest.raises(WeightsError, match=r"not the network of the manifest.*dualpose weights install"):
        weights_path("detector", folder)


def test_the_hash_is_computed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights_path("detector", folder)
    monkeypatch.setattr(weights_module, "sha256_of", lambda path: pytest.fail("hashed again"))
    weights_path("detector", folder)


def test_unknown_names_and_broken_manifests(folder: Path) -> None:
    with pytest.raises(WeightsError, match="no network 'detecter'; it has detector"):
        weights_path("detecter", folder)
    manifest = folder / "manifest.json"
    good = json.loads(manifest.read_text())
    for broken, message in [
        ("{", "can't be read"),
        ("[]", "holds a list"),
        ('{"format": 7, "networks": {}}', "not of format 1"),
        ('{"format": 1, "networks": {"detector": {"file": "a.onnx"}}}', "incomplete for 'detector'"),
    ]:
        manifest.write_text(broken)
        with pytest.raises(WeightsError, match=message):
            weights_path("detector", folder)
    good["networks"]["detector"]["file"] = "../elsewhere.onnx"
    manifest.write_text(json.dumps(good))
    with pytest.raises(WeightsError, match="outside of its folder"):
        weights_path("detector", folder)
    manifest.unlink()
    with pytest.raises(WeightsError, match=r"manifest\.json is missing"):
        weights_path("detector", folder)


def test_what_can_not_be_installed(folder: Path, tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish.onnx"
    rubbish.write_bytes(b"not a network")
    with pytest.raises(WeightsError, match=r"can't load .*rubbish\.onnx"):
        install_weights(rubbish, REPORT, "lifting", folder)
    with pytest.raises(WeightsError, match="lacks trained_on"):
        install_weights(tmp_path / "trained.onnx", {**REPORT, "trained_on": ""}, "lifting", folder)
    with pytest.raises(WeightsError, match="is no name"):
        install_weights(tmp_path / "trained.onnx", REPORT, "../lifting", folder)
    with pytest.raises(WeightsError, match=r"report .* is missing"):
        install_weights(tmp_path / "trained.onnx", tmp_path / "none.json", "lifting", folder)
    assert set(verify_weights(folder)) == {"detector"}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"figures": [1]}, "items"), ({"figures": {"oks": "good"}}, "good"), ({"figures": {"oks": math.nan}}, "finite"),
     ({"seconds": "long"}, "long"), ({"command": ["a"]}, "list"), ({"command": "a 'b"}, "quotation"),
     ({"data": [1]}, "items"), ({"trained_on": ["a"]}, r"trained_on is \['a'\]"), ({"domain": 3}, "domain is 3")],
)  # fmt: skip
def test_a_report_that_training_did_not_write_is_refused(tmp_path: Path, wrong: dict[str, Any], says: str) -> None:
    source = network(tmp_path / "trained.onnx", 2.0)
    with pytest.raises(WeightsError, match=rf"the training report holds something else .*{says}"):
        install_weights(source, {**REPORT, **wrong}, "lifting", tmp_path / "weights")
    assert not (tmp_path / "weights").exists()


def test_a_manifest_with_a_wrong_value_is_refused(tmp_path: Path) -> None:
    install_weights(network(tmp_path / "trained.onnx", 2.0), REPORT, "lifting", tmp_path / "weights")
    path = tmp_path / "weights" / "manifest.json"
    content = json.loads(path.read_text())
    for key, value in {"figures": [1], "bytes": "many", "sha256": 3}.items():
        entry = {**content["networks"]["lifting"], key: value}
        path.write_text(json.dumps({**content, "networks": {"lifting": entry}}))
        with pytest.raises(WeightsError, match=f"is incomplete for 'lifting': {key} is"):
            list_weights(tmp_path / "weights")


def test_a_network_is_called_by_what_it_computes_in(tmp_path: Path) -> None:
    for file, name, says in (
        ("top_down_int8", "top_down", "computes in int8, and what is called top_down in fp32"),
        ("top_down", "top_down_int8", "computes in fp32, and what is called top_down_int8 in int8"),
    ):
        with pytest.raises(WeightsError, match=says):
            install_weights(weights_path(file), REPORT, name, tmp_path)


def test_a_network_of_another_kind_replaces_none(tmp_path: Path) -> None:
    install_weights(weights_path("top_down"), REPORT, "top_down", tmp_path)
    for other in (weights_path("detector"), network(tmp_path / "b.onnx")):
        for name in ("top_down", "top_down_int8"):
            with pytest.raises(WeightsError, match=r"no top_down.* network: it takes \w+, and .*onnx patches"):
                install_weights(other, REPORT, name, tmp_path)
    assert verify_weights(tmp_path) == {"top_down": None}


def test_a_network_of_its_kind_replaces_one_that_gives_something_else(tmp_path: Path) -> None:
    for older in ("baseline_one_person", "top_down"):
        install_weights(weights_path(older), REPORT, "top_down", tmp_path)
    assert weights_path("top_down", tmp_path).read_bytes() == weights_path("top_down").read_bytes()


@pytest.mark.parametrize(
    ("typed", "portable"),
    [
        ("dualpose train detector --out runs/a", "dualpose train detector --out runs/a"),
        ("/usr/bin/dualpose train lifting --data '/me/my clips.npz'", "dualpose train lifting --data 'my clips.npz'"),
        ("cli.py train top-down --out /tmp/run --resume", "dualpose train top-down --out run --resume"),
    ],
)
def test_recorded_commands_name_no_folder_of_the_machine(typed: str, portable: str) -> None:
    assert portable_command(typed) == portable


def test_a_network_is_a_file_or_a_shipped_name(tmp_path: Path) -> None:
    assert network_file(str(tmp_path / "mine.onnx")) == tmp_path / "mine.onnx"
    with pytest.raises(WeightsError, match="no network 'mine'"):
        network_file("mine")
