"""The moving average of a network's weights, which is what a run validates and keeps."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def averaged_model(model: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of a model's weights and batch-norm statistics, in eval mode, begun as a copy.

    Step n keeps min(decay, (1 + n) / (10 + n)) of it, so that what was early is soon forgotten. Counters are copied.
    """

    @torch.no_grad()
    def update(
        kept: tuple[Tensor, ...] | list[Tensor], seen: tuple[Tensor, ...] | list[Tensor], count: Tensor | int
    ) -> None:
        step = int(count) - 1
        if kept[0].is_floating_point():
            torch._foreach_lerp_(kept, seen, 1 - min(decay, (1 + step) / (10 + step)))
        else:
            torch._foreach_copy_(kept, seen)

    average = AveragedModel(model, multi_avg_fn=update, use_buffers=True)
    average.eval().requires_grad_(False)
    # The copy that it begins as counts as one; with none, the first step would replace it.
    average.n_averaged.fill_(1)
    return average
