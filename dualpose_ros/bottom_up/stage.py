"""The bottom-up branch as one object: a whole image and the top-down heatmaps in, 3D poses of everybody out."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dualpose_ros.arrays import RgbImage
from dualpose_ros.bottom_up.decode import BottomUpDecodeConfig, BottomUpMaps, decode_frame
from dualpose_ros.bottom_up.guidance import guidance_maps, no_guidance
from dualpose_ros.bottom_up.place import place_people
from dualpose_ros.camera import Camera, check_image
from dualpose_ros.grouping import HEATMAP_STRIDE
from dualpose_ros.heatmap import Heatmaps
from dualpose_ros.inference.engine import Engine, EngineError
from dualpose_ros.inference.load import EngineConfig
from dualpose_ros.letterbox import Letterbox, fit_long_side
from dualpose_ros.people import Persons
from dualpose_ros.settings import Settings, setting
from dualpose_ros.skeleton import H36M17

_INPUTS = ("image", "guidance")
_OUTPUTS = ("heatmaps", "tags", "depths", "log_stddev")
_MULTIPLE = 32


@dataclass(frozen=True)
class BottomUpConfig(Settings):
    """Settings of the bottom-up branch."""

    weights: str = setting(
        "bottom_up", "network of heatmaps, tags and depths of the whole image: a shipped one's name, or an ONNX file"
    )
    engine: EngineConfig = setting(EngineConfig(), "what runs the network")
    input_long_side_px: int = setting(
        384, "the image's longer side for the network", unit="px", least=_MULTIPLE, most=4096, step=_MULTIPLE
    )
    decode: BottomUpDecodeConfig = setting(BottomUpDecodeConfig(), "people from the network's maps", live=True)
    keypoint_stddev_px: float = setting(
        1.0,
        "deviation of a joint found with score 1, in the network's pixels; states joint_stddev",
        unit="px",
        above=0,
        live=True,
    )


@dataclass(frozen=True)
class BottomUpResult:
    """persons: those found in this frame, the best first, not tracked; guided: whether there were heatmaps."""

    persons: Persons
    guided: bool


class BottomUpStage:
    """Configured once; `process` is called for each frame, which it looks at by itself."""

    def __init__(self, config: BottomUpConfig | None = None, engine: Engine | None = None) -> None:
        """Load the network that `config` names, unless it is given.

        WeightsError or EngineError says which can't be loaded and what to do, or that it is no bottom-up network.
        """
        self.config = c = config if config is not None else BottomUpConfig()
        self._engine = engine if engine is not None else c.engine.network(c.weights)
        check_network(self._engine)

    def prepare(self, width: int, height: int) -> None:
        """Work on nothing in images of a size in pixels, so that the first to come waits for no plan of the network's.

        EngineError if the network fails on it.
        """
        box = fit_long_side(width, height, self.config.input_long_side_px, _MULTIPLE)
        image, guidance = np.zeros((1, box.height, box.width, 3), np.uint8), no_guidance((box.height, box.width))
        self._engine.run({"image": image, "guidance": guidance[None]})

    def process(self, image: RgbImage, stamp_ns: int, camera: Camera, heatmaps: Heatmaps | None) -> BottomUpResult:
        """3D poses of the people in an image, guided by the top-down heatmaps.

        image: RGB (H, W, 3) uint8; stamp_ns: of the image; camera: of the image; heatmaps: of the same image, None
        without.
        ValueError if the image is not uint8 RGB or not of the camera's size, if the heatmaps' channels are not the
        skeleton's joints, or if the network answers NaN; EngineError if its answers are no bottom-up network's.
        """
        check_image(image, camera)
        letterbox = fit_long_side(camera.width, camera.height, self.config.input_long_side_px, _MULTIPLE)
        maps = self.maps(image, letterbox, heatmaps)
        people = decode_frame(maps, network_focal(camera, letterbox), self.config.decode)
        pixel_stddev = self.config.keypoint_stddev_px / float(np.sqrt(letterbox.scale.prod()))
        placed = place_people(people, letterbox.points_to_image, camera, pixel_stddev)
        return BottomUpResult(placed, heatmaps is not None)

    def maps(self, image: RgbImage, letterbox: Letterbox, heatmaps: Heatmaps | None) -> BottomUpMaps:
        """What the network answers for an image in its letterbox; errors as of `process`."""
        size = (letterbox.height, letterbox.width)
        guidance = no_guidance(size) if heatmaps is None else guidance_maps(heatmaps, letterbox.affine, size)
        answers = self._engine.run({"image": letterbox.apply(image)[None], "guidance": guidance[None]})
        shape = (1, H36M17.num_joints, size[0] // HEATMAP_STRIDE, size[1] // HEATMAP_STRIDE)
        missing = [name for name in _OUTPUTS if name not in answers]
        if missing:
            raise EngineError(f"this is no bottom-up network: it has no output {', '.join(missing)}")
        for name in _OUTPUTS:
            if answers[name].shape != shape:
                raise EngineError(f"this is no bottom-up network: {name} {answers[name].shape} instead of {shape}")
        return BottomUpMaps(*(answers[name][0] for name in _OUTPUTS))


def network_focal(camera: Camera, letterbox: Letterbox) -> float:
    """Focal length sqrt(fx fy) in pixels of the network's input."""
    return float(np.sqrt(camera.fx * camera.fy * letterbox.scale.prod()))


def check_network(engine: Engine) -> None:
    """EngineError if a network does not take an image and guidance, or says that it answers something else."""
    given = engine.inputs
    expected = {"image": (3, 3), "guidance": (1, H36M17.num_joints)}
    fits = set(given) == set(_INPUTS) and all(
        given[name].dtype == np.uint8 and len(given[name].shape) == 4 and given[name].shape[axis] == size
        for name, (axis, size) in expected.items()
    )
    if not fits or not set(_OUTPUTS) <= set(engine.outputs):
        found: list[Any] = [f"{name} {spec}" for name, spec in given.items()]
        raise EngineError(
            f"this is no bottom-up network: it should take image uint8 [N, H, W, 3] and guidance uint8 "
            f"[N, {H36M17.num_joints}, H/4, W/4] and give {', '.join(_OUTPUTS)}, "
            f"not take {', '.join(found)} and give {', '.join(engine.outputs)}"
        )
