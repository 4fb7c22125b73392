"""Others' 2D networks as the graph's top-down network: MoveNet, RTMPose, RTMO, ViTPose and HRNet, from ONNX files.

One person of a patch is taken, and they know COCO's 17 joints. What they find becomes heatmaps like our own network's,
so that all that comes after is the same; joints that they don't know have empty maps, and are completed by the GCN as
any joint is that was not found. N patches of S x S pixels, h x w cells.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from dualpose_ros.arrays import AnyArray, Float32s, Floats, UInt8s
from dualpose_ros.grouping import HEATMAP_STRIDE, pixels_to_cells, read_largest
from dualpose_ros.inference.engine import Arrays, Engine, EngineError, TensorSpec, check_inputs
from dualpose_ros.inference.load import EngineConfig
from dualpose_ros.settings import SettingError
from dualpose_ros.skeleton import COCO17, H36M17, joint_mapping
from dualpose_ros.top_down.patch import ENLARGE
from dualpose_ros.weights import network_file

Found = tuple[Floats, Floats]
"""Joints (N, 17, 2) in pixels of what the network saw, and their scores (N, 17)."""

_MEAN = np.array([123.675, 116.28, 103.53], dtype=np.float32)
_STDDEV = np.array([58.395, 57.12, 57.375], dtype=np.float32)
_SIGMA_CELLS = 2.0
_BINS = 2
"""Of RTMPose's answers a pixel."""

_PELVIS = H36M17.root
_HIPS = [COCO17.index("left_hip"), COCO17.index("right_hip")]
_FROM_COCO = joint_mapping(COCO17, H36M17)
KNOWN = tuple(int(joint) for joint in np.flatnonzero((_FROM_COCO >= 0) | (np.arange(len(_FROM_COCO)) == _PELVIS)))
"""Joints of `skeleton.H36M17` that follow from COCO's: the limbs, and the pelvis between the hips."""


@dataclass(frozen=True)
class Kind:
    """A family of networks.

    size: height and width where the file leaves them free; nhwc: colours last, as integers 0..255; enlarge: side of a
    patch over its box's that it was trained with; margin: see `hide_surroundings`; read: its outputs (N, ...) into
    joints, given the input's height and width; example: its outputs in words; raw: blue first, as floats 0..255.
    """

    size: tuple[int, int]
    nhwc: bool
    enlarge: float
    margin: float | None
    read: Callable[[list[AnyArray], int, int], Found]
    example: str
    raw: bool = False


def _read_movenet(outputs: list[AnyArray], height: int, width: int) -> Found:
    rows = np.asarray(outputs[0], dtype=np.float64).reshape(-1, COCO17.num_joints, 3)
    return rows[..., 1::-1] * (width, height) - 0.5, rows[..., 2]


def _read_simcc(outputs: list[AnyArray], height: int, width: int) -> Found:
    places, values = [], []
    for bins, size in zip(outputs, (width, height), strict=True):
        if bins.ndim != 3 or bins.shape[1:] != (COCO17.num_joints, _BINS * size):
            raise ValueError(f"{bins.shape} for {size} pixels")
        places.append(bins.argmax(axis=-1) / _BINS)
        values.append(bins.max(axis=-1))
    return np.stack(places, axis=-1).astype(np.float64), np.minimum(*values).astype(np.float64)


def _read_heatmaps(outputs: list[AnyArray], height: int, width: int, unbiased: bool) -> Found:
    maps = np.asarray(outputs[0], dtype=np.float32)
    if maps.ndim != 4 or maps.shape[1] != COCO17.num_joints:
        raise ValueError(f"{maps.shape}")
    places, values = read_largest(maps.reshape(-1, *maps.shape[2:]))
    rows, columns = maps.shape[2:]
    # Either the outermost cells are the outermost pixels, or each cell is centred on its first pixel.
    step = np.array([(width - 1) / (columns - 1), (height - 1) / (rows - 1)] if unbiased else
                    [width / columns, height / rows])  # fmt: skip
    joints = pixels_to_cells(places).reshape(len(maps), -1, 2) * step
    return joints, values.reshape(len(maps), -1)


