"""Where labels say nothing: cells of heatmaps in which neither a joint nor its absence is learnt.

N images, P people an image (padded), K joints, h x w cells of `stride` network pixels.
"""

import torch
from torch import Tensor

UNJUDGED = -2.0
"""Weight of a joint whose place nobody has labelled (see `losses.ABSENT` for those that aren't there)."""

PAD = -1.0
"""What the box of somebody who isn't there holds in all places."""


def judged_cells(
    weights: Tensor, boxes_px: Tensor, elsewhere: Tensor, size: tuple[int, int], stride: int = 4, margin: float = 0.06
) -> Tensor:
    """How far a cell's emptiness can be trusted (N, K, h, w), 0..1.

    weights (N, P, K): 0 in the boxes_px (N, P, 4) of people whose joint is UNJUDGED, grown by `margin` of their
    longer side. elsewhere (N,): trust outside all boxes, 1 where everybody in the image is known.
    """
    height, width = size
    x = torch.arange(width, device=weights.device) * stride + (stride - 1) / 2
    y = torch.arange(height, device=weights.device) * stride + (stride - 1) / 2
    there = (boxes_px[..., 2] > boxes_px[..., 0])[..., None]
    longer = (boxes_px[..., 2:] - boxes_px[..., :2]).amax(-1, keepdim=True)
    low, high = boxes_px[..., :2] - margin * longer, boxes_px[..., 2:] + margin * longer
    across = (x >= low[..., :1]) & (x <= high[..., :1]) & there
    down = (y >= low[..., 1:]) & (y <= high[..., 1:]) & there
    # Sums over people as matrix products of columns and rows: (N, h, w) of all, (N, K, h, w) of the unjudged.
    rows, columns = down.to(torch.float32), across.to(torch.float32)
    anybody = torch.einsum("nph,npw->nhw", rows, columns) > 0
    unknown = (weights <= (UNJUDGED - 1) / 2).to(torch.float32)
    silent = torch.einsum("npk,nph,npw->nkhw", unknown, rows, columns) > 0
    trust = torch.where(anybody, torch.ones_like(rows[:, :1, :1]), elsewhere.view(-1, 1, 1))
    return trust[:, None] * ~silent
