"""Detection and tracking as one object: an image in, tracked people out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dualpose_ros.arrays import RgbImage
from dualpose_ros.detection.appearance import describe_people
from dualpose_ros.detection.centre import CentreDetector
from dualpose_ros.detection.detections import DetectionError, Detector, check_image
from dualpose_ros.detection.fasterrcnn import FasterRCNNDetector
from dualpose_ros.detection.tracker import Tracker, TrackerConfig
from dualpose_ros.detection.yolox import YoloxDetector
from dualpose_ros.inference.load import load_engine
from dualpose_ros.people import Track
from dualpose_ros.weights import weights_path

SPECS = "'centre', 'centre:FILE.onnx', 'yolox:FILE.onnx' or 'fasterrcnn'"


@dataclass(frozen=True)
class DetectionConfig(TrackerConfig):
    """Everything that can be set on the stage; the tracker's fields are described in `TrackerConfig`.

    detector: 'centre' (shipped weights), 'centre:FILE.onnx', 'yolox:FILE.onnx' or 'fasterrcnn'.
    backend, threads: of the inference engine. input_long_side: pixels, of networks whose input size is free, a multiple
    of 32. nms_iou: boxes that overlap more are one person. max_people: strongest boxes kept.
    ValueError on construction names the field that is out of range.
    """

    detector: str = "centre"
    backend: str = "onnxruntime"
    threads: int = 1
    input_long_side: int = 384
    nms_iou: float = 0.6
    max_people: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        kind, _, path = self.detector.partition(":")
        if kind not in ("centre", "yolox", "fasterrcnn") or (kind == "yolox") > bool(path):
            raise ValueError(f"detector must be {SPECS}, not {self.detector!r}")
        for name in ("threads", "input_long_side", "max_people"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive whole number, not {value!r}")
        if self.input_long_side % 32:
            raise ValueError(f"input_long_side must be a multiple of 32, not {self.input_long_side}")
        if not 0 < self.nms_iou <= 1:
            raise ValueError(f"nms_iou must lie in 0 to 1, not {self.nms_iou!r}")


def create_detector(
    spec: str,
    backend: str = "onnxruntime",
    threads: int = 1,
    input_long_side: int = 384,
    min_score: float = 0.1,
    nms_iou: float = 0.6,
    max_people: int = 50,
) -> Detector:
    """The detector named by `spec` ('centre', 'centre:FILE.onnx', 'yolox:FILE.onnx', 'fasterrcnn').

    DetectionError for an unknown one, a missing file, or a file that isn't such a network; WeightsError
    if the shipped weights are missing or damaged.
    """
    kind, _, name = spec.partition(":")
    if kind == "centre":
        path = existing_file(name) if name else weights_path("detector")
        engine = load_engine(path, backend=backend, threads=threads)
        return CentreDetector(engine, input_long_side, min_score, nms_iou, max_people)
    if kind == "yolox" and name:
        engine = load_engine(existing_file(name), backend=backend, threads=threads)
        return YoloxDetector(engine, min_score, nms_iou, max_people, input_long_side)
    if kind == "fasterrcnn":
        return FasterRCNNDetector(min_score, nms_iou, max_people, threads)
    raise DetectionError(f"unknown detector {spec!r}: it must be {SPECS}")


def existing_file(name: str) -> Path:
    """The file's path; DetectionError if there is none."""
    path = Path(name).expanduser()
    if not path.is_file():
        raise DetectionError(f"detector file {path} doesn't exist")
    return path


class DetectionStage:
    """Configured once, called once a frame in the order of stamps."""

    def __init__(self, config: DetectionConfig | None = None, detector: Detector | None = None) -> None:
        """Load the configured detector, or take the one given."""
        self.config = config if config is not None else DetectionConfig()
        c = self.config
        self._detector = (
            detector
            if detector is not None
            else create_detector(
                c.detector, c.backend, c.threads, c.input_long_side, c.score_low, c.nms_iou, c.max_people
            )
        )
        self._tracker = Tracker(self.config)

    def process(self, image: RgbImage, stamp_ns: int) -> list[Track]:
        """People tracked in an RGB image (H, W, 3) uint8 taken at `stamp_ns`; boxes clipped to the image.

        A stamp before the last one starts tracking anew, with fresh ids. DetectionError, with the
        tracks left as they were, if the image or the detector's output is unusable.
        """
        check_image(image)
        found = self._detector(image)
        wants_colours = self.config.appearance_weight > 0 and len(found) > 0
        appearance = describe_people(image, found.boxes_px) if wants_colours else None
        return self._tracker.update(found, stamp_ns, appearance, (image.shape[1], image.shape[0]))
