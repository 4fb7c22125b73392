"""The network's maps have the shapes that the stage expects, and guidance matters once it has weight."""

import numpy as np
import pytest
import torch
from torch import Tensor

from dualpose_ros.backbone import HRNetConfig
from dualpose_ros.bottom_up.network import LOG_STDDEV_RANGE, BottomUpNetwork
from dualpose_ros.skeleton import K

TINY = HRNetConfig(stem=16, widths=(8, 16), blocks=1, modules=(1,), out_channels=16)


@pytest.fixture(scope="module")
def network() -> BottomUpNetwork:
    torch.manual_seed(0)
    return BottomUpNetwork(TINY).eval()


def inputs(height: int, width: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    image = torch.randint(0, 256, (2, height, width, 3), dtype=torch.uint8, generator=generator)
    shape = (2, K, height // 4, width // 4)
    return image, torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("size", [(64, 96), (128, 64)])
def test_four_maps_of_a_quarter_of_the_size(network: BottomUpNetwork, size: tuple[int, int]) -> None:
    with torch.no_grad():
        maps = network(*inputs(*size))
    assert [tuple(part.shape) for part in maps] == [(2, K, size[0] // 4, size[1] // 4)] * 4
    heatmaps, _, _, log_stddev = maps
    assert heatmaps.min() >= 0 and heatmaps.max() <= 1
    assert LOG_STDDEV_RANGE[0] <= log_stddev.min() and log_stddev.max() <= LOG_STDDEV_RANGE[1]


def test_guidance_of_a_place_changes_the_answer_there(network: BottomUpNetwork) -> None:
    image, guidance = inputs(64, 96)
    guidance[:] = 0
    lit = guidance.clone()
    lit[:, 3, 8, 12] = 255
    with torch.no_grad():
        off = (network(image, lit)[2] - network(image, guidance)[2]).abs().sum(dim=(0, 1)).numpy()
    row, column = np.unravel_index(off.argmax(), off.shape)
    assert off.max() > 0 and abs(row - 8) <= 2 and abs(column - 12) <= 2


def test_calibration_widens_the_deviations_of_its_channel(network: BottomUpNetwork) -> None:
    with torch.no_grad():
        before = network(*inputs(64, 96))[3]
        network.calibration[4] = 0.7
        after = network(*inputs(64, 96))[3]
        network.calibration[4] = 0.0
    np.testing.assert_allclose((after - before)[:, 4], 0.7, atol=1e-6)
    assert (after[:, 5] == before[:, 5]).all()
