"""A batch of patches with the labels of everybody in them."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """patches uint8 (N, S, S, 3); joints_px (N, P, K, 2); weights (N, P, K); boxes_px (N, 4) of person 0.

    Where labels are incomplete, extents_px (N, P, 4) holds everybody's boxes and elsewhere (N,) how far emptiness
    outside them can be trusted; see `on_device.judged`.
    """

    patches: Tensor
    joints_px: Tensor
    weights: Tensor
    boxes_px: Tensor
    extents_px: Tensor | None = None
    elsewhere: Tensor | None = None
