"""Published checkpoints: names and shapes as published, recognised, imported, refused."""

import hashlib
import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from dualpose_ros import cli
from dualpose_ros.inference.engine import LOOKAHEAD_FRAMES
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.published import released
from dualpose_ros.lab.published.hrnet import HigherHRNetPose, own_names
from dualpose_ros.lab.published.importing import KNOWN, folded, read_checkpoint, recognise
from dualpose_ros.weights import WeightsError
from support.command_line import refused

RELEASED = {
    "released_bottom_up": ("b150a96da7a8b1fb", 1804),
    "released_gcn": ("7d97648adc611b14", 28),
    "released_tcn": ("3f661cc7ca5bbd34", 65),
    "released_root": ("0197c81290adbac7", 65),
    "released_integration": ("5f760015611e2b63", 8),
    "released_adaptation": ("d4d709a664b1bc07", 8),
    "released_scale": ("afcd8fb43021044d", 2),
    "released_transform": ("b20ecbbb37b0501a", 2),
}
"""The SHA-256 of names and shapes in the paper's release, one a line, sorted; and how many there are."""


def filled(module: torch.nn.Module, seed: int = 0) -> dict[str, torch.Tensor]:
    """A state of random numbers; variances are positive."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: value if value.dtype == torch.int64
        else 0.1 * torch.rand(value.shape, generator=generator) + (0.5 if name.endswith("var") else 0.0)
        for name, value in module.state_dict().items()
    }  # fmt: skip


def write_released(folder: Path, state: dict[str, torch.Tensor], name: str = "model_000.pth") -> Path:
    """A folder as the release has them: a legacy checkpoint, and a text file that names it."""
    folder.mkdir(parents=True)
    torch.save(state, folder / name, _use_new_zipfile_serialization=False)
    (folder / "checkpoint").write_text(f"{name}\n")
    return folder


@pytest.mark.parametrize("name", RELEASED)
def test_names_and_shapes_are_the_releases(name: str) -> None:
    known = next(known for known in KNOWN if known.name == name)
    with torch.device("meta"):
        state = known.make().state_dict()
    lines = "\n".join(sorted(f"{key} {tuple(value.shape)}" for key, value in state.items()))
    assert (hashlib.sha256(lines.encode()).hexdigest()[:16], len(state)) == RELEASED[name]


@pytest.mark.parametrize("make", [released.Integration, released.AxisScale, released.JointGraph])
def test_a_checkpoint_is_recognised_by_what_is_in_it(make: type[torch.nn.Module], tmp_path: Path) -> None:
    state = filled(make())
    folder = write_released(tmp_path / "ckpt", state)
    found = recognise(read_checkpoint(folder / "model_000.pth"), "it")
    assert isinstance(found.module, make) and found.unused == ()
    for key, value in found.module.state_dict().items():
        torch.testing.assert_close(value, state[key])


def test_safetensors_are_read_too(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    state = filled(released.AxisScale())
    save_file(state, tmp_path / "any.safetensors")
    assert isinstance(recognise(read_checkpoint(tmp_path / "any.safetensors"), "it").module, released.AxisScale)
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "any.safetensors").read_bytes()[:90])
    with pytest.raises(WeightsError, match=r"cut\.safetensors is no checkpoint of tensors alone, or damaged"):
        read_checkpoint(tmp_path / "cut.safetensors")


def test_an_archive_is_imported_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two networks of an archive that holds other things too; the ONNX files say what the modules say."""
    state = filled(released.Integration())
    write_released(tmp_path / "ckpts" / "model_inte", state)
    extra = {**filled(released.AxisScale(), 1), "old.weight": torch.zeros(2)}
    write_released(tmp_path / "ckpts" / "model_linear", extra)
    with zipfile.ZipFile(tmp_path / "3DMPP.zip", "w") as archive:
        archive.writestr("mupots/est_p2ds/00_00.pkl", b"not ours")
        for path in sorted((tmp_path / "ckpts").rglob("*")):
            archive.write(path, path.relative_to(tmp_path))
    out = tmp_path / "out"
    assert cli.main(["weights", "import", str(tmp_path / "3DMPP.zip"), "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["released_integration.onnx", "released_scale.onnx"]
    assert "not used: old.weight" in "".join(capsys.readouterr().out.split("\n")).replace("  ", " ")
    rng = np.random.default_rng(0)
    poses, depths = rng.normal(size=(3, 2, 3, 17)).astype(np.float32), rng.normal(size=(3, 2)).astype(np.float32)
    answer = load_engine(out / "released_integration.onnx").run({"poses": poses, "depths": depths})
    module = released.Integration()
    module.load_state_dict(state)
    pose, depth = module.eval()(torch.from_numpy(poses), torch.from_numpy(depths))
    np.testing.assert_allclose(answer["pose"], pose.detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(answer["depth"], depth.detach().numpy(), atol=1e-5)


def test_norms_become_part_of_convolutions() -> None:
    """The same answers without a batch norm left, from a network over time and from one of images."""
    for make, shape in ((lambda: released.Temporal(34, 1, width=8), (2, 243, 34)),
                        (HigherHRNetPose, (1, 3, 64, 64))):  # fmt: skip
        module = make()
        module.load_state_dict(filled(module))
        one, other = module.eval(), folded(module.eval())
        assert not any(isinstance(part, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d) for part in other.modules())
        given = torch.rand(shape, generator=torch.Generator().manual_seed(2))
        with torch.no_grad():
            said, told = one(given), other(given)
        for a, b in zip(said if isinstance(said, tuple) else (said,), told if isinstance(told, tuple) else (told,),
                        strict=True):  # fmt: skip
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3 * float(a.abs().max()))


def test_networks_over_time_say_that_they_look_ahead() -> None:
    specs = {known.name: known.spec.metadata for known in KNOWN}
    assert specs["released_tcn"] == {LOOKAHEAD_FRAMES: "121"} == specs["released_root"]
    assert specs["released_integration"] == {}


def test_hrnet_by_its_authors_names() -> None:
    """One name of each kind, as the authors' checkpoints have them, also as a trainer wraps them."""
    given = {
        "conv1.weight": "backbone.c1.conv.weight",
        "bn2.running_var": "backbone.c2.bn.running_var",
        "layer1.0.downsample.1.bias": "backbone.layer1.units.0.sc.bn.bias",
        "layer1.3.bn3.weight": "backbone.layer1.units.3.c3.bn.weight",
        "transition1.0.0.weight": "backbone.stage1.transition.trans.0.conv.weight",
        "transition1.1.0.1.bias": "backbone.stage1.transition.trans.1.bn.bias",
        "transition3.3.0.0.weight": "backbone.stage3.transition.trans.3.conv.weight",
        "stage2.0.branches.1.3.conv2.weight": "backbone.stage1.blocks.0.1.units.3.c2.conv.weight",
        "stage3.3.fuse_layers.0.2.0.weight": "backbone.stage2.fuses.3.branches.0.2.c1.conv.weight",
        "stage4.1.fuse_layers.3.0.2.1.bias": "backbone.stage3.fuses.1.branches.3.0.mods.2.bn.bias",
        "stage4.2.fuse_layers.0.3.1.weight": "backbone.lastfuse.c3.c1.bn.weight",
        "module.final_layer.bias": "final_layer.bias",
        "backbone.stage4.2.branches.0.0.bn1.weight": "backbone.stage3.blocks.2.0.units.0.c1.bn.weight",
        "deconv_layers.0.0.0.weight": "up.weight",
        "deconv_layers.0.0.1.running_mean": "up_norm.running_mean",
        "deconv_layers.0.4.0.conv2.weight": "after.3.c2.conv.weight",
        "1.final_layers.1.weight": "1.final_layers.1.weight",
    }
    assert list(own_names(dict.fromkeys(given, torch.zeros(1)))) == list(given.values())


def test_wrong_files_are_one_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"

    def said(path: Path) -> str:
        line = refused(capsys, "weights", "import", path, "--out", out)
        assert not out.exists()
        return line

    assert "is not there" in said(tmp_path / "none.pth")
    (tmp_path / "empty").mkdir()
    assert "this is not the paper's release" in said(tmp_path / "empty")
    other = filled(torch.nn.Linear(3, 3))
    torch.save(other, tmp_path / "other.pth")
    assert "is none of released_bottom_up" in said(tmp_path / "other.pth")
    state = filled(released.Integration())
    torch.save({**state, "fc2.fc.weight": torch.zeros(3, 512)}, tmp_path / "shape.pth")
    assert "fc2.fc.weight is (3, 512) instead of (512, 512)" in said(tmp_path / "shape.pth")
    state["fc4.fc.bias"][0] = float("nan")
    torch.save(state, tmp_path / "nan.pth")
    assert "fc4.fc.bias holds a number that is not finite" in said(tmp_path / "nan.pth")
    cut = tmp_path / "cut.pth"
    cut.write_bytes((tmp_path / "nan.pth").read_bytes()[:5000])
    assert "no checkpoint of tensors alone, or damaged" in said(cut)
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 no archive")
    assert "no checkpoint of tensors alone" in said(tmp_path / "a.zip")
    folder = write_released(tmp_path / "named", filled(released.AxisScale()))
    (folder / "checkpoint").write_text("gone.pth\n")
    assert "names no checkpoint beside it" in said(folder)


class _Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('ran')",)


def test_a_pickle_that_would_run_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(_Runs(), protocol=4))
    with warnings.catch_warnings(), pytest.raises(WeightsError, match=r"or damaged: Weights only load failed$"):
        warnings.simplefilter("error")
        read_checkpoint(tmp_path / "plain.pth")
    torch.save({"a": _Runs()}, tmp_path / "bad.pth")
    with pytest.raises(WeightsError, match="no checkpoint of tensors alone"):
        read_checkpoint(tmp_path / "bad.pth")
