"""A network filled from its exported file computes the same, also once its batch norms are back, and can train on."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from dualpose_ros.backbone import HRNetConfig
from dualpose_ros.bottom_up.network import BottomUpNetwork
from dualpose_ros.inference.export import Axis, ExportSpec, export_onnx
from dualpose_ros.lab.training.loop.from_onnx import load_onnx, unfold_norms
from dualpose_ros.lab.training.loop.task import TrainingError
from dualpose_ros.skeleton import H36M17
from dualpose_ros.top_down.lifting.completion import NUM_FEATURES
from dualpose_ros.top_down.lifting.network import LiftingConfig, TemporalLifter
from dualpose_ros.top_down.network import TopDownNetwork

TINY = HRNetConfig(stem=16, widths=(8, 16), blocks=1, modules=(1,), out_channels=16)
PATCHES = torch.randint(0, 256, (6, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


def unlike_new(model: nn.Module) -> nn.Module:
    """The network with weights and statistics as training leaves them, none at its initial value."""
    generator = torch.Generator().manual_seed(1)
    module: Any
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            assert module.running_mean is not None and module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.3, generator=generator)
            nn.init.uniform_(module.running_var, 0.5, 2, generator=generator)
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(module.bias, std=0.3, generator=generator)
        elif getattr(module, "bias", None) is not None:
            nn.init.normal_(module.bias, std=0.1, generator=generator)
        if isinstance(module, nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
    return model.eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    torch.manual_seed(0)
    model = unlike_new(TopDownNetwork(TINY))
    spec = ExportSpec({"patches": PATCHES}, ("heatmaps", "tags"), {"patches": {0: Axis("people")}})
    path = tmp_path_factory.mktemp("onnx") / "top_down.onnx"
    export_onnx(model, spec, path)
    return model, path


def answers(model: nn.Module, images: Tensor) -> list[np.ndarray]:
    with torch.no_grad():
        return [part.numpy() for part in model.eval()(images)]


def test_the_same_network_comes_back(exported: tuple[nn.Module, Path]) -> None:
    original, path = exported
    torch.manual_seed(9)
    model = TopDownNetwork(TINY)
    assert load_onnx(model, path) == []
    for found, expected in zip(answers(model, PATCHES), answers(original, PATCHES), strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-4)


def test_batch_norms_get_the_statistics_of_their_data_and_change_nothing(exported: tuple[nn.Module, Path]) -> None:
    _, path = exported
    model: Any = TopDownNetwork(TINY)
    load_onnx(model, path)
    before = answers(model, PATCHES)
    unfold_norms(model, lambda: model(PATCHES), rounds=1)
    for found, expected in zip(answers(model, PATCHES), before, strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-4)
    # The first norm sees what the first convolution makes of the images: computed by hand.
    convolution, norm = model.backbone.stem[0][0], model.backbone.stem[0][1]
    with torch.no_grad():
        fed = convolution(model.normalise(PATCHES))
    np.testing.assert_allclose(norm.running_mean, fed.mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.running_var, fed.var(dim=(0, 2, 3), unbiased=False), rtol=1e-3, atol=1e-6)
    # In training mode, where norms use the batch's own statistics, the answer is therefore nearly the same too.
    model.train()
    with torch.no_grad():
        tags = model(PATCHES)[1].numpy()
    assert np.abs(tags - before[1]).max() < 0.02 * np.abs(before[1]).max()


def test_without_the_statistics_training_would_start_from_another_network(exported: tuple[nn.Module, Path]) -> None:
    """The reason for unfolding: folded norms in training mode compute something else altogether."""
    _, path = exported
    model = TopDownNetwork(TINY)
    load_onnx(model, path)
    before = answers(model, PATCHES)[1]
    model.train()
    with torch.no_grad():
        tags = model(PATCHES)[1].numpy()
    assert np.abs(tags - before).max() > 0.2 * np.abs(before).max()


def test_a_bottom_up_network_starts_from_a_top_down_one(exported: tuple[nn.Module, Path]) -> None:
    original, path = exported
    model = BottomUpNetwork(TINY)
    missing = load_onnx(model, path)
    assert {name.split(".")[0] for name in missing} == {"depth_head", "calibration"}
    guidance = torch.full((6, H36M17.num_joints, 16, 16), 200, dtype=torch.uint8)
    with torch.no_grad():
        heatmaps, tags, *_ = model.eval()(PATCHES, guidance)
    # Guidance has zero weight yet.
    for found, expected in zip((heatmaps.numpy(), tags.numpy()), answers(original, PATCHES), strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-4)


def test_linear_layers_and_memories_come_back(tmp_path: Path) -> None:
    config = LiftingConfig(window=9, channels=16, hidden=24, blocks=1, dropout=0.0)
    torch.manual_seed(2)
    original: Any = unlike_new(TemporalLifter(config))
    nn.init.normal_(original.head.weight, std=0.3)
    original.joint_calibration += torch.arange(17) / 10
    features, memory = torch.randn(3, 5, NUM_FEATURES), original.empty_memory(3)
    inputs = dict(zip(("features", "past_features", "past"), (features, *memory), strict=True))
    people = Axis("people")
    axes = {name: {0: people} for name in inputs} | {"features": {0: people, 1: Axis("frames")}}
    outputs = ("joints", "log_stddev", "log_depth_extent", "log_depth_stddev", "new_past_features", "new_past")
    export_onnx(original, ExportSpec(inputs, outputs, axes), tmp_path / "lifting.onnx")
    model = TemporalLifter(config)
    assert load_onnx(model, tmp_path / "lifting.onnx") == []
    with torch.no_grad():
        found, expected = model.eval()(*inputs.values()), original(*inputs.values())
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_files_of_other_networks_are_refused(exported: tuple[nn.Module, Path], tmp_path: Path) -> None:
    _, path = exported
    with pytest.raises(TrainingError, match="no weight of this network"):
        load_onnx(nn.Linear(3, 2), path)
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    with pytest.raises(TrainingError, match="can't be read as ONNX"):
        load_onnx(TopDownNetwork(TINY), tmp_path / "broken.onnx")
    wider = TopDownNetwork(HRNetConfig(stem=16, widths=(8, 24), blocks=1, modules=(1,), out_channels=16))
    assert any("last.branches.1" in name for name in load_onnx(wider, path))
    assert onnx.load(path).graph.node  # the file itself is sound