def _read_one_stage(outputs: list[AnyArray], height: int, width: int) -> Found:
    """Of everybody in the picture, the surest whose box holds its middle."""
    people, keypoints = (np.asarray(output, dtype=np.float64) for output in outputs)
    if people.ndim != 3 or people.shape[::2] != (1, 5) or keypoints.shape != (*people.shape[:2], COCO17.num_joints, 3):
        raise ValueError(f"{people.shape} and {keypoints.shape}")
    low, high, middle = people[0, :, :2], people[0, :, 2:4], np.array([width, height]) / 2
    sure = np.where(((low <= middle) & (middle <= high)).all(axis=1), people[0, :, 4], 0.0)
    if not (sure > 0).any():
        return np.zeros((1, COCO17.num_joints, 2)), np.zeros((1, COCO17.num_joints))
    best = keypoints[:, int(sure.argmax())]
    return best[..., :2], best[..., 2]


_HEATMAPS = "heatmaps (N, 17, h, w)"
KINDS: Mapping[str, Kind] = {
    "movenet": Kind((256, 256), True, 1.12, 0.08, _read_movenet, "(1, 1, 17, 3)"),
    "rtmpose": Kind((256, 192), False, 1.25, None, _read_simcc, "simcc_x (N, 17, 2 W) and simcc_y (N, 17, 2 H)"),
    "rtmo": Kind(
        (640, 640), False, 1.25, None, _read_one_stage, "dets (1, N, 5) and keypoints (1, N, 17, 3)", raw=True
    ),
    "vitpose": Kind((256, 192), False, 1.25, None, partial(_read_heatmaps, unbiased=True), _HEATMAPS),
    "hrnet": Kind((256, 192), False, 1.25, None, partial(_read_heatmaps, unbiased=False), _HEATMAPS),
}
SPECS = ", ".join(f"{kind}:FILE.onnx" for kind in KINDS)


def load_top_down(spec: str, config: EngineConfig | None = None) -> Engine:
    """The top-down network that a setting names: a shipped one, an ONNX file, or one of SPECS.

    Errors: SettingError for an unknown kind, WeightsError and EngineError as of loading, EngineError if the file is
    no network of the kind, by what it takes and by what it answers to a black patch.
    """
    config = config or EngineConfig()
    kind, colon, path = spec.partition(":")
    if not colon:
        return config.network(spec)
    if kind not in KINDS or not path:
        raise SettingError("weights", f"is {spec!r}; it must be a shipped network's name, FILE.onnx, {SPECS}")
    engine = PublishedEngine(config.load(network_file(path)), kind)
    engine.run({"patches": np.zeros((1, engine.side, engine.side, 3), np.uint8)})
    return engine


