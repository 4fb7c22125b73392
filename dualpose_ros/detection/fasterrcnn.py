"""torchvision's Faster R-CNN as a detector, for offline use and comparison. Needs the `fasterrcnn` extra."""

from __future__ import annotations

from typing import Any

import numpy as np

from dualpose_ros.arrays import RgbImage
from dualpose_ros.camera import check_image
from dualpose_ros.detection.detections import BoxChoice, DetectionError, Detections, clean

PERSON = 1
"""Label of people among torchvision's COCO classes."""


class FasterRCNNDetector:
    """Faster R-CNN (ResNet-50 FPN v2, COCO weights that torchvision downloads once) on people.

    DetectionError on construction if torchvision isn't there, can't be loaded, or its weights can't be had.
    """

    def __init__(self, choice: BoxChoice | None = None, threads: int = 1, pretrained: bool = True) -> None:
        self._choice = choice or BoxChoice()
        self._torch, self._model = _load(threads, pretrained)

    def __call__(self, image: RgbImage, far: bool = True) -> Detections:
        """Detections in an RGB image, of people near and far at once; ImageError if it is none."""
        check_image(image)
        torch = self._torch
        with torch.inference_mode():
            tensor = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float() / 255
            found = self._model([tensor])[0]
        boxes, scores, labels = (found[name].cpu().numpy() for name in ("boxes", "scores", "labels"))
        kept = labels == PERSON
        height, width = image.shape[:2]
        return clean(boxes[kept], scores[kept], width, height, self._choice)


def _load(threads: int, pretrained: bool) -> tuple[Any, Any]:
    try:
        import torch
        from torchvision.models import detection
    except ImportError as error:
        raise DetectionError(
            f"detector 'fasterrcnn' needs torch and torchvision ({error}): pip install 'dualpose_ros[fasterrcnn]'"
        ) from error
    # A torchvision wheel made for another build of torch fails like this once its C++ operators are looked up.
    except (RuntimeError, OSError, AttributeError) as error:
        message = f"torchvision doesn't fit the installed torch ({error}): install a matching pair"
        raise DetectionError(message) from error
    torch.set_num_threads(threads)
    weights = detection.FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1 if pretrained else None
    try:
        model = detection.fasterrcnn_resnet50_fpn_v2(weights=weights, weights_backbone=None)
    except OSError as error:
        raise DetectionError(
            f"Faster R-CNN's weights can't be downloaded ({error}): "
            "connect once, or put the file into torch's hub cache"
        ) from error
    return torch, model.eval()
