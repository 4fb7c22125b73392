"""The lifting network's input as training makes it against the one that the live stage makes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dualpose_ros.inference.export import export_onnx
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.training.lifting import input as training
from dualpose_ros.lab.training.lifting.gcn import GCNTask, GCNTraining
from dualpose_ros.lab.training.lifting.task import load_gcn
from dualpose_ros.lab.training.loop.task import TrainingError
from dualpose_ros.top_down.lifting import completion
from dualpose_ros.top_down.lifting.gcn_network import GCNConfig

SMALL = GCNConfig(channels=16, layers=2)


def people() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    rays = rng.normal(0, 0.2, (50, 17, 2)) + rng.normal(0, 0.5, (50, 1, 2))
    return rays, rng.uniform(0, 1, (50, 17)) * (rng.random((50, 17)) < 0.8)


@pytest.mark.parametrize("completed", [False, True])
def test_both_give_the_same_numbers(completed: bool, tmp_path: Path) -> None:
    path = tmp_path / "gcn.onnx"
    torch.manual_seed(0)
    task = GCNTask(GCNTraining(network=SMALL))
    if completed:
        export_onnx(task.build_model().eval(), task.export_spec(), path)
    rays, scores = people()
    live = completion.complete(rays, scores, load_engine(path) if completed else None)
    view, features = training.complete(
        torch.tensor(rays, dtype=torch.float32),
        torch.tensor(scores, dtype=torch.float32),
        load_gcn(path, SMALL) if completed else None,
    )
    np.testing.assert_allclose(features.numpy(), live.features, atol=2e-4, rtol=1e-3)
    np.testing.assert_allclose(view.to_camera.numpy(), live.view.to_camera, atol=1e-5)
    np.testing.assert_allclose(view.extent.numpy(), live.view.extent, rtol=1e-4)
    gaps = np.array([0.001, 1 / 30, 0.4, 9.0])
    np.testing.assert_allclose(
        training.time_feature(torch.tensor(gaps)).numpy(), completion.time_feature(gaps), rtol=1e-5
    )


def test_a_checkpoint_of_another_gcn_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    model = GCNTask(GCNTraining(network=SMALL)).build_model()
    torch.save({"format": 1, "task": "gcn", "model": model.state_dict()}, path)
    loaded = load_gcn(path, SMALL)
    joints, view = torch.rand(2, 17, 3), torch.rand(2, 3)
    torch.testing.assert_close(loaded(joints, view), model.eval()(joints, view))
    with pytest.raises(TrainingError, match="another GCN"):
        load_gcn(path, GCNConfig(channels=16, layers=3))
