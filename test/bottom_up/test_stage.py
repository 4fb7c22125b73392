from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dualpose_ros.arrays import AnyArray, Floats, UInt8s
from dualpose_ros.bottom_up.place import NOT_TRACKED
from dualpose_ros.bottom_up.stage import BottomUpConfig, BottomUpStage
from dualpose_ros.camera import Camera, camera_from_hfov, project
from dualpose_ros.heatmap import Heatmaps, combined_grid
from dualpose_ros.inference.engine import EngineError, TensorSpec
from dualpose_ros.lab.evaluation.bottom_up.truth_maps import truth_maps
from dualpose_ros.people import Source, TrackingState
from dualpose_ros.skeleton import H36M17, K
from support import scenes

OUTPUTS = ("heatmaps", "tags", "depths", "log_stddev")


class IdealNetwork:
    """Answers with the maps of known people, whose joints it places in the input by itself."""

    outputs: tuple[str, ...] = OUTPUTS
    metadata: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, camera: Camera, joints_cam: Floats) -> None:
        self.inputs = {
            "image": TensorSpec("image", np.dtype(np.uint8), ("N", "32*H", "32*W", 3)),
            "guidance": TensorSpec("guidance", np.dtype(np.uint8), ("N", K, "8*H", "8*W")),
        }
        self.camera, self.joints_cam = camera, joints_cam
        self.seen: list[Mapping[str, AnyArray]] = []

    def run(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        self.seen.append(inputs)
        image, guidance = inputs["image"], inputs["guidance"]
        assert image.dtype == guidance.dtype == np.uint8
        height, width = image.shape[1:3]
        assert image.shape == (1, height, width, 3) and guidance.shape == (1, K, height // 4, width // 4)
        assert height % 32 == width % 32 == 0
        # The long side fills 384 pixels, and the other one is scaled alike, to a whole number of them.
        scale = 384 / max(self.camera.width, self.camera.height)
        inner = np.array([round(self.camera.width * scale), round(self.camera.height * scale)])
        scales = inner / (self.camera.width, self.camera.height)
        joints = (project(self.camera, self.joints_cam) + 0.5) * scales - 0.5
        focal = np.sqrt(self.camera.fx * scales[0] * self.camera.fy * scales[1])
        maps = truth_maps(joints, self.joints_cam, float(focal), (height, width))
        return {name: getattr(maps, name)[None] for name in self.outputs}


@pytest.mark.parametrize("size", [(640, 480), (1280, 721), (33, 900)])
def test_what_is_prepared_is_of_the_shapes_that_images_have(size: tuple[int, int]) -> None:
    stage, network = stage_for(size)
    stage.prepare(*size)
    stage.process(np.zeros((size[1], size[0], 3), np.uint8), 0, network.camera, None)
    prepared, worked_on = ({name: value.shape for name, value in seen.items()} for seen in network.seen)
    assert prepared == worked_on


def stage_for(size: tuple[int, int] = (640, 480), **settings: Any) -> tuple[BottomUpStage, IdealNetwork]:
    camera = camera_from_hfov(*size, 1.1)
    rng = np.random.default_rng(1)
    people = np.array([scenes.person(rng, (-0.9, 0.1, 4)), scenes.person(rng, (1.0, 0.2, 6))])
    network = IdealNetwork(camera, people)
    return BottomUpStage(BottomUpConfig(**settings), network), network


def picture(camera: Camera) -> UInt8s:
    return np.full((camera.height, camera.width, 3), 60, np.uint8)


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (480, 640), (500, 333), (100, 100)])
def test_people_come_out_in_metres_for_any_shape_of_image(size: tuple[int, int]) -> None:
    stage, network = stage_for(size)
    result = stage.process(picture(network.camera), 0, network.camera, None)
    assert len(result.persons) == 2 and not result.guided
    for person in result.persons:
        errors = np.linalg.norm(person.joints_cam - network.joints_cam, axis=2)
        n = int(errors.mean(axis=1).argmin())
        seen = person.joint_scores > 0
        assert seen.sum() >= 12 and errors[n][seen].max() < 0.005
        assert (person.track_id, person.state) == (NOT_TRACKED, TrackingState.CONFIRMED)
        assert person.source is Source.BOTTOM_UP and NOT_TRACKED == -1
        pixels = project(network.camera, network.joints_cam[n])
        assert np.abs(person.keypoints_px - pixels)[seen].max() < 0.05
        low, high = pixels[seen].min(axis=0), pixels[seen].max(axis=0)
        assert np.allclose(person.box_px, [*(low + 0.5), *(high + 0.5)], atol=0.05)
        assert person.score == pytest.approx(person.joint_scores.mean())
        assert person.joint_stddev.shape == (K,) and (person.joint_stddev > 0).all()
        assert (person.root_velocity == 0).all()


