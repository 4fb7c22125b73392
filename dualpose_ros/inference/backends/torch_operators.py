"""ONNX operators as torch computes them: those that exported networks of this package consist of.

Each takes its inputs in ONNX's order, None for one left out, and its attributes by name. Shapes and indices stay on the
CPU wherever the network runs. Source: the operators' pages at onnx.ai, of opset 18 to 21.
"""

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
from onnx import TensorProto
from torch import Tensor
from torch.nn import functional

_TYPES = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
    TensorProto.UINT8: torch.uint8,
    TensorProto.INT8: torch.int8,
    TensorProto.BOOL: torch.bool,
}
_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d}


class UnknownOperatorError(ValueError):
    """An operator, or a way of it, that is not written here."""


def _convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, strides: Any = None, pads: Any = None,
    dilations: Any = None, group: int = 1, auto_pad: str = "NOTSET", kernel_shape: Any = None,
) -> Tensor:  # fmt: skip
    axes = x.ndim - 2
    pads = list(pads or [0] * (2 * axes))
    if auto_pad not in ("NOTSET", "VALID") or axes not in _CONVOLUTIONS or pads[:axes] != pads[axes:]:
        raise UnknownOperatorError(f"Conv over {axes} axes with {auto_pad} padding {pads}")
    once = [1] * axes
    return _CONVOLUTIONS[axes](x, weight, bias, strides or once, pads[:axes], dilations or once, group)


def _resize(x: Tensor, region: Tensor | None, scales: Tensor | None = None, sizes: Tensor | None = None, *,
            mode: str = "nearest", coordinate_transformation_mode: str = "half_pixel",
            nearest_mode: str = "round_prefer_floor", **others: Any) -> Tensor:  # fmt: skip
    way = (mode, coordinate_transformation_mode) + ((nearest_mode,) if mode == "nearest" else ())
    if sizes is not None:
        size = sizes.tolist()[2:]
    else:
        assert scales is not None
        size = [math.floor(n * s) for n, s in zip(x.shape[2:], scales.tolist()[2:], strict=True)]
    if way == ("nearest", "asymmetric", "floor"):
        return functional.interpolate(x, size)
    if way == ("linear", "half_pixel") and x.ndim == 4:
        return functional.interpolate(x, size, mode="bilinear", align_corners=False)
    raise UnknownOperatorError(f"Resize by {', '.join(way)}")


def _slice(x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None) -> Tensor:
    where = [slice(None)] * x.ndim
    every = [1] * len(starts) if steps is None else steps.tolist()
    along = range(len(starts)) if axes is None else axes.tolist()
    for axis, start, end, step in zip(along, starts.tolist(), ends.tolist(), every, strict=True):
        if step < 1:
            raise UnknownOperatorError("Slice backwards")
        where[axis] = slice(start, end, step)
    return x[tuple(where)]


def _beside(indices: Tensor, x: Tensor) -> Tensor:
    """Indices on the device of `x`: copied once, since recording a CUDA graph allows no copy from the host."""
    if indices.device == x.device:
        return indices
    copies: dict[torch.device, Tensor] = indices.__dict__.setdefault("copies", {})
    return copies.setdefault(x.device, copies[x.device] if x.device in copies else indices.to(x.device))


def _gather(x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    axis %= x.ndim
    flat = torch.remainder(_beside(indices, x), x.shape[axis]).flatten()
    return x.index_select(axis, flat).reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def _gather_nd(x: Tensor, indices: Tensor, *, batch_dims: int = 0) -> Tensor:
    if batch_dims:
        raise UnknownOperatorError("GatherND with batch_dims")
    return x[tuple(_beside(indices, x).unbind(-1))]


def _pad(
    x: Tensor, pads: Tensor, value: Tensor | None = None, axes: Tensor | None = None, *, mode: str = "constant"
) -> Tensor:
    if mode != "constant":
        raise UnknownOperatorError(f"Pad with mode {mode}")
    by_axis = torch.zeros(x.ndim, 2, dtype=torch.long)
    chosen = range(x.ndim) if axes is None else axes.tolist()
    by_axis[list(chosen)] = pads.detach().cpu().reshape(2, -1).T
    filling = 0.0 if value is None else value.item()
    return torch.nn.functional.pad(x, by_axis.flip(0).flatten().tolist(), value=filling)


def _unsqueeze(x: Tensor, axes: Tensor) -> Tensor:
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes.tolist()):
        x = x.unsqueeze(axis)
    return x


