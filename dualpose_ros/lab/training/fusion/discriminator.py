"""The interaction-aware discriminator (paper, section 3.3, Eqs. 8 and 9): is it natural, alone and together?

G groups of up to P people, K joints of `skeleton.H36M17`; metres, camera axes. Needs torch: training only.
"""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dualpose_ros.settings import Settings, setting
from dualpose_ros.skeleton import H36M17

K = H36M17.num_joints
_APART_M = 2.0


@dataclass(frozen=True)
class DiscriminatorConfig(Settings):
    """Size of the interaction-aware discriminator."""

    people: int = setting(
        2, "how many at once the last of its parts looks at (Table 5)", unit="people", least=1, most=3
    )
    hidden: int = setting(192, "width of its layers", unit="channels", least=1)


class InterPersonDiscriminator(nn.Module):
    """D1 of one person-centric pose, D2 of a pair of camera-centric ones and, for Table 5, D3 of three.

    `forward` takes joints_cam (G, P, K, 3) and present (G, P), the first person of each being there, and returns the
    chance C (G,) that they are real: Eq. 9 for two, D1 alone where there is nobody else, and for three
    0.25 of D1, 0.25 of D2 and 0.5 of D3. Whoever is not there counts nowhere.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        self.one = _perceptron(3 * K, config.hidden)
        self.two = _perceptron(2 * 3 * K, config.hidden) if config.people >= 2 else None
        self.three = _perceptron(3 * 3 * K, config.hidden) if config.people >= 3 else None

    def forward(self, joints_cam: Tensor, present: Tensor) -> Tensor:
        alone = self._of(1, joints_cam, present)
        chance = alone[0]
        if self.two is not None:
            pairs, any_pair = self._of(2, joints_cam, present)
            chance = torch.where(any_pair, 0.5 * alone[0] + 0.5 * pairs, chance)
            if self.three is not None:
                triples, any_triple = self._of(3, joints_cam, present)
                three = 0.25 * alone[0] + 0.25 * pairs + 0.5 * triples
                chance = torch.where(any_triple, three, chance)
        return chance.clamp(1e-4, 1 - 1e-4)

    def _of(self, size: int, joints_cam: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Mean chance (G,) over the groups of so many people within each, and whether there are any."""
        network = (self.one, self.two, self.three)[size - 1]
        assert network is not None
        total = joints_cam.new_zeros(len(joints_cam))
        count = torch.zeros_like(total)
        for chosen in itertools.permutations(range(joints_cam.shape[1]), size):
            there = present[:, list(chosen)].all(dim=1).to(total.dtype)
            total = total + there * torch.sigmoid(network(_described(joints_cam[:, list(chosen)]))).squeeze(1)
            count = count + there
        return total / count.clamp(min=1), count > 0


def _described(joints_cam: Tensor) -> Tensor:
    """People (G, P, K, 3) as numbers (G, P * K * 3): one from their root, several from the middle of their roots.

    Where they are together is left out: what is natural does not depend on it.
    """
    roots = joints_cam[:, :, H36M17.root : H36M17.root + 1]
    apart = (roots - roots.mean(dim=1, keepdim=True)).clamp(-_APART_M, _APART_M)
    return (joints_cam - roots + apart).flatten(1)


def _perceptron(inputs: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1)
    )


class _Reversed(torch.autograd.Function):
    """The identity, whose gradient is turned round and scaled."""

    @staticmethod
    def forward(ctx, value: Tensor, scale: float) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.scale = scale
        return value.view_as(value)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        return -ctx.scale * gradient, None


def adversarial_loss(
    discriminator: InterPersonDiscriminator, estimated: Tensor, true: Tensor, present: Tensor, scale: float
) -> Tensor:
    """Minus L_dis of Eq. 8, a scalar, for one optimiser of both sides.

    Minimising it trains the discriminator to tell estimated from true people (G, P, K, 3); through
    a reversed gradient times `scale` it trains whoever estimated to be taken for the truth.
    """
    fooled = discriminator(_Reversed.apply(estimated, scale), present)
    real = discriminator(true, present)
    return -(torch.log(real) + torch.log(1 - fooled)).mean()
