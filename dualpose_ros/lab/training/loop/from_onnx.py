"""Networks to train on from an exported ONNX file, as the shipped ones are: weights without any checkpoint.

Export folds each batch norm into the convolution before it. To go on training, the norm is unfolded again with the
statistics that the convolution's output has on training data, so that the network computes what it did.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from dualpose_ros.arrays import AnyFloats
from dualpose_ros.lab.training.loop.task import TrainingError

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_WRAPPED = re.compile(r"^(network|integration)\.")
"""What a network is called within what trains it with a discriminator."""


def load_onnx(model: nn.Module, path: Path) -> list[str]:
    """Fill a network's weights, in place, from an ONNX file that `inference.export` wrote of one like it.

    Weights are found by name. A convolution that takes more channels than the file's gets zeros for the rest, and
    what the file lacks stays as it is: its names are returned. Batch norms become the identity plus a shift; see
    `unfold_norms`. TrainingError if the file can't be read, or nothing in it belongs to this network.
    """
    stored = _weights(path)
    missing: list[str] = []
    norms = {id(norm): conv for conv, norm in folded_pairs(model)}
    names = {id(module): name for name, module in model.named_modules()}
    found = 0
    with torch.no_grad():
        for name, module in model.named_modules():
            if id(module) in norms:
                bias = stored.get(_bare(f"{names[id(norms[id(module)])]}.weight_bias"))
                if bias is not None and isinstance(module, _NORMS) and bias.shape == module.bias.shape:
                    _as_shift(module, bias)
                    continue
            for part, value in [*module.named_parameters(recurse=False), *_kept_buffers(module)]:
                full = f"{name}.{part}".lstrip(".")
                fitting = _fitting(stored.get(_bare(full)), tuple(value.shape), isinstance(module, _CONVOLUTIONS))
                if fitting is None:
                    missing.append(full)
                else:
                    value.copy_(torch.from_numpy(fitting))
                    found += 1
    if not found:
        raise TrainingError(f"{path} holds no weight of this network: it is another one")
    return missing


def unfold_norms(model: nn.Module, run: Callable[[], object], rounds: int = 8) -> None:
    """Give every batch norm that follows a convolution the statistics of what it is fed, its answers unchanged.

    `run` puts one batch of training data through the model; it is called `rounds` times.
    """
    sums: dict[nn.Module, Tensor] = {}

    def collect(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].detach().double().transpose(0, 1).flatten(1)
        seen = torch.stack([x.sum(dim=1), (x**2).sum(dim=1), torch.full_like(x[:, 0], x.shape[1])])
        sums[norm] = sums[norm] + seen if norm in sums else seen

    norms = [norm for _, norm in folded_pairs(model)]
    hooks = [norm.register_forward_pre_hook(collect) for norm in norms]
    was_training = model.training
    try:
        model.eval()
        with torch.no_grad():
            for _ in range(rounds):
                run()
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    with torch.no_grad():
        for norm in norms:
            if norm in sums:
                first, second, count = sums[norm]
                mean = first / count
                variance = (second / count - mean**2).clamp(min=1e-8)
                _restate(norm, mean, variance)


def _restate(norm: nn.BatchNorm1d | nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Other statistics, and a scale and shift with which the norm computes what it did before."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    shift = norm.bias.double() - scale * norm.running_mean.double()
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.copy_(scale * torch.sqrt(variance + norm.eps))
    norm.bias.copy_(shift + scale * mean)


def folded_pairs(model: nn.Module) -> Iterator[tuple[nn.Module, nn.BatchNorm1d | nn.BatchNorm2d]]:
    """Convolutions with the batch norm that follows them."""
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            for first, second in itertools.pairwise(module):
                if isinstance(first, _CONVOLUTIONS) and isinstance(second, _NORMS):
                    yield first, second


def _as_shift(norm: nn.BatchNorm1d | nn.BatchNorm2d, bias: AnyFloats) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.zero_()
    norm.running_var.fill_(1 - norm.eps)
    norm.weight.fill_(1)
    norm.bias.copy_(torch.from_numpy(bias))


def _kept_buffers(module: nn.Module) -> list[tuple[str, Tensor]]:
    """Buffers that are saved with the network's weights, without those of batch norms."""
    if isinstance(module, _NORMS):
        return []
    kept = module.state_dict().keys()
    return [(name, value) for name, value in module.named_buffers(recurse=False) if name in kept]


def _bare(name: str) -> str:
    return _WRAPPED.sub("", name)


def _fitting(value: AnyFloats | None, shape: tuple[int, ...], widen: bool) -> AnyFloats | None:
    """A stored weight in the shape that is asked for, None if it can't be."""
    if value is None or value.shape == shape:
        return value
    if not widen or (value.shape[0], *value.shape[2:]) != (shape[0], *shape[2:]) or value.shape[1] > shape[1]:
        return None
    wider = np.zeros(shape, dtype=value.dtype)
    wider[:, : value.shape[1]] = value
    return wider


def _weights(path: Path) -> dict[str, AnyFloats]:
    """Initialisers by the name that the module has for them, as float32; linear layers' matrices by their bias."""
    try:
        graph = onnx.load(path).graph
    except Exception as error:
        raise TrainingError(f"{path} can't be read as ONNX: {type(error).__name__}: {error}") from error
    kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8)
    arrays = {t.name: numpy_helper.to_array(t) for t in graph.initializer if t.data_type in kinds}
    weights = {}
    for name, array in arrays.items():
        full = name.removesuffix("_fp16").removesuffix("_int8")
        step = arrays.get(f"{full}_step", np.float32(1)) if array.dtype == np.int8 else np.float32(1)
        weights[full] = array.astype(np.float32) * step
    # The exporter transposes the matrix of a linear layer and drops its name; the bias that is added keeps its own.
    products = {node.output[0]: node for node in graph.node if node.op_type == "MatMul"}
    for node in graph.node:
        if node.op_type != "Add":
            continue
        for product, bias in (node.input, node.input[::-1]):
            if product in products and bias in weights and bias.endswith(".bias"):
                matrix = weights.get(products[product].input[1])
                if matrix is not None:
                    weights[bias.removesuffix("bias") + "weight"] = np.ascontiguousarray(matrix.T)
    return {_bare(name): value for name, value in weights.items()}
