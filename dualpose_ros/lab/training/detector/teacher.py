"""A published YOLOX network as the detector's teacher: its blocks one by one, then its answers.

A detector that learns from some thousand pictures knows little of the rest of the world; one that learnt from many more
can say what it makes of any picture, labelled or not (Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural
Network", 2015). Where both are of one form, each block learns from what the teacher's blocks before it put out (Li et
al., "Few Sample Knowledge Distillation for Efficient Network Compression", CVPR 2020).
"""

from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

from dualpose_ros.arrays import Float32s
from dualpose_ros.detection.network import STRIDE, ConvBlock, DetectorConfig, DetectorNetwork
from dualpose_ros.detection.yolox import PERSON
from dualpose_ros.lab.training.detector.losses import BOX_WEIGHT, Cells, overlaps
from dualpose_ros.lab.training.loop.from_onnx import folded_pairs
from dualpose_ros.lab.training.loop.task import TrainingError

SURE = 0.1
"""Where the teacher's score is higher, its boxes are learnt too."""
SETTLING = 50
"""Batches from which a model's norms take their statistics; later ones, of few pictures, would only be noise."""
_FLOOR = 0.02
"""Variance of a channel, over the mean of its block's, below which an error counts as if it had that."""


def load_teacher(path: Path, config: DetectorConfig) -> DetectorNetwork:
    """A YOLOX network's ONNX file, as published, in the detector's form: RGB in, people alone out.

    TrainingError if the file can't be read, or its network is of another form or size.
    """
    network = DetectorNetwork(config).eval()
    published = _published(path)
    norms = {id(conv): norm for conv, norm in folded_pairs(network)}
    layers = in_order(network)
    if len(layers) != len(published):
        raise TrainingError(f"{path} has {len(published)} convolutions instead of {len(layers)}: it can teach nothing")
    with torch.no_grad():
        for layer, (weight, bias) in zip(layers, published, strict=True):
            norm = norms.get(id(layer))
            if norm is None and len(weight) > len(layer.weight):
                weight, bias = weight[[PERSON]], bias[[PERSON]]
            if weight.shape != tuple(layer.weight.shape):
                sizes = f"{weight.shape} instead of {tuple(layer.weight.shape)}"
                raise TrainingError(f"{path} has a convolution of {sizes}: it is of another size than `network`")
            layer.weight.copy_(torch.from_numpy(weight))
            shift = layer.bias if norm is None else norm.bias
            assert shift is not None
            shift.copy_(torch.from_numpy(bias))
            if norm is not None:
                assert norm.running_var is not None
                norm.running_var.fill_(1 - norm.eps)
        # Published networks take BGR.
        stem = layers[0].weight
        stem.copy_(stem.unflatten(1, (4, 3)).flip(2).flatten(1, 2))
    return network.requires_grad_(False)


def train_norms(model: nn.Module, on: bool) -> None:
    """Have a model's batch norms go by each batch and learn its statistics, or go by those that they have."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train(on)


class Teacher:
    """A network that others of its form learn from."""

    def __init__(self, network: DetectorNetwork) -> None:
        self.network = network.eval()
        self._batches = 0

    def answers(self, image: Tensor) -> list[Tensor]:
        """The raw rows of images uint8 (N, H, W, 3)."""
        with torch.no_grad():
            return self.network.raw(image)

    def block_loss(self, model: DetectorNetwork, image: Tensor) -> Tensor:
        """Squared error of each of a model's blocks, fed with what the teacher's is, over the variance of what that
        puts out; their mean."""
        self._batches += 1
        train_norms(model, model.training and self._batches <= SETTLING)
        losses = []
        for name, (inputs, wanted) in self._blocks(image).items():
            given = model.get_submodule(name)(inputs).float()
            variance = wanted.float().var((0, 2, 3))
            error = (given - wanted.float()).square().mean((0, 2, 3))
            losses.append((error / (variance + _FLOOR * variance.mean() + 1e-6)).mean())
        return torch.stack(losses).mean()

    def _blocks(self, image: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """What each block takes and puts out, by its name."""
        seen: dict[str, tuple[Tensor, Tensor]] = {}

        def keep(name: str, _: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            # What follows computes in place.
            seen[name] = (inputs[0].clone(), output.clone())

        names = block_names(self.network)
        hooks = [self.network.get_submodule(name).register_forward_hook(partial(keep, name)) for name in names]
        self.answers(image)
        for hook in hooks:
            hook.remove()
        return seen


def block_names(network: DetectorNetwork) -> list[str]:
    """Blocks that are learnt one by one: each convolution with its norm and activation, if it has some."""
    normed = {id(conv) for conv, _ in folded_pairs(network)}
    return [
        name
        for name, module in network.named_modules()
        if isinstance(module, ConvBlock) or (isinstance(module, nn.Conv2d) and id(module) not in normed)
    ]


def answer_loss(cells: Cells, taught: Cells) -> Tensor:
    """How far a model is from its teacher (N,): cross-entropy of both scores over the teacher's sum of scores, boxes by
    1 - IoU^2, weighted by its score."""
    score = taught.objectness.sigmoid() * taught.person.sigmoid()
    total = score.sum(1).clamp(min=1)
    wrong = _excess(cells.objectness, taught.objectness) + score * _excess(cells.person, taught.person)
    sure = score * (score > SURE)
    box = sure * (1 - overlaps(cells.boxes_px, taught.boxes_px) ** 2)
    return (wrong.sum(1) + BOX_WEIGHT * box.sum(1)) / total


def _excess(logits: Tensor, taught: Tensor) -> Tensor:
    """Cross-entropy beyond the teacher's own entropy: 0 where both agree."""
    wanted = taught.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(taught, wanted, reduction="none")
    return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none") - entropy


def in_order(network: DetectorNetwork) -> list[nn.Conv2d]:
    """Convolutions in the order in which they compute."""
    order: list[nn.Conv2d] = []
    hooks = [
        module.register_forward_hook(lambda conv, _, __: order.append(conv))
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
    ]
    network.raw(torch.zeros(1, STRIDE, STRIDE, 3, dtype=torch.uint8))
    for hook in hooks:
        hook.remove()
    return order


def _published(path: Path) -> list[tuple[Float32s, Float32s]]:
    """Weights and biases of an ONNX file's convolutions, in the order in which they compute."""
    try:
        graph = onnx.load(path).graph
    except Exception as error:
        raise TrainingError(f"teacher {path} can't be read as ONNX: {type(error).__name__}: {error}") from error
    stored = {tensor.name: np.array(numpy_helper.to_array(tensor)) for tensor in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    if any(len(node.input) < 3 or not set(node.input[1:3]) <= stored.keys() for node in convolutions):
        raise TrainingError(f"teacher {path} has convolutions without weights and bias of their own")
    return [(stored[node.input[1]], stored[node.input[2]]) for node in convolutions]
