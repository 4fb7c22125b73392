"""The moving average against one that is written out."""

import copy

import pytest
import torch
from torch import nn

from dualpose_ros.lab.training.loop.average import averaged_model


@pytest.mark.parametrize("before", [0, 13])
def test_it_is_the_average_of_weights_and_statistics_whose_start_is_soon_forgotten(before: int) -> None:
    """before: steps of an earlier part of the run, after which it goes on."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 3))
    written = copy.deepcopy(model.state_dict())
    average = averaged_model(model, 0.7)
    average.n_averaged += before
    for step in range(before, before + 30):
        model(torch.randn(2, 3, 9, 9))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        decay = min(0.7, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                written[name] = decay * written[name] + (1 - decay) * value
            else:
                written[name] = value.clone()
        average.update_parameters(model)
    assert not average.module.training
    for name, value in average.module.state_dict().items():
        torch.testing.assert_close(value, written[name], msg=name)