def _reshape(x: Tensor, shape: Tensor, *, allowzero: int = 0) -> Tensor:
    sizes = [size if size or allowzero else x.shape[axis] for axis, size in enumerate(shape.tolist())]
    return x.reshape(sizes)


def _expand(x: Tensor, shape: Tensor) -> Tensor:
    return x.broadcast_to(torch.broadcast_shapes(x.shape, tuple(shape.tolist())))


def _split(x: Tensor, sizes: Tensor | None = None, *, axis: int = 0, num_outputs: int = 0) -> tuple[Tensor, ...]:
    each: Any = -(-x.shape[axis] // num_outputs) if sizes is None else sizes.tolist()
    return torch.split(x, each, axis)


def _reduced(of: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(x: Tensor, axes: Tensor | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Tensor:
        along = tuple(range(x.ndim)) if axes is None or not len(axes) else tuple(axes.tolist())
        return x if noop_with_empty_axes and len(along) == x.ndim else of(x, dim=along, keepdim=bool(keepdims))

    return run


def _normalise(x: Tensor, scale: Tensor, bias: Tensor | None = None, *, axis: int = -1, epsilon: float = 1e-5,
               stash_type: int = 1) -> Tensor:  # fmt: skip
    return functional.layer_norm(x, x.shape[axis:], scale, bias, epsilon)


def _multiply_add(a: Tensor, b: Tensor, c: Tensor | None = None, *, alpha: float = 1.0, beta: float = 1.0,
                  transA: int = 0, transB: int = 0) -> Tensor:  # fmt: skip
    product = alpha * ((a.T if transA else a) @ (b.T if transB else b))
    return product if c is None else product + beta * c


def _max_pool(
    x: Tensor, *, kernel_shape: Any, strides: Any = None, pads: Any = None, dilations: Any = None, ceil_mode: int = 0,
    auto_pad: str = "NOTSET", storage_order: int = 0,
) -> Tensor:  # fmt: skip
    axes = x.ndim - 2
    pads, once = list(pads or [0] * (2 * axes)), [1] * axes
    if auto_pad not in ("NOTSET", "VALID") or axes != 2 or pads[:axes] != pads[axes:]:
        raise UnknownOperatorError(f"MaxPool over {axes} axes with {auto_pad} padding {pads}")
    return functional.max_pool2d(x, kernel_shape, strides or once, pads[:axes], dilations or once, bool(ceil_mode))


def _cumulated(x: Tensor, axis: Tensor, *, exclusive: int = 0, reverse: int = 0) -> Tensor:
    if exclusive or reverse:
        raise UnknownOperatorError("CumSum that is exclusive or backwards")
    return x.cumsum(int(axis.item()))


def _squeeze(x: Tensor, axes: Tensor | None = None) -> Tensor:
    return x.squeeze() if axes is None else x.squeeze(tuple(axes.tolist()))


OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": torch.add,
    "Cast": lambda x, to, saturate=1: x.to(_TYPES[to]),
    "Clip": lambda x, low=None, high=None: torch.clamp(x, low, high),
    "Concat": lambda *parts, axis: torch.cat(parts, axis),
    "Conv": _convolve,
    "CumSum": _cumulated,
    "Div": lambda a, b: torch.div(a, b, rounding_mode=None if a.is_floating_point() else "trunc"),
    "Einsum": lambda *parts, equation: torch.einsum(equation, *parts),
    "Exp": torch.exp,
    "Expand": _expand,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "Gemm": _multiply_add,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Identity": lambda x: x,
    "LayerNormalization": _normalise,
    "MatMul": torch.matmul,
    "Max": lambda *parts: reduce(torch.maximum, parts),
    "MaxPool": _max_pool,
    "Min": lambda *parts: reduce(torch.minimum, parts),
    "Mul": torch.mul,
    "Pad": _pad,
    "ReduceMax": _reduced(torch.amax),
    "ReduceSum": _reduced(torch.sum),
    "Relu": torch.relu,
    "Reshape": _reshape,
    "Resize": _resize,
    "Shape": lambda x, start=0, end=None: torch.tensor(x.shape[start:end]),
    "Sigmoid": torch.sigmoid,
    "Slice": _slice,
    "Split": _split,
    "Sqrt": torch.sqrt,
    "Squeeze": _squeeze,
    "Sub": torch.sub,
    "Transpose": lambda x, perm=None: x.permute(perm if perm else tuple(reversed(range(x.ndim)))),
    "Unsqueeze": _unsqueeze,
}
