"""The person detector as a task for the training loop."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from dualpose_ros.arrays import Float32s, Mask
from dualpose_ros.detection.decode import STRIDE, decode_boxes
from dualpose_ros.detection.detections import clean
from dualpose_ros.detection.network import DetectorConfig, DetectorNetwork
from dualpose_ros.inference.export import Axis, ExportSpec
from dualpose_ros.lab.training.detector.device_pictures import DevicePictures, draw_pictures, plain_pictures, targets_of
from dualpose_ros.lab.training.detector.losses import DetectorTargets, detector_loss
from dualpose_ros.lab.training.loop.task import TrainConfig
from dualpose_ros.lab.training.on_device.data import DeviceRecipe
from dualpose_ros.lab.training.on_device.frames import frame_rows
from dualpose_ros.lab.training.on_device.views import Draws
from dualpose_ros.metrics.detection import TrueBoxes, evaluate_detections
from dualpose_ros.settings import SettingError, Settings, setting

VALIDATION_MIN_SCORE = 0.05
VALIDATION_NMS_IOU = 0.6
VALIDATION_SCORE = 0.4


@dataclass(frozen=True)
class DetectorTaskConfig(Settings):
    """What the detector is and learns from."""

    network: DetectorConfig = setting(DetectorConfig(), "size of the network")
    width: int = setting(320, "width of training pictures, a multiple of the network's stride", unit="px", least=1)
    height: int = setting(256, "height of training pictures, the same", unit="px", least=1)
    size_weight: float = setting(2.0, "weight of the boxes' sizes", least=0)
    offset_weight: float = setting(2.0, "weight of the boxes' middles", least=0)
    views: DevicePictures = setting(DevicePictures(), "how pictures made on the device vary")
    stored_side: int = setting(384, "longer side of pictures that the device holds", unit="px", least=32)
    capacity: int = setting(26_000, "pictures that the device holds", unit="pictures", least=1)
    validation_pictures: int = setting(256, "held-out pictures of each folder that measure progress", least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        stride = self.network.backbone.stride
        for name in ("width", "height"):
            if getattr(self, name) % stride:
                raise SettingError(name, f"is {getattr(self, name)}; it must be a multiple of {stride}")


@dataclass(frozen=True)
class DetectorBatch:
    """Pictures (N, H, W, 3) uint8 with the targets of training and the boxes for validation."""

    image: torch.Tensor
    targets: DetectorTargets
    boxes_px: tuple[Float32s, ...]
    ignored: tuple[Mask, ...]


class DetectorTask:
    """Trains `DetectorNetwork` on labelled images; figures are average precision and recall at IoU 0.5."""

    name = "detector"

    def __init__(self, config: DetectorTaskConfig | None = None) -> None:
        self.config = config if config is not None else DetectorTaskConfig()

    def build_model(self) -> nn.Module:
        """The untrained network."""
        return DetectorNetwork(self.config.network)

    def device_recipe(self, config: TrainConfig) -> DeviceRecipe:
        """Pictures made on the device, of images in which everybody has a box."""
        task, size = self.config, (self.config.width, self.config.height)
        views = task.views

        def make(rows: dict[str, torch.Tensor], draws: Draws) -> DetectorBatch:
            image, pictures = draw_pictures(rows, size, views, draws)
            targets = targets_of(pictures, size[1] // STRIDE, size[0] // STRIDE)
            return DetectorBatch(image, targets, (), ())

        def show(rows: dict[str, torch.Tensor]) -> DetectorBatch:
            image, pictures = plain_pictures(rows, size, views)
            targets = targets_of(pictures, size[1] // STRIDE, size[0] // STRIDE)
            there = (pictures.boxes_px[..., 2] > pictures.boxes_px[..., 0]).cpu().numpy()
            boxes, ignored = pictures.boxes_px.cpu().numpy(), pictures.ignored.cpu().numpy()
            return DetectorBatch(
                image,
                targets,
                tuple(b[t] for b, t in zip(boxes, there, strict=True)),
                tuple(i[t] for i, t in zip(ignored, there, strict=True)),
            )

        return DeviceRecipe(
            to_rows=lambda image: frame_rows(image, task.stored_side, 1.0, views.min_visible, 0.0),
            make=make,
            show=show,
            capacity=task.capacity,
            validation_rows=task.validation_pictures,
        )

    def loss(self, model: nn.Module, batch: DetectorBatch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Focal loss of the centres, L1 of size and offset."""
        assert isinstance(model, DetectorNetwork)
        raw = model.raw(batch.image)
        return detector_loss(raw, batch.targets, self.config.size_weight, self.config.offset_weight)

    def validate(self, model: nn.Module, batches: Iterable[DetectorBatch]) -> dict[str, float]:
        """ap50; recall and precision at VALIDATION_SCORE; recall of all candidates."""
        truth, found = [], []
        for batch in batches:
            maps = [output.float().cpu().numpy() for output in model(batch.image)]
            height, width = batch.image.shape[1:3]
            for centre, size, offset in zip(*maps, strict=True):
                boxes, scores = decode_boxes(centre[0], size, offset, VALIDATION_MIN_SCORE)
                found.append(clean(boxes, scores, width, height, VALIDATION_NMS_IOU, 100))
            truth += [TrueBoxes(b, i) for b, i in zip(batch.boxes_px, batch.ignored, strict=True)]
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
        """`image` uint8 (N, H, W, 3), all but the channels dynamic; outputs centre, size, offset."""
        generator = torch.Generator().manual_seed(0)
        stride = self.config.network.backbone.stride
        shape = (2, 6 * stride, 8 * stride, 3)
        image = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        axes = {0: Axis("batch"), 1: Axis("height", stride), 2: Axis("width", stride)}
        return ExportSpec({"image": image}, ("centre", "size", "offset"), {"image": axes})
