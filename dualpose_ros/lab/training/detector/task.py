"""The person detector as a task for the training loop."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from dualpose_ros.detection.detections import BoxChoice, clean
from dualpose_ros.detection.network import STRIDE, DetectorConfig, DetectorNetwork
from dualpose_ros.detection.yolox import decode_people
from dualpose_ros.inference.export import Axis, ExportSpec
from dualpose_ros.lab.training.detector.device_pictures import DevicePictures, Pictures, draw_pictures, plain_pictures
from dualpose_ros.lab.training.detector.losses import DetectorTargets, cells_of, detector_loss
from dualpose_ros.lab.training.detector.teacher import Teacher, answer_loss, load_teacher, train_norms
from dualpose_ros.lab.training.loop.task import TrainConfig, TrainingError
from dualpose_ros.lab.training.on_device.data import DeviceRecipe
from dualpose_ros.lab.training.on_device.frames import frame_rows
from dualpose_ros.lab.training.on_device.views import Draws
from dualpose_ros.metrics.detection import TrueBoxes, evaluate_detections
from dualpose_ros.paths import user_path
from dualpose_ros.settings import SettingError, Settings, setting, share

VALIDATION_CHOICE = BoxChoice(min_score=0.05, max_people=100)
VALIDATION_SCORE = 0.4


@dataclass(frozen=True)
class DetectorTaskConfig(Settings):
    """What the detector is and learns from."""

    network: DetectorConfig = setting(DetectorConfig(), "size of the network")
    width: int = setting(320, "width of training pictures, a multiple of the network's stride", unit="px", least=1)
    height: int = setting(256, "height of training pictures, the same", unit="px", least=1)
    teacher: str = setting("", "ONNX file of a published YOLOX network of the same size to learn from, too")
    labels: float = setting(1.0, "weight of what the labels say", least=0)
    answers: float = setting(
        0.0, "weight of what the teacher says of photographs, whose labels then don't count", least=0
    )
    blocks: float = setting(0.0, "weight of what the teacher's blocks put out, each learnt for itself", least=0)
    still_norms: bool = setting(False, "batch norms keep the statistics they begin with")
    incomplete: float = share(0.0, "weight of pictures in which not everybody has a box, for a teacher to label")
    views: DevicePictures = setting(DevicePictures(), "how pictures made on the device vary")
    stored_side: int = setting(384, "longer side of pictures that the device holds", unit="px", least=32)
    capacity: int = setting(26_000, "pictures that the device holds", unit="pictures", least=1)
    validation_pictures: int = setting(256, "held-out pictures of each folder that measure progress", least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("width", "height"):
            if getattr(self, name) % STRIDE:
                raise SettingError(name, f"is {getattr(self, name)}; it must be a multiple of {STRIDE}")
        if not self.labels + self.answers + self.blocks:
            raise SettingError("labels", "is 0, and so are `answers` and `blocks`: nothing would be learnt")


@dataclass(frozen=True)
class DetectorBatch:
    """Pictures (N, H, W, 3) uint8, who is in them, and which (N,) show rendered people."""

    image: torch.Tensor
    targets: DetectorTargets
    rendered: torch.Tensor


class DetectorTask:
    """Trains `DetectorNetwork` on labelled images; figures are average precision and recall at IoU 0.5."""

    name = "detector"

    def __init__(self, config: DetectorTaskConfig | None = None) -> None:
        self.config = config if config is not None else DetectorTaskConfig()
        self._teacher: Teacher | None = None

    def build_model(self) -> nn.Module:
        """The untrained network."""
        return DetectorNetwork(self.config.network)

    def device_recipe(self, config: TrainConfig) -> DeviceRecipe:
        """Pictures made on the device, of images in which everybody has a box unless `incomplete` says otherwise.

        TrainingError if a teacher is missing, can't teach this network, or isn't asked anything.
        """
        self._teacher = _load_teacher(self.config, torch.device(config.device))
        task, size = self.config, (self.config.width, self.config.height)
        views = task.views

        def make(rows: dict[str, torch.Tensor], draws: Draws) -> DetectorBatch:
            return _batch(*draw_pictures(rows, size, views, draws))

        def show(rows: dict[str, torch.Tensor]) -> DetectorBatch:
            return _batch(*plain_pictures(rows, size, views))

        return DeviceRecipe(
            to_rows=lambda image: frame_rows(image, task.stored_side, 1.0, views.min_visible, task.incomplete),
            make=make,
            show=show,
            capacity=task.capacity,
            validation_rows=task.validation_pictures,
        )

    def loss(self, model: nn.Module, batch: DetectorBatch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """What labels, the teacher's answers and its blocks say, by their weights."""
        assert isinstance(model, DetectorNetwork)
        task, teacher, parts = self.config, self._teacher, dict[str, torch.Tensor]()
        total = torch.zeros((), device=batch.image.device)
        if teacher is not None and task.blocks:
            parts["blocks"] = teacher.block_loss(model, batch.image)
            total = total + task.blocks * parts["blocks"]
        if not task.labels + task.answers:
            return total, {name: value.detach() for name, value in parts.items()}
        if task.still_norms:
            train_norms(model, False)
        cells = cells_of(model.raw(batch.image))
        taught = ~batch.rendered if task.answers else torch.zeros_like(batch.rendered)
        if teacher is not None and bool(taught.any()):
            answers = cells_of(teacher.answers(batch.image[taught]))
            parts["answers"] = answer_loss(cells.of(taught), answers).mean()
            total = total + task.answers * parts["answers"]
        if task.labels and not bool(taught.all()):
            labels, of_labels = detector_loss(cells.of(~taught), batch.targets.of(~taught))
            total, parts = total + task.labels * labels, {**parts, **of_labels}
        return total, {name: value.detach() for name, value in parts.items()}

    def validate(self, model: nn.Module, batches: Iterable[DetectorBatch]) -> dict[str, float]:
        """ap50; recall and precision at VALIDATION_SCORE; recall of all candidates."""
        truth, found = [], []
        for batch in batches:
            height, width = batch.image.shape[1:3]
            for rows in model(batch.image).float().cpu().numpy():
                boxes, scores = decode_people(rows, height, width, VALIDATION_CHOICE.min_score)
                found.append(clean(boxes, scores, width, height, VALIDATION_CHOICE))
            boxes, ignored = batch.targets.boxes_px.cpu().numpy(), batch.targets.ignored.cpu().numpy()
            there = boxes[..., 2] > boxes[..., 0]
            truth += [TrueBoxes(b[t], i[t]) for b, i, t in zip(boxes, ignored, there, strict=True)]
        report = evaluate_detections(truth, found, score=VALIDATION_SCORE)
        return {
            "ap50": report.ap,
            "recall": report.recall,
            "precision": report.precision,
            "max_recall": report.max_recall,
        }

    def objective(self, figures: dict[str, float]) -> float:
        """Minus the average precision; infinite if nobody was there to be found."""
        return -figures["ap50"] if np.isfinite(figures["ap50"]) else float("inf")

    def export_spec(self) -> ExportSpec:
        """`image` uint8 (N, H, W, 3), all but the channels dynamic; output `people` (N, A, 6)."""
        generator = torch.Generator().manual_seed(0)
        image = torch.randint(0, 256, (2, 6 * STRIDE, 8 * STRIDE, 3), dtype=torch.uint8, generator=generator)
        axes = {0: Axis("batch"), 1: Axis("height", STRIDE), 2: Axis("width", STRIDE)}
        return ExportSpec({"image": image}, ("people",), {"image": axes})


def _load_teacher(task: DetectorTaskConfig, device: torch.device) -> Teacher | None:
    """The teacher of the settings on a device, None where nothing is to be learnt from one; TrainingError."""
    if not task.teacher and not task.answers + task.blocks:
        return None
    if not task.teacher:
        raise TrainingError("the settings' `answers` or `blocks` are a teacher's: name its file with --teacher")
    if not task.answers + task.blocks:
        raise TrainingError(f"teacher {task.teacher} is asked nothing: `answers` and `blocks` of the settings are 0")
    path = user_path(task.teacher)
    if not path.is_file():
        raise TrainingError(f"teacher {path} doesn't exist")
    return Teacher(load_teacher(path, task.network).to(device))


def _batch(image: torch.Tensor, pictures: Pictures) -> DetectorBatch:
    rendered = pictures.pixels[:, 3].amax((1, 2)) > 0
    return DetectorBatch(image, DetectorTargets(pictures.boxes_px, pictures.ignored), rendered)
