"""Losses of the heatmap networks: Gaussian targets, Eq. 1 of the paper, associative embedding.

N images of a batch, P people an image (padded), K joints, h x w heatmap cells of `stride`
network pixels. Cell (i, j) has its centre at network pixel (stride * j + (stride - 1) / 2,
stride * i + (stride - 1) / 2). Joint weights say how a joint is supervised: ABSENT (-1)
leaves no trace in the target, 0 masks the loss around it, more than 0 weighs it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

ABSENT = -1.0
"""Weight of a joint that isn't in the picture at all."""


def cell_coordinates(joints_px: Tensor, stride: int) -> Tensor:
    """Heatmap coordinates (..., 2), fractional cells, of network pixels (..., 2)."""
    return (joints_px - (stride - 1) / 2) / stride


def heatmap_targets(
    joints_px: Tensor, weights: Tensor, size: tuple[int, int], stride: int = 4, sigma: float = 2.0
) -> tuple[Tensor, Tensor]:
    """Target heatmaps and loss weights, both (N, K, h, w), from joints (N, P, K, 2) and weights (N, P, K).

    Each joint draws an unbiased Gaussian of `sigma` cells around its exact sub-cell position;
    people combine by maximum, and each cell takes the weight of the joint that dominates it
    (1 where none does). `size` is (h, w).
    """
    height, width = size
    people, joints = joints_px.shape[1:3]
    targets = joints_px.new_zeros(joints_px.shape[0], joints, height, width)
    cell_weights = torch.ones_like(targets)
    position = cell_coordinates(joints_px, stride)
    columns = torch.arange(width, dtype=targets.dtype, device=targets.device)
    rows = torch.arange(height, dtype=targets.dtype, device=targets.device)
    across = torch.exp(-((position[..., 0:1] - columns) ** 2) / (2 * sigma**2))
    down = torch.exp(-((position[..., 1:2] - rows) ** 2) / (2 * sigma**2))
    across = across * (weights > ABSENT / 2).unsqueeze(-1)
    for person in range(people):
        present = torch.nonzero((weights[:, person] > ABSENT / 2).any(dim=1)).squeeze(1)
        if present.numel() == 0:
            continue
        blob = down[present, person].unsqueeze(-1) * across[present, person].unsqueeze(-2)
        before = targets[present]
        dominates = (blob > before) & (blob > 0.01)
        own = weights[present, person].clamp(min=0)[..., None, None]
        cell_weights[present] = torch.where(dominates, own, cell_weights[present])
        targets[present] = torch.maximum(before, blob)
    return targets, cell_weights


def heatmap_loss(predicted: Tensor, target: Tensor, cell_weights: Tensor, foreground: float = 4.0) -> Tensor:
    """L2 loss between heatmaps (N, K, h, w) (Eq. 1), a scalar: squared error summed over each map, mean over maps.

    A cell weighs `cell_weights * (1 + foreground * target)`: peaks cover 1 % of the cells, and
    plain L2 spends its first thousands of steps on learning to answer nothing.
    """
    weight = cell_weights * (1 + foreground * target)
    return (weight * (predicted - target) ** 2).sum(dim=(2, 3)).mean()


def sides_loss(
    predicted: Tensor, target: Tensor, cell_weights: Tensor, mirror: Sequence[int], foreground: float = 4.0
) -> Tensor:
    """The loss of `heatmap_loss`, a scalar, on the difference of left and right maps, mean over the pairs.

    `mirror` gives each joint's counterpart. Telling sides apart needs the whole body while finding
    joints needs a few pixels, so left and right maps stay alike for a long time; the minimum of the
    heatmap loss does not move by this, but the way to it gets shorter.
    """
    left = [joint for joint, other in enumerate(mirror) if joint < other]
    right = [mirror[joint] for joint in left]
    weight = torch.minimum(cell_weights[:, left], cell_weights[:, right])
    weight = weight * (1 + foreground * torch.maximum(target[:, left], target[:, right]))
    error = (predicted[:, left] - predicted[:, right]) - (target[:, left] - target[:, right])
    return (weight * error**2).sum(dim=(2, 3)).mean()


def gather_tags(tags: Tensor, joints_px: Tensor, stride: int = 4) -> tuple[Tensor, Tensor]:
    """Tags (N, P, K) read from maps (N, K, h, w) at the cells nearest to joints (N, P, K, 2), and which lie inside."""
    height, width = tags.shape[2:]
    cell = torch.round(cell_coordinates(joints_px, stride)).long()
    column, row = cell[..., 0], cell[..., 1]
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    flat = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    values = torch.gather(tags.flatten(2), 2, flat.transpose(1, 2)).transpose(1, 2)
    return values, inside


def associative_embedding_loss(
    tags: Tensor, joints_px: Tensor, weights: Tensor, stride: int = 4, sigma: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Pull and push losses (scalars) of tag maps (N, K, h, w), and each person's mean tag (N, P).

    Pull: squared distance of a joint's tag from its person's mean, averaged over joints, people
    and images. Push: exp(-(m_a - m_b)^2 / (2 sigma^2)) over pairs of different people of an
    image (Newell et al., Associative Embedding, NIPS 2017). Joints without positive weight and
    people without joints take no part; their mean tag is 0.
    """
    values, inside = gather_tags(tags, joints_px, stride)
    member = ((weights > 0) & inside).to(values.dtype)
    joints = member.sum(dim=2)
    person = (joints > 0).to(values.dtype)
    means = (values * member).sum(dim=2) / joints.clamp(min=1)
    spread = (((values - means.unsqueeze(2)) ** 2) * member).sum(dim=2) / joints.clamp(min=1)
    people = person.sum(dim=1)
    pull = (spread.sum(dim=1) / people.clamp(min=1)).mean()

    closeness = torch.exp(-((means.unsqueeze(1) - means.unsqueeze(2)) ** 2) / (2 * sigma**2))
    pairs = person.unsqueeze(1) * person.unsqueeze(2)
    pairs = pairs * (1 - torch.eye(person.shape[1], dtype=pairs.dtype, device=pairs.device))
    push = ((closeness * pairs).sum(dim=(1, 2)) / (people * (people - 1)).clamp(min=1)).mean()
    return pull, push, means


def target_tag_loss(means: Tensor, weights: Tensor, tag: float) -> Tensor:
    """Squared distance of person 0's mean tag from `tag`, and of others' from below 0: a scalar, mean over images.

    means (N, P) as from `associative_embedding_loss`, weights (N, P, K). It gives the person that a patch is
    centred on a tag known beforehand, so that the patch's own person can be told apart. The push between two
    people has no gradient where their tags are the same, which is where all of them start.
    """
    seen = (weights > 0).any(dim=2).to(means.dtype)
    own = ((means[:, 0] - tag) ** 2) * seen[:, 0]
    others = ((means[:, 1:].clamp(min=0) ** 2) * seen[:, 1:]).sum(dim=1) / seen[:, 1:].sum(dim=1).clamp(min=1)
    return (own + others).mean()


def gaussian_nll(error: Tensor, log_stddev: Tensor, axes: int) -> Tensor:
    """Mean negative log-likelihood of error lengths under an isotropic Gaussian of so many axes, less a constant."""
    return (0.5 * (error * torch.exp(-log_stddev)) ** 2 + axes * log_stddev).mean()
