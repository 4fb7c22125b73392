"""The graph's stages one after the other, without nodes: what both branches make of an image."""

from dataclasses import dataclass

from dualpose_ros.arrays import RgbImage
from dualpose_ros.bottom_up.stage import BottomUpConfig, BottomUpStage
from dualpose_ros.camera import Camera
from dualpose_ros.detection.stage import DetectionConfig, DetectionStage, create_detector
from dualpose_ros.fusion.stage import FusionStage
from dualpose_ros.inference.engine import Engine
from dualpose_ros.inference.load import EngineConfig
from dualpose_ros.people import Persons, Track
from dualpose_ros.refinement.config import RefinementConfig
from dualpose_ros.refinement.stage import RefinementStage
from dualpose_ros.top_down.lifting.lifter import Lifter
from dualpose_ros.top_down.published import load_top_down
from dualpose_ros.top_down.stage import TopDownConfig, TopDownStage

STAGES = ("top_down", "bottom_up", "fused", "refined")
"""Whose people are published, in the order of their work."""


@dataclass(frozen=True)
class Seen:
    """One frame: the tracks of the detector, the people of the top-down and of the bottom-up branch."""

    tracks: tuple[Track, ...]
    top_down: Persons
    bottom_up: Persons


class Branches:
    """Loads every network once; `restart` before each video, then `process` its frames in their order."""

    def __init__(self, top_down: str = "top_down", guided: bool = True, with_bottom_up: bool = True) -> None:
        """Load the networks; errors as of `load_top_down` if they can't be used.

        top_down: the network on patches, as `top_down.weights` names it; guided: whether the bottom-up branch gets its
        heatmaps; with_bottom_up: whether there is that branch.
        """
        names = ("lifting", "gcn", *(("bottom_up",) if with_bottom_up else ()))
        self._engines: dict[str, Engine] = {name: EngineConfig().network(name) for name in names}
        self._engines["top_down"], self._guided = load_top_down(top_down), guided
        self._detector = create_detector(DetectionConfig())
        self._bottom_up = BottomUpStage(BottomUpConfig(), self._engines["bottom_up"]) if with_bottom_up else None
        self.restart()

    def restart(self) -> None:
        """Forget all tracks."""
        engines = self._engines
        self._detection = DetectionStage(DetectionConfig(), self._detector)
        lifter = Lifter(engines["lifting"], engines["gcn"])
        self._top_down = TopDownStage(TopDownConfig(), engines["top_down"], lifter)

    def process(self, image: RgbImage, stamp_ns: int, camera: Camera) -> Seen:
        """What both branches find in an RGB image (H, W, 3); errors are those of the stages."""
        tracks = self._detection.process(image, stamp_ns)
        seen = self._top_down.process(image, stamp_ns, camera, tracks)
        if self._bottom_up is None:
            return Seen(tuple(tracks), seen.persons, Persons.of(()))
        whole = self._bottom_up.process(image, stamp_ns, camera, seen.heatmaps if self._guided else None)
        return Seen(tuple(tracks), seen.persons, whole.persons)


class LiveStages:
    """Both branches, fusion and refinement; `restart` before each video."""

    def __init__(self, branches: Branches, refinement: RefinementConfig | None = None) -> None:
        self._branches, self._config = branches, refinement
        self.restart()

    def restart(self) -> None:
        """Forget everybody."""
        self._branches.restart()
        self._fusion, self._refinement = FusionStage(), RefinementStage(self._config)

    def process(self, image: RgbImage, stamp_ns: int, camera: Camera, last: str = STAGES[-1]) -> dict[str, Persons]:
        """Whom each of STAGES up to the `last` finds in an RGB image (H, W, 3); errors are those of the stages."""
        seen = self._branches.process(image, stamp_ns, camera)
        people = {"top_down": seen.top_down, "bottom_up": seen.bottom_up}
        if last in ("fused", "refined"):
            people["fused"] = self._fusion.process(stamp_ns, seen.top_down, seen.bottom_up).persons
        if last == "refined":
            (given,) = self._refinement.process(stamp_ns, camera, people["fused"])
            people["refined"] = Persons.of(given.persons)
        return people
