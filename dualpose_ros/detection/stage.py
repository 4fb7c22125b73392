"""Detection and tracking as one object: an image in, tracked people out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dualpose_ros.arrays import RgbImage
from dualpose_ros.camera import check_image
from dualpose_ros.detection.appearance import describe_people
from dualpose_ros.detection.cuts import CutWatch
from dualpose_ros.detection.detections import BoxChoice, DetectionError, Detector
from dualpose_ros.detection.fasterrcnn import FasterRCNNDetector
from dualpose_ros.detection.tracker import Tracker, TrackerConfig
from dualpose_ros.detection.yolox import STRIDES, YoloxDetector
from dualpose_ros.inference.load import EngineConfig
from dualpose_ros.pace import FramePeriod
from dualpose_ros.paths import user_path
from dualpose_ros.people import Track
from dualpose_ros.settings import SettingError, Settings, setting

USUAL_INTERVAL_S = 0.1
"""Between two looks of the detector, where frames come faster: people hardly leave the path that was predicted."""
FAR_INTERVAL_S = 0.2
"""Between two looks for people who are far, who move little on the image; while somebody is new, USUAL_INTERVAL_S."""

SPECS = "own, own:FILE.onnx, yolox:FILE.onnx or fasterrcnn"


@dataclass(frozen=True)
class DetectionConfig(Settings):
    """Settings of detection and tracking."""

    detector: str = setting("own", f"{SPECS}; the first is the shipped one")
    engine: EngineConfig = setting(EngineConfig(), "what runs the network")
    detect_every: int = setting(
        0,
        "frames from one look of the detector to the next, tracks being predicted between; 0: as often as every 0.1 s",
        unit="frames",
        least=0,
        most=100,
        live=True,
    )
    # Where the network leaves its size free, as ours does.
    input_long_side_px: int = setting(
        384, "the image's longer side for the network", unit="px", least=STRIDES[-1], most=4096, step=STRIDES[-1]
    )
    far_long_side_px: int = setting(
        640,
        "the same in a second look, for people who are far, where the image has more pixels; 0: no such look",
        unit="px",
        least=0,
        most=4096,
        step=STRIDES[-1],
    )
    nms_iou: float = setting(BoxChoice.nms_iou, "boxes that overlap more are one person", above=0, most=1)
    nms_inside: float = setting(
        BoxChoice.nms_inside,
        "a box of which more lies within a better one shows a part of that person; 1: it never does",
        above=0,
        most=1,
    )
    max_people: int = setting(BoxChoice.max_people, "strongest boxes kept", least=1, most=1000)
    tracker: TrackerConfig = setting(TrackerConfig(), "boxes of each frame into people with lasting ids")

    def __post_init__(self) -> None:
        super().__post_init__()
        kind, _, path = self.detector.partition(":")
        if kind not in ("own", "yolox", "fasterrcnn") or (kind == "yolox") > bool(path):
            raise SettingError("detector", f"is {self.detector!r}; it must be {SPECS}")


def create_detector(config: DetectionConfig, min_score: float | None = None) -> Detector:
    """The detector of a configuration; `min_score`: weakest box, by default the weakest that the tracker takes.

    DetectionError for a missing file, or one that isn't such a network; WeightsError if the shipped weights are
    missing or damaged.
    """
    c, score = config, config.tracker.low_score if min_score is None else min_score
    choice = BoxChoice(score, c.nms_iou, c.nms_inside, c.max_people)
    kind, _, name = c.detector.partition(":")
    if kind == "fasterrcnn":
        return FasterRCNNDetector(choice, c.engine.cpu_threads)
    engine = c.engine.load(existing_file(name)) if name else c.engine.network("detector")
    return YoloxDetector(engine, choice, c.input_long_side_px, c.far_long_side_px)


def existing_file(name: str) -> Path:
    """The file's path; DetectionError if there is none."""
    path = user_path(name)
    if not path.is_file():
        raise DetectionError(f"detector file {path} doesn't exist")
    return path


class DetectorTurn:
    """Which frames the detector looks at: each n-th, or for 0 those nearest to every `interval_s`; all while somebody
    is new, and the first after time was set back."""

    def __init__(self) -> None:
        self._passed = 0
        self._last_ns: int | None = None
        self._pace = FramePeriod()

    def has_come(
        self, stamp_ns: int, every: int = 0, somebody_is_new: bool = False, interval_s: float = USUAL_INTERVAL_S
    ) -> bool:
        """Whether a frame is one of them."""
        period_s = self._pace.see(stamp_ns)
        self._passed += 1
        if self._last_ns is not None and stamp_ns >= self._last_ns and not somebody_is_new:
            elapsed_s = (stamp_ns - self._last_ns) * 1e-9
            if self._passed < every or (not every and elapsed_s + period_s / 2 < interval_s):
                return False
        self._passed, self._last_ns = 0, stamp_ns
        return True


class DetectionStage:
    """Configured once, called once a frame in the order of stamps."""

    def __init__(
        self, config: DetectionConfig | None = None, detector: Detector | None = None, watches_cuts: bool = False
    ) -> None:
        """Load the configured detector, or take that given; `watches_cuts`: tracking starts anew where a film cuts."""
        self.config = config if config is not None else DetectionConfig()
        self._detector = detector if detector is not None else create_detector(self.config)
        self._tracker = Tracker(self.config.tracker)
        self._turn, self._far_turn = DetectorTurn(), DetectorTurn()
        self._cuts = CutWatch() if watches_cuts else None
        self.is_cut = False

    def process(self, image: RgbImage, stamp_ns: int) -> list[Track]:
        """People tracked in an RGB image (H, W, 3) uint8 taken at `stamp_ns`; boxes clipped to the image.

        Between the frames that the detector looks at (`detect_every`) they are where they move to.
        A stamp before the last one starts tracking anew, with fresh ids, and so does a cut: `is_cut` says whether this
        image began another shot. ImageError or DetectionError, with the tracks left as they were, if the image or the
        detector's output is unusable.
        """
        check_image(image)
        self._tracker.config = self.config.tracker
        size = (image.shape[1], image.shape[0])
        self.is_cut = self._cuts is not None and self._cuts.is_cut(image, stamp_ns)
        if self.is_cut:
            self._tracker.reset()
            self._turn, self._far_turn = DetectorTurn(), DetectorTurn()
        somebody_is_new = self._tracker.has_tentative
        if not self._turn.has_come(stamp_ns, self.config.detect_every, somebody_is_new):
            return self._tracker.predict(stamp_ns, size)
        interval_s = USUAL_INTERVAL_S if somebody_is_new else FAR_INTERVAL_S
        found = self._detector(image, far=self._far_turn.has_come(stamp_ns, interval_s=interval_s))
        wants_colours = self.config.tracker.appearance_weight > 0 and len(found) > 0
        appearance = describe_people(image, found.boxes_px) if wants_colours else None
        return self._tracker.update(found, stamp_ns, appearance, size)
