"""A batch of whole pictures with the labels of everybody in them."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """image uint8 (N, H, W, 3); guidance uint8 (N, K, h, w); joints_px (N, P, K, 2); weights (N, P, K);
    root_depth (N, P); rel_depth (N, P, K); focal_px (N,).

    Where labels are incomplete, extents_px (N, P, 4) holds everybody's boxes, elsewhere (N,) how far emptiness
    outside them can be trusted (see `on_device.judged`), and depth_known (N, P) of whom the depths are known.
    """

    image: Tensor
    guidance: Tensor
    joints_px: Tensor
    weights: Tensor
    root_depth: Tensor
    rel_depth: Tensor
    focal_px: Tensor
    extents_px: Tensor | None = None
    elsewhere: Tensor | None = None
    depth_known: Tensor | None = None
