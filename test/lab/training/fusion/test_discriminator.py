"""The discriminator: Eq. 9 against a slow form, whom it may not care about, and which way it pushes."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dualpose_ros.lab.training.fusion.discriminator import (
    DiscriminatorConfig,
    InterPersonDiscriminator,
    adversarial_loss,
)

K = 17


def discriminator(people: int) -> InterPersonDiscriminator:
    torch.manual_seed(people)
    model = InterPersonDiscriminator(DiscriminatorConfig(people, hidden=16)).double()
    for name, value in model.named_parameters():
        if name.endswith("weight"):
            torch.nn.init.normal_(value, std=0.25)
    return model


def people(groups: int = 4, each: int = 3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    roots = torch.rand(groups, each, 1, 3, generator=generator, dtype=torch.float64) * 2 + torch.tensor([0.0, 0.0, 3.0])
    return roots + 0.3 * torch.randn(groups, each, K, 3, generator=generator, dtype=torch.float64)


PRESENT = torch.tensor([[True, False, False], [True, True, False], [True, False, True], [True, True, True]])


def slow_chance(model: InterPersonDiscriminator, joints: Tensor, present: Tensor) -> float:
    """Eq. 9 for one group: everybody alone, every pair in either order, every three."""
    there = [joints[n] for n in range(len(joints)) if present[n]]

    def mean(network: nn.Module, size: int) -> float:
        chances = []
        for chosen in itertools.permutations(there, size):
            middle = sum(person[0] for person in chosen) / size
            rows = [person - middle for person in chosen]
            chances.append(torch.sigmoid(network(torch.cat([row.flatten() for row in rows]))).item())
        return sum(chances) / len(chances)

    d1 = mean(model.one, 1)
    if model.two is None or len(there) < 2:
        return d1
    d2 = mean(model.two, 2)
    if model.three is None or len(there) < 3:
        return 0.5 * d1 + 0.5 * d2
    return 0.25 * d1 + 0.25 * d2 + 0.5 * mean(model.three, 3)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_chances_against_a_slow_form(count: int) -> None:
    model, joints = discriminator(count), people()
    chances = model(joints, PRESENT).detach()
    for group in range(4):
        assert float(chances[group]) == pytest.approx(slow_chance(model, joints[group], PRESENT[group]), abs=1e-9)
    assert float(chances.max() - chances.min()) > 0.01


def test_two_people_are_equation_nine() -> None:
    model, joints = discriminator(2), people(1, 2)
    a, b = joints[0]
    alone = [torch.sigmoid(model.one((person - person[0]).flatten())) for person in (a, b)]
    middle = (a[0] + b[0]) / 2
    assert model.two is not None
    pair = [torch.sigmoid(model.two(torch.cat([(x - middle).flatten(), (y - middle).flatten()])))
            for x, y in ((a, b), (b, a))]  # fmt: skip
    expected = 0.25 * (alone[0] + alone[1]) + 0.5 * (pair[0] + pair[1]) / 2
    chance = model(joints, torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(chance, expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_order_of_people_is_nothing_to_it(count: int) -> None:
    model, joints = discriminator(count), people()
    chances = model(joints, PRESENT)
    for order in itertools.permutations(range(3)):
        torch.testing.assert_close(model(joints[:, list(order)], PRESENT[:, list(order)]), chances)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_who_is_not_there_counts_nowhere(count: int) -> None:
    model, joints = discriminator(count), people()
    other = torch.where(PRESENT[:, :, None, None], joints, 100 * torch.randn(4, 3, K, 3, dtype=torch.float64))
    other.requires_grad_(True)
    chances = model(other, PRESENT)
    torch.testing.assert_close(chances, model(joints, PRESENT))
    (gradient,) = torch.autograd.grad(chances.sum(), other)
    assert not gradient[~PRESENT].any() and gradient[PRESENT].abs().sum() > 0


def test_where_the_whole_group_is_makes_no_difference() -> None:
    model, joints = discriminator(2), people()
    moved = joints + torch.tensor([1.0, -0.5, 4.0], dtype=torch.float64)
    torch.testing.assert_close(model(moved, PRESENT), model(joints, PRESENT))
    apart = joints.clone()
    apart[:, 1] += torch.tensor([0.4, 0.0, 0.0], dtype=torch.float64)
    changed = (model(apart, PRESENT) - model(joints, PRESENT)).abs() > 1e-6
    assert changed.tolist() == [False, True, False, True]


def test_only_the_groups_of_one_two_or_three() -> None:
    with pytest.raises(ValueError, match="people is 4"):
        DiscriminatorConfig(people=4)
    assert discriminator(1).two is None and discriminator(2).three is None


def slow_loss(model: InterPersonDiscriminator, estimated: Tensor, true: Tensor, present: Tensor) -> Tensor:
    return -(torch.log(model(true, present)) + torch.log(1 - model(estimated, present))).mean()


def test_the_gradient_is_turned_round_for_who_estimated_alone() -> None:
    model = discriminator(2)
    estimated, true = people(seed=1).requires_grad_(True), people(seed=2)
    loss = adversarial_loss(model, estimated, true, PRESENT, 0.3)
    torch.testing.assert_close(loss, slow_loss(model, estimated, true, PRESENT))
    loss.backward()
    assert estimated.grad is not None
    step, plain = 1e-5, estimated.detach()
    for place in ((0, 0, 5, 1), (1, 1, 0, 2), (3, 2, 16, 0)):
        moved = [plain.clone() for _ in range(2)]
        for sign, one in zip((1, -1), moved, strict=True):
            one[place] += sign * step
        slope = (slow_loss(model, moved[0], true, PRESENT) - slow_loss(model, moved[1], true, PRESENT)) / (2 * step)
        assert float(estimated.grad[place]) == pytest.approx(-0.3 * slope.item(), rel=1e-4, abs=1e-10)
    # The discriminator's own gradient is that of the plain loss.
    assert model.two is not None
    weight: Any = model.two[2].weight
    got = weight.grad.clone()
    (expected,) = torch.autograd.grad(slow_loss(model, estimated, true, PRESENT), weight)
    torch.testing.assert_close(got, expected)


def test_each_side_gains_by_its_own_steps() -> None:
    estimated, true = people(8, seed=1).requires_grad_(True), people(8, seed=2)
    present = torch.ones(8, 3, dtype=torch.bool)
    model = discriminator(2)
    before = model(estimated, present).mean().item()
    adversarial_loss(model, estimated, true, present, 1.0).backward()
    assert estimated.grad is not None
    with torch.no_grad():
        moved = estimated - 0.5 * estimated.grad
        assert model(moved, present).mean().item() > before
        start = slow_loss(model, estimated, true, present).item()
        for value in model.parameters():
            assert value.grad is not None
            value.sub_(0.01 * value.grad)
        assert slow_loss(model, estimated, true, present).item() < start


def test_no_scale_no_push() -> None:
    model, estimated = discriminator(1), people().requires_grad_(True)
    adversarial_loss(model, estimated, people(seed=3), PRESENT, 0.0).backward()
    assert estimated.grad is not None and not estimated.grad.any()
