from typing import Any

import pytest
import torch

from dualpose_ros.backbone import CPU, HRNet, HRNetConfig
from dualpose_ros.lab.training.networks import load_network
from dualpose_ros.paths import share_dir

SMALL = HRNetConfig(stem=32, blocks=1)
PAPER = load_network("paper", share_dir() / "config" / "networks" / "top_down.yaml")


def count(model: Any) -> int:
    return sum(p.numel() for p in model.parameters())


def published_parameters(c: HRNetConfig) -> int:
    """Parameters of an HRNet summed up from its description, batch norm included."""

    def conv(i: int, o: int, k: int) -> int:
        return i * o * k * k + 2 * o

    wide = c.stem * c.expansion
    total = conv(3, c.stem, 3) + conv(c.stem, c.stem, 3)
    for block in range(c.bottlenecks):
        inputs = c.stem if block == 0 else wide
        total += conv(inputs, c.stem, 1) + conv(c.stem, c.stem, 3) + conv(c.stem, wide, 1)
        total += conv(inputs, wide, 1) if inputs != wide else 0
    total += conv(wide, c.widths[0], 3) + conv(wide, c.widths[1], 3)
    total += sum(conv(a, b, 3) for a, b in zip(c.widths[1:], c.widths[2:], strict=False))
    for stage, modules in enumerate(c.modules):
        widths = c.widths[: stage + 2]
        total += modules * c.blocks * sum(2 * conv(w, w, 3) for w in widths)
        exchange = 0
        for i, a in enumerate(widths):
            for j, b in enumerate(widths):
                if i > j:
                    exchange += conv(a, b, 1)
                elif i < j:
                    exchange += (j - i - 1) * conv(a, a, 3) + conv(a, b, 3)
        total += exchange * (modules - (stage == len(c.modules) - 1))
    return total + sum(conv(w, c.out_channels, 1) for w in c.widths)


@pytest.mark.parametrize("config", [CPU, SMALL, PAPER])
def test_parameters_are_those_of_the_description(config: Any) -> None:
    with torch.device("meta"):
        assert count(HRNet(config)) == published_parameters(config)


def test_size_of_the_families() -> None:
    with torch.device("meta"):
        assert 1.2e6 < count(HRNet(CPU)) < 1.4e6
        assert 0.6e6 < count(HRNet(SMALL)) < 0.8e6
        # HRNet-W32 of the paper has 28.5 M.
        assert 28.4e6 < count(HRNet(PAPER)) < 28.7e6


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        HRNetConfig(stem=8, widths=(4, 8), modules=(2,), blocks=1, out_channels=5),
        HRNetConfig(stem=8, modules=(1, 2, 2)),
        HRNetConfig(stem=8, widths=(4, 8, 8), modules=(1, 1), blocks=1, out_channels=5, context_blocks=2),
    ],
)
def test_shape_and_gradients(config: Any) -> None:
    torch.manual_seed(0)
    model = HRNet(config).train()
    size = 2 * config.stride
    image = torch.randn(2, 3, size, size + config.stride)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):  # residual bodies start at zero: what lies before them moves from the second step on
        features = model(image)
        assert features.shape == (2, config.out_channels, size // 4, (size + config.stride) // 4)
        optimizer.zero_grad()
        (features * torch.randn_like(features)).sum().backward()
        optimizer.step()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not still


def test_low_resolution_branch_sees_far() -> None:
    """A change in one corner reaches the opposite one, which high resolution alone could not carry."""
    torch.manual_seed(0)
    model = HRNet(SMALL).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)
    image = torch.randn(1, 3, 256, 256)
    changed = image.clone()
    changed[..., :16, :16] += 3
    with torch.no_grad():
        difference = (model(changed) - model(image)).abs().sum(dim=1)[0]
    # Through the branch at 1/4 alone a change could reach 14 cells from the corner.
    assert difference[30, 30] > 0


def test_misuse_is_named() -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        HRNet(SMALL)(torch.zeros(1, 3, 64, 65))
    with pytest.raises(ValueError, match="one entry a stage"):
        HRNetConfig(widths=(16, 32))
    with pytest.raises(ValueError, match="two or more branches"):
        HRNetConfig(widths=(16,), modules=())
    with pytest.raises(ValueError, match="blocks is 0; it must be >= 1"):
        HRNetConfig(blocks=0)
    with pytest.raises(ValueError, match="context_blocks"):
        HRNetConfig(context_blocks=-1)
