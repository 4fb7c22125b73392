"""The detector as a torch module: what it puts out, and that its export is read as it is meant."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dualpose_ros.detection.network import DetectorConfig, DetectorNetwork
from dualpose_ros.detection.yolox import anchor_grid
from dualpose_ros.inference.export import export_onnx
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.training.detector.task import DetectorTask, DetectorTaskConfig


def test_it_has_the_published_number_of_parameters() -> None:
    """YOLOX-Nano's 0.91 million (Ge et al., Table 3), without 79 classes' scores at three strides."""
    count = sum(value.numel() for value in DetectorNetwork().parameters())
    assert round((count + 3 * 79 * 65) / 1e6, 2) == 0.91


@pytest.mark.parametrize("size", [(64, 96), (32, 32), (160, 64)])
def test_rows_are_those_of_the_grid_and_scores_those_of_the_logits(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = DetectorNetwork(DetectorConfig(stem=8, head=16)).eval()
    image = torch.randint(0, 256, (2, *size, 3), dtype=torch.uint8)
    with torch.no_grad():
        rows, raw = network(image), network.raw(image)
    assert rows.shape == (2, len(anchor_grid(*size)[0]), 6)
    assert [tuple(one.shape) for one in raw] == [(2, 6, size[0] // s, size[1] // s) for s in (8, 16, 32)]
    first = raw[1][1, :, 0, 1]
    at = (size[0] // 8) * (size[1] // 8) + (1 if size[1] > 32 else 0)
    if size[1] > 32:
        np.testing.assert_allclose(rows[1, at, :4], first[:4], atol=1e-6)
        np.testing.assert_allclose(rows[1, at, 4:], first[4:].sigmoid(), atol=1e-6)


def test_an_untrained_network_sees_nobody() -> None:
    with torch.no_grad():
        rows = DetectorNetwork().eval()(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))
    assert float((rows[..., 4] * rows[..., 5]).max()) < 0.05


def test_its_export_takes_any_size_and_puts_out_the_same(tmp_path: Path) -> None:
    torch.manual_seed(1)
    task = DetectorTask(DetectorTaskConfig(DetectorConfig(stem=8, head=16)))
    network = task.build_model().eval()
    engine = load_engine(export_onnx(network, task.export_spec(), tmp_path / "detector.onnx").path)
    for size in ((96, 64), (224, 384)):
        image = torch.randint(0, 256, (1, *size, 3), dtype=torch.uint8)
        with torch.no_grad():
            expected = network(image)
        np.testing.assert_allclose(engine.run({"image": image.numpy()})["people"], expected, atol=2e-4)