class PublishedEngine:
    """A published network behind the interface of ours: patches (N, S, S, 3) uint8 in, heatmaps (N, K, S/4, S/4) out.

    S is the network's height; one that is narrower sees the middle of the patch. EngineError on construction if its
    inputs are not those of its kind.
    """

    def __init__(self, engine: Engine, kind: str) -> None:
        self._engine, self._name, self._kind = engine, kind, KINDS[kind]
        spec = next(iter(engine.inputs.values()))
        axes = (1, 2, 3) if self._kind.nhwc else (2, 3, 1)
        wanted = "int32, uint8 or float32 [N, S, S, 3]" if self._kind.nhwc else "float32 [N, 3, H, W]"
        types = (np.int32, np.uint8, np.float32) if self._kind.nhwc else (np.float32,)
        if len(engine.inputs) != 1 or len(spec.shape) != 4 or spec.shape[axes[2]] != 3 or spec.dtype not in types:
            found = ", ".join(f"{name} {value}" for name, value in engine.inputs.items())
            raise EngineError(f"this ONNX file is no {kind} network: it takes {found} instead of {wanted}")
        sizes = [spec.shape[axis] for axis in axes[:2]]
        self._height, self._width = (size if isinstance(size, int) else free for size, free in
                                     zip(sizes, self._kind.size, strict=True))  # fmt: skip
        if self._width > self._height or self._height % HEATMAP_STRIDE:
            raise EngineError(f"this {kind} network takes {spec}: wider than high, or no multiple of {HEATMAP_STRIDE}")
        self._input, self._one = spec, spec.shape[0] == 1 or kind == "rtmo"
        self.inputs = {"patches": TensorSpec("patches", np.dtype(np.uint8), ("N", self._height, self._height, 3))}
        self.outputs = ("heatmaps",)
        self.metadata = dict(engine.metadata)

    @property
    def side(self) -> int:
        """Pixels of a patch's sides."""
        return self._height

    @property
    def aspect(self) -> float:
        """Width over height of what the network sees of a patch."""
        return self._width / self._height

    @property
    def enlarge(self) -> float:
        """Side of a patch over that of its box, against our own networks' (`patch.ENLARGE`)."""
        return self._kind.enlarge / ENLARGE

    @property
    def margin(self) -> float | None:
        """How much of a patch around its box the network is to see, see `hide_surroundings`; None for all."""
        return self._kind.margin

    def run(self, inputs: Mapping[str, AnyArray]) -> Arrays:
        """The heatmaps; EngineError as of every engine, and for outputs that are not those of the kind."""
        patches = np.asarray(check_inputs(self.inputs, inputs)["patches"], dtype=np.uint8)
        left = (self._height - self._width) // 2
        pictures = self._prepared(np.ascontiguousarray(patches[:, :, left : left + self._width]))
        batches = [pictures[n : n + 1] for n in range(len(pictures))] if self._one else [pictures]
        answers = [list(self._engine.run({self._input.name: batch}).values()) for batch in batches]
        try:
            read = [self._kind.read(answer, self._height, self._width) for answer in answers]
            joints, scores = (np.concatenate(parts) for parts in zip(*read, strict=True))
            if joints.shape != (len(patches), COCO17.num_joints, 2):
                raise ValueError(f"{joints.shape}")
        except (ValueError, IndexError) as error:
            raise EngineError(
                f"this ONNX file is no {self._name} network: it puts out {error} instead of {self._kind.example}"
            ) from None
        if not (np.isfinite(joints).all() and np.isfinite(scores).all()):
            raise EngineError(f"the {self._name} network's output is not finite: its weights or its input are broken")
        joints[..., 0] += left
        return {"heatmaps": heatmaps_of(*inner_joints(joints, np.clip(scores, 0, 1)), self._height)}

    def _prepared(self, pictures: UInt8s) -> AnyArray:
        if self._kind.nhwc:
            return pictures.astype(self._input.dtype)
        if self._kind.raw:
            return np.ascontiguousarray(pictures[..., ::-1].transpose(0, 3, 1, 2), dtype=np.float32)
        scaled = (pictures.astype(np.float32) - _MEAN) / _STDDEV
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


def inner_joints(joints_px: Floats, scores: Floats) -> Found:
    """Joints (N, K, 2) and scores (N, K) of `skeleton.H36M17` from COCO's; 0 for those that don't follow from them.

    The pelvis is the middle of the hips, as sure as the less sure of them.
    """
    place = np.maximum(_FROM_COCO, 0)
    joints, sure = joints_px[:, place], np.where(_FROM_COCO >= 0, scores[:, place], 0.0)
    joints[:, _PELVIS], sure[:, _PELVIS] = joints_px[:, _HIPS].mean(axis=1), scores[:, _HIPS].min(axis=1)
    return joints, sure


def heatmaps_of(joints_px: Floats, scores: Floats, size: int) -> Float32s:
    """Maps (N, K, S/4, S/4) with a Gaussian as high as the score at each joint (N, K, 2) of S x S pixels."""
    cells, centres = np.arange(size // HEATMAP_STRIDE), pixels_to_cells(joints_px)
    across, down = (np.exp(-((cells - centres[..., axis, None]) ** 2) / (2 * _SIGMA_CELLS**2)) for axis in (0, 1))
    return np.asarray(scores[..., None, None] * down[..., :, None] * across[..., None, :], dtype=np.float32)


def hide_surroundings(patches: UInt8s, boxes: Floats, margin: float) -> None:
    """Grey all of patches (N, S, S, 3) but what lies in their boxes (N, 4), widened by a share of their sides.

    A network that wants one person a picture takes neighbours for it: MoveNet Thunder's similarity on photographs went
    from 0.67 to 0.70.
    """
    size = patches.shape[1]
    widened = boxes + (boxes[:, [2, 3, 2, 3]] - boxes[:, [0, 1, 0, 1]]) * margin * (-1, -1, 1, 1)
    low = np.clip(np.floor(widened[:, :2]), 0, size).astype(np.intp)
    high = np.clip(np.ceil(widened[:, 2:]), 0, size).astype(np.intp)
    for patch, (x0, y0), (x1, y1) in zip(patches, low, high, strict=True):
        for outside in (patch[:y0], patch[y1:], patch[:, :x0], patch[:, x1:]):
            outside[:] = 128
