"""The top-down branch as training of the bottom-up network needs it: boxes and combined heatmaps of an image."""

import numpy as np

from dualpose_ros.arrays import AnyFloats, Floats, RgbImage
from dualpose_ros.detection.stage import DetectionConfig, Detector, create_detector
from dualpose_ros.heatmap import Heatmaps
from dualpose_ros.inference.load import load_engine
from dualpose_ros.top_down.estimator import PoseEstimator
from dualpose_ros.weights import network_file

_MIN_BOX_SCORE = 0.1
_NARROWEST_PX = 2.0


class BranchGuide:
    """Detector and top-down network, loaded when first used: in the process that uses them, one thread each.

    top_down, detector: shipped names or ONNX files. WeightsError or EngineError if one can't be used.
    """

    def __init__(self, top_down: str, detector: str, heatmap_cells: int) -> None:
        self.top_down, self.detector, self.heatmap_cells = top_down, detector, heatmap_cells
        self._estimator: PoseEstimator | None = None
        self._detector: Detector | None = None

    def heatmaps(self, image: RgbImage, boxes_px: AnyFloats) -> Heatmaps:
        """Combined heatmaps of an RGB image, from patches around boxes (N, 4); slivers are left out."""
        if self._estimator is None:
            self._estimator = PoseEstimator(load_engine(network_file(self.top_down)))
        boxes = np.asarray(boxes_px, dtype=np.float64).reshape(-1, 4)
        boxes = boxes[(boxes[:, 2:] - boxes[:, :2] > _NARROWEST_PX).all(axis=1)]
        found = self._estimator.maps(image, boxes)
        return found.combined((image.shape[0], image.shape[1]), self.heatmap_cells)

    def boxes(self, image: RgbImage) -> Floats:
        """Boxes (N, 4) of the people that the detector finds in an RGB image."""
        if self._detector is None:
            name = f"own:{self.detector}" if self.detector.endswith(".onnx") else "own"
            self._detector = create_detector(DetectionConfig(detector=name), min_score=_MIN_BOX_SCORE)
        return np.asarray(self._detector(image).boxes_px, dtype=np.float64)
