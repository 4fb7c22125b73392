"""Randomness on a device: one generator, asked in the ways that simulated views need. Needs torch."""

import torch
from torch import Tensor


class Dice:
    """Random tensors on `device` that depend on `seed` alone."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.device = device
        self._generator = torch.Generator(device)
        self._generator.manual_seed(seed)

    def uniform(self, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> Tensor:
        """Evenly in low..high."""
        return low + (high - low) * torch.rand(shape, generator=self._generator, device=self.device)

    def normal(self, shape: tuple[int, ...], mean: float = 0.0, stddev: float = 1.0) -> Tensor:
        """Of a Gaussian."""
        return mean + stddev * torch.randn(shape, generator=self._generator, device=self.device)

    def happens(self, shape: tuple[int, ...], chance: float) -> Tensor:
        """True with this chance."""
        return torch.rand(shape, generator=self._generator, device=self.device) < chance

    def sign(self, shape: tuple[int, ...]) -> Tensor:
        """-1 or 1."""
        return 2.0 * self.happens(shape, 0.5) - 1.0

    def below(self, shape: tuple[int, ...], limit: int) -> Tensor:
        """Whole numbers in 0..limit - 1."""
        return torch.randint(limit, shape, generator=self._generator, device=self.device)

    def choose(self, weight: Tensor, count: int) -> Tensor:
        """Indices (count,) of weights, with replacement; any number of weights."""
        at = torch.rand(count, generator=self._generator, device=self.device, dtype=torch.float64)
        return torch.searchsorted(torch.cumsum(weight.double(), 0), at * weight.double().sum()).clamp(
            max=len(weight) - 1
        )

    def log_uniform(self, shape: tuple[int, ...], low: float, high: float) -> Tensor:
        """Evenly in the logarithm of low..high."""
        return low * (high / low) ** self.uniform(shape)