def test_heatmaps_guide_and_their_absence_is_zeros() -> None:
    stage, network = stage_for((1280, 720))
    shape, to_image = combined_grid((720, 1280))
    data = np.zeros((K, *shape), np.uint8)
    data[4, 30, 100] = 200
    heatmaps = Heatmaps(H36M17.joint_names, data, to_image, 1 / 255)
    image = picture(network.camera)
    image[200, 640] = 255
    assert stage.process(image, 0, network.camera, heatmaps).guided
    assert not stage.process(image, 0, network.camera, None).guided
    guided, bare = network.seen
    assert (guided["image"] == bare["image"]).all() and bare["guidance"].max() == 0
    assert np.argwhere(guided["guidance"][0] > 50)[:, 0].tolist().count(4) >= 1
    # The cell's centre is at image pixel (8 * 100 + 3.5, 8 * 30 + 3.5), which is (240.7, 72.7) of the input.
    _, row, column = np.unravel_index(guided["guidance"][0].argmax(), guided["guidance"][0].shape)
    assert (column, row) == (round((240.7 - 1.5) / 4), round((72.7 - 1.5) / 4))


def test_padding_is_grey_and_the_image_lies_top_left() -> None:
    stage, network = stage_for((640, 400))
    stage.process(picture(network.camera), 0, network.camera, None)
    (image,) = network.seen[0]["image"]
    assert image.shape == (256, 384, 3)
    assert (image[:240] == 60).all() and (image[240:] == 114).all()


class Altered(IdealNetwork):
    """An ideal network whose answers are changed before they are given."""

    def __init__(self, change: Any) -> None:
        _, network = stage_for()
        super().__init__(network.camera, network.joints_cam)
        self.change = change

    def run(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        answers = super().run(inputs)
        self.change(answers)
        return answers


def test_networks_that_answer_something_else_are_refused() -> None:
    def answers_of(change: Any) -> None:
        network = Altered(change)
        BottomUpStage(BottomUpConfig(), network).process(picture(network.camera), 0, network.camera, None)

    with pytest.raises(EngineError, match="no output depths"):
        answers_of(lambda answers: answers.pop("depths"))
    with pytest.raises(EngineError, match=r"no bottom-up network: tags"):
        answers_of(lambda answers: answers.update(tags=answers["tags"][:, :, ::2]))
    with pytest.raises(ValueError, match="NaN"):
        answers_of(lambda answers: answers["depths"].fill(np.nan))


def test_networks_that_take_something_else_are_refused_at_start() -> None:
    _, network = stage_for()
    network.inputs = {"patches": TensorSpec("patches", np.dtype(np.uint8), ("N", 256, 256, 3))}
    with pytest.raises(EngineError, match=r"no bottom-up network.*not take patches"):
        BottomUpStage(BottomUpConfig(), network)
    _, network = stage_for()
    network.inputs["guidance"] = TensorSpec("guidance", np.dtype(np.uint8), ("N", 14, "h", "w"))
    with pytest.raises(EngineError, match="no bottom-up network"):
        BottomUpStage(BottomUpConfig(), network)
    _, network = stage_for()
    network.outputs = ("heatmaps", "tags")
    with pytest.raises(EngineError, match=r"give heatmaps, tags$"):
        BottomUpStage(BottomUpConfig(), network)


def test_wrong_images_and_heatmaps_are_refused() -> None:
    stage, network = stage_for()
    with pytest.raises(ValueError, match="RGB image"):
        stage.process(np.zeros((480, 640), np.uint8), 0, network.camera, None)
    with pytest.raises(ValueError, match="640x480"):
        stage.process(np.zeros((100, 100, 3), np.uint8), 0, network.camera, None)
    other = Heatmaps(("nose",), np.zeros((1, 4, 4), np.uint8), np.eye(2, 3), 1 / 255)
    with pytest.raises(ValueError, match="nose"):
        stage.process(picture(network.camera), 0, network.camera, other)


def test_an_exported_network_runs(tmp_path: Path) -> None:
    """Whatever an untrained network answers, poses or none come out."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    network = pytest.importorskip("dualpose_ros.bottom_up.network")
    from dualpose_ros.backbone import HRNetConfig

    config = HRNetConfig(stem=8, bottlenecks=1, widths=(4, 8, 16, 32), modules=(1, 1, 1), blocks=1)
    model = network.BottomUpNetwork(config).eval()
    torch.manual_seed(0)
    spec = (torch.zeros(2, 96, 128, 3, dtype=torch.uint8), torch.zeros(2, K, 24, 32, dtype=torch.uint8))
    path = tmp_path / "tiny.onnx"
    height, width = torch.export.Dim("h", max=64), torch.export.Dim("w", max=64)
    batch = torch.export.Dim("n", max=64)
    torch.onnx.export(
        model, spec, str(path), dynamo=True, input_names=["image", "guidance"], output_names=list(OUTPUTS),
        dynamic_shapes=({0: batch, 1: 32 * height, 2: 32 * width}, {0: batch, 2: 8 * height, 3: 8 * width}),
    )  # fmt: skip
    stage = BottomUpStage(BottomUpConfig(weights=str(path), input_long_side_px=160))
    camera = camera_from_hfov(320, 240, 1.0)
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    assert len(stage.process(image, 0, camera, None).persons) <= 20
