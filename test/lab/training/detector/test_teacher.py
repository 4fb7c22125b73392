"""A published network in the detector's form, and a detector that comes to do what it does."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dualpose_ros.detection.network import DetectorConfig, DetectorNetwork
from dualpose_ros.detection.yolox import STRIDES
from dualpose_ros.inference.load import load_engine
from dualpose_ros.lab.training.detector.losses import BOX_WEIGHT, Cells, cells_of
from dualpose_ros.lab.training.detector.task import DetectorTask, DetectorTaskConfig
from dualpose_ros.lab.training.detector.teacher import Teacher, answer_loss, block_names, in_order, load_teacher
from dualpose_ros.lab.training.loop.from_onnx import folded_pairs
from dualpose_ros.lab.training.loop.task import TrainConfig, TrainingError
from dualpose_ros.lab.training.start import make_task
from dualpose_ros.settings import SettingError
from support.data import data_path

SMALL = DetectorConfig(stem=8, head=16)


def published(network: DetectorNetwork, path: Path, classes: int = 80) -> Path:
    """What an ONNX file of a network holds for a teacher: its convolutions in order, norms folded in, for BGR."""
    nodes, tensors = [], []
    norms = {id(conv): norm for conv, norm in folded_pairs(network)}
    scores = {id(module) for name, module in network.named_modules() if name.endswith("person_score")}
    for number, conv in enumerate(in_order(network)):
        norm = norms.get(id(conv))
        folded = conv if norm is None else fuse_conv_bn_eval(conv, norm)
        assert folded.bias is not None
        weight, bias = folded.weight.detach(), folded.bias.detach()
        if number == 0:
            weight = weight.unflatten(1, (4, 3)).flip(2).flatten(1, 2)
        if id(conv) in scores:
            weight, bias = weight.repeat(classes, 1, 1, 1), bias.repeat(classes)
            weight[1:], bias[1:] = 9, 9
        tensors += [numpy_helper.from_array(v.numpy(), f"{n}{number}") for n, v in (("w", weight), ("b", bias))]
        nodes.append(helper.make_node("Conv", [f"x{number}", f"w{number}", f"b{number}"], [f"y{number}"]))
    value = helper.make_tensor_value_info("x0", TensorProto.FLOAT, None)
    onnx.save(helper.make_model(helper.make_graph(nodes, "published", [value], [], tensors)), path)
    return path


def trained_a_little(seed: int) -> DetectorNetwork:
    """A network whose norms have statistics of their own."""
    torch.manual_seed(seed)
    network = DetectorNetwork(SMALL)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    for _ in range(3):
        network.raw(pictures(seed))
    return network.eval()


def pictures(seed: int, count: int = 3) -> torch.Tensor:
    noise = torch.rand(count, 3, 12, 12, generator=torch.Generator().manual_seed(seed))
    smooth = nn.functional.interpolate(noise, (96, 96), mode="bilinear")
    return (255 * smooth).byte().permute(0, 2, 3, 1).contiguous()


def test_a_published_file_answers_alike_in_the_detector_s_form(tmp_path: Path) -> None:
    network = trained_a_little(0)
    loaded = load_teacher(published(network, tmp_path / "published.onnx"), SMALL)
    with torch.no_grad():
        np.testing.assert_allclose(loaded(pictures(5)), network(pictures(5)), atol=1e-4)
    assert not any(value.requires_grad for value in loaded.parameters())


def test_the_published_nano_answers_as_its_own_file_does() -> None:
    file = data_path("weights/yolox_nano.onnx")
    image = (255 * torch.rand(1, 416, 416, 3, generator=torch.Generator().manual_seed(0))).byte()
    engine = load_engine(file)
    bgr = image.numpy()[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32)
    expected = engine.run({"images": np.ascontiguousarray(bgr)})["output"][..., :6]
    with torch.no_grad():
        np.testing.assert_allclose(load_teacher(file, DetectorConfig())(image), expected, atol=1e-3)


def test_what_can_not_teach_is_named(tmp_path: Path) -> None:
    file = published(trained_a_little(0), tmp_path / "published.onnx")
    with pytest.raises(TrainingError, match="of another size than `network`"):
        load_teacher(file, DetectorConfig(stem=8, head=32))
    with pytest.raises(TrainingError, match="convolutions instead of"):
        load_teacher(file, DetectorConfig(stem=8, head=16, blocks=2))
    file.write_bytes(b"\x08\x07 nothing of use")
    with pytest.raises(TrainingError, match="can't be read as ONNX"):
        load_teacher(file, SMALL)
    with pytest.raises(SettingError, match="nothing would be learnt"):
        DetectorTaskConfig(labels=0.0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"answers": 1.0}, "name its file with --teacher"),
        ({"blocks": 1.0}, "name its file with --teacher"),
        ({"teacher": "none.onnx"}, "none.onnx is asked nothing"),
        ({"teacher": "none.onnx", "blocks": 1.0}, "none.onnx doesn't exist"),
    ],
)
def test_a_training_without_its_teacher_does_not_start(settings: dict[str, Any], said: str, tmp_path: Path) -> None:
    task = make_task("detector.task:DetectorTask:DetectorTaskConfig", tmp_path, settings)
    assert isinstance(task, DetectorTask), "what needs no training, such as an export, needs no teacher"
    with pytest.raises(TrainingError, match=said):
        task.device_recipe(TrainConfig(tmp_path, tmp_path, epochs=1))


def test_blocks_are_all_of_the_network_once() -> None:
    network = DetectorNetwork(SMALL)
    names = list(block_names(network))
    covered = [id(v) for name in names for v in network.get_submodule(name).parameters()]
    assert sorted(covered) == sorted(id(v) for v in network.parameters())


def test_a_block_that_does_what_the_teacher_s_does_costs_nothing() -> None:
    network = trained_a_little(1)
    teacher, other = Teacher(network), trained_a_little(2)
    assert float(teacher.block_loss(network, pictures(3)).detach()) == 0
    before = teacher.block_loss(other, pictures(3))
    other.load_state_dict(network.state_dict())
    assert float(before.detach()) > 0.1 and float(teacher.block_loss(other, pictures(3)).detach()) == 0


def test_a_network_learns_its_teacher_s_blocks_alone() -> None:
    teacher = Teacher(trained_a_little(3))
    torch.manual_seed(0)
    model = DetectorNetwork(SMALL)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for step in range(40):
        loss = teacher.block_loss(model, pictures(step, 2))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 * losses[0]


def test_answers_count_by_the_teacher_s_score_and_nothing_where_both_agree() -> None:
    network = trained_a_little(4)
    with torch.no_grad():
        taught = cells_of(network.raw(pictures(1)))
    assert float(answer_loss(taught, taught).abs().max()) < 1e-4
    score = (taught.objectness.sigmoid() * taught.person.sigmoid()).numpy()
    moved = Cells(taught.boxes_px + 3.0, taught.objectness, taught.person, taught.middle_px, taught.stride_px)
    found = answer_loss(moved, taught)
    for n in range(3):
        expected = 0.0
        for s, first, second in zip(score[n], taught.boxes_px[n].numpy(), moved.boxes_px[n].numpy(), strict=True):
            low, high = np.maximum(first[:2], second[:2]), np.minimum(first[2:], second[2:])
            common = np.prod(np.maximum(high - low, 0))
            union = np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2]) - common
            expected += BOX_WEIGHT * (s if s > 0.1 else 0) * (1 - (common / union) ** 2)
        assert float(found[n]) == pytest.approx(expected / max(score[n].sum(), 1), rel=1e-4)
    assert len(STRIDES) == 3
