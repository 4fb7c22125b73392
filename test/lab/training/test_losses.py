import math

import pytest
import torch
from torch import Tensor

from dualpose_ros.lab.training import losses

N, P, K, H, W = 2, 3, 4, 12, 16


def random_people(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    joints = torch.rand((N, P, K, 2), generator=generator, dtype=torch.float64) * torch.tensor([W * 4.0, H * 4.0])
    choice = torch.randint(0, 4, (N, P, K), generator=generator)
    weights = torch.tensor([losses.ABSENT, 0.0, 0.5, 1.0], dtype=torch.float64)[choice]
    return joints, weights


def test_targets_equal_loops_over_cells() -> None:
    joints, weights = random_people(0)
    targets, cells = losses.heatmap_targets(joints, weights, (H, W), stride=4, sigma=1.7)
    for n in range(N):
        for k in range(K):
            for i in range(H):
                for j in range(W):
                    best, weight = 0.0, 1.0
                    for p in range(P):
                        if weights[n, p, k] == losses.ABSENT:
                            continue
                        x, y = joints[n, p, k].tolist()
                        distance2 = ((x - (4 * j + 1.5)) / 4) ** 2 + ((y - (4 * i + 1.5)) / 4) ** 2
                        value = math.exp(-distance2 / (2 * 1.7**2))
                        if value > best:
                            weight = float(weights[n, p, k]) if value > 0.01 else weight
                            best = value
                    assert float(targets[n, k, i, j]) == pytest.approx(best, abs=1e-12)
                    assert float(cells[n, k, i, j]) == pytest.approx(weight)


def test_sides_loss_by_hand_and_its_minimum_is_the_truth() -> None:
    joints, weights = random_people(3)
    target, cells = losses.heatmap_targets(joints, weights.clamp(min=0), (H, W))
    predicted = torch.rand(target.shape, generator=torch.Generator().manual_seed(1), dtype=target.dtype)
    expected = 0.0
    for n in range(N):
        for a, b in ((0, 2), (1, 3)):
            for i in range(H):
                for j in range(W):
                    at = [(m[n, a, i, j], m[n, b, i, j]) for m in (predicted, target, cells)]
                    error = float(at[0][0] - at[0][1] - at[1][0] + at[1][1])
                    expected += float(min(at[2]) * (1 + 4 * max(at[1]))) * error**2
    assert float(losses.sides_loss(predicted, target, cells, (2, 3, 0, 1))) == pytest.approx(expected / (2 * N))
    assert float(losses.sides_loss(target, target, cells, (2, 3, 0, 1))) == 0
    both = (target + target[:, [2, 3, 0, 1]]) / 2
    assert float(losses.sides_loss(both, target, cells, (2, 3, 0, 1))) > 0


def test_heatmap_loss_by_hand_and_masked_joints_cost_nothing() -> None:
    joints = torch.tensor([[[[21.5, 21.5]]]])
    target, cells = losses.heatmap_targets(joints, torch.tensor([[[1.0]]]), (H, W))
    zero = torch.zeros_like(target)
    expected = ((1 + 4 * target) * target**2).sum()
    assert float(losses.heatmap_loss(zero, target, cells)) == pytest.approx(float(expected), rel=1e-6)
    assert float(losses.heatmap_loss(target, target, cells)) == 0
    target, cells = losses.heatmap_targets(joints, torch.tensor([[[0.0]]]), (H, W))
    assert float(losses.heatmap_loss(zero, target, cells)) < 0.05  # the faint skirt alone
    target, cells = losses.heatmap_targets(joints, torch.tensor([[[losses.ABSENT]]]), (H, W))
    assert float(target.max()) == 0 and float(cells.min()) == 1


def test_gathered_tags_lie_at_the_nearest_cell() -> None:
    tags = torch.arange(float(N * K * H * W)).view(N, K, H, W)
    joints, _ = random_people(1)
    joints[0, 0, 0] = torch.tensor([-9.0, 5.0])
    values, inside = losses.gather_tags(tags, joints)
    assert not bool(inside[0, 0, 0])
    for n in range(N):
        for p in range(P):
            for k in range(K):
                x, y = ((joints[n, p, k] - 1.5) / 4).round().long().tolist()
                within = 0 <= x < W and 0 <= y < H
                assert bool(inside[n, p, k]) == within
                if within:
                    assert values[n, p, k] == tags[n, k, y, x]


def slow_embedding_loss(tags: Tensor, joints: Tensor, weights: Tensor) -> tuple[float, float]:
    """Newell et al.'s pull and push, written out."""
    pulls, pushes = [], []
    for n in range(N):
        means, spreads = [], []
        for p in range(P):
            values = []
            for k in range(K):
                x, y = ((joints[n, p, k] - 1.5) / 4).round().long().tolist()
                if weights[n, p, k] > 0 and 0 <= x < W and 0 <= y < H:
                    values.append(float(tags[n, k, y, x]))
            if values:
                mean = sum(values) / len(values)
                means.append(mean)
                spreads.append(sum((v - mean) ** 2 for v in values) / len(values))
        pulls.append(sum(spreads) / max(len(spreads), 1))
        pairs = [(a, b) for i, a in enumerate(means) for j, b in enumerate(means) if i != j]
        pushes.append(sum(math.exp(-((a - b) ** 2) / 2) for a, b in pairs) / max(len(pairs), 1))
    return sum(pulls) / N, sum(pushes) / N


@pytest.mark.parametrize("seed", range(5))
def test_pull_and_push_equal_loops(seed: int) -> None:
    joints, weights = random_people(seed)
    tags = torch.randn((N, K, H, W), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    pull, push, _ = losses.associative_embedding_loss(tags, joints, weights)
    expected = slow_embedding_loss(tags, joints, weights)
    assert (float(pull), float(push)) == pytest.approx(expected)


def test_gradients_equal_finite_differences() -> None:
    joints, weights = random_people(2)
    tags = torch.randn((N, K, H, W), dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def loss(values: Tensor) -> Tensor:
        pull, push, means = losses.associative_embedding_loss(values, joints, weights)
        return pull + 2 * push + losses.target_tag_loss(means, weights, 2.0)

    assert torch.autograd.gradcheck(loss, (tags.requires_grad_(),), fast_mode=True)


def test_descent_on_tags_separates_people() -> None:
    joints, _ = random_people(3)
    weights = torch.ones((N, P, K), dtype=torch.float64)
    tags = (
        0.1 * torch.randn((N, K, H, W), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ).requires_grad_()
    optimizer = torch.optim.Adam([tags], lr=0.1)
    for _ in range(200):
        pull, push, means = losses.associative_embedding_loss(tags, joints, weights)
        optimizer.zero_grad()
        (pull + push + losses.target_tag_loss(means, weights, 2.0)).backward()
        optimizer.step()
    assert pull.item() < 0.02 and push.item() < 0.1
    assert means[:, 0].tolist() == pytest.approx([2.0, 2.0], abs=0.3)


def test_others_part_from_a_patchs_own_person_even_where_all_tags_are_the_same() -> None:
    weights = torch.ones((N, P, K), dtype=torch.float64)
    means = torch.full((N, P), 2.0, dtype=torch.float64, requires_grad=True)
    loss = losses.target_tag_loss(means, weights, 2.0)
    loss.backward()
    assert loss.item() == pytest.approx(4.0)
    assert means.grad is not None
    assert (means.grad[:, 1:] > 0).all() and (means.grad[:, 0] == 0).all()
    apart = torch.tensor([[2.0, -1.0, -3.0]] * N, dtype=torch.float64)
    assert losses.target_tag_loss(apart, weights, 2.0).item() == 0


def test_pictures_without_people_cost_nothing() -> None:
    joints, _ = random_people(0)
    weights = torch.full((N, P, K), losses.ABSENT, dtype=torch.float64)
    pull, push, means = losses.associative_embedding_loss(torch.randn(N, K, H, W), joints, weights)
    assert float(pull) == float(push) == 0
    assert float(losses.target_tag_loss(means, weights, 2.0)) == 0
